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
# # 06 · Denoise a photograph
#
# **The question.** `make demo` trains a network that takes the noise out of photographs. But what
# was under the noise is gone: for every noisy picture there are many clean ones that it may have
# been. On what grounds does a program choose one of them, why does a network choose better than the
# classical methods, and when does it make things up?
#
# We start with a mean of four numbers, find out what the best possible answer looks like, write the
# demo's network again in a dozen lines, and take one idea after the other away from it. Then we
# feed it with more photographs and give it more layers, put the finished one beside the classics,
# and break it.
#
# **You need:** notebooks 00 and 04 (training a network; transposed convolutions); what a mean and a
# standard deviation are.
#
# **Time:** 90 minutes of reading and trying, and two to three minutes of computing.
#
# **Afterwards you can** say what a denoiser assumes and what its PSNR rewards, build and train one,
# measure it fairly, choose a remedy when it fails, and explain why its output is no evidence.

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
from tinydeconv import models, nn, optim, viz
from tinydeconv.data import Crops, Loader, add_noise, estimate_sigma, photograph
from tinydeconv.data.photographs import HELD_OUT, SIGMA, TRAINING
from tinydeconv.exercises import exercise, expect
from tinydeconv.metrics import psnr, ssim
from tinydeconv.nn import functional as F
from tinydeconv.recipes.classical import BEST, METHODS, bilateral, nl_means
from tinydeconv.recipes.learned import denoise
from tinydeconv.viz import BLUE, GREEN, GREY, ORANGE, SKY

rng = np.random.default_rng(0)


def show_grid(pictures, columns, alt, width=9.5):
    """Grey pictures {title: image}, all with black at 0 and white at 1."""
    rows = -(-len(pictures) // columns)
    height, across = next(iter(pictures.values())).shape
    size = (width, (width / columns * height / across + 0.45) * rows)
    _, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, (title, picture) in zip(axes.flat, pictures.items()):
        ax.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.set_title(title, fontsize=10)
    viz.show(alt)


# %% [markdown]
# ## 1. Noise, and the oldest remedy
#
# Light comes in photons, one by one, at random times. A pixel that expects $n$ of them counts
# $n \pm \sqrt n$: shot noise (Schottky 1918). The electronics add their own. The simplest model,
# which most of this notebook uses, says: each pixel is off by a number of its own, drawn from a
# Gaussian of standard deviation $\sigma$, the same everywhere:
#
# $$y = x + \sigma n, \qquad n \sim \mathcal N(0, 1) \text{ in each pixel, independently.}$$
#
# Denoisers are often compared at $\sigma = 25$, counted in the 255 steps from black to white of an
# image file. Here white is 1, so it is 25/255.
#
# If you have several shots of the same scene, take their mean. Independent errors cancel: their
# variances add up, so the mean of $N$ has an error of $\sigma/\sqrt N$.

# %%
cat = photograph("chelsea")[82:162, 125:245]
shots = [add_noise(cat, SIGMA, rng) for _ in range(64)]
pictures, errors = {}, {}
for count in (1, 4, 16, 64):
    mean = np.mean(shots[:count], axis=0)
    errors[count] = 255 * np.sqrt(np.mean((mean - cat) ** 2))
    title = f"mean of {count}" if count > 1 else "one shot"
    pictures[f"{title}: off by {errors[count]:.1f}\n25 / √{count} = {25 / count**0.5:.1f}"] = mean
show_grid(
    pictures,
    4,
    "A cat's eye four times, ever cleaner: one noisy shot, and the means of 4, 16 and 64 shots.",
)

# %% [markdown]
# **What to see.** The error (the root of the mean square) follows the law. A long exposure does the
# same inside the camera.
#
# But you have only one shot. Then take the mean over *neighbouring pixels*, and hope that they
# would have been alike. They are not quite, and the error gets two parts: what is left of the noise
# ($\sigma^2/k^2$ for a square of $k \times k$ pixels), and what the mean does to the clean picture,
# its blur. Noise is independent of the picture, so the mean squared errors add up.


# %%
def local_mean(image, k):
    """The mean of the k x k pixels around each one; the border is mirrored."""
    padded = np.pad(image, k // 2, mode="reflect")
    return np.lib.stride_tricks.sliding_window_view(padded, (k, k)).mean((2, 3))


def mse(a, b):
    """The mean squared error, in units of (1/255)²."""
    return 255**2 * np.mean((a - b) ** 2)


widths = [1, 3, 5, 7, 9, 11]
blur = [mse(local_mean(cat, k), cat) for k in widths]
left = [25**2 / k**2 for k in widths]
both = [np.mean([mse(local_mean(shot, k), cat) for shot in shots[:8]]) for k in widths]

_, ax = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
ax.plot(widths, left, "s--", color=ORANGE, label="noise left: 25² / k²")
ax.plot(widths[1:], blur[1:], "^--", color=GREEN, label="blur: of the clean picture")
ax.plot(widths, np.add(left, blur), "-", color=GREY, label="their sum")
ax.plot(widths, both, "o", color=BLUE, label="measured")
ax.set(yscale="log", ylim=(4, 1000), xlabel="k, width of the square in pixels", xticks=widths)
ax.set(ylabel="mean squared error, (1/255)²", title="A local mean trades noise for blur")
ax.legend()
viz.show(
    "The mean squared error by the width of a local mean: the noise's part falls, the blur's part "
    "rises, and their sum, which the measured dots follow, is least at a small width."
)

# %% [markdown]
# **What to see.** A valley with its bottom at a small square. Beyond it the blur costs more than
# the noise that it removes. All denoisers try to get below this valley.
#
# ## 2. Which pixels belong together?
#
# The way out: take the mean only over pixels that *would have been alike*. Nobody can look under
# the noise, so each method has an opinion on which ones those are:
#
# | method | its assumption |
# |---|---|
# | local mean, Gaussian blur | what is near is alike |
# | bilateral filter (Tomasi and Manduchi 1998) | what is near *and of similar grey* is alike |
# | non-local means (Buades, Coll and Morel 2005) | what has *similar surroundings* is alike |
# | total variation (Rudin, Osher and Fatemi 1992) | the picture is flat areas with few edges |
# | a network | the picture looks like the photographs it was trained on |
#
# The first three are weighted means. Here are their weights for one pixel, at the edge of something
# bright, with the parameters that suit noise of 25 (the two methods have more details; these are
# the ones that matter):

# %%
scene = photograph("coffee")[235:315, 286:366]
noisy = add_noise(scene, SIGMA, np.random.default_rng(0))
row = column = 40
reach = 7
around = slice(row - reach, row + reach + 1), slice(column - reach, column + reach + 1)
steps_away = np.arange(-reach, reach + 1)

tolerance, spread = BEST[bilateral][25]
near = np.exp(-(steps_away[:, None] ** 2 + steps_away**2) / (2 * spread**2))
difference = noisy[around] - noisy[row, column]
alike = np.exp(-(difference**2) / (2 * (tolerance * SIGMA) ** 2))

strength, size, _ = BEST[nl_means][25]
padded = np.pad(noisy, size // 2, mode="reflect")
patches = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
distance = ((patches - patches[row, column]) ** 2).mean((2, 3))[around]
excess = np.maximum(distance - 2 * SIGMA**2, 0)  # two noisy copies of one patch are this far apart
same_patch = np.exp(-excess / (strength * SIGMA) ** 2)

_, axes = plt.subplots(1, 5, figsize=(9.5, 2.4), layout="constrained")
for ax, (title, image) in zip(axes, {"clean": scene[around], "noisy": noisy[around]}.items()):
    ax.imshow(image, cmap="gray", vmin=0, vmax=1)
    ax.set_title(title, fontsize=10)
weights = {"Gaussian blur": near, "bilateral": near * alike, "non-local means": same_patch}
for ax, (title, weight) in zip(axes[2:], weights.items()):
    ax.imshow(weight / weight.max(), cmap="magma", vmin=0, vmax=1)
    ax.set_title(title, fontsize=10)
for ax in axes:
    ax.plot(reach, reach, "+", color=SKY, ms=9, mew=2)
    ax.axis("off")
viz.show(
    "A dark area and a bright one, clean and noisy, and the weights by which three methods average "
    "around a pixel at their border: a round spot, half a spot, and a thin line along the border."
)

# %% [markdown]
# **What to see.** Bright: large weight; the cross marks the pixel. The blur averages across the
# border, dark with light. The bilateral filter spares what has another grey; but it judges by
# single noisy pixels, so it must be tolerant. Non-local means compares patches of 9 x 9 pixels, in
# which the noise averages out, and finds its companions *along* the border. They are few. In the
# midst of a flat area it would find very many.
#
# Total variation has no weights. It looks for the picture $x$ that makes
#
# $$\tfrac12 \lVert x - y\rVert^2 + \lambda \sum \lVert\nabla x\rVert$$
#
# least; $\lambda$ says how much an even picture is worth against one that stays near $y$, and is
# chosen larger for stronger noise. A step up costs as much as a slow slope of the same height,
# whereas a bump, up and down again, costs twice: so edges stay, bumps go, and since terraces cost
# no more than a slope, slopes may turn into them. (Notebook 05 uses it against blur.)
#
# ## 3. What the best answer looks like
#
# Let us be precise about what we want: an answer with a small *squared* error, on average. Given a
# noisy picture $y$, let the clean one be $x$ with the probability $p(x \mid y)$, and let us answer
# $\hat x$. Around the mean $\mu$ of all those $x$ the expected squared error falls apart into
#
# $$\mathbb E\,\lVert \hat x - x \rVert^2 \;=\; \lVert \hat x - \mu \rVert^2 \;+\;
#   \mathbb E\,\lVert \mu - x \rVert^2$$
#
# (given $y$; the mixed term is zero, because the mean of $\mu - x$ is). The second part is none of
# our doing. The first is zero for $\hat x = \mu$. So **the best answer is the mean of all clean
# pictures that it may have been**, each as often as it is behind such a $y$: the *posterior mean*.
#
# A world in which we can compute it: there are only two pictures, $A$ and $B$, equally frequent.
# Bayes' rule for Gaussian noise says that
# $p(A \mid y) \propto \exp(-\lVert y - A\rVert^2 / 2\sigma^2)$; divide by the sum for $A$ and $B$.

# %%
A, B = np.full((2, 8, 8), 0.4)
A[:, 2] = B[:, 5] = 0.6


def probability_of_A(y, sigma):
    """That A is behind y (..., 8, 8)."""
    to_A, to_B = (((y - x) ** 2).sum((-2, -1)) for x in (A, B))
    return 1 / (1 + np.exp((to_A - to_B) / (2 * sigma**2)))


def posterior_mean(y, sigma):
    p = probability_of_A(y, sigma)[..., None, None]
    return p * A + (1 - p) * B


def draw_world(count, sigma):
    """(clean, noisy), each (count, 8, 8)."""
    clean = np.where(rng.integers(2, size=count)[:, None, None] == 1, A, B)
    return clean, clean + sigma * rng.standard_normal(clean.shape)


questions, best_answers = {"there is A": A}, {"and there is B": B}
for level in (25, 50, 100):
    y = A + level / 255 * np.random.default_rng(5).standard_normal(A.shape)
    p = probability_of_A(y, level / 255)
    questions[f"A with noise of {level}"] = y
    best_answers[f"best answer to {level}:\n{p:.1%} A"] = posterior_mean(y, level / 255)
show_grid(
    questions | best_answers,
    4,
    "Two small pictures, a bright line at the left or at the right; then one of them with noise of "
    "25, 50 and 100, each beside the best answer, which for strong noise shows both faintly.",
)

# %% [markdown]
# **What to see.** While the noise is weak, there is no doubt, and the best answer is sharp. When
# the noise is strong, the best answer shows *both* lines, each as faint as it is doubtful. That is
# a picture which does not exist in this world. It is "blurred" not because the method is poor, but
# because the squared error asks for it.
#
# Now a network that knows nothing of $A$, $B$ or Bayes. It sees pairs, noisy and clean, and makes
# the squared error small:

# %%
STRONG = 100 / 255


def as_rows(pictures):
    return td.tensor(pictures.reshape(-1, 64).astype(np.float32))


td.manual_seed(0)
small_net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 64))
steps = 20 if FAST else 1500
optimizer = optim.Adam(small_net.parameters())
schedule = optim.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
for _ in range(steps):
    clean, y = map(as_rows, draw_world(256, STRONG))
    loss = F.mse_loss(small_net(y), clean)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()

clean, y = draw_world(20_000, STRONG)
p = probability_of_A(y, STRONG)
with td.no_grad():
    learned = small_net(as_rows(y)).numpy().reshape(y.shape)
answers = {
    "the noisy picture": y,
    "the mean of A and B, always": np.broadcast_to((A + B) / 2, y.shape),
    "the more probable one": np.where(p[:, None, None] > 0.5, A, B),
    "the posterior mean": posterior_mean(y, STRONG),
    "the network": learned,
}
two_patches = {name: np.sqrt(mse(answer, clean)) for name, answer in answers.items()}
for name, error in two_patches.items():
    print(f"{name:30} is off by {error:5.1f} / 255")

# %% [markdown]
# The posterior mean wins, ahead of the sharp answer "the more probable one"; and the network, from
# examples alone, comes close to it. That is what denoising by a network is: **regression, whose aim
# is the posterior mean under the photographs that it was trained on.** (Non-local means can be read
# this way too: its weights have the same form, an exponential of minus the squared distance, and
# its world of possible patches is the noisy picture itself.)
#
# Is the formula's probability true? Among all cases where it says 60 to 80 %, how often was it $A$?

# %%
sure = (p > 0.6) & (p < 0.8)
says, truly = p[sure].mean(), (clean[sure, 0, 2] > 0.5).mean()
print(f"says {says:.1%}, truly {truly:.1%}, of {sure.sum():,} cases")

# %% [markdown]
# ## 4. The network, from scratch
#
# Photographs are a larger world than $A$ and $B$, but the recipe is the same: pairs and a squared
# error. The network of the demo rests on four ideas, each with a switch below.
#
# 1. **Predict the noise**, and subtract it (DnCNN, Zhang, Zuo, Chen, Meng and Zhang 2017). To paint
#    the picture, a network must first learn to pass it through all its layers; to predict the
#    noise, it must find what is *not* picture. `residual`
# 2. **Start at zero.** If the last layer starts with zeros, the first answer is "no noise": the
#    noisy picture, unchanged. Training starts from there, and not from a random picture.
# 3. **Down by convolutions, up by transposed ones, with skips** (RED-Net, Mao, Shen and Yang 2016;
#    halving on the way is U-Net's: Ronneberger, Fischer and Brox 2015). At a quarter of the size, a
#    4 x 4 window sees far and costs little; what the way down has dropped, the skips bring back:
#    each transposed convolution adds to what its partner had read. `skips`
# 4. **Say how strong the noise is** (FFDNet, Zhang, Zuo and Zhang 2018): a second input channel,
#    $\sigma$ in every pixel. Then one network can serve weak noise and strong. `told`


# %%
class Student(nn.Module):
    """Noisy pictures (N, 1, H, W) and the noise of each (N,) to clean ones. A switch at 0 takes an
    idea away. H and W must be divisible by 2 as often as there are levels to go down.
    """

    def __init__(self, channels=(16, 24, 48), residual=1, skips=1, told=1):
        self.residual, self.skips, self.told = residual, skips, told
        pairs = list(pairwise(channels))
        self.first = nn.Conv2d(2, channels[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairs)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(b, a, 4, stride=2, padding=1) for a, b in reversed(pairs)
        )
        self.last = nn.ConvTranspose2d(channels[0], 1, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, noisy, sigma):
        level = self.told * sigma.reshape(-1, 1, 1, 1).expand(noisy.shape)
        h, seen = self.first(td.cat([noisy, level], 1)).relu(), []
        for down in self.down:
            seen.append(h)
            h = down(h).relu()
        for up in self.up:
            h = (up(h) + self.skips * seen.pop()).relu()
        return self.residual * noisy - self.last(h)


def answer(model, noisy, sigma=SIGMA):
    """A picture (H, W) through the network."""
    with td.no_grad():
        sigma = td.tensor(np.float32([sigma]))
        return model(td.tensor(noisy[None, None]), sigma).numpy()[0, 0].clip(0, 1)


untouched = abs(answer(Student(), noisy.clip(0, 1)) - noisy.clip(0, 1)).max()
print(f"before training the answer differs from the question by {untouched:g}")
print(f"{sum(p.numel() for p in Student().parameters()):,} numbers to learn")

# %% [markdown]
# `models.Denoiser` is this with one more layer at the bottom, He's initialisation, and odd sizes.
#
# Training is as in notebook 00: 8 pieces of 32 x 32 pixels a step, cut anywhere from the training
# photographs, turned and mirrored, with fresh noise each time. The squared error of each piece is
# divided by its noise level, so that the pieces with strong noise do not drown the others; 5/255 is
# added to the level, so that weak noise does not count without limit.


# %%
def train(model, names=TRAINING, steps=1000, seed=0, noise=SIGMA):
    """Trains the model; returns the loss of each step. noise: a level, or the (least, largest)."""
    optimizer = optim.Adam(model.parameters())
    schedule = optim.OneCycleLR(optimizer, max_lr=5e-3, total_steps=steps)
    losses = []
    for noisy, clean, sigma in Loader(Crops(names, 32, noise, seed), 8, steps).batches(0):
        error = model(td.tensor(noisy), td.tensor(sigma)) - td.tensor(clean)
        loss = ((error**2).mean((1, 2, 3)) / td.tensor(sigma + 5 / 255)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


# %% [markdown]
# How do we measure? Never on the photographs it was trained on. `camera` and `astronaut` are held
# out: `Crops` refuses to cut from them. For the experiments the 256 x 256 pixels in their middle
# will do, and the mean of the two PSNRs. We shall not *choose* anything by these numbers. If you
# try twenty networks and keep the one that does best on the test pictures, you have trained on the
# test pictures, slowly; for choosing take a third set.

# %%
SIDE = 64 if FAST else 256


def middle(name):
    image = photograph(name)
    top, left = ((length - SIDE) // 2 for length in image.shape)
    return image[top : top + SIDE, left : left + SIDE]


def quality(model, level=25):
    """PSNR in dB: the mean of the two held-out photographs' middles."""
    found = []
    for name in HELD_OUT:
        noisy = add_noise(middle(name), level / 255, np.random.default_rng(0))
        found.append(psnr(middle(name), answer(model, noisy, level / 255)))
    return float(np.mean(found))


td.manual_seed(0)
student, start = Student(), perf_counter()
before = quality(student)
losses = train(student, steps=10 if FAST else 1000)
after = quality(student)
print(f"{len(losses)} steps in {perf_counter() - start:.0f} s: {before:.2f} dB -> {after:.2f} dB")

# %% [markdown]
# (Noise of 25 is $20 \log_{10}(255/25) = 20.2$ dB. Where the picture is cut off at black and white,
# as each answer is, a little less noise is left.)
#
# What does each idea buy? Take one away, train anew (a fifth of the steps, four times, from
# different random numbers), measure.

# %%
STEPS, SEEDS = (4, (0, 1)) if FAST else (200, (0, 1, 2, 3))


def pick(count, seed):
    """So many of the training photographs, drawn anew for each seed."""
    return [str(name) for name in np.random.default_rng(seed).permutation(TRAINING)[:count]]


def trials(make, count=14, seeds=SEEDS, steps=STEPS):
    """The quality of a freshly made and trained model, for each seed."""
    found = []
    for seed in seeds:
        td.manual_seed(seed)
        model = make()
        train(model, pick(count, seed), steps, seed)
        found.append(quality(model))
    return found


def random_start(**switches):
    model = Student(**switches)
    model.last = nn.ConvTranspose2d(16, 1, 3, padding=1)  # it comes with random numbers
    return model


all_ideas = trials(Student)
ideas = {
    "all ideas": all_ideas,
    "last layer starts at random": trials(random_start),
    "paints the picture itself": trials(lambda: random_start(residual=0)),
    "no skips": trials(lambda: Student(skips=0)),
}

_, ax = plt.subplots(figsize=(8.5, 2.8), layout="constrained")
ax.axvline(before, color=GREY, ls=":", label="noisy")
for place, found in enumerate(ideas.values()):
    names = ("each training", "mean") if place == 0 else (None, None)
    ax.plot(found, [place] * len(found), "o", color=ORANGE, label=names[0])
    ax.plot(np.mean(found), place, "|", color=BLUE, ms=18, mew=3, label=names[1])
for place, pair in enumerate(zip(*list(ideas.values())[1:3])):
    label = None if place else "the same random numbers"
    ax.plot(pair, (1, 2), "-", color=GREY, lw=0.8, label=label, zorder=1)
ax.set_yticks(range(len(ideas)), ideas)
ax.set(ylim=(len(ideas) - 0.5, -0.5), xlabel=f"PSNR after {STEPS} steps, dB")
ax.grid(axis="x", alpha=0.3)
ax.figure.legend(loc="outside upper center", ncols=4)
viz.show(
    "The PSNR of four networks after a short training, four times each: those with all ideas lie "
    "close together at the right; with a random last layer, without the residual and without skips "
    "they lie further left and far apart. Lines join pairs of the second and the third row."
)
for name, found in ideas.items():
    print(f"{name:28} {np.mean(found):.2f} dB   ({', '.join(f'{x:.2f}' for x in found)})")

# %% [markdown]
# **What to see.** All ideas together are ahead of every other dot, and their dots lie close
# together. In the other rows it differs widely from training to training how much is lost, so a
# single training would say little. A network that paints the picture cannot start from zero: judge
# the first idea by the third row against the second, line by line. No painter is ahead of its
# partner, but the dots overlap; this idea is worth the least here. Without skips, fine detail is
# lost on the way down. And this is a picture of a short training. With more steps the gaps will be
# others.
#
# The fourth idea needs noise of several strengths. Three networks: one is told, one is not, and one
# has seen nothing but noise of 25.

# %%
ANY = 0, 55 / 255  # the weakest and the strongest noise in training
LEVELS = (10, 15, 25, 35, 50)
kinds = {
    "any noise, told how strong": (1, ANY, BLUE, "o-"),
    "any noise, not told": (0, ANY, ORANGE, "s--"),
    "only noise of 25": (0, SIGMA, GREEN, "^:"),
}

_, ax = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
by_level = {}
for name, (told, noise, colour, style) in kinds.items():
    td.manual_seed(0)
    model = Student(told=told)
    train(model, steps=STEPS, noise=noise)
    by_level[name] = [quality(model, level) for level in LEVELS]
    ax.plot(LEVELS, by_level[name], style, color=colour, label=name)
ax.set(xlabel="noise, standard deviation in 1/255", ylabel="PSNR, dB", xticks=LEVELS)
ax.set_title("What is it worth to know the noise?")
ax.legend()
viz.show(
    "PSNR by noise level: the network that is told is ahead of the one that is not, most at weak "
    "and at strong noise; the specialist for 25 is best there and falls behind on both sides."
)

# %% [markdown]
# **What to see.** One training each, so small gaps mean nothing. The specialist is the best at its
# own level and falls behind far from it: above, it takes what exceeds 25 for picture; below, it
# takes texture for noise. The network that is not told has to guess the noise from the small part
# of the picture that it sees, and loses most by it where the noise is far from the middle. Being
# told also gives the user a knob: more smoothing, or less.
#
# ## 5. How much do training data and depth buy?
#
# The same network, the same number of steps, but the pieces are cut from 1, 4 or all 14 training
# photographs, drawn anew for each training. Then all photographs, and fewer levels (each after the
# first halves the picture once more), or more channels.

# %%
TWICE = (0, 1)
by_count = {1: trials(Student, 1, SEEDS[:3]), 4: trials(Student, 4, TWICE), 14: all_ideas}
by_depth = {n: trials(lambda n=n: Student((16, 24)[:n]), seeds=TWICE) for n in (1, 2)}
by_depth[3] = all_ideas
wide = trials(lambda: Student((24, 48, 80)), seeds=TWICE)
by_width = {"16, 24, 48": all_ideas, "24, 48, 80": wide}

_, axes = plt.subplots(1, 3, figsize=(9.5, 3.6), layout="constrained", sharey=True)
panels = {"training photographs": by_count, "levels": by_depth, "channels of 3 levels": by_width}
for ax, (name, found) in zip(axes, panels.items()):
    names = ("each training", "mean") if name == "training photographs" else (None, None)
    dots = [(place, value) for place, values in enumerate(found.values()) for value in values]
    ax.plot(*zip(*dots), "o", color=ORANGE, label=names[0])
    means = [np.mean(values) for values in found.values()]
    ax.plot(range(len(found)), means, "_-", color=BLUE, ms=16, mew=2, label=names[1])
    ax.set_xticks(range(len(found)), found)
    ax.set(xlabel=name, xlim=(-0.4, len(found) - 0.6))
    ax.grid(axis="y", alpha=0.3)
axes[0].set_ylabel(f"PSNR after {STEPS} steps, dB")
axes[0].legend(loc="lower right")
viz.show(
    "Three panels of PSNR after a short training: it rises from 1 to 4 training photographs and "
    "not from 4 to 14; hardly with the number of levels; and a little with the channels."
)
for name, found in panels.items():
    print(f"{name:22}", "   ".join(f"{n}: {np.mean(values):.2f} dB" for n, values in found.items()))

# %% [markdown]
# **What to see.** Each dot is one training; how far the dots of a column lie apart is luck, and no
# smaller difference means anything. *Data*: one photograph is too little, and above all a lottery,
# for it depends on which. Four are as good as all 14. That is no law: most photographs here have a
# hundred thousand pieces or more, and 200 steps of 8 have seen 1,600, with noise that is always
# new. *Depth*: hardly anything; two layers do nearly as well as six. *Width*: the wider one is
# ahead. All of this holds for so short a training. Give one photograph, and one level, as many
# steps as the student of section 4 had:

# %%
once = {"seeds": (0,), "steps": len(losses)}
longer = {
    "3 levels, 1 photograph": (by_count[1][0], *trials(Student, 1, **once)),
    "1 level, 14 photographs": (by_depth[1][0], *trials(lambda: Student((16,)), **once)),
    "3 levels, 14 photographs": (all_ideas[0], after),
}
print(f"{'':26}{STEPS:6} steps {len(losses):6} steps")
for name, pair in longer.items():
    print(f"{name:26}{pair[0]:9.2f} dB {pair[1]:9.2f} dB")

# %% [markdown]
# Each number is one training, all with the same seed. With one photograph the longer training buys
# half a decibel; with 14, more than one. Steps are only worth as much as there is to see. The
# network of one level gains no more, though it had all 14: it sees 5 x 5 pixels, and soon knows
# what there is to know about so few. The deep one has more to learn, and goes on. So data and depth
# pay when the steps are many.
#
# The weights that come with the library went on for 20,000 steps, with wider layers and larger
# batches. Their log tells the PSNR of `chelsea`, a training photograph, at noise 25:

# %%
log = np.genfromtxt(models.SHIPPED.with_suffix(".csv"), delimiter=",", names=True)
_, ax = plt.subplots(figsize=(7.5, 3.2), layout="constrained")
ax.semilogx(log["step"], log["psnr"], "o-", color=BLUE, ms=4, label="the shipped network")
ax.set(xlabel="step", ylabel="PSNR of a training photograph, dB", title="A longer training")
marked = [200, 500, 1000, 2000, 5000, 10000, 20000]
ax.set_xticks(marked, [f"{step:,}" for step in marked])
ax.minorticks_off()
ax.grid(alpha=0.3)
ax.legend()
viz.show(
    "The PSNR by the step, on a logarithmic axis: a steep start, then slower and slower, with "
    "small ups and downs that vanish towards the end, at 20,000 steps."
)
reached = dict(zip(log["step"].astype(int), log["psnr"]))
for step in (500, 2000, 10000):
    print(f"from step {step:6,} to the end: {reached[20000] - reached[step]:+.2f} dB")

# %% [markdown]
# **What to see.** On this axis each doubling of the steps is equally wide. After a steep start each
# brings two or three tenths of a decibel. Two warnings: part of the last doubling is the schedule,
# which makes the learning rate small (that smooths and flattens the end), and a point inside the
# curve is not a training of that length. Whether 40,000 steps would be better cannot be read here.
#
# ## 6. Against the classics
#
# Two measures. **PSNR** is the squared error in decibels, $10 \log_{10}(1/\text{MSE})$ for white at
# 1: 10 dB more is a tenth of the squared error. By section 3 it rewards the careful compromise.
# **SSIM** (Wang, Bovik, Sheikh and Simoncelli 2004) compares mean, contrast and structure in small
# windows; 1 is perfect. It has constants that depend on what white is, so tell it. If white is 1
# and you say 255, nearly everything looks perfect:

# %%
clean = middle("camera")
noisy = add_noise(clean, SIGMA, np.random.default_rng(0))
sound, wrong = ssim(clean, noisy, data_range=1), ssim(clean, noisy, data_range=255)
print(f"SSIM of the noisy picture: {sound:.3f}; with the data range of other pictures: {wrong:.3f}")

# %% [markdown]
# (That is the middle of `camera`, and its noise is not cut off at black and white. The table below
# has the whole photograph, cut off, so it says something else for "noisy".)
#
# Now the held-out photographs, whole. The classical methods have parameters that a search on the
# training photographs found (`tools/search_classical.py`); all are told the noise.

# %%
shipped = models.load()
contestants = {
    **METHODS,
    "our student": lambda noisy, sigma: answer(student, noisy, sigma),
    "shipped network": lambda noisy, sigma: denoise(shipped, noisy, sigma),
}
ZOOM = {"camera": (80, 195), "astronaut": (70, 175)}  # top and left of the part to show
results, seconds = {}, dict.fromkeys(contestants, 0.0)
for name in HELD_OUT:
    clean = middle(name) if FAST else photograph(name)
    noisy = add_noise(clean, SIGMA, np.random.default_rng(0))
    results[name] = {"clean": clean, "noisy": noisy.clip(0, 1)}
    for label, method in contestants.items():
        start = perf_counter()
        results[name][label] = method(noisy, SIGMA)
        seconds[label] += perf_counter() - start

print(f"{'PSNR in dB (SSIM)':18}{'camera':>16}{'astronaut':>16}   seconds for both")
for label in ("noisy", *contestants):
    pairs = [(images["clean"], images[label]) for images in results.values()]
    cells = "".join(f"{psnr(*pair):8.2f} ({ssim(*pair, data_range=1):.3f})" for pair in pairs)
    print(f"{label:18}{cells}{seconds.get(label, 0):12.1f}")

# %% [markdown]
# The time is for these implementations: non-local means is scikit-image's slower, better mode.
#
# BM3D (Dabov, Foi, Katkovnik and Egiazarian 2007), the classic that others are measured against, is
# not here. On the 68 photographs of BSD68 at noise 25, Zhang and others (2017) report 28.57 dB for
# it and 29.23 dB for DnCNN. Our lead is over the three above, not over all classics.


# %% tags=["gallery"]
def show_parts(name):
    top, left = (0, 0) if FAST else ZOOM[name]
    clean = results[name]["clean"]
    parts = {}
    for label, image in results[name].items():
        note = f"{psnr(clean, image):.2f} dB, SSIM {ssim(clean, image, 1):.3f}"
        parts[f"{label}\n{note if label != 'clean' else name}"] = image[top:, left:][:100, :100]
    show_grid(
        parts,
        4,
        f"A part of the photograph {name}: clean, noisy, and denoised by bilateral filter, total "
        "variation, non-local means, our student, and the shipped network.",
    )


show_parts("camera")

# %% [markdown]
# **What to see.** The numbers are of the whole photograph. The bilateral filter leaves mottle.
# Total variation makes flat patches with hard borders. Non-local means gives up on what is there
# only once: specks stay around the eyepiece. Our student is not far from it, the shipped network
# ahead of all. But look at the hair in the clean part: none of them has it. The squared error asked
# for that.

# %%
show_parts("astronaut")

# %% [markdown]
# **What to see.** The same again: patches on the cheeks, specks around the eyes. The shipped
# network has drawn the clearest eyes. The skin is smoother than in the clean part: its texture went
# with the noise.
#
# The table for other noise levels (grey: 0.46 to 1.40 dB ahead of non-local means) and one for
# colour are in *The denoiser* (`docs/denoiser.md`), of these two photographs. Two are not many.
#
# Why is the network ahead? Section 2 showed the weights by which the classics average. The network
# has none that one could look up, but we can ask: how much does the answer at the cross change with
# each noisy pixel? That is a gradient, one backward pass for each cross (Mohan, Kadkhodaie,
# Simoncelli and Fernandez-Granda, ICLR 2020). Beside it non-local means, for the pixel of section 2
# and for one in the flat dark area:

# %%
noisy = add_noise(scene, SIGMA, np.random.default_rng(0))
x = td.tensor(noisy[None, None])
x.requires_grad = True
output = shipped(x, td.tensor(np.float32([SIGMA])))

_, axes = plt.subplots(2, 4, figsize=(9, 4.9), layout="constrained")
for line, (place, column) in zip(axes, {"border": 40, "flat": 20}.items()):
    part = slice(row - reach, row + reach + 1), slice(column - reach, column + reach + 1)
    x.grad = None
    output[0, 0, row, column].backward(retain_graph=True)
    gradient = x.grad.numpy()[0, 0]
    distance = ((patches - patches[row, column]) ** 2).mean((2, 3))[part]
    same_patch = np.exp(-np.maximum(distance - 2 * SIGMA**2, 0) / (strength * SIGMA) ** 2)
    for ax, (title, image) in zip(line, {"clean": scene, "noisy": noisy}.items()):
        ax.imshow(image[part], cmap="gray", vmin=0, vmax=1)
        ax.set_title(f"{place}: {title}", fontsize=10)
    weights = {"non-local means": same_patch, "the network": gradient[part]}
    for ax, (title, weight) in zip(line[2:], weights.items()):
        limit = abs(weight).max()
        ax.imshow(weight, cmap="PuOr", vmin=-limit, vmax=limit)
        ax.set_title(f"{place}: {title}", fontsize=10)
    print(f"{place:7} the network's largest weight {gradient.max():.3f}, sum {gradient.sum():.2f}")
for ax in axes.flat:
    ax.plot(reach, reach, "+", color=SKY, ms=9, mew=2)
    ax.axis("off")
viz.show(
    "For a pixel at a border and one in a flat area: the clean and the noisy picture, the weights "
    "of non-local means and those of the network. At the border both are a short line along it; in "
    "the flat area both are spread out, and the network's are largest near the cross."
)

# %% [markdown]
# **What to see.** Violet: a positive weight, the darkest being the largest of its picture; orange:
# a negative one. The network too takes something like a weighted mean, narrow and along the border,
# wide where it is flat. (It adds a constant of its own, so the weights need not add up to 1.) But
# nobody wrote the rule down, the photographs did. Non-local means knows one picture, and that one
# is noisy. These are two pixels, though; that the network is ahead overall, the table says.
#
# ## 7. From the network to the command
#
# `tinydeconv denoise photo.jpg` adds four things:
#
# - **Tiles.** A large photograph goes through in tiles that overlap by as far as the network looks,
#   so that the result is that of the whole.
# - **Four turns.** Each tile goes through turned by 0, 90, 180 and 270 degrees, and the mean of the
#   answers counts. (Exercise 3.)
# - **Colour.** The network knows grey only. It gets the brightness and two colour differences.
# - **An estimate of the noise**, since nobody tells it. (Exercise 2.)
#
# How well must it know the noise? Tell it something wrong:

# %%
TOLD = (5, 10, 15, 20, 25, 30, 35, 40, 50)
_, ax = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
estimates, by_told = {}, {}
for name, colour, style in zip(HELD_OUT, (BLUE, ORANGE), "os"):
    clean = middle(name)
    noisy = add_noise(clean, SIGMA, np.random.default_rng(0))
    found = [psnr(clean, denoise(shipped, noisy, told / 255)) for told in TOLD]
    by_told[name], estimates[name] = dict(zip(TOLD, found)), 255 * estimate_sigma(noisy)
    label = f"{name}: estimated {estimates[name]:.1f}"
    ax.plot(TOLD, found, f"{style}-", color=colour, label=label)
ax.axvline(25, color=GREY, ls=":", label="truth")
ax.set(xlabel="what the network is told, in 1/255", ylabel="PSNR, dB", title="Noise of 25")
ax.legend(loc="lower right")
viz.show(
    "PSNR by the noise level that the network is told, for two photographs: steep on the left of "
    "the true 25, with the maximum there, and a gentle slope on the right."
)

# %% [markdown]
# **What to see.** To be told too little is expensive: the rest of the noise stays, for the network
# takes it to be texture. To be told too much costs some texture. If in doubt, say a little more.
#
# ## 8. Where it fails
#
# The network was promised noise that is Gaussian, equally strong everywhere, and independent from
# pixel to pixel. Break each promise, with noise just as strong (or what is natural for its kind).
# Above, the picture and the estimate of its noise, below, what the network makes of it *although it
# is told the true strength*. (The decibels are of all 256 x 256 pixels; 128 x 128 are shown.)


# %%
def stripes(clean, rng):
    """Each row is read with an offset of its own."""
    return clean + SIGMA * rng.standard_normal((len(clean), 1))


def blurred(clean, rng):
    """Neighbours share their noise, as after a camera's own smoothing."""
    return clean + 3 * SIGMA * local_mean(rng.standard_normal(clean.shape), 3)


def salt_and_pepper(clean, rng):
    """5 % of the pixels are white or black."""
    return np.where(rng.random(clean.shape) < 0.05, rng.integers(2, size=clean.shape), clean)


PHOTONS = 50  # at white


def photons(clean, rng):
    return rng.poisson(clean * PHOTONS) / PHOTONS


clean = middle("camera")
above, below, broken = {}, {}, {}
for make in (stripes, blurred, salt_and_pepper, photons):
    name = make.__name__.replace("_", " ")
    noisy = make(clean, np.random.default_rng(0)).astype(np.float32)
    strength, estimate = np.sqrt(np.mean((noisy - clean) ** 2)), estimate_sigma(noisy)
    told, believed = (denoise(shipped, noisy, level) for level in (strength, estimate))
    broken[name] = noisy, psnr(clean, noisy), psnr(clean, told), psnr(clean, believed)
    numbers = f"noise of {255 * strength:.0f}, estimated {255 * estimate:.0f}"
    above[f"{name}, {broken[name][1]:.1f} dB\n{numbers}"] = noisy[20:148, 60:188]
    below[f"network: {broken[name][2]:.1f} dB"] = told[20:148, 60:188]
show_grid(
    above | below,
    4,
    "A man with a camera under four kinds of noise, stripes, blurred noise, salt and pepper, few "
    "photons, and below what the network makes of each: stripes, blobs and specks remain.",
)
print(f"{'PSNR in dB':18}{'as it is':>10}{'told':>8}{'estimated':>11}")
for name, (_, as_it_is, told, believed) in broken.items():
    print(f"{name:18}{as_it_is:10.1f}{told:8.1f}{believed:11.1f}")

# %% [markdown]
# **What to see.** Stripes and blurred noise *look like pictures*: a stripe is an edge, a blob is a
# blob. The network keeps them, and the estimate sees little or nothing of them. A camera or
# telephone that has smoothed its picture leaves noise of this blurred kind, so expect little there.
# Salt and pepper is far stronger in single pixels than a Gaussian almost ever is. Photon noise is
# weak in the dark coat and strong in the sky, and one number cannot be right for both.
#
# If you know which promise is broken, you can often mend it, without a new training. A pixel of
# salt or pepper says nothing: put the median of its neighbours in its place. And for photons there
# is a transform after which the noise is nearly 1 everywhere (Anscombe 1948): if $n$ is a Poisson
# count, $2\sqrt{n + 3/8}$ has a standard deviation of about 1 once the mean is 3 or more. So
# transform, denoise with a noise of 1, transform back. On the way back, 1/8 and not 3/8 is taken
# off: the root of a mean is not the mean of the roots.


# %%
def median_where_extreme(noisy):
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(noisy, 1, mode="reflect"), (3, 3))
    return np.where((noisy <= 0) | (noisy >= 1), np.median(windows, axis=(2, 3)), noisy)


def through_anscombe(noisy):
    white = 2 * np.sqrt(PHOTONS + 3 / 8)  # becomes 1, so that the network sees what it knows
    stable = 2 * np.sqrt(noisy * PHOTONS + 3 / 8) / white
    calm = denoise(shipped, stable, 1 / white)
    return (((calm * white / 2) ** 2 - 1 / 8) / PHOTONS).clip(0, 1)


mended = {
    "salt and pepper": median_where_extreme(broken["salt and pepper"][0]),
    "photons": through_anscombe(broken["photons"][0]),
}
mended_psnr = {name: psnr(clean, image) for name, image in mended.items()}
steady = {n: (2 * np.sqrt(rng.poisson(n, 100_000) + 3 / 8)).std() for n in (0.5, 1, 3, 10, 50)}
print("after the transform:", ", ".join(f"{s:.2f} at a mean of {n}" for n, s in steady.items()))
pictures = {}
for name, image in mended.items():
    pictures[f"{name}, {broken[name][1]:.1f} dB"] = broken[name][0][20:148, 60:188]
    pictures[f"mended: {mended_psnr[name]:.1f} dB"] = image[20:148, 60:188]
show_grid(
    pictures,
    4,
    "Salt and pepper before and after the median, photon noise before and after the network with "
    "Anscombe's transform around it; both are clean now.",
)

# %% [markdown]
# **What to see.** Each is now better than what the network made of it alone. The median used no
# network at all. Stripes have their own remedies, and for blurred noise one trains on blurred
# noise. *A failed assumption is to be mended at the assumption.*
#
# ## 9. Where it invents
#
# A picture that is nothing but grey and noise:

# %%
grey = np.full((SIDE, SIDE), 0.5, np.float32)
noisy = add_noise(grey, SIGMA, np.random.default_rng(0))
cleaned, averaged = denoise(shipped, noisy, SIGMA), local_mean(noisy, 15)
invented, clouds = 255 * (cleaned - 0.5).std(), 255 * (averaged - 0.5).std()
show_grid(
    {
        f"only noise: {255 * (noisy - 0.5).std():.1f}": noisy[:64, :64],
        f"the network's answer: {invented:.2f}": cleaned[:64, :64],
        "the same, contrast x 15": (15 * (cleaned - 0.5) + 0.5)[:64, :64].clip(0, 1),
        f"mean of 15 x 15: {clouds:.2f}, x 15": (15 * (averaged - 0.5) + 0.5)[:64, :64],
    },
    4,
    "Grey noise, the network's nearly flat grey answer, the answer with its contrast raised, and a "
    "local mean of the noise likewise: the same soft clouds, but only the network has a dark line.",
)

# %% [markdown]
# **What to see.** The numbers are standard deviations, in 1/255. The answer is nearly flat, as it
# should be. The clouds are no invention: any mean over so many pixels leaves them. The dark line at
# the top is the network's own: the mean has no trace of it, and photographs have such lines. In a
# real picture, nobody could tell it from a faint line that was there.
#
# How far may one trust what one *reads* in a denoised picture? A test with digits, small and faint.
# We know the ten templates, all equally frequent, so the best possible reader of the noisy picture
# is easy: take the template with the least squared distance. Then let the same reader read the
# denoised picture. That is not quite fair, since it is ideal for the noisy picture only. So let a
# second reader practise on other sheets, processed like the one it is to read: it learns the mean
# look of each digit and which errors go together (Fisher's linear discriminant, 1936).

# %% tags=["gallery"]
FONT = """
### .#. ### ### #.# ### ### ### ### ###
#.# ##. ..# ..# #.# #.. #.. ..# #.# #.#
#.# .#. ### ### ### ### ### ..# ### ###
#.# .#. #.. ..# ..# ..# #.# ..# #.# ..#
### ### ### ### ..# ### ### ..# ### ###
"""
marks = np.array([[list(digit) for digit in line.split()] for line in FONT.split("\n")[1:-1]])
marks = (
    (marks == "#").swapaxes(0, 1).repeat(2, axis=1).repeat(2, axis=2)
)  # (10 digits, 10, 6 pixels)
templates = np.full((10, 20, 16), 0.4, np.float32)
templates[:, 5:15, 5:11] += 0.16 * marks

rows, columns = (8, 10) if FAST else (20, 40)
digits = np.random.default_rng(0).integers(10, size=(rows, columns))


def sheet_of(digits):
    return templates[digits].swapaxes(1, 2).reshape(rows * 20, columns * 16)


def tiles_of(image):
    return image.reshape(rows, 20, columns, 16).swapaxes(1, 2)


def read(image):
    """The nearest template to each tile of a sheet."""
    distances = [((tiles_of(image) - template) ** 2).sum((2, 3)) for template in templates]
    return np.stack(distances).argmin(0)


def practise(process):
    """A reader that has seen three processed sheets and their digits."""
    seen, known = [], []
    for seed in (10, 11, 12):
        truth = np.random.default_rng(seed).integers(10, size=(rows, columns))
        page = process(add_noise(sheet_of(truth), SIGMA, np.random.default_rng(seed + 10)))
        seen.append(tiles_of(page).reshape(-1, 320))  # 20 x 16 pixels
        known.append(truth.ravel())
    seen, known = np.concatenate(seen), np.concatenate(known)
    means = np.stack([seen[known == digit].mean(0) for digit in range(10)])
    errors = seen - means[known]
    together = errors.T @ errors / len(errors)
    together += together.trace() / 320 * np.eye(320)  # steadies what few sheets cannot tell
    weights = np.linalg.solve(together, means.T)
    bias = (means.T * weights).sum(0) / 2

    def practised(image):
        return (tiles_of(image).reshape(rows, columns, 320) @ weights - bias).argmax(2)

    return practised


def through_network(page):
    return denoise(shipped, page, SIGMA)


sheet = sheet_of(digits)
noisy = add_noise(sheet, SIGMA, np.random.default_rng(1))
fainter = 0.4 + 0.3 * (noisy - 0.4)
cleaned = through_network(noisy)
right = {
    "ideal reader, noisy sheet": read(noisy),
    "the same, sheet made fainter": read(fainter),
    "the same, denoised sheet": read(cleaned),
    "practised reader, noisy sheet": practise(lambda page: page)(noisy),
    "practised reader, denoised sheet": practise(through_network)(cleaned),
}
right = {name: np.mean(found == digits) for name, found in right.items()}
decibels = [f"{psnr(sheet, image):.2f} dB" for image in (noisy, cleaned)]
print(f"{digits.size} digits, noisy {decibels[0]}, denoised {decibels[1]}; read right:")
for name, share in right.items():
    print(f"{name:33}{share:5.0%}")

_, axes = plt.subplots(3, 1, figsize=(8, 6.8), layout="constrained")
for ax, (title, image) in zip(axes, {"clean": sheet, "noisy": noisy, "denoised": cleaned}.items()):
    ax.imshow(image[:40, :160], cmap="gray", vmin=0, vmax=1)
    ax.set_title(title, fontsize=10)
    ax.axis("off")
    for i, j in np.argwhere(read(image)[:2, :10] != digits[:2, :10]):
        ax.text(16 * j + 12, 20 * i + 17, read(image)[i, j], color=ORANGE, fontsize=12)
viz.show(
    "Two rows of faint digits, clean, noisy and denoised; orange numbers say how some of them were "
    "misread: few in the noisy rows, many in the denoised ones, which look calmer."
)

# %% [markdown]
# **What to see.** An orange number is what the ideal reader took the digit for. The denoised
# picture has many decibels more and looks calmer; yet this reader gets only about half of it right.
# How much of that is the reader's fault? It is ideal for the noisy picture only: make that picture
# fainter, which loses nothing, and it reads 22 %. So let a second reader practise, once on noisy
# sheets and once on denoised ones: 89 % and 80 %. Equal practice, and the denoised picture is still
# *read worse*.
#
# And nobody can read the denoised picture better than the noisy one can be read: what is computed
# from the noisy picture alone knows no more about the digit than that picture did (the
# data-processing inequality; Cover and Thomas, *Elements of Information Theory*, 2006). It may know
# less. Digits of this kind do not occur in the photographs of its training, and the squared error
# likes a doubtful stroke best when it is half gone.
#
# For your eyes, which are no ideal reader, a denoised photograph may well be easier. But a number
# plate, a face or a shadow on an X-ray that becomes clear *by denoising* is a guess from other
# people's photographs. **It is no evidence. Keep the original.**
#
# ## 10. Exercises
#
# ### Exercise 1: the best shrinkage
#
# The oldest adaptive denoiser: move each pixel towards its local mean $m$, but not all the way,
#
# $$\hat x = m + a\,(y - m) .$$
#
# If the clean pixels around have the variance $v$, the expected squared error is
# $(1 - a)^2\, v + a^2 \sigma^2$. Find the $a$ that makes it least. You are not given $v$ but the
# variance of the *noisy* pixels, which is $v + \sigma^2$ on average. An estimate from a few of them
# can come out smaller than $\sigma^2$; then $v$ is taken to be zero. Everything is an array.
#
# For example, with a mean of 0.5, a variance of 0.04 and $\sigma = 0.1$, a pixel of 0.9 becomes
# 0.8: three quarters of the way remain.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_1(rng, answer):
    """Against a search over all a, in small steps."""
    sigma = rng.uniform(0.05, 0.3)
    noisy, mean = rng.uniform(0, 1, (2, 3, 4))
    variance = sigma**2 * rng.uniform(1.2, 5, (3, 4))
    variance[rng.integers(3), rng.integers(4)] = sigma**2 * rng.uniform(0.2, 0.8)
    v = np.maximum(variance - sigma**2, 0)[..., None]
    a = np.linspace(0, 1, 20_001)
    best = a[((1 - a) ** 2 * v + a**2 * sigma**2).argmin(-1)]
    got = answer(noisy, mean, variance, sigma)
    expect(got, mean + best * (noisy - mean), "shrink(noisy, mean, variance, sigma)", 1e-4)


# %% tags=["exercise"]
def shrink(noisy, mean, variance, sigma):
    """The pixels (H, W), moved towards their mean (H, W) as far as is best; variance (H, W) is that
    of the noisy pixels around.
    """
    return ...  # yours


check_1(shrink)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def shrink(noisy, mean, variance, sigma):
#     a = np.maximum(variance - sigma**2, 0) / variance
#     return mean + a * (noisy - mean)
# ```
#
# The derivative $-2(1 - a)v + 2a\sigma^2$ is zero at $a = v / (v + \sigma^2)$, and the denominator
# is just the noisy variance. In a flat area $v$ is 0 and the answer is the mean; at an edge $v$ is
# large and the pixel stays as it is. Without the maximum, an unlucky estimate pushes pixels away
# from their mean. If the world is Gaussian this *is* the posterior mean. With
# `m = local_mean(noisy, 5)` and `local_mean(noisy**2, 5) - m**2` you have a denoiser in three lines
# (Lee 1980). Hold it against the local means on `middle("camera")`, where it wins, and on the cat
# of section 1, where it loses: 25 noisy pixels are a poor estimate of a variance.
#
# </details>
#
# ### Exercise 2: how strong is the noise?
#
# Nobody tells. But the difference of two neighbours is nearly free of the picture, except at edges.
# Estimate $\sigma$ from the horizontal differences of an image. Two things to mind: a difference of
# two independent errors has a larger standard deviation than each of them; and a few edges must not
# spoil the estimate, so do not take a mean square but the *median* of the absolute values. (Half of
# all Gaussian numbers are closer to zero than 0.6745 standard deviations.)


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_2(rng, answer):
    """A slow slope with three edges in it, and noise."""
    sigma = rng.uniform(5, 20) / 255
    image = np.linspace(0.2, 0.3, 128) * np.ones((128, 1))
    image[1::2] += 0.3  # rows differ
    for edge in rng.choice(np.arange(10, 120, 10), 3, replace=False):
        image[:, edge:] += 0.6 * rng.choice([-1, 1])
    got = answer(image + sigma * rng.standard_normal(image.shape))
    what = f"an image with three edges and noise of {255 * sigma:.2f} / 255, within 10 %"
    expect(got, sigma, f"estimate_noise of {what}", 0.1)


# %% tags=["exercise"]
def estimate_noise(image):
    """The standard deviation of the noise in an image (H, W), a number in the image's units."""
    return ...  # yours


check_2(estimate_noise)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def estimate_noise(image):
#     differences = np.diff(image, axis=1) / np.sqrt(2)
#     return np.median(np.abs(differences)) / 0.6745
# ```
#
# Variances add up, so a difference has $2\sigma^2$: forget the root of 2 and you are 41 % too high.
# The standard deviation in place of the median believes the edges. The library's `estimate_sigma`
# takes second differences along both axes, which a slope does not disturb, and the calmest tenth of
# the picture. Try both on `photograph("grass")`, without any noise: what is as fine as noise counts
# as noise.
#
# </details>
#
# ### Exercise 3: eight poses
#
# A photograph may be turned by 0, 90, 180 or 270 degrees, and each of the four may be mirrored.
# The network's answers to these eight differ a little, and where they differ they err differently.
# So ask it eight times, bring each answer back to the first pose, and take the mean (Timofte, Rothe
# and Van Gool 2016; the library uses the four turns). `f` takes an image (H, W) and returns one of
# the same size.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_3(rng, answer):
    """The poses of a filter: their mean is the filter with the mean of the turned windows."""
    # 5 x 5, since the mean of a 3 x 3 window's four turns is its own mirror image
    window, image = rng.standard_normal((5, 5)), rng.standard_normal((6, 8))

    def filtered(picture, window=window):
        total = np.zeros(np.shape(picture))
        for a, b in np.ndindex(5, 5):
            total += window[a, b] * np.roll(picture, (a - 2, b - 2), (0, 1))
        return total

    turned = [np.rot90(w, turns) for w in (window, window.T) for turns in range(4)]
    wanted = filtered(image, np.mean(turned, axis=0))
    expect(answer(filtered, image), wanted, "in_eight_poses(f, image) for a lopsided filter f")


# %% tags=["exercise"]
def in_eight_poses(f, image):
    """The mean of f's answers to the eight poses of an image (H, W), each brought back."""
    return ...  # yours


check_3(in_eight_poses)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def in_eight_poses(f, image):
#     total = np.zeros(image.shape)
#     for turns in range(4):
#         pose = np.rot90(image, turns)
#         total += np.rot90(f(pose), -turns)
#         total += np.rot90(f(pose[:, ::-1])[:, ::-1], -turns)
#     return total / 8
# ```
#
# What was done last is undone first: mirror back, then turn back, the other way. If you turn back
# in the same direction, you get the right size and a picture upside down. Try it on the noisy
# middle of `camera`, with `lambda pose: answer(student, pose)` for `f`, and compare the PSNR with
# that of one pose. The price is eight times the time.
#
# </details>
#
# ## Check

# %%
assert all(abs(error - 25 / count**0.5) < 0.05 * 25 / count**0.5 for count, error in errors.items())
assert np.allclose(np.add(left, blur), both, rtol=0.1) and 1 < np.argmin(both) + 1 < len(both)
assert abs(says - truly) < 0.03  # Bayes' rule keeps its promise
best = two_patches["the posterior mean"]
assert all(best < error for name, error in two_patches.items() if name != "the posterior mean")
assert FAST or two_patches["the network"] < two_patches["the more probable one"]
assert untouched == 0  # it starts as the identity
assert wrong > 0.99 > sound
assert invented < 5 and abs(steady[3] - 1) < 0.05 and abs(steady[50] - 1) < 0.02
ideal, fainter, denoised, practised, practised_denoised = right.values()
assert ideal > 0.8 and max(fainter, denoised) < ideal - 0.1 and practised < ideal
assert FAST or practised_denoised < practised - 0.03
assert psnr(sheet, cleaned) > psnr(sheet, noisy) + 5
assert all(mended_psnr[name] > max(broken[name][1:]) for name in mended)
assert all(max(found, key=found.get) in (20, 25, 30) for found in by_told.values())
if not FAST:
    assert after > before + 6
    assert all(np.mean(found) < np.mean(all_ideas) for found in list(ideas.values())[1:])
    assert np.mean(by_count[1]) < np.mean(by_count[4])
    gains = {name: late - early for name, (early, late) in longer.items()}
    assert max(gains, key=gains.get) == "3 levels, 14 photographs"
    assert by_level["only noise of 25"][-1] < by_level["any noise, told how strong"][-1]
    for images in results.values():
        found = {label: psnr(images["clean"], image) for label, image in images.items()}
        assert max(list(found)[1:], key=found.get) == "shipped network"
print("All checks passed.")
