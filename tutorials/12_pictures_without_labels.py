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
# # 12 · Pictures without labels
#
# **The question.** Somebody has to look at each picture and write down what it is: labels are dear.
# Pictures are not. What can a picture teach by itself? In this notebook the task is always made of
# the picture alone. Hide a part, and ask for it. Take one photograph, and ask for more of the same.
# Draw a picture's outline, and ask for the picture. Nobody labels anything, and the right answer
# is always there. Except that often it is not the only one.
#
# We fill holes and count what a network has understood by it, say what a texture is, paint one that
# has no size and no seams, and see why a network that makes the smallest error paints fog.
#
# **You need:** notebooks 04 (transposed convolutions) and 09 (sections 1 to 5).
#
# **Time:** 75 minutes of reading and trying, and two minutes of computing.
#
# **Afterwards you can** choose a task that needs no labels and a loss for it, test fairly what was
# learned, tell which answers a loss prefers, and say how far a network sees.

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
from tinydeconv import models, nn, optim, viz
from tinydeconv.data import Glyphs, Loader, digits, photograph
from tinydeconv.exercises import exercise, expect
from tinydeconv.nn import functional as F
from tinydeconv.recipes.pix2pix import Outlines
from tinydeconv.viz import BLUE, GREY, ORANGE

rng = np.random.default_rng(0)


def show_rows(rows, alt, width=9.5):
    """Rows of pictures {title: (n, 1, side, side) in [-1, 1]}, black at -1, white at 1."""
    size = width, sum(width / len(pictures) + 0.32 for pictures in rows.values())
    _, axes = plt.subplots(len(rows), 1, figsize=size, layout="constrained")
    for ax, (title, pictures) in zip(axes, rows.items()):
        framed = np.pad(pictures[:, 0], ((0, 0), (1, 1), (1, 1)), constant_values=1)
        ax.imshow(np.hstack(list(framed)), cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
        ax.set_title(title, fontsize=10, loc="left")
        ax.axis("off")
    viz.show(alt)


def centred(pixels):
    return td.tensor(pixels / np.float32(127.5) - 1)


def teach(optimizer, loss, network):
    optimizer.zero_grad()
    loss.backward(inputs=[*network.parameters()])
    optimizer.step()


# %% [markdown]
# ## 1. Filling a hole
#
# Pathak et al. (2016) hide a square of a picture and train a network to paint it: a *context
# encoder*. An encoder of strided convolutions reads the picture until little room is left, a
# decoder of transposed convolutions paints. The thought: only who has understood what is in the
# picture can paint what is missing. The pictures are the digits of notebook 09, in eight faces.

# %%
SIZE, BATCH = 32, 8 if FAST else 32
CHANNELS = 24, 48, 96
FILL_STEPS = 30 if FAST else 500


def holes_for(n):
    """Squares of 10 to 18 pixels a side, anywhere: (n, 1, SIZE, SIZE), 1 in the hole, else 0."""
    holes = np.zeros((n, 1, SIZE, SIZE), np.float32)
    for hole, side in zip(holes, rng.integers(10, 19, n)):
        top, left = rng.integers(SIZE - side + 1, size=2)
        hole[:, top : top + side, left : left + side] = 1
    return td.tensor(holes)


def everywhere(painted, pictures, holes):
    return ((painted - pictures) ** 2).mean()


def in_the_hole(painted, pictures, holes):
    return ((painted - pictures) ** 2 * holes).sum() / holes.sum()


TASKS = {"loss in the hole": in_the_hole, "loss everywhere": everywhere}


def learn(loss):
    """An encoder and decoder, the same at first for both losses."""
    td.manual_seed(0)
    network = models.Filler(channels=CHANNELS)
    optimizer = optim.Adam(network.parameters())
    schedule = optim.OneCycleLR(optimizer, 4e-3, FILL_STEPS)
    for pixels, _ in Loader(Glyphs(size=SIZE), BATCH, FILL_STEPS).batches(0):
        pictures, holes = centred(pixels), holes_for(len(pixels))
        teach(optimizer, loss(network(pictures * (1 - holes)), pictures, holes), network)
        schedule.step()
    return network


start = perf_counter()
learned = {name: learn(loss) for name, loss in TASKS.items()}
print(f"{len(TASKS)} x {FILL_STEPS} steps in {perf_counter() - start:.0f} s")
filler = learned["loss in the hole"]
for layer in (*filler.down, *filler.up, filler.last):
    print(f"    {type(layer).__name__:16}{layer.weight.shape}")

COUNT = 200 if FAST else 1000
pixels, labels = Glyphs(size=SIZE, seed=1).batch(0, range(COUNT))  # which no network has seen
fresh, holes = centred(pixels), holes_for(COUNT)
rows = {"given": fresh * (1 - holes)}
for name in TASKS:
    with td.no_grad():
        painted = learned[name](rows["given"])
    print(f"{name:26} error in the hole {in_the_hole(painted, fresh, holes).item():.3f}")
    rows[name] = rows["given"] + painted * holes  # only the hole is painted
rows["as it was"] = fresh
empty = in_the_hole(td.tensor(-1.0), fresh, holes).item()
print(f"{'black in the hole':26} error in the hole {empty:.3f}")
show_rows(
    {name: pictures.numpy()[:14] for name, pictures in rows.items()},
    "Four rows of fourteen digits: with a grey square over a part; the square painted by two "
    "networks, roughly right and blurred where much is hidden; and as they were.",
)

# %% [markdown]
# **What to see.** Strokes go on where they were cut off, and where nothing is left of a digit's
# character, there is a blur (section 6 says why).
#
# Why the loss only in the hole? What is outside was given. To paint it again is copying: another
# task, through a narrow place at that. `in_the_hole` is blind to it: its gradient there is exactly
# zero, the network may paint there what it likes, and we throw it away. And the number says one
# thing. An error everywhere falls while the copies get better, and tells little about the hole.
# After the same steps both fill about equally well. Whether they have understood as much is another
# question.
#
# ## 2. What has it understood?
#
# A fair test asks somebody who depends on it. Take 1, 5 or 20 labelled digits a class. A linear
# classifier gets the encoder's last feature maps, which stay as they are, in place of pixels. The
# same from an encoder with *random* weights, and from the pixels. All have the same digits and
# the same rule (least squares with the same penalty, solved exactly, so that nobody has better
# learning rates). Each seed draws other labelled digits, and other random weights.

# %%
EACH = 1, 5, 20  # labelled digits of a class
SEEDS = 2 if FAST else 6


def classify(known, labels, asked, penalty=0.03):
    """The classes of asked features (m, d), by least squares from known ones (n, d)."""
    middle = known.mean(0)
    known, asked = known - middle, asked - middle
    products = known @ known.T
    products += penalty * np.trace(products) / len(known) * np.eye(len(known))
    return (asked @ known.T @ np.linalg.solve(products, np.eye(10)[labels] - 0.1)).argmax(1)


def features(network, pictures):
    with td.no_grad():
        return network.features(pictures).flatten(1).numpy()


def labelled(pixels, labels, each):
    """The first so many of each class."""
    chosen = np.concatenate([np.flatnonzero(labels == c)[:each] for c in range(10)])
    return centred(pixels[chosen]), labels[chosen]


def right(encoders, draw, asked, answers):
    """{encoder: shares read right (EACH, SEEDS)}; draw(seed) gives pixels and labels."""
    found = {name: np.zeros((len(EACH), SEEDS)) for name in (*encoders, "random weights", "pixels")}
    for seed in range(SEEDS):
        td.manual_seed(seed)
        those = encoders | {"random weights": models.Filler(channels=CHANNELS)}
        views = {name: lambda x, net=net: features(net, x) for name, net in those.items()}
        views["pixels"] = lambda x: x.flatten(1).numpy()
        pool = draw(seed)
        for name, view in views.items():
            seen = view(asked)
            for i, each in enumerate(EACH):
                known, theirs = labelled(*pool, each)
                found[name][i, seed] = np.mean(classify(view(known), theirs, seen) == answers)
    return found


def cell(shares, sign=""):
    return f"{100 * shares.mean():{sign}9.1f} ±{100 * shares.std(ddof=1):3.1f}"


def print_shares(found):
    print(f"{'right in %, of labels a class':30}" + "".join(f"{each:>14}" for each in EACH))
    for name, shares in found.items():
        print(f"{name:30}" + "".join(cell(s) for s in shares))
    for name in [name for name in found if name in TASKS]:
        gains = found[name] - found["random weights"]  # seed by seed
        print(f"gain, {name:24}" + "".join(cell(s, "+") for s in gains))


def draw_glyphs(seed):
    return Glyphs(size=SIZE, seed=100 + seed).batch(0, range(1000))


on_glyphs = right(learned, draw_glyphs, fresh, labels)
print_shares(on_glyphs)

_, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
looks = ("o-", BLUE), ("s--", ORANGE), ("x:", GREY), ("+--", "black")
for (name, shares), (style, colour) in zip(on_glyphs.items(), looks):
    ax.plot(EACH, 100 * shares.mean(1), style, color=colour, label=name)
    ax.fill_between(EACH, 100 * shares.min(1), 100 * shares.max(1), color=colour, alpha=0.1)
ax.set(xscale="log", xlabel="labelled digits a class", ylabel="fresh digits read right, %")
ax.set_xticks(EACH, EACH)
ax.minorticks_off()
ax.set_title("A linear classifier on what was learned without labels")
ax.legend(fontsize=9)
viz.show(
    "The share of digits read right against the number of labelled ones, for features learned with "
    "two losses, random features and pixels, with the range over seeds; all rise from about a "
    "fifth, and those of the fillers rise most."
)

# %% [markdown]
# **What to see.** The last lines of the table are the gains over random weights, seed by seed, with
# their standard deviation; the shaded ranges are all seeds. With one label a class there is no
# gain. With five and with twenty there is one, far beyond the spread, for the loss in the hole. The
# other network has also learned to copy, and gains less or nothing, though it fills as well. And
# random weights are no straw man: filters that nobody has trained beat pixels.
#
# Does it help with *other* pictures? Here are real digits, written by thirteen people (8 x 8
# pixels, from scikit-learn, enlarged). The encoder has only ever seen printed ones.

# %%
written, meant = digits()
written = 255 * written.repeat(4, 2).repeat(4, 3)
order = rng.permutation(len(written))
asked, pool = order[:COUNT], order[COUNT:]


def draw_handwritten(seed):
    mixed = np.random.default_rng(seed).permutation(pool)
    return written[mixed], meant[mixed]


of_hand = right({"loss in the hole": filler}, draw_handwritten,
                centred(written[asked]), meant[asked])  # fmt: skip
print_shares(of_hand)

# %% [markdown]
# Compare with the random weights again: nothing is left of the gain. The encoder knows how strokes
# go on in eight faces of print, which is what its task needed. A pen's strokes are others, and
# eight pixels a side leave little to see.
# **What is learned without labels is learned about the pictures that were shown.**
#
# ## 3. What is a texture?
#
# Gravel is gravel wherever you look. So a texture is what stays when *positions* are thrown away.
# All positions of all pixels? Then a histogram is left. Gatys, Ecker and Bethge (2015) keep more:
# they look through many filters, multiply every two answers *at the same place*, and take the mean
# over all places. The table of these means is the **Gram matrix**: it knows which patterns come
# together, and not where. Theirs are the filters of a trained network; random ones do as well
# (Ustyuzhaninov et al. 2016).

# %%
FILTERS = np.random.default_rng(0).standard_normal((32, 1, 7, 7))
FILTERS -= FILTERS.mean((2, 3), keepdims=True)
FILTERS /= np.linalg.norm(FILTERS, axis=(2, 3), keepdims=True)


def gram(image):
    """How often patterns come together in an image (H, W), continued by itself: (32, 32)."""
    around = td.tensor(np.pad(np.float64(image), 3, mode="wrap")[None, None])
    answers = F.relu(F.conv2d(around, td.tensor(FILTERS))).numpy()[0].reshape(32, -1)
    return answers @ answers.T / image.size


def apart(a, b):
    """The difference of the Gram matrices of two images, over their sum: 0 if equal, at most 1."""
    a, b = gram(a), gram(b)
    return np.linalg.norm(a - b) / (np.linalg.norm(a) + np.linalg.norm(b))


def show_grey(ax, image, title):
    """An image in [0, 1] in 24 greys, which keep the notebook small."""
    ax.imshow(np.round(23 * image), cmap="gray", vmin=0, vmax=23, interpolation="nearest")
    ax.set_title(title, fontsize=9)


def half(image):
    """An image of half the size: means of 2 x 2 pixels."""
    return image.reshape(image.shape[0] // 2, 2, -1, 2).mean((1, 3))


stones = half(photograph("gravel"))  # 256 x 256
corner = stones[:128, :128]
blocks = corner.reshape(4, 32, 4, 32).swapaxes(1, 2).reshape(16, 32, 32)
others = {
    "shifted": np.roll(corner, (37, 50), (0, 1)),
    "blocks shuffled": blocks[rng.permutation(16)].reshape(4, 4, 32, 32).swapaxes(1, 2)
    .reshape(128, 128),
    "another corner": stones[128:, 128:],
    "grass": half(photograph("grass"))[:128, :128],
    "pixels shuffled": rng.permuted(corner.ravel()).reshape(128, 128),
}  # fmt: skip
_, axes = plt.subplots(1, 6, figsize=(8.4, 1.9), layout="constrained")
far = {}
for ax, (name, image) in zip(axes, {"a corner of gravel": corner, **others}.items()):
    far[name] = apart(corner, image)
    show_grey(ax, image, f"{name}\n{far[name]:.3f}")
    ax.axis("off")
viz.show(
    "Six squares: gravel, the same shifted, with its blocks shuffled, another corner of it, grass, "
    "and the gravel with its pixels shuffled, which is noise; with the distance of each."
)
worst = max(np.mean((corner - others[name]) ** 2) for name in ("shifted", "blocks shuffled"))
print(f"shifted: {far['shifted']:.1e}; mean squared error shifted or in blocks: up to {worst:.3f}, "
      f"of grass {np.mean((corner - others['grass']) ** 2):.3f}")  # fmt: skip

# %% [markdown]
# **What to see.** The number is the distance from the first. A shift does not change a Gram matrix
# at all, and shuffled blocks change only what lies across their borders. To the squared error they
# are as wrong as grass. Shuffled pixels have the same histogram to the last grey, and are far: it
# is the neighbours that make gravel.
#
# ## 4. A generator without a size
#
# The DCGAN of notebook 09 begins with a dense layer: so many numbers in, so many pixels out, each
# pixel with weights of its own. Leave the dense layer out (*Spatial GAN*; Jetchev, Bergmann and
# Vollgraf 2016). A *field* of noise goes in, convolutions and transposed convolutions paint, and
# more noise gives a larger picture. All is painted by one rule, the same at each place.
#
# Is it? Zeros around the border (`padding`) are no noise. A convolution that meets them knows where
# it is. Here is one generator, with padding and without, given the same number in every cell of
# noise. Nothing differs from place to place; so nothing may differ in the picture.

# %%
LATENT = 24
td.manual_seed(0)
generator = models.TextureGenerator(LATENT, (48, 32)).eval()
FACTOR, MARGIN = generator.factor, generator.margin  # pixels a cell; cells it looks around


def with_padding(noise):
    """The same layers, which fill up with zeros what they lack."""
    h = noise
    for layer in generator.ladder:
        if isinstance(layer, nn.ConvTranspose2d):
            h = F.conv_transpose2d(h, layer.weight, layer.bias, stride=2, padding=1)
        else:
            h = F.conv2d(h, layer.weight, padding=1) if isinstance(layer, nn.Conv2d) else layer(h)
    return h


cells = 16
with td.no_grad():
    number = td.randn(1, LATENT, 1, 1) * td.ones(1, 1, cells + 2 * MARGIN, cells + 2 * MARGIN)
    bare = generator(number).numpy()[0, 0]
    padded = with_padding(number[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]).numpy()[0, 0]
inside = padded.reshape(cells, FACTOR, cells, FACTOR)[cells // 2, :, cells // 2]
_, axes = plt.subplots(1, 2, figsize=(6, 3.3), layout="constrained")
off = {}
for ax, (name, picture) in zip(axes, {"without padding": bare, "with padding": padded}.items()):
    wrong = abs(picture - np.tile(inside, (cells, cells))) / np.ptp(padded)
    off[name] = wrong.max()
    ax.imshow(wrong, cmap="gray", vmin=0, vmax=0.1)
    ax.set_title(f"{name}: up to {wrong.max():.1g}", fontsize=10)
    ax.axis("off")
middle = wrong[cells * FACTOR // 2, : cells * FACTOR // 2]
depth = int(np.flatnonzero(middle > 1e-6).max()) + 1
viz.show(
    "How far each pixel is from those of the cell in the middle, where all noise is the same: "
    "without padding black, nothing anywhere; with padding a bright frame around a black middle."
)
print(f"with padding, {depth} pixels from each border are painted by another rule")

# %% [markdown]
# **What to see.** The difference of each cell from the one in the middle. Without padding there is
# none, beyond rounding. With padding there is a frame. A discriminator can learn to look for it,
# and pieces of two such pictures never fit. So `models.TextureGenerator` pads nowhere. It asks for
# a margin of noise in place of it, as far as it looks: three cells on each side.
#
# Now train it, on crops of one photograph, against a discriminator that has no size either.

# %%
CROP, STEPS = 48, 8 if FAST else 600
STAGES = (2, 4, 8) if FAST else (60, 200, 600)


def paint(noise):
    """What the generator makes of noise (n, LATENT, h, w)."""
    generator.eval()
    with td.no_grad():
        picture = generator(td.tensor(np.float32(noise))).numpy()
    generator.train()
    return picture


def field(*sizes):
    return rng.standard_normal((1, LATENT, *sizes))


td.manual_seed(1)
judge = models.PatchDiscriminator((32, 64, 64))
optimizers = [optim.Adam(net.parameters(), 6e-4, (0.5, 0.999)) for net in (generator, judge)]
schedules = [optim.lr_scheduler.CosineAnnealingLR(of, STEPS) for of in optimizers]
same_noise, stages, start = field(32 + 2 * MARGIN, 32 + 2 * MARGIN), {}, perf_counter()
generator.train()
for step in range(1, STEPS + 1):
    corners = rng.integers(len(stones) - CROP + 1, size=(4, 2))
    crops = np.stack([stones[y : y + CROP, x : x + CROP] for y, x in corners])[:, None]
    around = CROP // FACTOR + 2 * MARGIN
    fake = generator(td.randn(4, LATENT, around, around))
    real = judge(td.tensor(2 * crops - 1))
    teach(optimizers[1], F.softplus(-real).mean() + F.softplus(judge(fake.detach())).mean(), judge)
    teach(optimizers[0], F.softplus(-judge(fake)).mean(), generator)
    for schedule in schedules:
        schedule.step()
    if step in STAGES:
        stages[f"after {step} steps"] = (paint(same_noise)[0, 0] + 1) / 2
print(f"{STEPS} steps in {perf_counter() - start:.0f} s")

_, axes = plt.subplots(1, 4, figsize=(7.6, 2.2), layout="constrained")
for ax, (name, image) in zip(axes, (stages | {"the photograph": corner}).items()):
    far[name] = apart(stones, image)
    show_grey(ax, image, f"{name}: {far[name]:.3f}")
    ax.axis("off")
viz.show(
    "What the generator paints after more and more steps: waves, scratches, then crowded grains "
    "with dark gaps; beside a corner of the photograph, of stones; with the Gram distance of each."
)

# %% [markdown]
# **What to see.** The number is the distance of Gram matrices from the whole photograph, which no
# training was asked to make small; that of the corner says how near one can come. It gets nearer:
# first waves, then scratches, then crowded grains with dark gaps between them. But few have an edge
# all around, and none has a lit and a dark side: half a minute's gravel. `tinydeconv train texture`
# takes minutes.
#
# ### A tile
#
# If noise that is shifted by a cell gives the picture shifted, then noise that *goes around* gives
# a picture that does. Continue a field of noise on each side by its own other end. The right edge
# then fits the left one, without anybody having trained for it.


# %%
def go_around(noise):
    """A field (n, C, h, w) with a margin on all sides, which is its own other end."""
    return np.pad(noise, ((0, 0), (0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)), mode="wrap")


def seam(pictures):
    """The mean step from the last column to the first, over that of neighbours inside."""
    steps = abs(np.diff(pictures, axis=3)).mean()
    return abs(pictures[:, :, :, 0] - pictures[:, :, :, -1]).mean() / steps


noise = field(16, 24)
tile = paint(go_around(noise))
four = paint(go_around(np.tile(noise, (1, 1, 2, 2))))
shifted = paint(go_around(np.roll(noise, (3, 5), (2, 3))))
differ = abs(four - np.tile(tile, (1, 1, 2, 2))).max()
moved = abs(shifted - np.roll(tile, (3 * FACTOR, 5 * FACTOR), (2, 3))).max()
many = 4 if FAST else 32
around = seam(np.concatenate([paint(go_around(field(16, 16))) for _ in range(many)]))
open_ended = seam(np.concatenate([paint(field(*2 * [16 + 2 * MARGIN])) for _ in range(many)]))

_, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
height, width = tile.shape[2:]
show_grey(ax, np.tile(tile[0, 0] + 1, (2, 3)) / 2, "The same tile six times")
ticks = np.arange(4) * width, np.arange(3) * height
ax.set_xticks(ticks[0])
ax.set_yticks(ticks[1])
ax.set(xlabel="x, pixels", ylabel="y, pixels")
viz.show(
    "A painted texture made of six equal tiles, two rows of three; only the marks at the axes tell "
    "where one ends and the next begins, and the same spots come again in each."
)
print(f"four tiles, and the picture of four times the noise: {differ:.1e} apart at most")
print(f"noise rolled by (3, 5) cells, and the tile rolled: {moved:.1e} apart at most")
print(f"step across the edge, over one inside: {around:.2f} of tiles, {open_ended:.2f} of others")

# %% [markdown]
# **What to see.** Four copies side by side *are* the picture that the network paints from four
# copies of the noise, to rounding. So the border of a tile is no more special than any other line
# of the inside, and steps across it are as large as others. Without going around they are not.
# (That the tile is repeated one does see. No seam is not the same as no repetition.)
#
# ## 5. How far a discriminator sees
#
# The discriminator of section 4 answers with a *map* of logits: one for each place, how real it
# looks around there (a *patch discriminator*; Li and Wand 2016, Isola et al. 2017). How many pixels
# does a logit depend on? Ask for its gradient. (In a net without batch norm: in training that
# lets every pixel of the batch into every logit, faintly.)


# %%
def field_of_view(channels):
    """Pixels a side on which the logit in the middle of the map depends."""
    net = models.PatchDiscriminator(channels, batch_norm=False).double()
    for w in net.parameters():
        w.data = abs(w.data) + 0.01  # nothing may cancel
    picture = (td.rand(1, 1, 160, 160) + 0.1).double()
    picture.requires_grad = True
    logits = net(picture)
    middle = logits.shape[2] // 2
    logits[0, 0, middle, middle].backward()
    return int(np.any(picture.grad.numpy()[0, 0] != 0, axis=0).sum())


views = {n: field_of_view((2,) * n) for n in (1, 2, 3, 4)}
for n, pixels in views.items():
    print(f"{n} strided convolutions (kernel 4, stride 2), one of kernel 3: {pixels} pixels")

# %% [markdown]
# Each halving more than doubles it (exercise 3 has the rule). The judge of gravel has three of
# them, and sees some stones at a time. What is wrong at a larger scale, it cannot punish: that the
# grass grows lighter towards one side, that a wall has one course too many. For a texture that is
# right. For a digit it is not, unless somebody else looks after the whole: in the next section it
# is the outline that is given.
#
# ## 6. Where several answers are right
#
# Take a picture of 9 x 9 pixels, of which we know: it is one of three strokes, each as likely as
# the others. Which picture makes the *expected* error smallest? The error is a sum over pixels, so
# each pixel can be asked by itself. It is ink in one case of three. The squared error is least at
# the *mean* of the answers, the absolute error at their *median*.

# %%
strokes = np.zeros((3, 9, 9))
for stroke, column in zip(strokes, (2, 4, 6)):
    stroke[1:-1, column] = 1
greys = np.linspace(0, 1, 101)
ink = 1 / 3
costs = {"squared": (1 - ink) * greys**2 + ink * (1 - greys) ** 2,
         "absolute": (1 - ink) * greys + ink * (1 - greys)}  # fmt: skip
best = {name: greys[cost.argmin()] for name, cost in costs.items()}
toss = {grey: (grey + (1 - grey)) / 2 for grey in (0, 0.25, 1)}  # absolute, ink in half the cases
answers = {
    "the mean": strokes.mean(0), "the median": np.median(strokes, 0), "an answer": strokes[0],
}  # fmt: skip

table = {}
for name, picture in answers.items():
    wrong = picture - strokes
    table[name] = np.mean(wrong**2), np.mean(abs(wrong)), picture.max()
print(f"{'painted':12}{'squared error':>15}{'absolute error':>16}{'brightest':>11}")
for name, numbers in table.items():
    print(f"{name:12}{numbers[0]:15.4f}{numbers[1]:16.4f}{numbers[2]:11.2f}")

_, axes = plt.subplots(1, 4, figsize=(10, 2.7), layout="constrained", width_ratios=(1, 1, 1, 1.7))
for ax, (name, picture) in zip(axes, answers.items()):
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    ax.set_title(name)
    ax.axis("off")
axes[3].plot(greys, costs["squared"], color=BLUE, label="squared")
axes[3].plot(greys, costs["absolute"], "--", color=ORANGE, label="absolute")
axes[3].axvline(ink, color=GREY, ls=":", label="1/3, the mean")
axes[3].set(xlabel="grey painted, 0 to 1", ylabel="expected error", title="Ink in a third")
axes[3].legend(fontsize=8)
viz.show(
    "Three pictures: the mean of three strokes is three grey strokes, their median is empty, and "
    "an answer is one white stroke. The expected error of a pixel by the grey painted: the squared "
    "has its minimum at a third, the absolute at zero."
)

# %% [markdown]
# **What to see.** The mean has three pale strokes. The median has none: each pixel is more likely
# empty. **Neither is an answer**, and both make a smaller error than an answer does: of the squared
# error, an answer makes exactly twice what the mean makes. (With *two* answers, equally likely, the
# absolute error does not care: any grey between costs the same.) Who asks for a small error asks
# for a compromise.
#
# An adversary asks something else: does this look like one of them? It has never seen three pale
# strokes. *Which* of the answers, it does not mind.
#
# ### From outlines to digits
#
# Isola et al. (2017, *pix2pix*): pairs of pictures, of which one is made from the other. Ours are
# outlines of digits, of which a grey square hides a part, and the digits. Outside of the square one
# answer is right, inside several are. The loss is $20\,|G(x) - y|$ in the mean, plus the
# non-saturating loss of a patch discriminator which looks at outline and answer together. The
# generator is a **U-Net** (Ronneberger et al. 2015): an encoder and a decoder, and *skips*: what
# the encoder knew at a size stands beside what the decoder makes of it. We train it three times:
# with the absolute error alone, with the adversary too, and alone without the skips.

# %%
PAIRS, PAIR_BATCH = (6, 2) if FAST else (400, 16)


class WithoutSkips(models.UNet):
    """The same layers and weights, with zeros where the encoder's pictures would stand."""

    def forward(self, images):
        h = self.first(images)
        sizes = []
        for down in self.down:
            sizes.append(h)
            h = down(h)
        for up in self.up:
            h = td.cat([up(h), 0 * sizes.pop()], 1)
        return self.last(h.relu()).tanh()


def translate(network, weight):
    """A trained network; weight: of the adversary."""
    critic = models.PatchDiscriminator((16, 32), in_channels=2)
    optimizers, schedules = [], []
    for net, rate in ((network, 2e-3), (critic, 1e-3)):
        optimizers.append(optim.Adam(net.parameters(), rate, (0.5, 0.999)))
        schedules.append(optim.lr_scheduler.CosineAnnealingLR(optimizers[-1], PAIRS))
    for given, wanted in Loader(Outlines(), PAIR_BATCH, PAIRS).batches(0):
        given, wanted = td.tensor(given), td.tensor(wanted)
        answer = network(given)
        loss = 20 * abs(answer - wanted).mean()
        if weight:
            real, fake = (critic(td.cat([given, x], 1)) for x in (wanted, answer.detach()))
            teach(optimizers[1], F.softplus(-real).mean() + F.softplus(fake).mean(), critic)
            loss = loss + weight * F.softplus(-critic(td.cat([given, answer], 1))).mean()
        teach(optimizers[0], loss, network)
        for schedule in schedules:
            schedule.step()
    return network.eval()


def unet(kind=models.UNet):
    td.manual_seed(0)
    return kind(channels=(16, 32, 64))


start = perf_counter()
translators = {
    "error alone": translate(unet(), 0), "with an adversary": translate(unet(), 1),
    "error alone, without skips": translate(unet(WithoutSkips), 0),
}  # fmt: skip
print(f"3 x {PAIRS} steps in {perf_counter() - start:.0f} s")

given, wanted = Outlines(seed=1).batch(0, range(100 if FAST else 500))
hidden = given == 0


def judged(picture):
    """Absolute error where the outline is seen, where not; steepness there, over the truth's."""
    error = abs(picture - wanted) / 2  # white less black is 1
    steps = [abs(np.diff(x, axis=3))[hidden[..., 1:]].mean() for x in (picture, wanted)]
    return error[~hidden].mean(), error[hidden].mean(), steps[0] / steps[1]


scores, rows = {}, {"given": given}
print(f"{'':28}{'error, seen':>12}{'error, hidden':>15}{'steepness, hidden':>19}")
for name, network in translators.items():
    with td.no_grad():
        rows[name] = network(td.tensor(given)).numpy()
    scores[name] = judged(rows[name])
    print(f"{name:28}{scores[name][0]:12.3f}{scores[name][1]:15.3f}{scores[name][2]:19.2f}")
rows["the digit"] = wanted
show_rows(
    {name: pictures[:14] for name, pictures in rows.items()},
    "Five rows of fourteen: outlines of digits with a grey square; the digits painted with the "
    "error alone, foggy where the square was; with an adversary, sharper there; without skips, "
    "greyer and coarser everywhere; and the true digits.",
)

# %% [markdown]
# **What to see.** With the error alone there is fog in the square, and the error is small. With the
# adversary it is steeper there, nearer to the truth, and the error is larger: that is the trade. It
# makes up its mind, and is often wrong. *Without the skips* it goes wrong where the outline is in
# plain sight: a line one pixel thin has to pass through a picture of 4 x 4. Behind the square
# nothing is lost, since there is nothing to pass on.
#
# ### What the skips carry
#
# Give the trained network the outline of *one* digit, and its skips the pictures of *another*
# outline. Whom does it paint?


# %%
def transplanted(network, image, donor):
    """What the network paints of an image, with the skips of another."""
    h, other, skips = network.first(image), network.first(donor), []
    for down in network.down:
        skips.append(other)
        h, other = down(h), down(other)
    for up in network.up:
        h = td.cat([up(h), skips.pop()], 1)
    return network.last(h.relu()).tanh()


network, x = translators["error alone"], td.tensor(given)
donor = td.tensor(np.roll(given, 1, 0))
with td.no_grad():
    own, mixed = transplanted(network, x, x).numpy(), transplanted(network, x, donor).numpy()
errors = {"its own": abs(mixed - wanted).mean() / 2,
          "the donor's": abs(mixed - np.roll(wanted, 1, 0)).mean() / 2}  # fmt: skip
print("error against " + ", ".join(f"{name} digit {error:.3f}" for name, error in errors.items()))
show_rows(
    {"through the smallest picture": given[:14], "through the skips": donor.numpy()[:14],
     "painted": mixed[:14]},
    "Three rows: outlines that go through the smallest picture, other outlines that go through the "
    "skips, and what is painted of both.",
)  # fmt: skip

# %% [markdown]
# **What to see.** Where the donor's lines are seen, they are painted: the short way carries where
# each line runs. The fog is the other's: behind the donor's square the skips have nothing to say,
# and the smallest picture, which is of another digit, is listened to. So a U-Net keeps what it sees
# by the skips, and needs its smallest picture for what it does not see.
#
# The recipes do all of it longer: `tinydeconv train fill`, `texture` and `pix2pix`. Here is what
# they reach, if you have the library's checkout (explained in `docs/gallery.md`):

# %%
for name in ("fill", "texture", "pix2pix", "pix2pix-l1"):
    record = Path("..") / "docs" / "gallery" / f"{name}.json"
    if record.exists():
        told = json.loads(record.read_text(encoding="utf-8"))
        print(f"$ {told['command']}\n{told['table']}")

# %% [markdown]
# ## 7. What it is worth
#
# - A task without labels is cheap, and it teaches *what the task needs*. Whether that is what you
#   need, only a test with your own pictures says; beside it must stand random weights, and pixels.
# - The loss decides which of several right answers you get. A mean is safe, and never sharp. An
#   adversary is sharp, and makes things up. **What is painted in a hole is not a measurement.**
# - Hide and ask has gone far since: words of a sentence (Devlin et al. 2018), three quarters of a
#   picture (He et al. 2021).
#
# ## 8. Exercises
#
# Each answer is checked on new numbers whenever you run its cell.
#
# ### Exercise 1: every picture counts the same
#
# In `in_the_hole`, a picture with a large hole counts for more than one with a small hole. Write
# the loss in which all pictures count the same: for each the mean squared error of its hole, over
# all its colours; then the mean over the pictures.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_1(rng, answer):
    """Pixel by pixel; and its gradient."""
    n, channels, side = int(rng.integers(2, 5)), int(rng.integers(2, 4)), int(rng.integers(6, 9))
    pictures, painted = rng.uniform(-1, 1, (2, n, channels, side, side))
    holes = np.zeros((n, 1, side, side))
    for hole, size in zip(holes, rng.permutation(5)[:n] + 1):
        top, left = rng.integers(side - size + 1, size=2)
        hole[0, top : top + size, left : left + size] = 1
    wanted, slope = 0.0, np.zeros_like(painted)
    for i, c, y, x in np.ndindex(painted.shape):
        if holes[i, 0, y, x]:
            wrong, share = painted[i, c, y, x] - pictures[i, c, y, x], n * channels * holes[i].sum()
            wanted += wrong**2 / share
            slope[i, c, y, x] = 2 * wrong / share
    x = td.tensor(painted)
    x.requires_grad = True
    got = answer(x, td.tensor(pictures), td.tensor(holes))
    assert isinstance(got, td.Tensor), f"expected a Tensor, got {type(got).__name__}."
    expect(got.detach().numpy(), wanted, "fair_loss", 1e-9)
    got.backward()
    expect(x.grad.numpy(), slope, "its gradient in what is painted", 1e-9)


# %% tags=["exercise"]
def fair_loss(painted, pictures, holes):
    """The loss, a Tensor (); pictures (n, C, H, W), holes (n, 1, H, W), 1 in the hole, else 0."""
    return ...  # yours


check_1(fair_loss)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def fair_loss(painted, pictures, holes):
#     errors = ((painted - pictures) ** 2 * holes).sum((1, 2, 3))
#     return (errors / (pictures.shape[1] * holes.sum((1, 2, 3)))).mean()
# ```
#
# `holes` has one channel for all colours, so its sum counts places and not numbers. With holes of
# one size both losses are the same, up to the colours.
#
# </details>
#
# ### Exercise 2: a frieze
#
# A frieze runs along a wall: its right end shall fit its left one, but it has an upper and a lower
# border. `noise` (n, C, h, w) already has its margin above and below. Give it the margin at the
# left and the right. Without `np.pad`, if you like: the noise of column $j$ of the result is
# that of column $j - m \bmod w$.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_2(rng, answer):
    """Number by number; the margin may be wider than the noise."""
    n, channels, height, width = (int(k) for k in rng.integers(2, 6, 4))
    noise, margin = rng.standard_normal((n, channels, height, width)), int(rng.integers(1, 8))
    wanted = np.zeros((n, channels, height, width + 2 * margin))
    for j in range(width + 2 * margin):
        wanted[..., j] = noise[..., (j - margin) % width]
    expect(answer(noise, margin), wanted, f"frieze of {width} columns, margin {margin}", 1e-12)


# %% tags=["exercise"]
def frieze(noise, margin):
    """Noise (n, C, h, w + 2 * margin) that goes around from left to right."""
    return ...  # yours


check_2(frieze)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def frieze(noise, margin):
#     width = noise.shape[3]
#     return noise[:, :, :, np.arange(-margin, width + margin) % width]
# ```
#
# Try it: `plt.imshow(np.tile(paint(frieze(field(16 + 2 * MARGIN, 24), MARGIN))[0, 0], (1, 3)))`.
#
# </details>
#
# ### Exercise 3: the field of view
#
# Layers are given as pairs (kernel, stride), the first sees the picture. On how many pixels a side
# does a number of the last layer's output depend? For four layers (4, 2), (4, 2), (4, 2), (3, 1)
# it is 38. Walk from the *last* layer to the first: so many places of its output need so many of
# its input.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_3(rng, answer):
    """By following which places are needed, one by one."""
    layers = [(int(rng.integers(2, 6)), int(rng.integers(1, 4))) for _ in range(rng.integers(2, 5))]
    needed = {0}
    for kernel, stride in layers[::-1]:
        needed = {place * stride + tap for place in needed for tap in range(kernel)}
    # strides wider than kernels leave places out; the field of view has them
    expect(answer(layers), max(needed) + 1, f"sees({layers})")


# %% tags=["exercise"]
def sees(layers):
    """Pixels a side, from the first pixel to the last, of layers [(kernel, stride), ...]."""
    return ...  # yours


check_3(sees)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def sees(layers):
#     side = 1
#     for kernel, stride in reversed(layers):
#         side = (side - 1) * stride + kernel
#     return side
# ```
#
# Places that are neighbours in the output are `stride` apart in the input, and the last needs
# `kernel` of them. Compare section 5: `sees([(4, 2)] * n + [(3, 1)])`.
#
# </details>
#
# ## Check

# %%
x = td.tensor(rng.standard_normal((3, 1, 6, 6)))
x.requires_grad = True
mask = td.tensor(np.float64(rng.random((3, 1, 6, 6)) < 0.4))
in_the_hole(x, x.detach() + 1, mask).backward()
assert np.all((x.grad.numpy() != 0) == (mask.numpy() == 1))  # blind to all that is not hidden
assert np.isclose(in_the_hole(x, x + 1, mask).item(), 1)
sides = holes.numpy().sum((1, 2)).max(1), holes.numpy().sum((1, 3)).max(1)
assert np.all(sides[0] == sides[1]) and sides[0].min() == 10 and sides[0].max() == 18
assert classify(np.eye(10), np.arange(10), np.eye(10)).tolist() == [*range(10)]
assert np.all(on_glyphs["pixels"] > 0.12) and np.all(on_glyphs["pixels"][2] > 0.3)
assert far["shifted"] < 1e-12 and far["blocks shuffled"] < 0.05 and far["another corner"] < 0.1
assert far["pixels shuffled"] > 1.5 * far["grass"] > 3 * far["another corner"]
assert worst > 0.02  # as wrong as grass, to the squared error
assert off["without padding"] < 1e-3 < 0.05 < off["with padding"] and 4 <= depth <= 16
assert differ < 1e-5 and moved < 1e-5
assert views == {1: 8, 2: 18, 3: 38, 4: 78}
assert np.isclose(best["squared"], ink, atol=0.01) and best["absolute"] == 0
assert len({*toss.values()}) == 1
assert np.isclose(table["an answer"][0], 2 * table["the mean"][0])
assert np.argmin([row[0] for row in table.values()]) == 0  # the mean, of the squared error
assert np.argmin([row[1] for row in table.values()]) == 1  # the median, of the absolute one
assert np.allclose(own, rows["error alone"], atol=1e-5)
if not FAST:
    with td.no_grad():
        assert in_the_hole(filler(fresh * (1 - holes)), fresh, holes).item() < empty / 2
    gains = {name: on_glyphs[name] - on_glyphs["random weights"] for name in TASKS}
    hole = gains["loss in the hole"]
    assert abs(hole[0].mean()) < 0.03 and hole[1].min() > 0 and hole[2].min() > 0.08
    assert hole[2].mean() > gains["loss everywhere"][2].mean() + 0.03
    assert abs(gains["loss everywhere"][1].mean()) < 0.03
    assert np.all((on_glyphs["random weights"] - on_glyphs["pixels"])[1:].mean(1) > 0.02)
    assert np.all((of_hand["loss in the hole"] - of_hand["random weights"]).mean(1) < 0.02)
    assert far[f"after {STAGES[-1]} steps"] < far[f"after {STAGES[0]} steps"]
    assert 0.85 < around < 1.15 < open_ended
    assert scores["with an adversary"][2] > scores["error alone"][2]
    assert scores["with an adversary"][1] > scores["error alone"][1]
    assert scores["error alone, without skips"][0] > 1.3 * scores["error alone"][0]
    assert errors["the donor's"] < errors["its own"] / 1.2
print("All checks passed.")
