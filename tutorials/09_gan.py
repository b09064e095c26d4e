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
# # 09 · Two networks that play against each other
#
# **The question.** A network shall paint digits that nobody has drawn. What is its loss? There is
# no right answer to compare with, and the squared error from anything would give a mean of many
# digits, a grey blur (notebook 06). Goodfellow et al. (2014) let a *second network* be the loss: it
# learns to tell painted pictures from real ones, and the first learns to fool it. What can one
# promise about such a game, why does it so often go wrong, and how would you notice?
#
# We work out what the best play is, write the training step, break it on purpose, and count what is
# lost. Then we paint digits, some of them to order. In the end we try to cheat the scores by which
# such networks are compared. It is easy.
#
# **You need:** notebooks 01 and 04 (gradients; transposed convolutions); what a probability density
# and a logarithm are. Notebook 06, section 3, helps.
#
# **Time:** 120 minutes of reading and trying, and two to three minutes of computing.
#
# **Afterwards you can** say what the two networks aim at, choose a loss by its slope, write the
# training step, recognise a collapse and measure it, and tell a good score from a good generator.

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
from itertools import pairwise
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np

import tinydeconv as td
from tinydeconv import metrics, models, nn, optim, viz
from tinydeconv.data import Glyphs, Loader
from tinydeconv.exercises import exercise, expect
from tinydeconv.nn import functional as F
from tinydeconv.recipes.scores import read
from tinydeconv.viz import BLUE, GREEN, GREY, ORANGE

rng = np.random.default_rng(0)


def show_rows(rows, alt, width=9.5):
    """Rows of pictures {title: (n, 1, side, side) in [-1, 1]}, black at -1, white at 1."""
    size = width, sum(width / len(pictures) + 0.32 for pictures in rows.values())
    _, axes = plt.subplots(len(rows), 1, figsize=size, layout="constrained")
    for ax, (title, pictures) in zip(axes, rows.items()):
        framed = np.pad(pictures[:, 0], ((0, 0), (1, 1), (1, 1)), constant_values=0)
        ax.imshow(np.hstack(list(framed)), cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
        ax.set_title(title, fontsize=10, loc="left")
        ax.axis("off")
    viz.show(alt)


# %% [markdown]
# ## 1. The game
#
# The *generator* $G$ turns random numbers $z$ into a picture $G(z)$. The *discriminator* looks at a
# picture $x$ and answers with a number $s(x)$, a logit; $D(x) = 1/(1 + e^{-s(x)})$ is its
# probability that the picture is real. It shall make
#
# $$V \;=\; \mathbb E_{x\ \text{real}} \log D(x) \;+\; \mathbb E_z \log\bigl(1 - D(G(z))\bigr)$$
#
# large. The logarithm (the natural one, so $V$ is in nats) rewards being sure, and punishes being
# sure and wrong without limit; $-V$ is the *cross-entropy* of a classifier, of real pictures plus
# that of fakes. The generator shall make the same $V$ small. Hence *minimax*: $\min_G \max_D V$.
#
# How does the best discriminator answer? Let real pictures have the density $p$, painted ones $q$.
# At a point $x$ it chooses the $D$ for which $p \log D + q \log (1 - D)$ is largest. The derivative
# $p/D - q/(1 - D)$ is zero at
#
# $$D^*(x) = \frac{p(x)}{p(x) + q(x)} .$$
#
# It is the share of real ones among all pictures like $x$, if as many of both kinds are shown. Does
# a network find it that has seen nothing but samples? We let "pictures" be single numbers, so that
# everything can be drawn.

# %%
line = np.linspace(-6, 6, 481)
cell = line[1] - line[0]


def bump(centre, width=1.0):
    """The normal density on the line."""
    return np.exp(-(((line - centre) / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi))


p = (bump(-2, 0.6) + bump(2, 0.6)) / 2  # the data
q = bump(0.5, 1.2)  # what some generator makes
best = p / (p + q)


def column(numbers):
    return td.tensor(np.float32(numbers)[:, None])


td.manual_seed(0)
judge = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
steps = 250 if FAST else 1000
optimizer = optim.Adam(judge.parameters())
schedule = optim.OneCycleLR(optimizer, max_lr=2e-2, total_steps=steps)
for _ in range(steps):
    real = rng.choice([-2, 2], 256) + 0.6 * rng.standard_normal(256)
    fake = 0.5 + 1.2 * rng.standard_normal(256)
    loss = F.softplus(-judge(column(real))).mean() + F.softplus(judge(column(fake))).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
with td.no_grad():
    learned = judge(column(line)).sigmoid().numpy()[:, 0]
off = np.sum((p + q) / 2 * abs(learned - best)) * cell
print(f"the network is off by {off:.3f} on average, where there is anything to see")

# %% [markdown]
# (In that loss $-\log D = \log(1 + e^{-s})$ is the function *softplus* of $-s$, and $-\log(1 - D)$
# is softplus of $s$. If you compute $D$ first, a fake with a logit of 100 gives $\log 0$.)
#
# Now put $D^*$ into $V$. For $q = p$ it says 1/2 everywhere, and $V = -\log 4$. Otherwise
# (Goodfellow et al. 2014)
#
# $$V^* = -\log 4 + 2\,\mathrm{JS}(p, q),$$
#
# where JS, the Jensen-Shannon divergence, is 0 if $p = q$ and positive otherwise. **So against the
# best discriminator, the best that a generator can do is to paint what looks exactly like the data,
# in the right proportions.** That is the equilibrium, and the promise of the game. Note what is not
# in it: that the *training* of two networks leads there.


# %%
def value(p, q):
    """V of the best discriminator, for densities on the line."""
    total = 0
    for of, against in ((p, q), (q, p)):
        there = of > 0  # 0 log 0 is 0
        total += np.sum(of[there] * np.log(of[there] / (of + against)[there])) * cell
    return total


shifts = np.linspace(0, 6, 61)
values = [value(bump(-3, 0.5), bump(-3 + shift, 0.5)) for shift in shifts]

_, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
left.plot(line, p, color=BLUE, label="p, the data")
left.plot(line, q, "--", color=ORANGE, label="q, the generator's")
left.plot(line, best, color=GREY, lw=4, alpha=0.4, label="p / (p + q)")
left.plot(line, learned, ":", color="black", label="D, learned")
left.set(xlabel="x, a picture of one number", ylabel="density, or probability", ylim=(0, 1.05))
left.set_title("The discriminator learns the share of real ones")
left.legend(fontsize=8)
right.plot(shifts, values, color=BLUE, label="V*")
right.axhline(-np.log(4), color=GREY, ls=":", label="-log 4, the equilibrium")
right.set(xlabel="distance of two bumps, in units of x (each 0.5 wide)", ylabel="V*, nats")
right.set_title("What is far off has no slope")
right.legend(fontsize=9)
viz.show(
    "Left: the data's density with two bumps, the generator's with one between them, and the "
    "discriminator's probability, which is high at the two bumps and low between, learned and by "
    "the formula. Right: the value of the game by the distance of two bumps; it rises from minus "
    "log 4 and is flat at zero from a distance of about 3 on."
)

# %% [markdown]
# **What to see.** Left: from samples alone the network has learnt $p/(p + q)$; it is off only where
# there are hardly any. A discriminator is an estimate of a *ratio of densities*. Right: two bumps,
# one the data, one the generator's. Near each other, $V^*$ says which way to go. Apart, the best
# discriminator is sure of everything, $V^*$ is 0 and stays 0: **no slope, no direction.** Arjovsky
# and Bottou (2017) point out that pictures are like that: painted and real ones lie on thin sheets
# in a space of very many dimensions, and two thin sheets hardly meet. Section 4 measures it.
#
# ## 2. A game is not a valley
#
# Gradient descent on *one* loss goes downhill. Two players who each go downhill on their own need
# not get anywhere. The smallest example: one number each, $V = x\,y$; one player wants $V$ small,
# the other wants it large. The only equilibrium is $x = y = 0$.

# %%
RATE = 0.2


def path(alternating, steps=100):
    """The places (x, y) on the way; x goes down the slope of x y, and y goes up."""
    x, y = 1.0, 0.0
    places = [(x, y)]
    for _ in range(steps):
        x_before, x = x, x - RATE * y
        y = y + RATE * (x if alternating else x_before)
        places.append((x, y))
    return np.array(places)


paths = {"both at once": path(False), "in turns": path(True)}
centre = paths["in turns"].mean(0)

_, ax = plt.subplots(figsize=(5.2, 4.6), layout="constrained")
for (name, places), colour, style in zip(paths.items(), (ORANGE, BLUE), ("--", "-")):
    ax.plot(*places[:61].T, style, color=colour, label=name)
ax.plot(*centre, "o", color=BLUE, label="mean of the path in turns")
ax.plot(0, 0, "+", color="black", ms=14, mew=2, label="the equilibrium")
ax.set(xlabel="x, of the first player", ylabel="y, of the second player", aspect="equal")
ax.set_title("V = x y")
ax.legend(fontsize=8, loc="upper left")
viz.show(
    "Paths of two players around the equilibrium: both at once, a spiral outwards; in turns, an "
    "ellipse that neither grows nor shrinks, with its mean near the middle."
)
for name, places in paths.items():
    print(f"{name:13} from 1 to {np.hypot(*places[-1]):.2f} away after {len(places) - 1} steps")
print(f"mean of the path in turns: {np.hypot(*centre):.2f} away")

# %% [markdown]
# **What to see.** (60 of 100 steps are drawn.) Both at once, they run away, however small the rate.
# In turns they circle for ever. So:
#
# - The losses of a GAN do not go down as it gets better. They say who is ahead at the moment.
# - Steps are taken in turns, and with Adam's memory cut short: $\beta_1 = 0.5$ in place of 0.9
#   (Radford, Metz and Chintala 2015, who found it steadier). On a circle, old gradients mislead.
# - The *mean* of the path is near the middle. So one keeps an average of the generator's weights
#   beside those that play, and paints with it (`follow`, in section 5).
#
# ## 3. Three losses and their slopes
#
# The generator never sees a real picture. All it gets is the slope of its loss, from the logit $s$
# of its fake, back through the discriminator. Three losses are in use:
#
# | | the discriminator makes small | the generator makes small |
# |---|---|---|
# | minimax | $-\log D(x) - \log(1 - D(G(z)))$ | $\log(1 - D(G(z)))$ |
# | non-saturating | the same | $-\log D(G(z))$ |
# | hinge | $\max(0, 1 - s(x)) + \max(0, 1 + s(G(z)))$ | $-s(G(z))$ |
#
# The first is the game of section 1. The second is from the same paper: "maximise the probability
# that it is taken for real" has the same aim, and another slope. The third is from Lim and Ye
# (2017); its discriminator does not care by how much it is right, once the logit is beyond 1.


# %%
def cross_entropy(real, fake):
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def hinge(real, fake):
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


RULES = {  # the discriminator's loss of logits, and the generator's
    "minimax": (cross_entropy, lambda fake: -F.softplus(fake).mean()),
    "non-saturating": (cross_entropy, lambda fake: F.softplus(-fake).mean()),
    "hinge": (hinge, lambda fake: -fake.mean()),
}
COLOURS = dict(zip(RULES, (ORANGE, BLUE, GREEN)))
STYLES = dict(zip(RULES, ("--", "-", ":")))

logits = np.linspace(-8, 8, 161)
slopes = {}
_, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for name, (_, loss) in RULES.items():
    each, found = [], []
    for number in logits:
        s = td.tensor(np.array([number]))
        s.requires_grad = True
        loss(s).backward()
        each.append(loss(s).item())
        found.append(s.grad.item())
    slopes[name] = np.array(found)
    look = {"color": COLOURS[name], "ls": STYLES[name], "label": name}
    left.plot(logits, each, **look)
    right.plot(logits, slopes[name], **look)
left.set(xlabel="s, logit of a fake", ylabel="loss of the generator", title="Loss")
right.set(xlabel="s, logit of a fake", ylabel="slope of the loss in s", title="Slope")
for ax in (left, right):
    ax.axvspan(-8, -3, color=GREY, alpha=0.15)
    ax.legend()
left.text(-7.8, -6, "recognised\nas fakes", fontsize=9)
viz.show(
    "The generator's three losses by the logit of a fake, and their slopes. For fakes that are "
    "recognised, at the left, the slope of minimax is zero, and that of the other two is minus one."
)

# %% [markdown]
# **What to see.** All slopes are negative: each loss says "raise the logit". But *how loudly*? The
# slope of minimax is $-D$, so it whispers about a fake that is recognised, and shouts about one
# that already fools everybody. It learns from its successes; and at the start it has none. That is
# why the original loss stalls. The slope of the non-saturating loss is $D - 1$: the worse the fake,
# the louder. The hinge's is the same for all.
#
# (The slope in $s$ is not all: it is multiplied with the slope of $s$ in the pixels. That is the
# discriminator's business, and section 4 measures the product.)
#
# ### A step of the game
#
# Here is the training step that the rest of the notebook uses. Two details matter.
#
# - `fake.detach()`: the discriminator's step must not reach into the generator. The gradient there
#   would cost time, and it would have the wrong sign.
# - `inputs=`: the generator's gradient passes *through* the discriminator. For the weights there it
#   would cost time too, and nobody wants it.
#
# `players` and `optimizers` are pairs, the generator's first. `asked` is for section 7.


# %%
def teach_discriminator(players, optimizers, rules, real, fake, asked=()):
    loss = rules[0](players[1](real, *asked), players[1](fake.detach(), *asked))
    optimizers[1].zero_grad()
    loss.backward()
    optimizers[1].step()
    return loss.item()


def teach_generator(players, optimizers, rules, fake, asked=()):
    loss = rules[1](players[1](fake, *asked))
    optimizers[0].zero_grad()
    loss.backward(inputs=[*players[0].parameters()])
    optimizers[0].step()
    return loss.item()


def play(players, optimizers, rules, real, noise, asked=()):
    """A step of the discriminator, then one of the generator on the same fakes; their losses."""
    fake = players[0](noise, *asked)
    judged = teach_discriminator(players, optimizers, rules, real, fake, asked)
    return judged, teach_generator(players, optimizers, rules, fake, asked)


def adam(players, generator_rate, discriminator_rate):
    rates = generator_rate, discriminator_rate
    return [optim.Adam(net.parameters(), rate, (0.5, 0.999)) for net, rate in zip(players, rates)]


# %% [markdown]
# ## 4. A discriminator that is too good
#
# The pictures are glyphs: the ten digits in eight faces, turned, slanted, scaled and shifted at
# random, 16 x 16 pixels, without end. The networks are those of **DCGAN** (Radford, Metz and
# Chintala 2015), small: noise of 16 numbers, a dense layer to 4 x 4 pixels, and a ladder of
# transposed convolutions with stride 2 (notebook 04), each followed by batch norm and ReLU, with
# tanh at the end; the discriminator is the mirror image, strided convolutions and LeakyReLU.

# %%
SIZE = 16  # pixels a side
DATA = Glyphs(size=SIZE)
LATENT, BATCH = 16, 8 if FAST else 32


def networks(classes=0):
    """A generator and a discriminator, with the paper's random weights."""
    generator = models.Generator(LATENT, (64, 32), classes=classes)
    return generator, models.Discriminator((32, 64), classes=classes)


def centred(pixels):
    return td.tensor(pixels / np.float32(127.5) - 1)


for net, x in zip(networks(), (td.randn(2, LATENT), td.zeros(2, 1, SIZE, SIZE))):
    ends = ([net.first], []) if x.ndim == 2 else ([], [net.last])
    print(f"{type(net).__name__}, {sum(p.numel() for p in net.parameters()):,} weights")
    for layer in (*ends[0], *net.ladder, *ends[1]):
        x = layer(x)
        print(f"    {type(layer).__name__:16}{x.shape[1:]}")

# %% [markdown]
# Now the experiment of Arjovsky and Bottou (2017), who did it with generators trained for a while.
# Ours stays as it was born. The discriminator learns, alone. Every now and then we ask how large
# the gradient is which the generator *would* get: the norm over all its weights. The hinge loss
# gets a discriminator of its own, trained by its own rule.

# %%
LOOKS = (0, 2, 5, 10, 15) if FAST else (0, 2, 5, 10, 20, 40, 80, 120)
strength = {name: [] for name in RULES}
certainty = []  # of the discriminator of cross-entropy: mean logits of real pictures and of fakes
for rule, measured in (("non-saturating", ["minimax", "non-saturating"]), ("hinge", ["hinge"])):
    td.manual_seed(0)
    generator, discriminator = players = networks()
    optimizers = adam(players, 0, 2e-3 if FAST else 5e-4)
    for step, (pixels, _) in enumerate(Loader(DATA, BATCH, LOOKS[-1] + 1).batches(0)):
        real, fake = centred(pixels), generator(td.randn(BATCH, LATENT))
        if step in LOOKS:
            for name in measured:
                generator.zero_grad()
                RULES[name][1](discriminator(fake)).backward(retain_graph=True)
                squares = [float((p.grad**2).sum()) for p in generator.parameters()]
                strength[name].append(np.sqrt(sum(squares)))
            if rule == "non-saturating":
                certainty.append([discriminator(x).mean().item() for x in (real, fake)])
        teach_discriminator(players, optimizers, RULES[rule], real, fake)

_, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for name, found in strength.items():
    left.plot(LOOKS, found, "o", color=COLOURS[name], ls=STYLES[name], label=name)
left.set(yscale="log", xlabel="steps of the discriminator alone")
left.set(ylabel="norm of the generator's gradient", title="What reaches the generator")
left.legend()
for found, look in zip(zip(*certainty), (("o-", BLUE, "real pictures"), ("s--", ORANGE, "fakes"))):
    right.plot(LOOKS, found, look[0], color=look[1], label=look[2])
right.set(xlabel="steps of the discriminator alone", ylabel="mean logit s")
right.set_title("How sure the discriminator is (cross-entropy)")
right.legend()
viz.show(
    "Left, on a logarithmic axis: as the discriminator learns alone, the gradient of minimax falls "
    "far below those of the non-saturating and of the hinge loss. Right: the mean logits of real "
    "pictures rise and those of fakes fall, further and further apart."
)
for name, found in strength.items():
    print(f"{name:15}", "  ".join(f"{norm:.1e}" for norm in found))

# %% [markdown]
# **What to see.** Left: after a hundred steps of the discriminator the gradient of minimax has
# fallen by a factor of a hundred, though the generator is as bad as ever. The other two have grown.
# Right: why. The logits of fakes are far below 0, where the slope $-D$ is nothing.
#
# Do not conclude that the discriminator should be poor: a poor one gives a gradient that points
# nowhere. Nor is a loud gradient a *right* one: Arjovsky and Bottou show that the non-saturating
# one, against a discriminator near its best, is large and unsteady. Keep the two about equally
# strong.
#
# ## 5. DCGAN
#
# Now both learn. Each step takes 32 fresh glyphs. The same noise is painted at every stage, so that
# one sees single pictures become something. The generator that paints is the *average* of those on
# the way (section 2): after each step, 99 % of the average stay, and 1 % of the new weights is
# added.

# %%
STAGES = (0, 3, 6) if FAST else (0, 50, 100, 200, 400, 700, 1000)


def follow(average, network, keep):
    """average = keep * average + (1 - keep) * network, of weights and batch norm's statistics."""
    for kind in ("parameters", "buffers"):
        for mine, other in zip(getattr(average, kind)(), getattr(network, kind)()):
            if mine.is_floating_point():  # and not a count
                mine.data = keep * mine.data + (1 - keep) * other.data


def train(stages, look, classes=0, loudness=1):
    """A trained generator, the average of those on the way, and the losses, (steps, 2).

    look(average, step) is called at these stages, the last of which is the end. The loudness of
    labels is for section 7.
    """
    td.manual_seed(0)
    players, average = networks(classes), networks(classes)[0]
    if classes:
        players[0].embedding.weight.data = loudness * players[0].embedding.weight.data
    average.load_state_dict(players[0].state_dict())
    optimizers, rules = adam(players, 1e-3, 1e-3), RULES["non-saturating"]
    losses = []
    for step, (pixels, labels) in enumerate(Loader(DATA, BATCH, stages[-1]).batches(0), 1):
        if step == 1 and 0 in stages:
            look(average, 0)
        asked = [td.tensor(labels)] if classes else []
        noise = td.randn(BATCH, LATENT)
        losses.append(play(players, optimizers, rules, centred(pixels), noise, asked))
        follow(average, players[0], min(0.99, step / (step + 9)))  # at first forget the start soon
        if step in stages:
            look(average, step)
    return average, np.array(losses)


def paint(generator, noise, labels=None):
    """Pictures (n, 1, SIZE, SIZE) in [-1, 1]."""
    generator.eval()  # batch norm by what it has seen, not by the neighbours
    with td.no_grad():
        asked = [] if labels is None else [td.tensor(labels)]
        return generator(td.tensor(noise), *asked).numpy()


# %% [markdown]
# To measure, somebody must read the pictures. We train a small classifier, on glyphs of another
# seed. It never meets the generator, so the generator cannot have learnt to please it.

# %%
td.manual_seed(1)
classifier = models.Classifier(channels=(16, 32), size=SIZE)
steps = 60 if FAST else 300
optimizer = optim.AdamW(classifier.parameters())
schedule = optim.OneCycleLR(optimizer, 5e-3, steps)
for pixels, labels in Loader(Glyphs(size=SIZE, seed=1), 32, steps).batches(0):
    loss = F.cross_entropy(classifier(centred(pixels)), td.tensor(labels))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()

COUNT = 200 if FAST else 1000  # samples to measure
fresh, fresh_labels = Glyphs(size=SIZE, seed=2).batch(0, range(2 * COUNT))  # which no network saw
fresh = centred(fresh).numpy()
probabilities, features = read(fresh, classifier)
reads = np.mean(probabilities.argmax(1) == fresh_labels)
reference, other_features = features[:COUNT], features[COUNT:]
floor = metrics.frechet_distance(other_features, reference)
print(f"the classifier reads {reads:.1%} of {len(fresh)} fresh glyphs")
print(f"Frechet distance of {COUNT} real glyphs from as many others: {floor:.2f}")

# %% [markdown]
# Two scores for now (section 8 has more, and what is wrong with them). *Coverage*: the entropy of
# the classes that the classifier reads, over its maximum; 1 if all ten digits are equally frequent.
# The *Frechet distance* (its square, strictly) compares mean $m$ and covariance $C$ of the
# classifier's 64 features between samples and real glyphs:
#
# $$|m_1 - m_2|^2 + \mathrm{tr}\bigl(C_1 + C_2 - 2\,(C_1 C_2)^{1/2}\bigr) ,$$
#
# 0 if both are equal (Dowson and Landau 1982). With the features of the Inception network it is the
# FID of Heusel et al. (2017). **Ours are other features, so our numbers can only be compared with
# each other.**

# %%
noise = np.random.default_rng(5).standard_normal((COUNT, LATENT)).astype(np.float32)
stages, progress = {}, {"step": [], "coverage": [], "Frechet distance": []}


def look(average, step):
    pictures = paint(average, noise)
    p, features = read(pictures, classifier)
    stages[f"after {step} steps"] = pictures[:16]
    progress["step"].append(step)
    progress["coverage"].append(metrics.mode_coverage(p.argmax(1), 10)[0])
    progress["Frechet distance"].append(metrics.frechet_distance(features, reference))


start = perf_counter()
painter, losses = train(STAGES, look)
print(f"{len(losses)} steps in {perf_counter() - start:.0f} s")
show_rows(
    stages | {"real glyphs": fresh[:16]},
    "Rows of sixteen pictures from the same noise, after more and more steps: grey at first, then "
    "blobs, then strokes, then most are digits. The last row are real glyphs.",
)

# %% [markdown]
# **What to see.** Each column is one noise. First a bright middle, then strokes of the right width,
# then curves, then digits, though a good part of them are still between two digits. What a column
# becomes may change late: the generator is free to move its digits to other noise.

# %%
smooth = np.ones(20) / 20 if len(losses) > 40 else np.ones(1)
_, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for each, name, colour in zip(losses.T, ("discriminator", "generator"), (BLUE, ORANGE)):
    mean = np.convolve(each, smooth, mode="valid")
    left.plot(np.arange(len(mean)) + len(smooth), mean, color=colour, label=name)
left.axhline(np.log(4), color=BLUE, ls=":", label="log 4, discriminator at equilibrium")
left.axhline(np.log(2), color=ORANGE, ls=":", label="log 2, generator at equilibrium")
left.set(xlabel="step", ylabel="loss, mean of 20 steps, nats", title="The losses")
left.legend(fontsize=8)
right.plot(progress["step"], progress["Frechet distance"], "o-", color=GREEN, label="DCGAN")
right.axhline(floor, color=GREY, ls=":", label="real glyphs")
right.set(xlabel="step", ylabel="Frechet distance of our features", yscale="log")
right.set_title("A score of the same training")
right.legend(fontsize=9)
viz.show(
    "Left: the losses of both players over the steps; after a wild start they change little. "
    "Right: the Frechet distance of the same training on a logarithmic axis falls, steeply at "
    "first, and stays above that of real glyphs."
)
for step, coverage, distance in zip(*progress.values()):
    print(f"step {step:5}: coverage {coverage:.3f}, Frechet distance {distance:6.1f}")

# %% [markdown]
# **What to see.** After 300 steps the losses stay where they are, while the pictures get better:
# both networks improve, and the score of the match does not change. So never choose a GAN, or stop
# a training, by its loss. At equilibrium $D$ would be 1/2 everywhere and the losses at the dotted
# lines. They are not far off, and the pictures are far from perfect: this small discriminator
# hardly tells them from real ones any more. The score at the right does.
#
# ### A walk through the noise
#
# Has the generator learnt single pictures by heart? Then on the way from one noise to another it
# would jump, or fade from one picture into the next. Walk on a sphere, not on a straight line: 16
# normal numbers are about 4 long; halfway on the straight line it is about $4/\sqrt 2$, where the
# generator has seldom been. Ends are the pictures of which the classifier is surest.


# %%
def between(a, b, t):
    """The noise at the share t of the way from a to b, on an arc."""
    angle = np.arccos(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    return (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)


shares = np.linspace(0, 1, 14)
surest = read(paint(painter, noise), classifier)[0].argmax(0)  # the best sample of each digit
walks, jumps = {}, []
for start, end in ((2, 3), (0, 4), (1, 7)):
    a, b = noise[surest[start]], noise[surest[end]]
    walk = paint(painter, np.float32([between(a, b, t) for t in shares]))
    walks[f"from {start} to {end}"] = walk
    jumps += [np.linalg.norm(y - x) for x, y in pairwise(walk)]
middle = between(noise[0], noise[1], 0.5)
fade = shares[:, None, None, None]
walks["from 1 to 7 by fading"] = (1 - fade) * walk[0] + fade * walk[-1]
apart = np.linalg.norm(np.diff(paint(painter, noise[:100]).reshape(100, -1), axis=0), axis=1)
lengths = [np.linalg.norm(z) for z in (noise[0], noise[1], middle, (noise[0] + noise[1]) / 2)]
print("lengths: {:.1f} and {:.1f}; halfway on the arc {:.1f}, on the line {:.1f}".format(*lengths))
print(f"largest step of a walk {max(jumps):.1f}; two pictures are {np.mean(apart):.1f} apart")
show_rows(
    walks,
    "Three rows in which one picture turns into another by way of pictures with sharp strokes that "
    "bend and move, and a row in which the first two are faded over, both faintly visible halfway.",
)

# %% [markdown]
# **What to see.** Strokes bend, open, close and wander; halfway there may be something that is no
# digit, but still looks like writing. Compare the last row: a fade shows both pictures at once,
# faintly. No step is nearly as large as the difference of two pictures. So what it has learnt is
# *continuous*: a good sign, and no proof. A smooth way may lead past ten memorised pictures.
#
# ## 6. Mode collapse
#
# The generator's aim is to fool the discriminator *now*. One convincing picture, painted again and
# again, does that. The discriminator will learn to recognise it; then the generator goes on to the
# next one. Nothing in a single step rewards variety: **mode collapse**.
#
# To *see* it, take data of which we know all *modes*, the places where they crowd: eight small
# bumps on a circle, in two dimensions. Both players are networks of two hidden layers. A mode
# counts as found if at least 1 % of the samples lie within three standard deviations of its centre.
# The share of all samples that lie near some mode says how good they are.

# %% tags=["gallery"]
WIDTH = 0.1
angles = 2 * np.pi * np.arange(8) / 8
CENTRES = 2 * np.stack([np.cos(angles), np.sin(angles)], 1)


def bumps(count, rng):
    noise = WIDTH * rng.standard_normal((count, 2))
    return np.float32(CENTRES[rng.integers(8, size=count)] + noise)


def modes(points):
    """(modes found, share of the points near a mode)."""
    far = np.linalg.norm(points[:, None] - CENTRES, axis=2)
    near = far.min(1) < 3 * WIDTH
    counts = np.bincount(far.argmin(1)[near], minlength=8)
    return int((counts >= 0.01 * len(points)).sum()), float(near.mean())


def small(inputs, outputs):
    hidden = [nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(64, outputs))


def game(seed, rule="non-saturating", rates=(1e-3, 1e-3)):
    """{step: 1000 points} of a game for the eight bumps, with these learning rates."""
    td.manual_seed(seed)
    rng = np.random.default_rng(seed)
    players = small(2, 2), small(2, 1)
    optimizers, rules = adam(players, *rates), RULES[rule]
    watched = td.tensor(np.random.default_rng(5).standard_normal((1000, 2)).astype(np.float32))
    seen = {}
    for step in range(1, GAMES[-1] + 1):
        play(players, optimizers, rules, td.tensor(bumps(128, rng)), td.randn(128, 2))
        if step in GAMES:
            with td.no_grad():
                seen[step] = players[0](watched).numpy()
    return seen


GAMES = (2, 4, 6, 8, 10) if FAST else (400, 700, 800, 900, 1000)
SEEDS = (0,) if FAST else (0, 1, 2)
CHANGES = {
    "equal rates": {},
    "generator three times as quick": {"rates": (3e-3, 1e-3)},
    "discriminator three times as quick": {"rates": (1e-3, 3e-3)},
    "minimax": {"rule": "minimax"},
    "hinge": {"rule": "hinge"},
}
games = {name: [game(seed, **change) for seed in SEEDS] for name, change in CHANGES.items()}
ended = {name: [modes(seen[GAMES[-1]]) for seen in of] for name, of in games.items()}
truth = modes(bumps(1000, rng))
print("modes found (near a mode), three seeds")
for name, of in ended.items():
    print(f"{name:36}", "   ".join(f"{count} ({near:4.0%})" for count, near in of))
print(f"{'the data themselves':36} {truth[0]} ({truth[1]:4.0%})")

shown = list(CHANGES)[:3]
_, axes = plt.subplots(
    len(shown), len(GAMES), figsize=(10, 6.4), layout="constrained", sharex=True, sharey=True
)
for row, name in zip(axes, shown):
    for ax, (step, points) in zip(row, games[name][0].items()):
        ax.plot(*points.T, ".", color=BLUE, ms=2, alpha=0.5)
        ax.plot(*CENTRES.T, "o", mfc="none", color=ORANGE, ms=11)
        count, near = modes(points)
        ax.set_title(f"step {step}: {count} modes,\n{near:.0%} near one", fontsize=9)
        ax.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), aspect="equal")
    row[0].set_ylabel(name.replace(" three", "\nthree") + "\n(second coordinate)", fontsize=9)
for ax in axes[-1]:
    ax.set_xlabel("first coordinate")
viz.show(
    "Three games for eight bumps on a circle, each at five steps. With a quick generator all "
    "points sit in one or two places, which are others at each step; with a quick discriminator "
    "they are spread over all eight bumps, with thin threads between."
)

# %% [markdown]
# **What to see.** Orange rings: the modes of the data. In the first two rows the samples sit in one
# place, *and in another one a hundred steps later*. The generator runs from mode to mode, the
# discriminator runs after it, and no loss shows it. With equal rates it depends on the seed whether
# it gets away from there in a thousand steps. Three times the rate for the generator makes it
# worse; three times the rate for the discriminator finds all eight, from each seed: it is nearer to
# its best, the ratio of section 1, and that one knows what is missing everywhere. (Different rates
# for the two are from Heusel et al. 2017.) And the stalling loss of section 4, minimax, does not do
# badly here, where the discriminator is never so sure: **which loss is best is a question about the
# balance.** One training would have told you nothing of this.
#
# The count alone is no score either. A mode counts with one sample in a hundred, and the threads
# between the modes are in no mode at all: that is why the share near a mode stands beside it.
#
# ## 7. To order: a conditional GAN
#
# Mirza and Osindero (2014): give the label to *both*. The generator gets it beside its noise. The
# discriminator gets it too, and judges "is this a real *seven*?", so a beautiful three under the
# label seven is a fake. (How the label enters our discriminator is Miyato and Koyama's "projection"
# of 2018: a vector for each class, multiplied with the features, adds to the logit.)
#
# There is nothing new in the training step: `asked` holds the labels.

# %% tags=["gallery"]
EARLY, LATE = (2, 4) if FAST else (500, 1000)
orders = np.arange(COUNT) % 10


def take_orders(stages, loudness=1):
    """A trained artist, and what it painted to order, {step: pictures}."""
    painted = {}

    def look(average, step):
        painted[step] = paint(average, noise, orders)

    return train(stages, look, 10, loudness)[0], painted


start = perf_counter()
artist, ordered = take_orders((EARLY, LATE))
print(f"{LATE} steps in {perf_counter() - start:.0f} s")
answers = read(ordered[LATE], classifier)[0].argmax(1)
agreement = metrics.class_agreement(orders, answers)
by_digit = [np.mean(answers[orders == digit] == digit) for digit in range(10)]
print(f"{agreement:.1%} of {COUNT} are read as asked;", "by digit:")
print("  ".join(f"{digit}: {share:.0%}" for digit, share in enumerate(by_digit)))

sheet = np.stack([paint(artist, noise[:14], np.full(14, digit)) for digit in range(10)])
wrong = read(sheet.reshape(-1, 1, SIZE, SIZE), classifier)[0].argmax(1).reshape(10, 14)
_, ax = plt.subplots(figsize=(9, 6.6), layout="constrained")
page = np.pad(sheet[:, :, 0], ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=0)
page = page.transpose(0, 2, 1, 3).reshape(10 * (SIZE + 2), -1)
ax.imshow(page, cmap="gray", vmin=-1, vmax=1)
for digit, place in np.argwhere(wrong != np.arange(10)[:, None]):
    spot = (SIZE + 2) * (place + 0.7), (SIZE + 2) * (digit + 0.95)
    ax.text(*spot, wrong[digit, place], color=ORANGE, fontsize=11)
ax.set_title("A row for each digit that was asked for; a column for each noise")
ax.axis("off")
viz.show(
    "Ten rows of painted digits, from zeros in the first to nines in the last, fourteen of each; "
    "orange numbers mark those that the classifier reads as something else."
)

# %% [markdown]
# **What to see.** Look down a column: the *same noise* gives digits of the same slant, weight and
# size. Nobody told the network to keep what it draws apart from how it draws. Orange: what the
# classifier took a picture for; mostly zeros that should be something else round.
#
# With labels the pictures are better, too; the table of section 8 will say by how much.
#
# ### A label that is too loud
#
# What could be wrong with more of the label? Our generator gets 16 numbers of noise, together about
# 4 long, and a vector for the label, of 16 numbers too, which is about 1 long at first. Make it 16
# times as long, so that it drowns the noise, and compare after as many steps.

# %%
variety = metrics.pairwise_distance(fresh, fresh_labels, 10)


def variety_of(pictures, answers):
    """The mean distance of two pictures of a class, over that of real glyphs, for each class."""
    return metrics.pairwise_distance(pictures, answers, 10) / variety


_, loud = take_orders((EARLY,), loudness=16)
sheets = {"quiet labels": ordered[EARLY], "loud labels": loud[EARLY]}
heard, rows = {}, {}
for name, pictures in sheets.items():
    answers = read(pictures, classifier)[0].argmax(1)
    heard[name] = metrics.class_agreement(orders, answers), variety_of(pictures, orders).mean()
    for digit in (2, 5):
        rows[f"{name}: {digit}"] = pictures[digit::10][:16]
    told = "{:.0%} read as asked, variety {:.2f} of the data's".format(*heard[name])
    print(f"{name:13} after {EARLY} steps: {told}")
show_rows(
    rows,
    "Twos and fives, sixteen of each. With quiet labels they differ from one another; with loud "
    "labels all twos are nearly the same picture, and all fives.",
)

# %% [markdown]
# **What to see.** With loud labels each digit is *one* picture, whatever the noise: mode collapse
# again, inside the classes. The share of pictures that are read as asked falls much less: whoever
# measures nothing else takes it for a slower training.
#
# ## 8. How not to fool oneself
#
# Suppose somebody hands in a generator, and you see only its scores. Here are ours, fresh glyphs,
# which are as good as can be, and some that are no generators at all:
#
# - *ten pictures*: a training glyph of each class, again and again;
# - *the same in noise*: so that no two are equal;
# - *training glyphs*: it has kept them all and hands them out;
# - *noise for the classifier*: begins as noise and takes eight steps up the slope of the
#   classifier's answer, by its sign alone (as Goodfellow, Shlens and Szegedy 2015 do; Nguyen,
#   Yosinski and Clune 2015 call such pictures fooling images).
#
# And five scores. The *inception score* (Salimans et al. 2016) is high if the classifier is sure of
# each sample and all classes occur, here at most 10. Frechet distance and coverage are known.
# *Variety* is the mean distance of two samples that are read as the same digit, over that of real
# glyphs, for the digit where it is least. *Copies* is the share of samples nearer to a training
# glyph than 99 % of fresh glyphs are.

# %%
SEEN = 400 if FAST else 8000  # of the training glyphs
training, training_labels = DATA.batch(0, range(SEEN))
training = centred(training).numpy()
one_each = [int(np.flatnonzero(training_labels == digit)[0]) for digit in range(10)]

fooling = rng.uniform(-1, 1, (COUNT, 1, SIZE, SIZE)).astype(np.float32)
classifier.eval()
for _ in range(8):
    x = td.tensor(fooling)
    x.requires_grad = True
    F.cross_entropy(classifier(x), td.tensor(orders)).backward(inputs=[x])
    fooling = np.clip(fooling - 0.1 * np.sign(x.grad.numpy()), -1, 1)

ten = training[one_each][orders]
shaken = np.float32(np.clip(ten + 0.15 * rng.standard_normal(ten.shape), -1, 1))
generators = {
    "fresh glyphs": fresh[COUNT:],
    "our DCGAN": paint(painter, noise),
    "our conditional GAN": ordered[LATE],
    "ten pictures": ten,
    "the same in noise": shaken,
    "training glyphs": training[rng.choice(SEEN, COUNT)],
    "noise for the classifier": fooling,
}
limit = np.quantile(metrics.nearest_distance(fresh, training)[0], 0.01)


def scores(pictures):
    p, features = read(pictures, classifier)
    answers = p.argmax(1)
    return {
        "inception": metrics.inception_score(p)[0],
        "Frechet": metrics.frechet_distance(features, reference),
        "coverage": metrics.mode_coverage(answers, 10)[0],
        "variety": variety_of(pictures, answers).min(),
        "copies": np.mean(metrics.nearest_distance(pictures, training)[0] < limit),
    }


table = {name: scores(pictures) for name, pictures in generators.items()}
print(f"{'':26}", "".join(f"{score:>10}" for score in table["our DCGAN"]))
fooled = metrics.class_agreement(orders, read(fooling, classifier)[0].argmax(1))
for name, row in table.items():
    print(f"{name:26}", "".join(f"{number:10.2f}" for number in row.values()))
print(f"{fooled:.0%} of the noise is read as the digit that it was made for")
show_rows(
    {name: pictures[:16] for name, pictures in generators.items()},
    "Rows of sixteen pictures of each generator: fresh glyphs, those of our two networks, the "
    "same ten glyphs again and again, the ten in noise, training glyphs, and noise without digits.",
)

# %% [markdown]
# **What to see.** Read the columns.
#
# - *Inception score*: ten pictures beat fresh glyphs. So does noise in which nobody sees a digit:
#   each of its pictures is read as what it was made for. A classifier cannot answer "this is none".
# - *Frechet distance*: it sees the noise. Ten pictures come close to our DCGAN's thousand, and
#   stolen glyphs score like fresh ones, far ahead of honest work.
# - *Coverage*: perfect for each thief.
# - *Variety*: finds the ten pictures, even in noise. Noise alone has the most.
# - *Copies*: finds both thieves, unless a little noise is added.
#
# Each cheat gets past some column, and none past all. In what our networks paint no copy was found,
# and they do not reach fresh glyphs; the one that was told the labels comes much nearer (one
# training each).
#
# ### Few samples
#
# The table has equally many samples in each row. That matters. Here is the Frechet distance of real
# glyphs from other real glyphs, which should be 0, and of our DCGAN, both by the number of samples:

# %%
SIZES = (50, 100) if FAST else (50, 100, 200, 400, 800)
painted_features = read(generators["our DCGAN"], classifier)[1]
by_size = {"real glyphs": [], "our DCGAN": []}
for n in SIZES:
    for name, those in zip(by_size, (other_features, painted_features)):
        drawn = [(those[rng.permutation(COUNT)[:n]], reference[:n]) for _ in range(10)]
        by_size[name].append(np.mean([metrics.frechet_distance(*pair) for pair in drawn]))

_, ax = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for (name, found), colour, style in zip(by_size.items(), (GREY, GREEN), ("s--", "o-")):
    ax.loglog(SIZES, found, style, color=colour, label=name)
ax.set_xticks(SIZES, SIZES)
ax.minorticks_off()
ax.set(xlabel="samples of each", ylabel="Frechet distance from real glyphs")
ax.set_title("The fewer samples, the larger the distance")
ax.grid(alpha=0.3)
ax.legend()
viz.show(
    "The Frechet distance from real glyphs by the number of samples, on logarithmic axes: that of "
    "other real glyphs falls along a straight line; that of our DCGAN falls more slowly."
)
for name, found in by_size.items():
    print(f"{name:12}", "   ".join(f"{n}: {value:.1f}" for n, value in zip(SIZES, found)))

# %% [markdown]
# **What to see.** Mean and covariance of few samples differ by chance, and every difference makes
# the distance larger: it is *biased*. Fifty real glyphs score as badly as 800 of our pictures.
# So compare only scores of equally many samples, state how many, and put the score of as many real
# images beside it.
#
# ### Has it copied?
#
# Copies are found by looking for them: the nearest training glyph of each sample. How near is
# suspicious? Fresh glyphs tell, for they cannot be copies.

# %%
kinds = {"our DCGAN": generators["our DCGAN"], "fresh glyphs": fresh[COUNT:]}
rows, distances = {}, {}
for name, pictures in kinds.items():
    distances[name], nearest = metrics.nearest_distance(pictures, training)
    worst = np.argsort(distances[name])[:16]
    rows[f"{name}: the sixteen nearest to a training glyph"] = pictures[worst]
    rows[f"{name}: that training glyph"] = training[nearest[worst]]
show_rows(
    rows,
    "Sixteen pictures of our DCGAN above the training glyphs nearest to them, and the same for "
    "fresh glyphs; in both pairs of rows the partners are alike, and not the same.",
)
for name, found in distances.items():
    print(f"{name:13} nearest {found.min():.2f}, median {np.median(found):.2f}")

# %% [markdown]
# **What to see.** Even the nearest of ours differ from their partners, by more than the nearest
# fresh glyphs do, and those are no copies: among thousands in eight faces, some are alike by
# chance. (The distance of pixels misses a copy that was moved by a pixel, or blurred. And of the
# 32,000 glyphs of the training we searched the first 8,000.)
#
# A checklist, before you believe a score, of others or your own:
#
# 1. How many samples? What do as many real images score that nobody trained on?
# 2. Whose features? What data had that classifier seen? Scores of different classifiers cannot be
#    compared.
# 3. Are they the first samples, or chosen ones? How many trainings, from how many seeds?
# 4. What would a cheat score: ten training images, many times?
# 5. Have you looked, at samples beside their nearest training images?
#
# *Scores, and how not to fool yourself with them* (`docs/scores.md`) does it with real handwriting.
#
# ## 9. What is not a cure
#
# - *The non-saturating or the hinge loss* gives a slope where fakes are recognised. It does not
#   bring variety by itself (section 6).
# - *A stronger discriminator*, by more steps or a higher rate (Heusel et al. 2017), keeps near the
#   ratio $p/(p+q)$ and so sees what is missing. If it is sure of everything, section 4 applies.
# - *Label smoothing* (Salimans et al. 2016) limits how sure the discriminator becomes. Exercise 1
#   shows how to do it wrong.
# - *Batch norm* got deep generators to learn at all, and not to paint a single point (Radford et
#   al. 2015). It does not keep all modes: the loud labels of section 7 had it in both networks.
# - *Spectral norm* (Miyato et al. 2018) bounds how much each layer of the discriminator can enlarge
#   a difference, and so the slope that reaches the generator. It does not make the two equal.
# - *An average of the weights* takes the middle of a circle. It finds nothing new.
# - *More steps* help as long as a score still gets better. They bring the players to no rest.
# - *The best of twenty seeds* tells how lucky somebody was.
#
# Lucic, Kurach, Michalski, Gelly and Bousquet ("Are GANs Created Equal?", 2018) gave many losses
# the same budget for searching settings: none was ahead of the original non-saturating one
# consistently.
#
# With ten minutes in place of one, `tinydeconv train dcgan` and `tinydeconv train cgan` paint
# glyphs of 32 pixels, and can be told loss, smoothing, spectral norm and rates.
#
# ## 10. Exercises
#
# Each answer is checked on new numbers whenever you run its cell.
#
# ### Exercise 1: smoothing, done wrong
#
# With label smoothing the discriminator is trained towards $1 - a$ in place of 1 for real pictures,
# and towards $b$ in place of 0 for fakes. So at a point where real ones have the density $p$ and
# fakes $q$, it makes
#
# $$-p\,\bigl[(1 - a) \log D + a \log (1 - D)\bigr]
#   - q\,\bigl[b \log D + (1 - b) \log (1 - D)\bigr]$$
#
# small. Which $D$ is best? `p` and `q` are arrays, `a` and `b` numbers. For example, with
# $p = q$, $a = 0.2$ and $b = 0$ it is 0.4.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_1(rng, answer):
    """Against a search over all D, in small steps."""
    p, q = rng.uniform(0.05, 2, (2, 6))
    a, b = rng.uniform(0.05, 0.4, 2)
    D = np.linspace(0, 1, 20_001)[1:-1, None]
    for_real = (1 - a) * np.log(D) + a * np.log(1 - D)
    for_fakes = b * np.log(D) + (1 - b) * np.log(1 - D)
    wanted = D[(p * for_real + q * for_fakes).argmax(0), 0]
    expect(answer(p, q, a, b), wanted, f"best_D(p, q, {a:.2f}, {b:.2f})", 1e-3)


# %% tags=["exercise"]
def best_D(p, q, a, b):
    """The best probabilities (n,), for densities p and q (n,) and smoothed targets 1 - a and b."""
    return ...  # yours


check_1(best_D)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def best_D(p, q, a, b):
#     return ((1 - a) * p + b * q) / (p + q)
# ```
#
# The best $D$ at a point is the mean of the two targets, each as often as it occurs. With $b = 0$
# it is $1 - a$ times the $D^*$ of section 1: the generator's $-\log D$ is larger by a constant, and
# has the same slope everywhere. With $b > 0$ look where fakes are many and real pictures few: there
# $D$ is about $b$, flat, and nothing moves those fakes away. So smooth only the side of the real
# pictures (Salimans et al. 2016).
#
# </details>
#
# ### Exercise 2: how many pictures does it know?
#
# Among 23 people two probably share a birthday, though there are 365 days. Arora and Zhang (2017)
# use that: if a generator knows $K$ pictures and paints each equally often, then two of its samples
# are the same with the probability $1/K$. So among $n$ samples, take all pairs of two different
# ones, count those that are the same (nearer to each other than `near`), and estimate $K$.
# If no pair is the same, the estimate is `np.inf`.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_2(rng, answer):
    """A generator that knows a few pictures and adds a little noise, and one that has no end."""
    known, n = int(rng.integers(4, 12)), int(rng.integers(20, 40))
    pictures = rng.uniform(-1, 1, (known, 1, 5, 5))[rng.integers(known, size=n)]
    pictures = pictures + 0.01 * rng.standard_normal(pictures.shape)
    same = 0
    for i in range(n):
        for j in range(i):
            same += float(np.sqrt(np.sum((pictures[i] - pictures[j]) ** 2))) < 0.7
    what = f"how_many of {n} samples of a generator that knows {known}"
    expect(answer(pictures, 0.7), n * (n - 1) / 2 / same, what)
    endless = rng.uniform(-1, 1, (n, 1, 5, 5))
    got = answer(endless, 1e-3)
    assert got == np.inf, f"no two of {n} samples are the same: expected inf, got {got}."


# %% tags=["exercise"]
def how_many(pictures, near):
    """The estimated number of pictures that a generator knows; pictures (n, 1, side, side)."""
    return ...  # yours


check_2(how_many)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def how_many(pictures, near):
#     flat = pictures.reshape(len(pictures), -1)
#     distances = np.linalg.norm(flat[:, None] - flat, axis=2)
#     same = np.sum(distances[np.triu_indices(len(flat), 1)] < near)
#     pairs = len(flat) * (len(flat) - 1) / 2
#     return pairs / same if same else np.inf
# ```
#
# `np.triu_indices(n, 1)` are the places above the diagonal: each pair once, and nobody with
# himself. Try it on 300 samples of each of our `generators`, with `limit` for `near`. It finds the
# ten pictures, and that the training glyphs are some thousands. But ten pictures in noise get
# `inf`, since no two of them are as near as that. So do not take `inf` for a proof.
#
# </details>
#
# ### Exercise 3: a real seven under the label three
#
# Our conditional discriminator has never seen a *real* picture with a *wrong* label. Reed et al.
# (2016) show it some: three kinds of pairs, the real picture with its label, which is right, and
# two that are wrong: a fake with the label that was asked for, and the real picture with a wrong
# label. The loss is
#
# $$-\log D(x, y) \;-\; \tfrac12 \bigl[\log (1 - D(G(z, y), y))
#   + \log (1 - D(x, y_\text{wrong}))\bigr] ,$$
#
# each in the mean over the batch. Write it for logits, so that nothing overflows, as a step of the
# discriminator needs it: nothing of it must reach the generator.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_3(rng, answer):
    """A discriminator of random numbers, with plain NumPy beside it; sometimes a very sure one."""
    n = int(rng.integers(3, 7))
    table = rng.standard_normal((10, 4)) * rng.choice([1, 3000], p=[0.3, 0.7])
    real, fake = rng.standard_normal((2, n, 4))
    labels = rng.integers(10, size=n)
    wrong = (labels + rng.integers(1, 10, size=n)) % 10

    def logit(x, y):
        return (x * td.tensor(table)[y]).sum(1)

    def loss(x, y, sign):
        return np.mean(np.logaddexp(0, sign * (x * table[y]).sum(1)))

    wanted = loss(real, labels, -1) + (loss(fake, labels, 1) + loss(real, wrong, 1)) / 2
    painted = td.tensor(fake)
    painted.requires_grad = True
    arguments = td.tensor(real), td.tensor(labels), td.tensor(wrong), painted * 1
    got = answer(logit, *arguments)
    assert isinstance(got, td.Tensor), f"expected a Tensor, got {type(got).__name__}."
    expect(got.detach().numpy(), wanted, "matching_loss", 1e-6)
    assert not got.requires_grad, "its gradient reaches the generator, through `fake`."


# %% tags=["exercise"]
def matching_loss(discriminator, real, labels, wrong, fake):
    """The loss, a Tensor (); discriminator(pictures, labels) gives logits (n,). `fake` was painted
    for `labels`; `wrong` are labels that do not fit `real`.
    """
    return ...  # yours


check_3(matching_loss)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def matching_loss(discriminator, real, labels, wrong, fake):
#     right = F.softplus(-discriminator(real, labels)).mean()
#     painted = F.softplus(discriminator(fake.detach(), labels)).mean()
#     mismatched = F.softplus(discriminator(real, wrong)).mean()
#     return right + (painted + mismatched) / 2
# ```
#
# The half keeps right and wrong in balance. Without `detach()` the loss is the same number, which
# is why this mistake lives so long. To try the loss, put it in place of `rules[0](...)` in
# `teach_discriminator`, with labels that are shifted by a random 1 to 9 for `wrong`.
#
# </details>
#
# ## Check

# %%
sigmoid = 1 / (1 + np.exp(-logits))
assert off < 0.03  # a discriminator learns the share of real ones
assert abs(values[0] + np.log(4)) < 1e-3 and abs(values[-1]) < 1e-3
assert all(a < b + 1e-9 for a, b in pairwise(values))
assert np.hypot(*paths["both at once"][-1]) > 5 and np.hypot(*centre) < 0.2
assert all(0.8 < np.hypot(*place) < 1.25 for place in paths["in turns"])
assert np.allclose(slopes["minimax"], -sigmoid) and np.allclose(slopes["hinge"], -1)
assert np.allclose(slopes["non-saturating"], sigmoid - 1)
assert strength["minimax"][-1] < strength["minimax"][0] / 50
assert all(strength[name][-1] > strength[name][0] / 3 for name in ("non-saturating", "hinge"))
assert certainty[-1][0] > 2 and certainty[-1][1] < -2
assert reads > (0.8 if FAST else 0.99)
ends = np.linalg.norm(noise[:2], axis=1)
assert np.allclose(between(*noise[:2], 0), noise[0], atol=1e-5)
assert min(ends) - 0.5 < np.linalg.norm(middle) < max(ends) + 0.5
assert truth[0] == 8 and truth[1] > 0.97  # the ruler itself
assert modes(np.zeros((10, 2))) == (0, 0) and modes(CENTRES[:3]) == (3, 1)
cheats = ["ten pictures", "training glyphs"]
assert all(table[name]["copies"] == 1 for name in cheats) and table["fresh glyphs"]["copies"] < 0.05
assert table["ten pictures"]["variety"] < 0.01 and table["fresh glyphs"]["variety"] > 0.7
assert fooled > 0.95
assert table["noise for the classifier"]["Frechet"] > 5 * table["fresh glyphs"]["Frechet"]
assert all(a > b for a, b in pairwise(by_size["real glyphs"]))
if not FAST:
    distance = progress["Frechet distance"]
    assert distance[-1] < min(distance[0] / 5, 12) and progress["coverage"][-1] > 0.9
    assert np.all(abs(losses[500:750].mean(0) - losses[750:].mean(0)) < 0.2)  # they tell nothing
    assert max(jumps) < np.mean(apart) / 2
    assert all(count >= 7 for count, _ in ended["discriminator three times as quick"])
    assert all(count <= 4 for count, _ in ended["generator three times as quick"])
    assert agreement > 0.85
    assert heard["quiet labels"][1] > 0.7 and heard["loud labels"][1] < 0.3
    assert table["ten pictures"]["inception"] > table["our DCGAN"]["inception"] + 2
    assert table["training glyphs"]["Frechet"] < table["our conditional GAN"]["Frechet"]
    assert table["our conditional GAN"]["Frechet"] < table["our DCGAN"]["Frechet"] / 2
    assert table["the same in noise"]["copies"] < 0.1
    assert table["the same in noise"]["variety"] < 0.5
    assert max(table[name]["copies"] for name in ("our DCGAN", "our conditional GAN")) < 0.05
    assert by_size["real glyphs"][0] > 0.8 * by_size["our DCGAN"][-1]
print("All checks passed.")
