# ---
# jupyter:
#   jupytext:
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10 · A code for every picture, a picture for every code
#
# **The question.** An autoencoder squeezes a picture into a few numbers, its *code*, and paints it
# again from them. So make up a code, and it paints a picture that nobody has drawn? Try it, and
# what comes out is mostly rubbish. What must be changed so that every code means a picture? Kingma
# and Welling (2013), and Rezende, Mohamed and Wierstra (2014), found an answer that begins with
# another question: how *probable* is a picture?
#
# We make the holes visible, derive a bound on the probability and check it by numbers, find out how
# to send a gradient through a throw of dice, and train. Then we turn the one knob that there is,
# walk from picture to picture, and ask why the pictures are blurred where those of a GAN are not.
#
# **You need:** notebooks 01 and 04 (gradients; transposed convolutions); the normal distribution,
# expectations and logarithms. Notebook 09 for the last section.
#
# **Time:** 90 minutes of reading and trying, and two minutes of computing.
#
# **Afterwards you can** derive the bound and say how far it is off, write its loss in three lines,
# explain why the noise is drawn outside, tell a code that is used from one that is not, and say
# what a VAE has that a GAN has not, and the other way round.

# %% tags=["parameters"]
import importlib.util
import os
import subprocess
import sys

FAST = os.environ.get("TINYDECONV_FAST") == "1"  # for automatic tests; leave it alone

if importlib.util.find_spec("tinydeconv") is None:  # a hosted notebook
    install = [sys.executable, "-m", "pip", "install", "--quiet", "tinydeconv[images]"]
    subprocess.run(install, check=True)

# %%
import json
from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np

import tinydeconv as td
from tinydeconv import metrics, nn, optim, viz
from tinydeconv.data import Glyphs
from tinydeconv.exercises import exercise, expect
from tinydeconv.nn import functional as F
from tinydeconv.recipes.scores import read, scores
from tinydeconv.viz import BLUE, GREEN, ORANGE

rng = np.random.default_rng(0)


def show_rows(rows, alt, width=9):
    """Rows of pictures {title: (n, 1, side, side) in [0, 1]}, black at 0, white at 1."""
    size = width, sum(width / len(pictures) + 0.32 for pictures in rows.values())
    _, axes = plt.subplots(len(rows), 1, figsize=size, layout="constrained")
    for ax, (title, pictures) in zip(axes, rows.items()):
        framed = np.pad(pictures[:, 0], ((0, 0), (1, 1), (1, 1)), constant_values=0.5)
        ax.imshow(np.hstack(list(framed)), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.set_title(title, fontsize=10, loc="left")
        ax.axis("off")
    viz.show(alt)


# %% [markdown]
# ## 1. An autoencoder has holes
#
# The pictures are glyphs: digits in eight faces, turned, slanted, scaled and shifted at random, 32
# x 32 pixels. The *encoder* is a ladder of strided convolutions, down to a few numbers; the
# *decoder* a ladder of transposed convolutions (notebook 04), up again to one logit a pixel, whose
# sigmoid is the grey that it paints. The loss is the *cross-entropy* of each pixel, summed over the
# picture: $-x \log p - (1 - x) \log (1 - p)$ for a pixel $x$ from 0 to 1 and a painted $p$. Section
# 5 says why.

# %%
SIZE, BATCH = 32, 8 if FAST else 32
KNOWN = 400 if FAST else 10_000  # glyphs to learn from
COUNT = 200 if FAST else 2000  # fresh ones to measure by, and twice as many


def glyphs(count, seed):
    pixels, labels = Glyphs(size=SIZE, seed=seed).batch(0, range(count))
    return pixels / np.float32(255), labels


training, training_labels = glyphs(KNOWN, 0)
fresh, fresh_labels = glyphs(2 * COUNT, 1_000_000)


def halve(a, b):
    return [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]


def double(a, b):
    return [nn.ConvTranspose2d(a, b, 4, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU()]


class Autoencoder(nn.Module):
    """A code of `latent` numbers, (n, latent), of pictures (n, 1, 32, 32)."""

    def __init__(self, latent, outputs=None):
        self.latent = latent
        self.encoder = nn.Sequential(
            *halve(1, 16), *halve(16, 32), *halve(32, 32), nn.Flatten(),
            nn.Linear(32 * 16, 128), nn.LeakyReLU(0.2), nn.Linear(128, outputs or latent),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(latent, 128), nn.ReLU(), nn.Linear(128, 32 * 16), nn.ReLU(),
            nn.Unflatten(1, (32, 4, 4)), *double(32, 32), *double(32, 16),
            nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1),
        )  # fmt: skip

    def loss(self, x):
        return (misfit(self.decoder(self.encoder(x)), x),)


def misfit(logits, x):
    """The cross-entropy of a picture, in nats, in the mean over the batch."""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)


def train(network, pictures, steps):
    """Makes the first of network.loss(x) small; returns all of them, at each step."""
    optimizer = optim.Adam(network.parameters())
    schedule = optim.OneCycleLR(optimizer, 7e-3, steps)
    told = []
    for _ in range(steps):
        losses = network.loss(td.tensor(pictures[rng.integers(len(pictures), size=BATCH)]))
        optimizer.zero_grad()
        losses[0].backward()
        optimizer.step()
        schedule.step()
        told.append([loss.item() for loss in losses])
    network.eval()  # batch norm by what it has seen, not by the neighbours
    return np.array(told)


def in_parts(function, x):
    """What the function makes of an array, 250 rows at a time, without gradients."""
    with td.no_grad():
        parts = [function(td.tensor(x[i : i + 250])).numpy() for i in range(0, len(x), 250)]
    return np.concatenate(parts)


def paint(network, codes):
    """Pictures (n, 1, SIZE, SIZE) in [0, 1]."""
    return in_parts(lambda z: network.decoder(z).sigmoid(), np.float32(codes))


# %%
STEPS = 4 if FAST else 1200
td.manual_seed(0)
plain = Autoencoder(16)
start = perf_counter()
losses = train(plain, training, STEPS)
print(
    f"{STEPS} steps in {perf_counter() - start:.0f} s; loss at the end {losses[-100:].mean():.1f}"
)

plain_codes = in_parts(plain.encoder, training)
centre, spread = plain_codes.mean(0), plain_codes.std(0)
td.manual_seed(3)
noise = td.randn(COUNT, 16).numpy()
made_up = centre + spread * noise


def holes(drawn, codes):
    """The share of drawn codes that are farther from all codes than 99 % of other codes are."""
    half = len(codes) // 2
    limit = np.quantile(metrics.nearest_distance(codes[half:], codes[:half])[0], 0.99)
    return np.mean(metrics.nearest_distance(drawn, codes[:half])[0] > limit)


in_holes = {"autoencoder": holes(made_up, plain_codes)}
print(f"the numbers of the codes spread by {spread.min():.1f} to {spread.max():.1f}")
print(f"{in_holes['autoencoder']:.0%} of made-up codes lie where no glyph's code is near")
show_rows(
    {
        "fresh glyphs": fresh[:14],
        "painted from their codes": paint(plain, in_parts(plain.encoder, fresh[:14])),
        "from made-up codes: standard normal numbers": paint(plain, noise[:14]),
        "each number with the mean and the spread that it has in glyphs": paint(
            plain, made_up[:14]
        ),
    },
    "Four rows: glyphs; nearly the same glyphs, painted from their codes; from standard normal "
    "codes hardly anything; from codes with the right means and spreads some digits and many "
    "scraps of strokes.",
)

# %% [markdown]
# **What to see.** From the codes of glyphs it has never seen it paints them well. From numbers of
# the usual size it paints nothing: nobody told the encoder how large its codes should be, and it
# has made them large. Even if every number is drawn with the mean and the spread that it has in
# real codes, a large part of the made-up codes falls where there is no glyph's code at all
# (farther from all than 99 % of other glyphs' codes), and the decoder has never been asked what to
# paint there.
#
# We want two things: codes that fill a region we know, without holes, and a decoder that has
# practised all over it.
#
# ## 2. How probable is a picture?
#
# Turn it round. Begin with the code: draw $z$ from a standard normal distribution $p(z)$, the
# *prior*. From $z$ the decoder makes a *distribution of pictures*, $p(x \mid z)$, and $x$ is drawn
# from that. Then every picture has a probability,
#
# $$p(x) = \int p(z)\, p(x \mid z)\, dz ,$$
#
# and learning means to make $\log p(x)$ large for the pictures in the data. The trouble is the
# integral: for nearly all $z$ the picture is not at all like $x$, and with 16 numbers nobody finds
# those that count by trying. We need to be *told* where to look: by a distribution $q(z)$, which
# may be a different one for each $x$. For any $z$, $p(x)\, p(z \mid x) = p(x, z)$, and so
#
# $$\log p(x) = \log \frac{p(x, z)}{p(z \mid x)}
#   = \log \frac{p(x, z)}{q(z)} + \log \frac{q(z)}{p(z \mid x)} .$$
#
# The left side has no $z$ in it. So take the mean of the right side over $z$ drawn from $q$:
#
# $$\log p(x) \;=\; \underbrace{\mathbb E_q \log \frac{p(x, z)}{q(z)}}_{\text{the bound}}
#   \;+\; \underbrace{\mathbb E_q \log \frac{q(z)}{p(z \mid x)}}_{\mathrm{KL}(q \,\|\, p(z|x))} .$$
#
# The last term is a *Kullback-Leibler divergence*, which is never negative, and 0 only if $q$ is
# the *posterior* $p(z \mid x)$, the distribution of the codes that could have made $x$. Hence the
# *evidence lower bound*, and since $p(x, z) = p(x \mid z)\, p(z)$,
#
# $$\log p(x) \;\ge\; \mathbb E_q \log p(x \mid z) \;-\; \mathrm{KL}(q(z) \,\|\, p(z)) .$$
#
# **The first term: paint $x$ well from codes that you draw. The second: draw them as the prior
# does. And it is off by exactly the divergence of $q$ from the posterior.** That is a claim about
# numbers. We check it where a sum over a fine grid does the integral: one number for the picture,
# one for the code, $x = f(z)$ and noise of standard deviation 1/2 on top.

# %%
z = np.linspace(-10, 10, 4001)
cell = z[1] - z[0]
x_seen, width = 2.0, 0.5


def normal(at, mean, log_var):
    """log N(at; mean, exp(log_var))"""
    return -((at - mean) ** 2 / np.exp(log_var) + log_var + np.log(2 * np.pi)) / 2


def divergence(log_q, log_p):
    """KL(q || p) of densities on the grid."""
    return np.sum(np.exp(log_q) * (log_q - log_p)) * cell


def bound(log_q, log_joint):
    return np.sum(np.exp(log_q) * (log_joint - log_q)) * cell


joints, evidence = {}, {}  # log p(x, z) on the grid, and log p(x)
for name, f in (("linear, x = 1.5 z + noise", 1.5 * z), ("folded, x = z² + noise", z**2)):
    joints[name] = normal(z, 0, 0) + normal(x_seen, f, np.log(width**2))
    evidence[name] = np.log(np.sum(np.exp(joints[name])) * cell)
linear, folded = joints
exact = normal(x_seen, 0, np.log(1.5**2 + width**2))
print(f"linear: log p(x) = {evidence[linear]:.12f}, and by the formula {exact:.12f}")

worst = 0
for name, log_joint in joints.items():
    log_posterior = log_joint - evidence[name]
    for mean, log_var in rng.uniform((-2, -3), (2, 0.5), (20, 2)):
        log_q = normal(z, mean, log_var)
        gap = evidence[name] - bound(log_q, log_joint)
        worst = max(worst, abs(gap - divergence(log_q, log_posterior)))
print(f"gap and divergence, for 40 different q: at most {worst:.0e} apart")

# %% [markdown]
# (For the linear model there is a formula: $p(x)$ is normal, and the variances add.) Which normal
# $q$ is best?

# %%
means, stds = np.linspace(0, 2, 41), np.geomspace(0.1, 1, 41)
best = {}  # of each model: (bound, mean, standard deviation)
for name, log_joint in joints.items():
    tried = [(bound(normal(z, m, 2 * np.log(s)), log_joint), m, s) for m in means for s in stds]
    best[name] = max(tried)
gaps = {name: evidence[name] - found[0] for name, found in best.items()}
true_mean, true_std = 1.5 * x_seen / (1.5**2 + width**2), width / np.sqrt(1.5**2 + width**2)

_, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for std, colour, style in ((true_std, BLUE, "-"), (0.8, ORANGE, "--"), (0.1, GREEN, "-.")):
    bounds = [bound(normal(z, m, 2 * np.log(std)), joints[linear]) for m in means]
    left.plot(means, bounds, style, color=colour, label=f"q of standard deviation {std:.2f}")
left.axhline(evidence[linear], color="black", ls=":", label="log p(x)")
left.set(xlabel="mean of q", ylabel="bound, nats", ylim=(-6, -1.2), title="Linear model")
left.legend(fontsize=9, loc="lower center")
shown = abs(z) < 2.6
right.plot(z[shown], np.exp(joints[folded] - evidence[folded])[shown], color=BLUE)
right.plot(z[shown], np.exp(normal(z, best[folded][1], 2 * np.log(best[folded][2])))[shown], "--")
for line, colour, name in zip(right.lines, (BLUE, ORANGE), ("posterior p(z | x)", "best normal q")):
    line.set(color=colour, label=name)
right.set(xlabel="z", ylabel="density", title="Folded model")
right.legend(fontsize=9, loc="upper left")
viz.show(
    "Left: the bound by the mean of q, three curves that open downwards below the dotted line of "
    "log p(x); only the one with the posterior's standard deviation touches it. Right: a posterior "
    "with two peaks, and the best normal q, which covers one of them."
)
for name in joints:
    told = "the best q has mean {1:.2f}, standard deviation {2:.2f}".format(*best[name])
    print(f"{name[:6]}: {told}; gap {abs(gaps[name]):.3f} nats (log 2 = {np.log(2):.3f})")

# %% [markdown]
# **What to see.** Left: however you choose $q$, the bound stays below; with the posterior, here
# normal too, it touches. Right: $x = 2$ may come from $z$ near $1.4$ or near $-1.4$, and a normal
# $q$ cannot cover both without covering what lies between, which the divergence punishes hard. It
# takes one of the two. Then $q$ is twice the posterior there, and the gap is $\log 2$, and a little
# more, since a peak is not quite normal.
#
# So when the bound rises, $p(x)$ has risen, or $q$ has come nearer to the posterior. Both are
# welcome; but mind that the decoder is rewarded, too, for posteriors that are easy to hit.
#
# ## 3. The divergence has a formula
#
# In a VAE, $q$ is normal, with mean $\mu$ and variance $\sigma^2$ for each number of the code, and
# the prior is standard normal. The mean of $\log q - \log p$ under $q$ is then, a number of the
# code at a time,
#
# $$\mathrm{KL} = \tfrac12\bigl(\mu^2 + \sigma^2 - 1 - \log \sigma^2\bigr) .$$
#
# The encoder is to answer with $\log \sigma^2$, `log_var`, since that may be any number at all.


# %%
def kl(mean, log_var):
    """KL of N(mean, exp(log_var)) from N(0, 1), in nats, for each number."""
    return (mean**2 + log_var.exp() - 1 - log_var) / 2


of_formula, of_grid = [], []
for mean, log_var in ((0, 0), (1, 0), (0, -2), (-1.5, 0.5)):
    of_formula.append(kl(*(td.tensor(float(number)) for number in (mean, log_var))).item())
    of_grid.append(divergence(normal(z, mean, log_var), normal(z, 0, 0)))
    told = f"formula {of_formula[-1]:.6f}, sum over the grid {of_grid[-1]:.6f}"
    print(f"mean {mean:4}, log_var {log_var:4}: {told}")

# %% [markdown]
# It is 0 for the prior itself and grows with each way of being different. Read it as a price: *so
# many nats of information about the picture are in this number.*
#
# ## 4. A gradient through a throw of dice
#
# The other term is $\mathbb E_q f(z)$ with $f(z) = \log p(x \mid z)$, and we need its slope in
# $\mu$ and $\log \sigma^2$, from random draws. There are two ways.
#
# **Score function.** The slope of a density is the density times the slope of its logarithm, so
# $\nabla\, \mathbb E_q f = \mathbb E_q\, f(z)\, \nabla \log q(z)$. Draw, weigh "make this $z$ more
# probable" with $f$. It needs no slope of $f$ at all. A *baseline* $b$, a number such as the mean
# of $f$, may be taken off, $f(z) - b$, since $\mathbb E_q \nabla \log q = 0$.
#
# **Reparameterisation.** Draw noise $\varepsilon$ from a standard normal, and *compute*
# $z = \mu + \sigma \varepsilon$. Now $z$ is a differentiable function of $\mu$ and $\sigma$, the
# dice are outside, and $\nabla\, \mathbb E f = \mathbb E\, \nabla f(\mu + \sigma \varepsilon)$.
#
# Both are right in the mean. Which of them is of use? Let $f(z) = -\tfrac12 \sum_d (1 - z_d)^2$,
# for which the slopes are known: at $\mu = 0$, $1 - \mu = 1$ for each mean and $-\sigma^2/2$ for
# each `log_var`.


# %%
def draw(mean, log_var):
    """z from N(mean, exp(log_var)): a function of both, and of noise that is neither's."""
    return mean + (log_var / 2).exp() * td.randn(*mean.shape)


def f(z):
    return -((1 - z) ** 2).sum(1) / 2


def slopes(way, dimensions, draws=2000 if FAST else 20_000, std=0.5):
    """One estimate from each draw, of the slope in the first mean and in the first log_var."""
    mean, log_var = td.zeros(draws, dimensions), td.full((draws, dimensions), 2 * np.log(std))
    mean.requires_grad = log_var.requires_grad = True
    z = draw(mean, log_var)
    if way == "reparameterisation":
        estimated = f(z)
    else:
        z = z.detach()  # a sample, and nothing else
        log_q = -((z - mean) ** 2 * (-log_var).exp() + log_var).sum(1) / 2
        baseline = f(z).mean() if "baseline" in way else 0
        estimated = (f(z) - baseline) * log_q
    found = td.grad(estimated.sum(), (mean, log_var))
    return np.stack([g.numpy()[:, 0] for g in found]).astype(np.float64)


WAYS = {
    "score function": (ORANGE, "s--"),
    "score function, baseline": (GREEN, "^-."),
    "reparameterisation": (BLUE, "o-"),
}
DIMENSIONS = (1, 2, 4, 8, 16, 32)
td.manual_seed(0)
found = {way: [slopes(way, dimensions) for dimensions in DIMENSIONS] for way in WAYS}
variances = {way: np.array([of.var(1) for of in each]) for way, each in found.items()}

known = 1, -0.125  # exactly, for a mean and a log_var
print(f"{'':27}{'slope in a mean':>20}{'variance':>10}{'in a log_var':>20}{'variance':>10}")
off = {}  # from what is known, in standard errors
for way, each in found.items():
    of = each[4]
    error = of.std(1) / np.sqrt(of.shape[1])
    off[way] = abs(of.mean(1) - known) / error
    told = (f"{m:12.3f} +- {e:5.3f}{v:12.2f}" for m, e, v in zip(of.mean(1), error, of.var(1)))
    print(f"{way:27}", *told)
print(f"{'exactly':27}{known[0]:13.3f}{known[1]:32.3f}")

_, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for way, (colour, style) in WAYS.items():
    ax.loglog(DIMENSIONS, variances[way][:, 0], style, color=colour, label=way)
ax.set_xticks(DIMENSIONS, DIMENSIONS)
ax.minorticks_off()
ax.set(xlabel="numbers in the code", ylabel="variance of one estimate")
ax.set_title("The slope in one mean, from one draw")
ax.grid(alpha=0.3)
ax.legend(fontsize=9)
viz.show(
    "The variance of one estimate by the numbers in the code, on logarithmic axes: those of the "
    "score function rise steeply, the one with the baseline less so, and that of "
    "reparameterisation is flat at a quarter."
)

# %% [markdown]
# **What to see.** The same mean, within a few standard errors; the variance is another matter. With
# reparameterisation the estimate for one number does not depend on the others: $\sigma^2$, always.
# The score function weighs it with all of $f$, to which every other number adds its noise: to be as
# sure with 16 numbers takes more than a thousand draws for one (with the baseline some eighty).
# That is why a single draw a picture is enough for a VAE.
#
# (It is no free lunch: it needs the slope of $f$, and a $z$ that can be written so. For a code of
# whole numbers there is none, and the score function still works.)
#
# ## 5. A VAE
#
# All parts are there. The encoder answers with a mean and a `log_var` for each number of the code,
# and $q(z \mid x)$ is that normal distribution. A single encoder does it for all pictures, which is
# called *amortised*: no search for the best $q$ of each picture. The decoder says of each pixel how
# probable white is; pixels are *Bernoulli*, independent once $z$ is known, so that $-\log p(x \mid
# z)$ is the cross-entropy of section 1.
#
# (Our pixels are grey, and a Bernoulli pixel is black or white. Read a grey as the probability of
# white: the loss is the mean over all pictures drawn with those probabilities, and for them the
# bound holds. A perfect decoder would pay something too, then: the entropy of the greys.)


# %%
class VAE(Autoencoder):
    def __init__(self, latent, beta=1.0):
        super().__init__(latent, 2 * latent)
        self.beta = beta

    def encode(self, x):
        """(mean, log_var) of q(z | x), both (n, latent)."""
        both = self.encoder(x)
        return both[:, : self.latent], both[:, self.latent :]

    def loss(self, x):
        """What is made small, the reconstruction's share, and the KL's: nats a picture."""
        mean, log_var = self.encode(x)
        reconstruction = misfit(self.decoder(draw(mean, log_var)), x)
        divergence = kl(mean, log_var).sum(1).mean()
        return reconstruction + self.beta * divergence, reconstruction, divergence


# %% [markdown]
# For $\beta = 1$ the loss is minus the bound. Higgins et al. (2017) put the weight $\beta$ before
# the second term and called it the β-VAE. We train three, of 16 numbers, on all ten digits.

# %%
BETAS = 0.02, 1.0, 5.0
vaes, seconds = {}, {}
for beta in BETAS:
    td.manual_seed(0)
    vaes[beta] = VAE(16, beta)
    start = perf_counter()
    losses = train(vaes[beta], training, STEPS)
    seconds[beta] = perf_counter() - start
    parts = losses[-100:].mean(0)
    told = "loss {:.1f}, reconstruction {:.1f}, KL {:.1f} nats".format(*parts)
    print(f"beta {beta:4}: {STEPS} steps in {seconds[beta]:.0f} s; at the end {told}")

# %% [markdown]
# Unlike a GAN's, this loss goes down as the network gets better, and says when to stop.
#
# ## 6. What beta does
#
# We measure on glyphs that no network saw. A number of the code counts as *in use* if its KL is
# more than a fifth of a nat; if it is nothing, then $q(z \mid x)$ is the prior for all pictures
# alike, and the number tells the decoder nothing.


# %% tags=["gallery"]
def encoded(network, pictures):
    """(mean, log_var, a draw of z), arrays (n, latent)."""
    mean, log_var = np.split(in_parts(network.encoder, pictures), 2, axis=1)
    return mean, log_var, draw(td.tensor(mean), td.tensor(log_var)).numpy()


def in_use(kl_of_each):
    """How many numbers of the code tell anything, of KLs (n, latent)."""
    return int(np.sum(kl_of_each.mean(0) > 0.2))


def centred(pictures):
    return 2 * pictures - 1  # as the classifier takes them


seen = fresh[:COUNT]
_, features = read(centred(seen))
perfect = F.binary_cross_entropy(*2 * [td.tensor(seen)], reduction="sum").item() / COUNT
table, price, samples, rows = {}, {}, {}, {"fresh glyphs": seen[:14]}
for beta, network in vaes.items():
    mean, log_var, codes = encoded(network, seen)
    logits, samples[beta] = in_parts(network.decoder, codes), paint(network, noise)
    reconstruction = misfit(td.tensor(logits), td.tensor(seen)).item()
    price[beta] = kl(td.tensor(mean), td.tensor(log_var)).numpy()
    paid = price[beta].sum(1).mean()
    table[beta] = {
        "reconstruction": reconstruction, "KL": paid, "-bound": reconstruction + paid,
        "in use": in_use(price[beta]),
        "Frechet": metrics.frechet_distance(read(centred(samples[beta]))[1], features),
    }  # fmt: skip
    rows[f"beta {beta}: the same, rebuilt"] = paint(network, codes[:14])
    rows[f"beta {beta}: samples, from codes of the prior"] = samples[beta][:14]

print(f"{'beta':>5}", "".join(f"{what:>16}" for what in table[1.0]), "    the largest KLs, sorted")
for beta, row in table.items():
    largest = np.sort(price[beta].mean(0))[:-7:-1]
    print(f"{beta:5}", "".join(f"{n:16.1f}" for n in row.values()), "  ", largest.round(2))
made_up_distance = metrics.frechet_distance(read(centred(paint(plain, made_up)))[1], features)
print(f"a perfect picture pays {perfect:.1f} nats", end="; ")
print(f"Frechet distance of the autoencoder's from made-up codes {made_up_distance:.1f}")
show_rows(
    rows,
    "Fresh glyphs, and for three betas the same ones rebuilt, and samples. With the smallest beta "
    "glyphs are rebuilt sharply and many samples are scraps; with 1 both are mostly digits, "
    "softer; with the largest all are blurred shapes that are much alike.",
)

# %% [markdown]
# **What to see.** Beta is the price of a nat of information in the code.
#
# - *Cheap*: the code holds much, and the reconstructions are best. But the clouds of the glyphs are
#   tiny, far from filling the prior, and samples come from between them. The holes are back.
# - *1*: the bound. Some numbers do not pay for themselves any more. The pictures are softer, and
#   samples look like what is rebuilt.
# - *Dear*: few numbers are left, and the pictures show what can be said with a few nats.
#
# (Each sum in the column "-bound" is a bound for its own network, whatever $\beta$ it was trained
# with. No wonder that 1 is best there.)
#
# A number that is not worth its price is not bought at all: its $q$ is the prior, for every picture
# alike. This is **posterior collapse**. It need not be a failure of the search; the loss asks for
# it: a nat pays only where it saves the reconstruction more than $\beta$ nats. With $\beta = 1$
# there is some of it too, and there is more if a decoder can do without a code.
#
# And the plain autoencoder, if one measures the means and spreads of its codes first? Its Frechet
# distance is not worse than that of $\beta = 1$: scraps, but sharp ones. The score alone would not
# have told you about the holes.
#
# What do single numbers mean? Take a glyph's code and move one number at a time.

# %%
order = np.argsort(price[5.0].mean(0))[::-1]
mean, _, _ = encoded(vaes[5.0], fresh[:1])
moves = np.linspace(-2.2, 2.2, 14)
turned = {}
for title, number in (("most used", order[0]), ("second", order[1]), ("least used", order[-1])):
    walk = np.repeat(mean, 14, 0)
    walk[:, number] = moves
    turned[f"beta 5, the {title} number of the code from -2.2 to 2.2"] = paint(vaes[5.0], walk)
moved = [np.ptp(pictures, 0).max() for pictures in turned.values()]
show_rows(
    turned,
    "Three rows of one picture while one number of its code is moved: in the first two the shape "
    "changes, in the last all pictures are the same.",
)
print("largest change of a pixel:", "  ".join(f"{change:.2f}" for change in moved))

# %% [markdown]
# **What to see.** What is worth most nats is bought first. A number that has collapsed changes
# nothing. Do not expect more order than that: with the same loss, the code could as well be turned
# by any rotation of its 16 numbers before it is told (the prior looks the same from all sides); the
# axes get a meaning only because $q$ has a variance for each number alone.
#
# ## 7. A map, and walks
#
# A code of two numbers can be drawn. It cannot hold ten digits in all their positions, so for the
# map we keep three: 0, 1 and 4.

# %% tags=["gallery"]
some = np.isin(training_labels, (0, 1, 4))
few, few_labels = training[some], training_labels[some]
td.manual_seed(0)
chart = VAE(2)
train(chart, few, 3 if FAST else 600)
mean, log_var, chart_codes = encoded(chart, few)

side, reach = 11, 2.2
axis = np.linspace(-reach, reach, side)
page = paint(chart, np.stack(np.meshgrid(axis, axis[::-1]), -1).reshape(-1, 2))
page = page.reshape(side, side, SIZE, SIZE).transpose(0, 2, 1, 3).reshape(side * SIZE, -1)
_, (left, right) = plt.subplots(1, 2, figsize=(9, 4.7), layout="constrained")
for digit, colour, mark in ((0, BLUE, "o"), (1, ORANGE, "^"), (4, GREEN, "x")):
    of = chart_codes[few_labels == digit][:500]
    left.plot(*of.T, mark, color=colour, ms=3, alpha=0.6, label=f"{digit}")
left.legend(title="digit", markerscale=2)
left.set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), title="Codes of glyphs, one draw of q each")
edge = reach * side / (side - 1)
right.imshow(page, cmap="gray", vmin=0, vmax=1, extent=(-edge, edge, -edge, edge))
right.set_title("What is painted from there")
for ax in (left, right):
    ax.set(xlabel="first number of the code", ylabel="second number of the code", aspect="equal")
viz.show(
    "Left: the codes of three digits fill a round cloud about the origin without gaps, each digit "
    "in a region of its own. Right: from all over the region digits are painted, one turning into "
    "another at the borders."
)
in_holes["VAE"] = holes(noise, encoded(vaes[1.0], training)[2])
print(f"the map's codes: mean {chart_codes.mean(0).round(1)}, spread {chart_codes.std(0).round(1)}")
print("16 numbers, made-up codes that lie where no code is near: ", end="")
print(", ".join(f"{name} {share:.0%}" for name, share in in_holes.items()))

# %% [markdown]
# **What to see.** Each glyph has a cloud now, and not a point, and where clouds overlap the decoder
# must paint what is right for several: so neighbours are alike. All clouds together look like the
# prior, from which we know how to draw. With 16 numbers it is the same: the holes are gone.
#
# ### A walk
#
# Back to 16 numbers. Take the codes (means) of two real glyphs, walk from one to the other on a
# straight line, and decode on the way. Below each walk, the same two pictures mixed pixel by pixel.

# %%
best_vae = vaes[1.0]
shares = np.linspace(0, 1, 14)


def line(a, b, t):
    """The point at the share t of the straight way from a to b."""
    return (1 - t) * a + t * b


walks = {}
for start, end in ((2, 3), (0, 6), (1, 7)):
    two = fresh[[np.flatnonzero(fresh_labels == digit)[3] for digit in (start, end)]]
    a, b = encoded(best_vae, two)[0]
    walks[f"from {start} to {end}, codes"] = paint(best_vae, [line(a, b, t) for t in shares])
    walks[f"from {start} to {end}, pixels"] = np.stack([line(*two, t) for t in shares])
show_rows(
    walks,
    "Three walks, each in two rows. By codes: one digit bends into the other, and all pictures on "
    "the way have whole strokes. By pixels: both digits are seen at once, faintly, halfway.",
)

means = encoded(best_vae, fresh)[0]
pairs = means[:COUNT], means[COUNT:]
halfway = {
    "a walk of codes": paint(best_vae, line(*pairs, 0.5)),
    "a mixture of pixels": line(fresh[:COUNT], fresh[COUNT:], 0.5),
    "reconstructions": paint(best_vae, pairs[0]),
    "glyphs": seen,
}


def grey(pictures):
    """How grey: 0 if all pixels are black or white, 1 if all are at 1/2."""
    return np.mean(4 * pictures * (1 - pictures))


halfway_grey = {name: grey(pictures) for name, pictures in halfway.items()}
sure = {name: np.mean(read(centred(of))[0].max(1) > 0.9) for name, of in halfway.items()}
print(f"halfway between {COUNT} pairs of glyphs   grey    the classifier is sure (over 0.9)")
for name in halfway:
    print(f"    {name:32}{halfway_grey[name]:.3f}{sure[name]:15.0%}")

# %% [markdown]
# **What to see.** A stroke bends, opens or closes; what lies halfway may be no digit, but it is
# *something*, with strokes as solid as those of any reconstruction. The mixture shows two ghosts.
# (For the GAN of notebook 09 we walked on an arc, since halfway on a line its noise is shorter than
# any it has practised with. The means here are shorter than draws of the prior anyway, and the
# decoder has practised in the cloud around each.)
#
# ## 8. Why is it blurred?
#
# Suppose the decoder could paint *anything* for each $z$. What is best? All glyphs whose clouds
# reach $z$ compete for it, each with the weight $q(z \mid x)$. For a sum of cross-entropies the
# best $p$ is the weighted mean,
#
# $$p^*(z) = \frac{\sum_x q(z \mid x)\; x}{\sum_x q(z \mid x)} .$$
#
# **A mean over all pictures that could have had this code.** We can compute it, from the glyphs of
# the training and the map's encoder, and hold it beside what the decoder paints.


# %%
def best_picture(z, mean, log_var, pictures):
    """The weighted mean (1, SIZE, SIZE) of the pictures whose q reaches z, and the weights (n,)."""
    log_q = -((z - mean) ** 2 / np.exp(log_var) + log_var).sum(1) / 2
    weights = np.exp(log_q - log_q.max())
    weights /= weights.sum()
    return np.tensordot(weights, pictures, 1), weights


def cost(p, weights, pictures):
    """The cross-entropy of p, in the weighted mean over the pictures, nats."""
    p = np.clip(p, 1e-6, 1 - 1e-6)
    each = pictures * np.log(p) + (1 - pictures) * np.log(1 - p)
    return -np.sum(weights * each.sum((1, 2, 3)))


places = np.float32([(-1.2, 0.8), (-0.6, -0.8), (-0.2, 0.3), (0.2, 1.2), (0.5, -0.3), (1.2, 0.4)])
found = [best_picture(place, mean, log_var, few) for place in places]
ideal, painted = np.stack([picture for picture, _ in found]), paint(chart, places)
likest = [few[np.argsort(weights)[-3:]] for _, weights in found]
costs = np.array([
    [cost(p, weights, few) for p in (ideal[i], painted[i], few.mean(0))]
    for i, (_, weights) in enumerate(found)
])  # fmt: skip
agree = np.corrcoef(ideal.ravel(), painted.ravel())[0, 1]
show_rows(
    {
        "painted from six codes of the map": painted,
        "the weighted mean of the glyphs that share the code": ideal,
        **{f"a glyph among them ({i + 1})": np.stack([of[i] for of in likest]) for i in range(3)},
    },
    "Five rows for six codes: what the decoder paints, a blurred digit; the weighted mean of the "
    "glyphs, which is nearly the same; and three single glyphs, sharp and slightly different.",
    5.5,
)
effective = np.mean([1 / np.sum(weights**2) for _, weights in found])
print(f"pixels of the first two rows correlate with {agree:.3f}; so many glyphs share a code, in")
print(f"effect: {effective:.0f}. Cost in nats: weighted mean {costs[:, 0].mean():.0f}, ", end="")
print(f"decoder {costs[:, 1].mean():.0f}, mean of all glyphs {costs[:, 2].mean():.0f}")
greys = {"glyphs": grey(seen)} | {f"samples, beta {beta}": grey(of) for beta, of in samples.items()}
print("grey:", ", ".join(f"{name} {level:.3f}" for name, level in greys.items()))

# %% [markdown]
# **What to see.** The decoder comes near to what the loss asks of it, and that is blurred: a sharp
# picture of *one* glyph would be wrong about all the others. The more the code holds, the fewer
# glyphs share one, and the less grey are the samples (last line). What we show is the *mean* of
# $p(x \mid z)$; a real draw would put independent noise on every pixel, which nobody wants to see.
#
# ### Against the GAN
#
# Now the scores of notebook 09, by the classifier that comes with the library, of our VAE with
# $\beta = 1$: of its samples, and of its reconstructions of glyphs that it has not seen. Beside
# them stand those of the DCGAN in the gallery (`docs/gallery/dcgan.json`), on the same
# kind of glyphs. It has larger layers, and trained much longer: this is no race.

# %%
others, other_labels = fresh[COUNT:], fresh_labels[COUNT:]
rebuilt = paint(best_vae, means[COUNT:])
judged = {"glyphs": others, "rebuilt": rebuilt, "VAE": samples[1.0]}
columns = {name: scores(centred(of), centred(seen)) for name, of in judged.items()}
gallery, columns["DCGAN"] = Path("../docs/gallery/dcgan.json"), {}
if gallery.exists():  # in a checkout of the project
    recorded = json.loads(gallery.read_text(encoding="utf-8"))
    for row in recorded["table"].splitlines()[1:]:
        columns["DCGAN"][row[:61].strip()] = float(row[61:71])
    print(f"seconds of training: VAE {seconds[1.0]:.0f}, DCGAN {recorded['seconds']:.0f}")
print(f"{f'{COUNT} pictures':61}", "".join(f"{name:>9}" for name in columns))
for what in columns["VAE"]:
    told = (f"{of[what]:9.2f}" if what in of else f"{'-':>9}" for of in columns.values())
    print(f"{what:61}", "".join(told))
as_shown = np.mean(read(centred(rebuilt))[0].argmax(1) == other_labels)
print(f"reconstructions read as the glyph they are of: {as_shown:.1%}")

# %% [markdown]
# **What to see.** The GAN is ahead wherever the classifier's features count: it is made to paint
# what cannot be told from glyphs, and blur can. Look at the last rows, though. Samples of a class
# are *less* different from each other than glyphs are, and nearer to the nearest glyph than another
# glyph would be: for a mean is near to everything that it is a mean of. A small distance is not
# always praise.
#
# And what the VAE has, no score of samples shows:
#
# | | VAE | GAN |
# |---|---|---|
# | the loss | a bound, which falls; it says when to stop | who is ahead at the moment |
# | a given picture | has a code, and is rebuilt from it, more or less legibly | has none |
# | a kind of picture that it forgets | costs many nats | costs nothing by itself |
# | what it paints where it is unsure | the mean: blur | one of those that could be |
# | how it goes wrong | numbers of the code collapse | pictures collapse |
#
# The third row is why one says that a VAE *covers* its data: $\log p(x)$ of a picture that it
# cannot paint would be hugely negative. `tinydeconv train vae` trains a larger one, whose decoder
# is the DCGAN's generator, layer for layer (and which writes `log_variance` for our `log_var`).
#
# ## 9. Exercises
#
# Each answer is checked on new numbers whenever you run its cell.
#
# ### Exercise 1: from any normal to any other
#
# The divergence of section 3 is from the *standard* normal. Write it between any two,
# $\mathrm{KL}\bigl(\mathcal N(\mu_q, \sigma_q^2) \,\|\, \mathcal N(\mu_p, \sigma_p^2)\bigr)$, of
# arrays of means and log-variances, number by number. (A prior that depends on a label needs it.)


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_1(rng, answer):
    """Against a sum over the grid."""
    numbers = rng.uniform((-1.5, -1.5, -1.5, -1.5), (1.5, 1, 1.5, 1), (3, 4))
    wanted = [divergence(normal(z, *four[:2]), normal(z, *four[2:])) for four in numbers]
    expect(answer(*numbers.T), wanted, "kl_between(mean_q, log_var_q, mean_p, log_var_p)", 1e-5)


# %% tags=["exercise"]
def kl_between(mean_q, log_var_q, mean_p, log_var_p):
    """KL(q || p) in nats (n,), all four of them arrays (n,)."""
    return ...  # yours


check_1(kl_between)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def kl_between(mean_q, log_var_q, mean_p, log_var_p):
#     apart = (mean_q - mean_p) ** 2
#     ratio = (np.exp(log_var_q) + apart) / np.exp(log_var_p)
#     return (ratio - 1 - log_var_q + log_var_p) / 2
# ```
#
# With `mean_p = log_var_p = 0` it is the formula of section 3. It is not symmetric: what counts is
# where $q$ is. (Measure both in units of $p$, $(\mu_q - \mu_p)/\sigma_p$ and $\sigma_q/\sigma_p$,
# and it *is* the formula of section 3.)
#
# </details>
#
# ### Exercise 2: other dice
#
# An exponential distribution with mean $m$ has the density $e^{-z/m}/m$ for $z > 0$. Draw from it
# so that a gradient reaches `m`: from uniform numbers `u` between 0 and 1. (How large is the share
# of draws that are below a given $z$? Set it equal to $u$.)


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_2(rng, answer):
    """The quantiles of the distribution, in the order of u or in the opposite one."""
    n, mean = int(rng.integers(5, 9)), float(rng.uniform(0.5, 3))
    u = (np.arange(n) + 0.5) / n
    m = td.tensor(np.full(n, mean), requires_grad=True)
    z = answer(td.tensor(u), m)
    assert isinstance(z, td.Tensor), f"expected a Tensor, got {type(z).__name__}."
    quantiles = np.sort(-np.log(1 - u))
    expect(np.sort(z.detach().numpy()), mean * quantiles, f"{n} draws with the mean {mean:.2f}")
    assert z.requires_grad, "no gradient reaches `m` from there."
    (slope,) = td.grad((z**2).sum(), m)
    wanted = 2 * mean * quantiles**2
    expect(np.sort(slope.numpy()), wanted, "the gradient of the sum of z² in m")


# %% tags=["exercise"]
def exponential(u, m):
    """Draws (n,) from the exponential distributions of means m (n,); u (n,) uniform. Tensors."""
    return ...  # yours


check_2(exponential)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def exponential(u, m):
#     return -m * (1 - u).log()
# ```
#
# The share below $z$ is $1 - e^{-z/m}$; solve for $z$. ($-m \log u$ is as good, since $1 - u$ is
# uniform too.) The inverse of the distribution function does it for every distribution of one
# number that has one.
#
# </details>
#
# ### Exercise 3: a tighter bound
#
# With $K$ draws $z_k$ from $q$ and their weights $w_k = p(x, z_k)/q(z_k)$, the mean of
# $\log \frac1K \sum_k w_k$ is a bound too, and it comes nearer to $\log p(x)$ the more draws there
# are (Burda, Grosse and Salakhutdinov 2016). Compute it for a batch, from `log_joint`, $\log p(x,
# z_k)$, and `log_q`, both of shape $(K, n)$: $n$ numbers. The logarithms are some hundreds below
# zero or above, so mind that nothing becomes 0 or infinite.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_3(rng, answer):
    """Against NumPy's own sum of exponentials; and where q is the posterior, all draws agree."""
    K, n = int(rng.integers(2, 9)), int(rng.integers(2, 5))
    log_q = rng.uniform(-60, -20, (K, n))
    for level in (0, -2000, 1500):
        log_joint = log_q + level + rng.normal(0, 2, (K, n))
        wanted = np.logaddexp.reduce(log_joint - log_q, axis=0) - np.log(K)
        got = answer(log_joint, log_q)
        expect(got, wanted, f"the bound of {K} draws, with weights near exp({level})", 1e-9)
    expect(answer(log_q - 100.0, log_q), np.full(n, -100.0), "log p(x), when q is the posterior")


# %% tags=["exercise"]
def tighter_bound(log_joint, log_q):
    """(n,), of K draws each: log_joint and log_q are arrays (K, n)."""
    return ...  # yours


check_3(tighter_bound)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def tighter_bound(log_joint, log_q):
#     log_w = log_joint - log_q
#     largest = log_w.max(0)
#     return largest + np.log(np.mean(np.exp(log_w - largest), axis=0))
# ```
#
# With one draw it is the bound of this notebook. Take off the largest before `exp`, and the largest
# term is 1, whatever the others are. Try it on section 2's folded model: draw from its best $q$,
# and see the gap of $\log 2$ hardly shrink until some draw gets to the other peak.
#
# </details>
#
# ## Check

# %%
assert abs(evidence[linear] - exact) < 1e-9 and worst < 1e-9  # the bound and its gap
assert abs(gaps[linear]) < 1e-3 and abs(gaps[folded] - np.log(2)) < 0.03
assert abs(best[linear][1] - true_mean) < 0.03 and abs(best[linear][2] / true_std - 1) < 0.05
assert np.allclose(of_formula, of_grid, atol=1e-6) and of_formula[0] == 0 and of_formula[1] == 0.5
assert all(np.all(errors < 5) for errors in off.values())  # all three are right in the mean
assert np.allclose(variances["reparameterisation"][:, 0], 0.25, rtol=0.2)
assert variances["score function"][4, 0] > 1000 * 0.25
assert 50 * 0.25 < variances["score function, baseline"][4, 0] < 120 * 0.25
assert np.all(variances["score function"] > variances["reparameterisation"])
assert np.all(variances["score function, baseline"][1:] < variances["score function"][1:])
for beta, network in vaes.items():
    total, reconstruction, divergence_now = (part.item() for part in network.loss(td.tensor(seen)))
    assert np.isclose(total, reconstruction + beta * divergence_now) and divergence_now >= 0
assert in_use(np.array([[0.0, 1.0, 0.3], [0.02, 0.0, 0.0]])) == 1
assert all(row["reconstruction"] > perfect for row in table.values())
assert np.allclose(walk[:, order[-1]], moves) and moved[2] < 0.15
assert np.allclose(walks["from 1 to 7, pixels"][[0, -1]], two)
assert np.allclose(walks["from 1 to 7, codes"][[0, -1]], paint(best_vae, [a, b]), atol=1e-5)
assert halfway_grey["a mixture of pixels"] > 1.8 * halfway_grey["glyphs"]
assert np.all(costs[:, 0] < costs[:, 1:].min(1))  # nothing is better than the weighted mean
one_near = best_picture(np.zeros(2), np.array([[0, 0], [9, 9]]), np.zeros((2, 2)), few[:2])
assert np.allclose(one_near[0], few[0])
assert columns["glyphs"][next(what for what in columns["VAE"] if "Frechet" in what)] < 2
if not FAST:
    assert in_holes["VAE"] < 0.1 < 0.2 < in_holes["autoencoder"]
    cheap, one, dear = table.values()
    assert cheap["reconstruction"] < one["reconstruction"] < dear["reconstruction"]
    assert cheap["KL"] > one["KL"] > dear["KL"]
    assert one["-bound"] < min(cheap["-bound"], dear["-bound"])
    assert cheap["in use"] == 16 > one["in use"] > 5 >= dear["in use"] > 0
    assert one["Frechet"] < dear["Frechet"] and made_up_distance < one["Frechet"] + 5
    assert min(moved[:2]) > 0.3
    assert halfway_grey["a walk of codes"] < 1.3 * halfway_grey["reconstructions"]
    assert halfway_grey["a mixture of pixels"] > halfway_grey["a walk of codes"]
    assert agree > 0.9 and costs[:, 1].mean() < costs[:, 2].mean()
    of_beta = [greys[f"samples, beta {beta}"] for beta in BETAS]
    assert of_beta[0] < of_beta[1] < of_beta[2] and greys["glyphs"] < of_beta[1]
    assert as_shown > 0.3
    frechet, inception, apart, nearest = (
        next(what for what in columns["VAE"] if word in what)
        for word in ("Frechet", "inception", "class, over the data's, mean", "nearest of the data")
    )
    assert columns["VAE"][apart] < 1 and columns["VAE"][nearest] < 1
    if gallery.exists():
        assert columns["DCGAN"][frechet] < columns["VAE"][frechet]
        assert columns["DCGAN"][inception] > columns["VAE"][inception]
print("All checks passed.")
