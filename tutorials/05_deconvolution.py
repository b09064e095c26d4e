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
# # 05 · Deconvolution is not transposed convolution
#
# **The question.** The hand shook while the shutter was open, and the photograph is blurred. We
# even know how the hand moved. Can the sharp photograph be computed? To undo a convolution is
# called *deconvolution*, and many papers call a layer of their network by that name. Does the layer
# do it? If not, what does, and can a network learn to do it better?
#
# **You need:** notebooks 00 (PSNR, SSIM), 03 (the flip) and 04 (the transpose). Of the Fourier
# transform nothing: section 3 says in plain words what it is.
#
# **Time:** 90 minutes of reading and trying, and three minutes of computing.
#
# **Afterwards you can** tell a transpose from an inverse, say what noise and borders do to a
# division, choose among five ways to undo a blur by what they take for granted, and measure where
# each of them fails.

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
import inspect
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np

import tinydeconv as td
from tinydeconv import models, optim, restore, viz
from tinydeconv.data import HELD_OUT, TRAINING, add_noise, photograph
from tinydeconv.exercises import exercise, expect
from tinydeconv.metrics import psnr, ssim
from tinydeconv.nn import functional as F
from tinydeconv.viz import BLUE, GREEN, GREY, ORANGE

PHOTOS = [photograph(name) for name in (TRAINING[:2] if FAST else TRAINING)]
rng = np.random.default_rng(0)


def show_images(axes, images, clean=None):
    """Grey images side by side; clean: the one against which the PSNR is printed."""
    for ax, (name, image) in zip(np.ravel(axes), images.items(), strict=True):
        ax.imshow(image, cmap="gray", vmin=0, vmax=1)
        quality = "" if clean is None or image is clean else f"\n{psnr(clean, image):.1f} dB"
        ax.set_title(f"{name}{quality}", fontsize=11)
        ax.axis("off")


# %% [markdown]
# ## 1. A blur is a convolution
#
# While the shutter is open, the hand moves the picture across the sensor. What arrives is the mean
# of many copies of the picture, each moved a little. How much light falls at which offset is the
# **point spread function** (psf): it is what becomes of a single bright point.
#
# (A file's numbers are not proportional to light, they are bent by a curve, *gamma*; a real
# restoration undoes that first. We take the numbers for light.)

# %%
SIDE = 13  # pixels
time = np.linspace(0, 1, 20_000)  # while the shutter is open
rows, columns = 5 * np.cos(2 * np.pi * time) * (1 - 0.3 * time), -5 + 10 * time**1.3
psf, *_ = np.histogram2d(rows, columns, bins=SIDE, range=[[-SIDE / 2, SIDE / 2]] * 2)
psf = psf / psf.sum()  # no light is lost


def convolve(image, psf):
    """One moved copy of the image for each element of the psf. Borders: what leaves on one side
    comes back in on the other."""
    blurred = np.zeros_like(image)
    for (a, b), weight in np.ndenumerate(psf):
        blurred += weight * np.roll(image, (a - psf.shape[0] // 2, b - psf.shape[1] // 2), (0, 1))
    return blurred


cat = photograph("chelsea")[50:250, 80:300].astype(np.float64)
points = np.zeros((40, 40))
points[[10, 25, 30], [12, 28, 8]] = [1, 0.5, 1]

_, axes = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
shown = {"the psf": psf, "three points": points, "three points, blurred": convolve(points, psf)}
for ax, (name, picture) in zip(axes, shown.items()):
    ax.imshow(picture, cmap="gray", vmin=0, vmax=picture.max())
    ax.set_title(name, fontsize=11)
    ax.axis("off")
show_images(axes[3:], {"a photograph, blurred": convolve(cat, psf)})
viz.show(
    "Four pictures. A point spread function shaped like a steep arch; three bright points on "
    "black; the same points, each now a copy of the arch; a blurred photograph of a cat."
)

# %% [markdown]
# **What to see.** The picture went up, down again, and to the right all the while. Each point
# becomes a copy of that path, with as much light in all as the point had. (The pictures of points
# are each scaled to their own brightest pixel.)
#
# Written down, a copy moved by $a$ has at place $i$ what the picture has at $i - a$:
#
# $$(x * h)_i = \sum_a h_a\, x_{i-a} .$$
#
# The minus is the flip of notebook 03: this is the mathematician's convolution, and `conv2d` has a
# plus there. So to blur with a layer, turn the psf by 180 degrees first. `restore.blur` wants the
# psf as it is.


# %%
def turned(psf):
    return np.ascontiguousarray(psf[::-1, ::-1])


def layer(function, image, window):
    """conv2d or conv_transpose2d on one grey image, without padding."""
    return function(td.tensor(image[None, None]), td.tensor(window[None, None])).numpy()[0, 0]


edge = SIDE // 2
inside = np.s_[edge:-edge, edge:-edge]  # where the window does not reach across the border
blurred = convolve(cat, psf)
blur_errors = {
    "restore.blur(cat, psf)": restore.blur(cat, psf)[inside],
    "conv2d with the psf turned": layer(F.conv2d, cat, turned(psf)),
    "conv2d with the psf as it is": layer(F.conv2d, cat, psf),
}
blur_errors = {name: abs(b - blurred[inside]).max() for name, b in blur_errors.items()}
for name, error in blur_errors.items():
    print(f"{name:30} differs from ours by {error:.1e}")

# %% [markdown]
# ## 2. The transpose is not the inverse
#
# A blur is linear, so it is a matrix $A$: each column is what becomes of one pixel. Its transpose
# $A^T$ is the transposed convolution (notebook 04). Undoing it would take the inverse, $A^{-1}$.
# For a row of 16 pixels we can look at all three.

# %%
line_psf = np.array([[0.0, 0.0, 0.55, 0.3, 0.15]])
A = np.stack([convolve(point[None], line_psf)[0] for point in np.eye(16)], axis=1)
inverse = np.linalg.inv(A)
matrices = {"$A$: blur": A, "$A^T$: its transpose": A.T, "$A^{-1}$: its inverse": inverse}
matrices |= {"$A^T A$": A.T @ A, "$A^{-1} A$": inverse @ A}

_, axes = plt.subplots(1, 5, figsize=(12, 2.9), layout="constrained")
for ax, (name, matrix) in zip(axes, matrices.items()):
    picture = ax.imshow(matrix, cmap="PuOr", vmin=-2, vmax=2)
    ax.set_title(name, fontsize=11)
    ax.axis("off")
plt.colorbar(picture, ax=axes, shrink=0.75, label="element")
viz.show(
    "Five matrices of 16 by 16 as coloured squares. The blur is a narrow band beside the diagonal, "
    "its transpose the mirrored band, its inverse has strong elements of both signs; the transpose "
    "times the blur is a wider band, the inverse times the blur is the diagonal alone."
)

# %% [markdown]
# **What to see.** Purple is positive, orange negative. A blur mixes neighbours with positive
# weights. To part them again, the inverse must *subtract*, so it needs both signs. The transpose
# has no negative weight at all: it sends each number back to the pixels that it came from, which is
# one more mixing. $A^T A$ is a wider blur than $A$.
#
# On the photograph:

# %%
seen = layer(F.conv2d, cat, turned(psf))
back = layer(F.conv_transpose2d, seen, turned(psf))  # the same layer's transpose, the same weights
middle = np.s_[2 * edge : -2 * edge, 2 * edge : -2 * edge]  # where all of the window saw something
sharp = cat[middle]
there_and_back = {"sharp": sharp, "blurred": blurred[middle]}
there_and_back["then conv_transpose2d"] = back[middle]

_, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
show_images(axes, there_and_back, sharp)
viz.show(
    "A cat three times: sharp, blurred, and after the transposed convolution, which is blurred "
    "even more."
)

# %% [markdown]
# **What to see.** The transposed convolution has blurred the blurred photograph once more. There is
# one kind of window whose transpose undoes it: one that only moves the picture (or also turns it
# into its negative), for the way back of a step to the right is a step to the left. (Matrices whose
# transpose is their inverse are called orthogonal. They turn and mirror, but never make a vector
# shorter. A blur does.)
#
# **Why the layer has that name.** Zeiler, Krishnan, Taylor and Fergus (*Deconvolutional networks*,
# 2010) searched for features from which convolutions *build* an image; to find them, given the
# image, is indeed a deconvolution, and they solved it step by step. Zeiler and Fergus (*Visualizing
# and understanding convolutional networks*, 2014) carried the name over to one pass back through a
# network with transposed filters, and Long, Shelhamer and Darrell (*Fully convolutional networks
# for semantic segmentation*, 2015) to a layer that makes images larger. Nothing is undone there:
# the transpose stands where an inverse would, and the name stayed. In this library it is the
# layer's nickname, and nothing more.
#
# ## 3. Waves
#
# How does one invert a matrix with as many rows as a photograph has pixels? One does not need to,
# because there are pictures on which a blur does nothing but *multiply by a number*: waves.
#
# Take a row of pixels whose brightness goes up and down like a sine. Move it: still a wave of the
# same length. Add several moved copies: still the same wave, only weaker, since some copies go up
# where others go down, and perhaps moved as a whole. Here is the mean of seven neighbours:

# %%
place = np.arange(60)
figure, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained", sharey=True)
for ax, cycles in zip(axes, (2, 5, 10)):
    wave = np.sin(2 * np.pi * cycles * place / 60)
    weaker = convolve(wave[None], np.full((1, 7), 1 / 7))[0]
    factor = weaker @ wave / (wave @ wave)
    ax.plot(place, wave, color=GREY, ls="--", label="wave")
    ax.plot(place, weaker, color=BLUE, label="blurred")
    ax.set_title(f"{cycles / 60:.3f} cycles per pixel: times {factor:.2f}", fontsize=11)
    ax.set_xlabel("place, pixels")
axes[0].set_ylabel("brightness")
figure.legend(handles=axes[0].lines, loc="outside lower center", ncols=2)
viz.show(
    "Three sine waves of 2, 5 and 10 periods in 60 pixels, dashed, and the same after a blur: the "
    "slow one nearly as strong, the middle one much weaker, the fast one weak and upside down."
)

# %% [markdown]
# **What to see.** A wave stays a wave. The slow one passes, the middle one is weakened, the fast
# one comes out upside down: its factor is negative, $-0.14$. How often a wave goes up and down
# within a pixel is its **frequency**; 0.5 is the fastest that pixels can show, up at one, down at
# the next.
#
# Now the great fact (Fourier, *Théorie analytique de la chaleur*, 1822): **every picture is a sum
# of waves**, and there is only one way to write it so. `np.fft.fft2` finds how strong each wave is;
# its inverse adds them up again. A wave of an image runs in a direction, and it may be moved, so
# each is described by *one complex number*: its length says how strong the wave is, its angle how
# far it is moved. The photograph has as many waves as pixels, and nothing is lost. (For real
# pictures opposite frequencies are one wave, told twice: hence the symmetry of the pictures below.)
# To multiply complex numbers is to multiply their lengths and add their angles: to weaken a wave
# and to move it.
#
# So to blur is to multiply, wave by wave: $Y = H \cdot X$. Capital letters are the lists of waves
# (the *spectra*), and $H$ is the spectrum of the psf, laid into an image of the right size with its
# centre on the first pixel (a blur should not move the picture as a whole). It is called the
# **transfer function**.


# %%
def transfer(psf, shape):
    """The factor of each wave: the spectrum of the psf, with its centre on pixel (0, 0)."""
    image = np.zeros(shape)
    image[: psf.shape[0], : psf.shape[1]] = psf
    return np.fft.fft2(np.roll(image, (-(psf.shape[0] // 2), -(psf.shape[1] // 2)), (0, 1)))


H = transfer(psf, cat.shape)
by_waves = np.fft.ifft2(H * np.fft.fft2(cat)).real
waves_error = abs(by_waves - blurred).max()
print(f"sum of moved copies and product of waves: {waves_error:.0e} apart")
print(f"transfer and restore.transfer: {abs(H - restore.transfer(psf, cat.shape)).max():.0e} apart")

EXTENT = -0.5, 0.5, 0.5, -0.5  # cycles per pixel: left, right, bottom, top
_, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for ax, factors, name in zip(axes, [np.fft.fft2(cat - cat.mean()), H], ["photograph", "blur, |H|"]):
    strength = np.fft.fftshift(abs(factors) / abs(factors).max())  # slow waves in the middle
    picture = ax.imshow(np.log10(strength), cmap="magma", vmin=-4, vmax=0, extent=EXTENT)
    ax.set_title(name)
    ax.set(xlabel="cycles per pixel, to the right", ylabel="cycles per pixel, down", aspect="equal")
plt.colorbar(picture, ax=axes, label="strength over the strongest, log10")
viz.show(
    "Two heat maps over horizontal and vertical frequency. The photograph's waves are strongest in "
    "the middle, where they are slow. The blur lets the middle pass and weakens the rest, along "
    "dark curved lines by a hundred times and more."
)

# %% [markdown]
# **What to see.** One pixel for each wave, the slow ones in the middle; the scale is logarithmic
# ($-2$ is a hundredth). A photograph consists mostly of slow waves. The blur has dark lines: waves
# which it all but erases.
#
# ## 4. Divide
#
# If blurring multiplies each wave by a number, then undoing it is to divide: $X = Y / H$. This is
# the **inverse filter**.

# %%
rounded = np.round(blurred * 255) / 255  # as every 8-bit file does
noisy = blurred + 0.01 * rng.standard_normal(blurred.shape)


def inverse_filter(seen, psf):
    return np.fft.ifft2(np.fft.fft2(seen) / transfer(psf, seen.shape)).real


attempts = {"blurred": blurred, "divided": inverse_filter(blurred, psf)}
attempts["rounded, divided"] = inverse_filter(rounded, psf)
attempts["noisy, divided"] = inverse_filter(noisy, psf)
quality = {name: psnr(cat, image) for name, image in attempts.items()}

_, axes = plt.subplots(1, 4, figsize=(12, 3.3), layout="constrained")
show_images(axes, attempts, cat)
viz.show(
    "Four pictures: the blurred cat; divided, it is perfectly sharp, and hardly less so if it was "
    "rounded to 8 bits before; if noise was added before, stripes and grain cover everything."
)

# %% [markdown]
# **What to see.** Without noise the division is exact, to the last digits of 64-bit numbers. If the
# blurred photograph was rounded to 256 grey levels before, as in a file, it is good, but far from
# exact. With noise of 0.01 of the way from black to white, which is two and a half of those levels,
# it is worse than if nothing had been done. (And if $H$ were 0 for some wave, 0 divided by 0 would
# know no answer at all.) Why? Look at the waves, in rings of equal frequency. The *power* of
# a wave is its squared strength. Noise drawn for each pixel alone is *white*: of equal power in all
# waves.


# %%
def frequencies(shape):
    """Cycles per pixel of each wave, in any direction."""
    return np.hypot(*np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij"))


def rings(power, width=0.01):
    """(frequency, mean power) of rings of equal frequency, up to 0.5 cycles per pixel."""
    ring = (frequencies(power.shape) / width).astype(int).ravel()
    mean = np.bincount(ring, power.ravel()) / np.bincount(ring)
    return (np.arange(1, 50) + 0.5) * width, mean[1:50]


def power(image):
    """Of each wave, in the units of a variance a pixel."""
    return abs(np.fft.fft2(image)) ** 2 / image.size


noise = np.full(cat.shape, 0.01**2)  # white: the same power in each wave
_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
ax.semilogy(*rings(power(cat)), color="black", label="sharp photograph")
ax.semilogy(*rings(power(blurred)), color=BLUE, ls="--", label="blurred")
ax.semilogy(*rings(noise), color=ORANGE, ls=":", label="noise of 0.01")
ax.semilogy(*rings(noise / abs(H) ** 2), color=ORANGE, marker=".", label="the noise, divided")
ax.set(xlabel="frequency, cycles per pixel", ylabel="power, squared brightness")
ax.legend()
viz.show(
    "Power against frequency on a logarithmic axis. The photograph's falls by four powers of ten, "
    "the blurred one's faster, below the flat line of the noise. The divided noise rises from left "
    "to right, and from a third of the way on stands above the photograph nearly everywhere."
)
drowned = (noise / abs(H) ** 2 > power(cat)).mean()
print(f"the divided noise is stronger than the photograph in {drowned:.0%} of the waves")

# %% [markdown]
# **What to see.** From some frequency on the blurred photograph (blue) lies below the noise (dotted
# orange). Dividing lifts both, by the same factor. What was below the noise stays below it, but now
# it is *loud*: the divided noise (orange, with dots) rises above the photograph (black). (Within a
# ring the factors differ, and its mean is ruled by the waves on the dark lines of $|H|$: hence the
# spikes, and why orange crosses black further left than blue crosses the dots.)
#
# So the blur has not only weakened the waves, which can be undone; it has put most of them below
# the noise, which cannot. Every other method is an answer to one question: **what do we put in
# place of the waves that are lost?**
#
# ## 5. Wiener: the best factor for each wave
#
# First way: do not divide; multiply by the factor $g$ whose error is least on average. A wave $X$
# of power $S$ arrives as $HX$, plus noise of power $N$ that has nothing to do with it. Multiplied
# by $g$ it is wrong by
#
# $$\text{mean } |g\,(HX + \text{noise}) - X|^2 = |gH - 1|^2\, S + |g|^2\, N,
#   \qquad\text{least for}\qquad g = \frac{\overline{H}}{|H|^2 + N/S} .$$
#
# ($\overline{H}$ is the complex conjugate, which turns the angle back.) This is Norbert Wiener's
# filter, from a secret wartime report of 1942, published in 1949 (*Extrapolation, interpolation,
# and smoothing of stationary time series*). Where the wave is far above the noise, $g$ is $1/H$;
# where it is far below, $g$ goes to zero, and the wave is given up.


# %%
def wiener(seen, psf, noise_to_signal):
    H = transfer(psf, seen.shape)
    g = np.conj(H) / (abs(H) ** 2 + noise_to_signal)
    return np.fft.ifft2(g * np.fft.fft2(seen)).real


wiener_error = abs(wiener(noisy, psf, 0.01) - restore.wiener(noisy, psf, 0.01)).max()
print(f"wiener and restore.wiener: {wiener_error:.0e} apart")

# %% [markdown]
# The noise is known, but how strong is a wave of a photograph that nobody has seen? The simplest
# answer: all alike, so $N/S$ is one number, to be tried. A better one: as strong as in *other*
# photographs. Their power falls with the frequency, very roughly as a power of it (Field,
# *Relations between the statistics of natural images and the response properties of cortical
# cells*, 1987). The mean over the training photographs:

# %%
patch, window = 96, np.outer(*[np.hanning(96)] * 2)  # the window hides the patch's borders
spectra = []
for photo in PHOTOS:
    tops, lefts = (range(0, n - patch + 1, patch) for n in photo.shape)
    corners = [np.s_[top : top + patch, left : left + patch] for top in tops for left in lefts]
    patches = [photo[corner] - photo[corner].mean() for corner in corners]
    spectra.append(np.mean([power(p * window) for p in patches], 0) / (window**2).mean())
spectrum = np.mean(spectra, axis=0)

frequency, mean_power = rings(spectrum)
slope, level = np.polyfit(np.log(frequency[1:]), np.log(mean_power[1:]), 1)
print(f"power = {np.exp(level):.2g} * frequency ^ {slope:.2f}")


def noise_to_signal(shape, sigma):
    """For each wave, if the photograph is like those for training."""
    f = np.maximum(frequencies(shape), 1 / max(shape))  # what is slower than the image: as strong
    return sigma**2 / np.exp(level + slope * np.log(f))


tries = [restore.wiener(noisy, psf, number) for number in (0.003, 0.01, 0.02, 0.05, 0.1)]
by_number = max(tries, key=lambda image: psnr(cat, image))  # the best, for who knows the answer
by_law = restore.wiener(noisy, psf, noise_to_signal(noisy.shape, 0.01))
_, axes = plt.subplots(1, 4, figsize=(13, 3.2), layout="constrained", width_ratios=[1.3, 1, 1, 1])
for each in spectra:
    axes[0].loglog(*rings(each), color=GREY, lw=0.6, alpha=0.7)
axes[0].loglog(frequency, mean_power, color="black", label="mean")
law = np.exp(level + slope * np.log(frequency))
axes[0].loglog(frequency, law, color=ORANGE, ls="--", label="power law")
axes[0].set(xlabel="frequency, cycles per pixel", ylabel="power, squared brightness")
axes[0].set_xticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
axes[0].minorticks_off()
axes[0].set_title("training photographs (grey)", fontsize=11)
axes[0].legend()
wieners = {
    "noisy and blurred": noisy,
    "Wiener, best number": by_number,
    "Wiener, power law": by_law,
}
show_images(axes[1:], wieners, cat)
viz.show(
    "Left: power against frequency of each training photograph, thin lines that all fall, some far "
    "below others, and a straight line through their mean. Right: the noisy blurred cat, and two "
    "Wiener filters: sharper but grainy with one number, sharper and smoother with the power law."
)

# %% [markdown]
# **What to see.** On the left both axes are logarithmic, so a straight line is a power law. The
# grey lines differ a hundredfold and more, and the mean leans to the strongest; even so crude a law
# helps. On the right the cat is back, from the very numbers of which the inverse filter made
# stripes. Knowing how photographs are in general has helped more than the best of five numbers,
# picked with the answer at hand. (The cat is one of the grey lines. The photographs for the test,
# in section 10, are not.)
#
# ## 6. The border, and a crime
#
# We have cheated. We blurred with periodic borders and restored with periodic borders. To test a
# method on data made by the very model that it assumes is known as an **inverse crime** (Colton and
# Kress, *Inverse acoustic and electromagnetic scattering theory*, 1992). A camera does not wrap
# around: along its borders, light comes from things that are not in the picture. So from here on we
# blur a larger picture and cut the border off.

# %% tags=["gallery"]
SIGMA = 0.01  # of the noise: two and a half of 255 grey levels
MARGIN = 2 * SIDE


def observe(scene, psf, sigma, rng):
    """What the camera gets, and the sharp picture of the same part of the scene."""
    blurred = restore.blur(scene.astype(np.float32), psf)[inside]
    return add_noise(blurred, sigma, rng), scene[inside]


def bordered(method, seen, *args):
    """Restore a picture whose surroundings are unknown: let it go on without a jump first."""
    height, width = seen.shape
    return method(restore.periodic(seen, MARGIN), *args)[:height, :width]


def wiener_by_law(seen, psf, sigma=SIGMA):
    return restore.wiener(seen, psf, noise_to_signal(seen.shape, sigma))


seen, sharp = observe(photograph("chelsea"), psf, SIGMA, rng)
wrapped = add_noise(restore.blur(sharp, psf), SIGMA, rng)
borders = {
    "the crime: the blur wrapped around": wiener_by_law(wrapped, psf),
    "a real border": wiener_by_law(seen, psf),
    "a real border, continued": bordered(wiener_by_law, seen, psf),
}
border_quality = {name: psnr(sharp, image) for name, image in borders.items()}

_, axes = plt.subplots(1, 3, figsize=(12, 3.1), layout="constrained")
show_images(axes, borders, sharp)
viz.show(
    "The cat restored three times: clean with periodic borders; with ripples that run in from all "
    "four sides if the border was real; nearly as clean as the first if it was continued before."
)

# %% [markdown]
# **What to see.** In the middle picture ripples run in from all sides. At the border the picture
# jumps (its right side does not fit its left one); no blurred picture has such a jump, and the
# filter explains it with strong waves. On the right the picture was first made larger, so that it
# fades from the mirror image of one side to that of the other (`restore.periodic`), and cut to size
# afterwards. Under the crime, on the left, we would never have noticed. From here on all borders
# are real.
#
# ## 7. Richardson and Lucy: counting photons
#
# Second way: guess a sharp picture $x$, blur it, compare with what was seen. Where more
# was seen than the guess explains (a ratio above 1), everything that may have sent light there
# should be brighter. So send the ratio back *to where the light came from*, and multiply:
#
# $$x \;\leftarrow\; x \cdot A^T\,\frac{y}{A\,x} .$$
#
# There it is, the transposed convolution, in its proper place: it does not undo the blur, it
# carries the complaint back to those who are to blame, just as in the backward pass of a network.
# Richardson (*Bayesian-based iterative method of image restoration*, 1972) and Lucy (*An iterative
# technique for the rectification of observed distributions*, 1974) found it independently. It
# climbs towards the picture that is likeliest if each pixel counts photons, whose noise grows with
# the root of the brightness (Poisson noise), and it never gets below zero, as light cannot.


# %%
def richardson_lucy(seen, psf, iterations):
    x = np.full_like(seen, seen.mean())
    for _ in range(iterations):
        x = x * convolve(seen / convolve(x, psf), turned(psf))
    return x


little = blurred[60:110, 70:120]
ours = richardson_lucy(little, psf, 4)
rl_error = abs(ours - restore.richardson_lucy(little, psf, 4)).max()
print(f"richardson_lucy and restore.richardson_lucy: {rl_error:.0e} apart")

steps = [1, 2, 4, 8] if FAST else [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128]
clean = sharp[80:240, 80:240]
_, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
curves = {0.001: (BLUE, "o"), 0.01: (ORANGE, "s"), 0.03: (GREEN, "^")}
for sigma, (colour, marker) in curves.items():
    part = add_noise(restore.blur(sharp, psf), sigma, rng)[80 - MARGIN : 240 + MARGIN]
    part = part[:, 80 - MARGIN : 240 + MARGIN].clip(0)
    guesses = [restore.richardson_lucy(part, psf, n)[MARGIN:-MARGIN, MARGIN:-MARGIN] for n in steps]
    curve = [psnr(clean, guess) for guess in guesses]
    ax.semilogx(steps, curve, color=colour, marker=marker, label=f"noise of {sigma}")
    curves[sigma] = curve
ax.set(xlabel="iterations", ylabel="PSNR, dB")
ax.set_xticks(steps, steps)
ax.minorticks_off()
ax.legend()
viz.show(
    "Quality against the number of iterations for three strengths of noise. Each curve rises and "
    "then falls; the stronger the noise, the sooner."
)

# %% [markdown]
# **What to see.** More is not better. Each curve rises while the picture gains more from sharpness
# than it loses to noise, and falls from there on; the stronger the noise, the sooner. The likeliest
# picture, far to the right, is one that explains the noise too. What makes the method useful is
# that one stops early; when, depends on the noise.
#
# ## 8. Total variation: few edges
#
# Third way: say what a picture should look like, and look for the one that fits best. Rudin, Osher
# and Fatemi (*Nonlinear total variation based noise removal algorithms*, 1992) ask for little
# **total variation**: the sum of all steps from pixel to pixel. An edge costs its height, sharp or
# soft, so sharpness is free; ripples and noise go up and down many times, and cost much. With
# $\partial_1, \partial_2$ for the differences to the next pixel down and to the right, wanted is
#
# $$\text{the } x \text{ of the least}\quad \tfrac12 \sum (A x - y)^2 \;+\;
#   \text{weight} \cdot \sum \sqrt{(\partial_1 x)^2 + (\partial_2 x)^2} .$$
#
# No formula gives that $x$, since the root has a kink at zero (which is the point: it makes
# differences exactly zero, and the picture flat). The trick of Goldstein and Osher (*The split
# Bregman method*, 2009): let $d$ be a second copy of the differences. If $d$ is known, $x$ is
# one division of waves; if $x$ is known, $d$ is its differences, with each made shorter by the
# same amount. Take turns, and remember in $b$ what the two still disagree about. (In the library's
# loop `seen` and `power` are $\overline{H} Y$ and $|H|^2$ with what the differences add to it, and
# `tie` says how firmly $d$ and the differences are tied to each other; `shrink` is the amount by
# which each is made shorter.)

# %%
source = inspect.getsource(restore.total_variation)
print(source[source.index("    for _ in") :])

weights = [0.0001, 0.001, 0.01]
variations = {
    f"weight {weight}": bordered(restore.total_variation, seen, psf, weight, 10 if FAST else 60)
    for weight in weights
}
_, axes = plt.subplots(1, 3, figsize=(12, 3.2), layout="constrained")
show_images(axes, variations, sharp)
viz.show(
    "The cat restored with three weights of total variation: grainy with the smallest, clean with "
    "the middle one, and like a painting in flat patches with the largest."
)

# %% [markdown]
# **What to see.** Too little weight leaves the noise, too much paints in flat patches, and whiskers
# go first. One number to choose, as in the other methods.
#
# ## 9. A network
#
# Fourth way: do not say what photographs look like, but show some. Take the denoiser of notebook
# 00, blur the training photographs with our psf, and let it learn to answer with the sharp ones.
# Nobody tells it what a blur is. (No turning or mirroring of the pieces here: the blur has a
# direction.)
#
# And a fifth: we *know* what a blur is, so why let the network find out? First Wiener, then a
# network that repairs what Wiener leaves (as Schuler, Burger, Harmeling and Schölkopf did, *A
# machine learning approach for non-blind image deconvolution*, 2013). Both networks are the same,
# and see the same pieces of the same photographs.

# %%
pairs = [observe(photo, psf, SIGMA, rng) for photo in PHOTOS]
wiener_pairs = [(bordered(wiener_by_law, seen, psf), sharp) for seen, sharp in pairs]


def pieces(pairs, rng, size=48, count=4):
    """A batch of (given, sharp) pieces, each (count, 1, size, size)."""
    batch = []
    for given, sharp in (pairs[i] for i in rng.integers(len(pairs), size=count)):
        top, left = (rng.integers(n - size + 1) for n in sharp.shape)
        batch.append([p[None, top : top + size, left : left + size] for p in (given, sharp)])
    return (td.tensor(np.stack(part).astype(np.float32)) for part in zip(*batch))


def train(pairs, steps, rng):
    td.manual_seed(0)
    model = models.Denoiser()
    optimizer = optim.Adam(model.parameters())
    schedule = optim.OneCycleLR(optimizer, max_lr=5e-3, total_steps=steps)
    losses, start = [], perf_counter()
    for _ in range(steps):
        given, sharp = pieces(pairs, rng)
        loss = F.mse_loss(sharpen(model, given), sharp)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    print(f"{steps} steps in {perf_counter() - start:.0f} s, loss {np.mean(losses[-100:]):.5f}")
    return model, losses


def sharpen(model, given):
    return model(given, td.full((len(given),), SIGMA))


STEPS = 15 if FAST else 4000
network, losses = train(pairs, STEPS, np.random.default_rng(1))
repair, repair_losses = train(wiener_pairs, STEPS, np.random.default_rng(1))

# %%
_, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
width = max(1, STEPS // 30)
for curve, colour, style, name in [
    (losses, BLUE, "-", "network"),
    (repair_losses, ORANGE, "--", "Wiener, then network"),
]:
    smooth = np.convolve(curve, np.full(width, 1 / width), mode="valid")
    ax.semilogy(np.arange(len(smooth)) + width, smooth, color=colour, ls=style, label=name)
ax.set(xlabel="step", ylabel=f"mean squared error of {width} steps")
ax.legend()
viz.show(
    "Two falling loss curves on a logarithmic axis. The network that repairs Wiener's picture "
    "starts lower and stays lower than the one that gets the blurred picture."
)

# %% [markdown]
# **What to see.** The network alone has to find out what took Wiener one line, and at the end of
# its training it has not come to where the other one started. Why it stays behind, section 10 asks.
#
# ## 10. The contest
#
# The photographs `camera` and `astronaut` are held out: no network, no power law and no number
# below has seen them. Each classical method has one number to choose; it is chosen on the middle
# of the training photographs, by the mean PSNR (the inverse filter's: waves that the blur leaves
# weaker than this part of the strongest are set to 0). Wiener with the power law has none to
# choose, if the strength of the noise is known.

# %%
ROUNDS = 10 if FAST else 60  # of total variation
METHODS = {  # name: (method, the numbers to choose from)
    "inverse filter": (restore.inverse_filter, [0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6]),
    "Wiener, one number": (restore.wiener, [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2]),
    "Richardson-Lucy": (
        lambda seen, psf, n: restore.richardson_lucy(seen.clip(0), psf, n),
        [5, 10, 15, 20, 30, 40],
    ),
    "total variation": (
        lambda seen, psf, weight: restore.total_variation(seen, psf, weight, ROUNDS),
        [0.0003, 0.0006, 0.001, 0.0015, 0.002, 0.003, 0.005],
    ),
}


def centre(image, side=160):
    top, left = (max(0, (n - side) // 2) for n in image.shape)
    return image[top : top + side, left : left + side]


chosen = {}
for name, (method, numbers) in METHODS.items():
    scores = []
    for number in numbers[1:4] if FAST else numbers:
        tries = [
            psnr(centre(sharp), bordered(method, centre(seen), psf, number).clip(0, 1))
            for seen, sharp in pairs
        ]
        scores.append((np.mean(tries), number))
    best, chosen[name] = max(scores)
    print(f"{name:20}{chosen[name]:<8}" + "  ".join(f"{n}: {score:.2f}" for score, n in scores))


# %%
def restorers(psf):
    """{name: function of what was seen}, for those who believe in this psf."""

    def by(name):
        return lambda seen: bordered(METHODS[name][0], seen, psf, chosen[name])

    def by_law(seen):
        return bordered(wiener_by_law, seen, psf)

    return {
        "as seen": lambda seen: seen,
        "inverse filter": by("inverse filter"),
        "Wiener, one number": by("Wiener, one number"),
        "Wiener, power law": by_law,
        "Richardson-Lucy": by("Richardson-Lucy"),
        "total variation": by("total variation"),
        "network": lambda seen: through(network, seen),
        "Wiener, then network": lambda seen: through(repair, by_law(seen)),
    }


def through(model, image):
    with td.no_grad():
        return sharpen(model, td.tensor(image[None, None].astype(np.float32))).numpy()[0, 0]


observed, contest, table = {}, {}, {}
for photo in HELD_OUT:
    scene = centre(photograph(photo), 200) if FAST else photograph(photo)
    seen, sharp = observed[photo] = observe(scene, psf, SIGMA, np.random.default_rng(0))
    results = {name: work(seen).clip(0, 1) for name, work in restorers(psf).items()}
    table[photo] = {name: (psnr(sharp, r), ssim(sharp, r, 1)) for name, r in results.items()}
    contest[photo] = {"sharp": sharp} | results

print(" " * 22 + "".join(f"{photo:>19}" for photo in HELD_OUT))
for name in table["camera"]:
    scores = (table[photo][name] for photo in HELD_OUT)
    print(f"{name:22}" + "".join(f"{p:9.2f} dB {s:6.3f}" for p, s in scores))

# %% tags=["gallery"]
_, axes = plt.subplots(3, 3, figsize=(9.5, 10.6), layout="constrained")
part = np.s_[30:190, 130:290] if not FAST else np.s_[:, :]
for ax, (name, image) in zip(axes.flat, contest["camera"].items()):
    ax.imshow(image[part], cmap="gray", vmin=0, vmax=1)
    scores = "PSNR {:.2f} dB, SSIM {:.3f}".format(*table["camera"].get(name, (0, 0)))
    ax.set_title(f"{name}\n{scores if name in table['camera'] else 'held out'}", fontsize=10)
    ax.axis("off")
viz.show(
    "Nine versions of the photographer's head and camera: sharp, blurred, and restored by seven "
    "methods; those with one factor a wave are grainy or rippled, total variation is smooth with "
    "sharp edges, Wiener followed by the network is the most natural."
)

# %% [markdown]
# **What to see.** The inverse filter can only give waves up. Knowing how strong waves are in
# photographs (the power law) is worth more than a well-chosen number. Richardson and Lucy, who know
# only that light is not negative, come between the two in PSNR. Total variation knows about edges;
# it needs no training, and it is the one to beat. The network alone, after its 4000 steps, is far
# behind it.
#
# All this by PSNR. SSIM, which looks at patterns, swaps some neighbours: it puts the inverse filter
# above Wiener with one number on both photographs, and Richardson-Lucy above Wiener with the power
# law on one.
#
# The same network behind Wiener's filter is ahead of total variation on one photograph, and level
# on the other. Two things help it there: nobody asks it to find out what we already knew, and
# Wiener looks at the whole picture, while this network sees about 15 pixels to each side, little
# more than the blur is wide. How far it sees, its gradient tells. What that costs, the simplest
# restorer of all shows, a single convolution: one weight for each pixel in sight, the weights by
# least squares over the training photographs. Let it see more and more:


# %%
def reach(model):
    """How many pixels away, along an axis, one pixel of the result still depends on what it got."""
    image = np.random.default_rng(0).random((1, 1, 64, 64)).astype(np.float32)
    given = td.tensor(image, requires_grad=True)
    (slope,) = td.grad(sharpen(model, given)[0, 0, 32, 32], given)
    return abs(np.argwhere(slope.numpy()[0, 0]) - 32).max()


def best_window(far, rng, count):
    """The weights that make the middle of a window sharp with the least squared error, in `count`
    places of each training photograph; it reaches `far` pixels to each side of the middle."""
    side = 2 * far + 1
    products, answers = 0, 0
    for seen, sharp in pairs:
        rows, columns = (rng.integers(n - side + 1, size=count) for n in sharp.shape)
        windows = np.lib.stride_tricks.sliding_window_view(seen, (side, side))[rows, columns]
        windows = windows.reshape(count, -1).astype(np.float64)
        products = products + windows.T @ windows
        answers = answers + windows.T @ sharp[rows + far, columns + far]
    return np.linalg.solve(products, answers).reshape(side, side)


print(f"the network sees up to {reach(network)} pixels to each side")
convolution = {}  # {how far it sees: PSNR on each photograph}
for far in (2, 4) if FAST else (5, 10, 15, 20):
    weights = turned(best_window(far, np.random.default_rng(0), 500 if FAST else 6000))
    results = [bordered(restore.blur, seen, weights) for seen, _ in observed.values()]
    truths = [sharp for _, sharp in observed.values()]
    convolution[far] = [psnr(t, r.clip(0, 1)) for t, r in zip(truths, results)]
    scores = "".join(f"{score:9.2f} dB" for score in convolution[far])
    print(f"the best convolution that sees {far:2} pixels: {scores}")

# %% [markdown]
# The best convolution that sees no further than the network is about level with it, and it gains
# with each pixel more. Wiener's filter, which is a convolution too, sees everything, and is ahead
# of both.
#
# (A wider network and longer training would gain more; notebook 06 shows how that goes.)
#
# ## 11. What each takes for granted, and what if it is not so
#
# | | the blur | the noise | photographs are | chosen by us |
# |---|---|---|---|---|
# | inverse filter | known | none | anything | which waves to give up |
# | Wiener, one number | known | white | as strong in all waves | the ratio |
# | Wiener, power law | known | white, strength known | as strong as others, wave by wave | none |
# | Richardson-Lucy | known | photons | never negative | when to stop |
# | total variation | known | white, Gaussian | flat, with edges | the weight |
# | network | as in training | as in training | like those in training | its layers, the training |
# | Wiener, then network | known | as in training | like those in training | the same |
#
# All take it that the blur is the same in every part of the picture, and that pixels are
# proportional to light. Now we break what they take for granted, one thing at a time, on `camera`:
#
# - *turned*: the hand moved the other way round (the psf is turned), and nobody says so;
# - *turned, told*: the same, but those who can be told are told;
# - *noise x 3*: and nobody says so;
# - *photons*: noise as strong as told, but from counting photons: more where it is bright, less
#   where it is dark;
# - *straight, told*: the hand moved along a line, and those who can be told are told.

# %%
scene = centre(photograph("camera"), 140) if FAST else photograph("camera")
draws = np.random.default_rng(0)
clean_blur, sharp = observe(scene, psf, 0, draws)
photons = clean_blur.mean() / SIGMA**2  # of a white pixel: noise as strong as SIGMA on average
path = 12 * time - 6
line, *_ = np.histogram2d(0.3 * path, path, bins=SIDE, range=[[-SIDE / 2, SIDE / 2]] * 2)
line = line / line.sum()
CONDITIONS = {  # name: (what was seen, the psf that is believed in)
    "as told": (observe(scene, psf, SIGMA, draws)[0], psf),
    "turned": (observe(scene, turned(psf), SIGMA, draws)[0], psf),
    "turned, told": (observe(scene, turned(psf), SIGMA, draws)[0], turned(psf)),
    "noise x 3": (observe(scene, psf, 3 * SIGMA, draws)[0], psf),
    "photons": (draws.poisson(clean_blur.clip(0) * photons) / photons, psf),
    "straight, told": (observe(scene, line, SIGMA, draws)[0], line),
}
broken, pictures = {}, {}
for condition, (seen, believed) in CONDITIONS.items():
    for name, work in restorers(believed).items():
        pictures[name, condition] = work(seen).clip(0, 1)
        broken[name, condition] = psnr(sharp, pictures[name, condition])

print("PSNR in dB".ljust(20) + "".join(f"{condition:>15}" for condition in CONDITIONS))
for name in table["camera"]:
    print(f"{name:20}" + "".join(f"{broken[name, c]:15.2f}" for c in CONDITIONS))
filtered = bordered(wiener_by_law, CONDITIONS["noise x 3"][0], psf, 3 * SIGMA)
loud_told = [psnr(sharp, image.clip(0, 1)) for image in (filtered, through(repair, filtered))]
print("noise x 3, Wiener told: {:.2f} dB, then the network: {:.2f} dB".format(*loud_told))
print(f"photons in a white pixel: {photons:.0f}")

_, axes = plt.subplots(1, 4, figsize=(12, 3.6), layout="constrained")
failures = [("as seen", "turned"), ("total variation", "turned")]
failures += [("network", "turned"), ("Wiener, then network", "noise x 3")]
for ax, (name, condition) in zip(axes, failures):
    ax.imshow(pictures[name, condition][part], cmap="gray", vmin=0, vmax=1)
    ax.set_title(f"{name}\n{condition}: {broken[name, condition]:.1f} dB", fontsize=10)
    ax.axis("off")
viz.show(
    "The photographer's head four times: blurred; restored by total variation and by the network, "
    "which both took the blur for another, with outlines that are not there; and full of grain, "
    "from Wiener and a network that did not know how strong the noise was."
)

# %% [markdown]
# **What to see.** Whoever believes in the wrong blur draws outlines that are not there, and the
# table says: each method makes the picture *worse* than it was. Told the right blur, all come back
# but one. The network alone cannot be told; it would have to be trained anew. The network behind
# Wiener can, although it has never met these blurs. The turned one weakens each wave just as much
# as before, so what the filter leaves looks the same; behind the straight one it still helps, but
# total variation is ahead.
#
# With more noise than expected the winner of the contest falls deepest, below the picture as it was
# seen: it takes grain stronger than any that it met for detail, and makes Wiener's picture worse,
# from 23.9 to 20.6 dB. The harm is in not being told: once Wiener's filter is, the same network
# makes its picture better.
#
# Where the noise comes from, if it is as strong as told, hardly matters to anybody, with about 5000
# photons in a white pixel; in the dark, with a few, it may. So Richardson and Lucy gain next to
# nothing here from having thought of photons.
#
# Is there a best method, then? There is one for what you know. Each of them fills in what the blur
# has taken away with what it takes for granted: about the blur, about the noise, about photographs.
# The more of that is true, the better; and the more it relies on something false, the worse.
#
# ## 12. Exercises
#
# ### Exercise 1: the transpose in its proper place
#
# A blur by `conv2d` with a window, a picture `seen`, and a guess `x`. What is the gradient, with
# respect to `x`, of half the sum of `(conv2d(x, window) - seen) ** 2`? Write it without autograd,
# from one `F.conv2d` and one `F.conv_transpose2d`. (A small step the other way, again and again, is
# Landweber's iteration, 1951.)
#
# In come Tensors: `x` (1, 1, H, W), `seen` (1, 1, h, w), `window` (1, 1, a, b). Out comes one of
# the shape of `x`. If `x` already explains all that was seen, the gradient is 0 everywhere.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_1(rng, answer):
    """Against what autograd says."""
    height, width, a, b = (int(n) for n in rng.integers([6, 6, 2, 2], [10, 10, 5, 5]))
    x, window = (td.tensor(rng.standard_normal((1, 1, *n))) for n in [(height, width), (a, b)])
    seen = td.tensor(rng.standard_normal((1, 1, height - a + 1, width - b + 1)))
    guess = td.tensor(x.numpy(), requires_grad=True)
    (wanted,) = td.grad(((F.conv2d(guess, window) - seen) ** 2).sum() / 2, guess)
    what = f"the gradient for an image of {height} x {width} and a window of {a} x {b}"
    expect(answer(x, seen, window), wanted.numpy(), what)


# %% tags=["exercise"]
def slope(x, seen, window):
    """The gradient of half the squared error with respect to x, of the shape of x."""
    return ...  # yours


check_1(slope)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def slope(x, seen, window):
#     too_much = F.conv2d(x, window) - seen
#     return F.conv_transpose2d(too_much, window)
# ```
#
# What is too much goes back to the pixels that it came from, along the same lines and with the same
# weights. The usual mistakes: to turn the window (the transpose does that by itself), and to send
# back `seen` instead of the difference, which is the "deconvolution" of section 2.
#
# </details>
#
# ### Exercise 2: which blur was it?
#
# You photograph a test chart: `sharp` is known, `seen` is the chart blurred (periodic, hardly any
# noise). What is the psf? In $Y = H \cdot X$ the picture and the psf play the same part, so a
# Wiener filter can look for either. Give the psf as an array of `side` x `side` with its centre at
# `[side // 2, side // 2]`, and take $10^{-9}$ for the ratio.
#
# For a `seen` that is `sharp` itself, and side 3, it is 1 in the middle and 0 around.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_2(rng, answer):
    """A chart of random pixels, blurred by moved copies."""
    side = int(rng.choice([3, 5, 7]))
    wanted = rng.random((side, side))
    sharp = rng.standard_normal(rng.integers(20, 30, size=2))
    seen = 0 * sharp
    for (a, b), weight in np.ndenumerate(wanted):
        seen += weight * np.roll(sharp, (a - side // 2, b - side // 2), (0, 1))
    expect(answer(sharp, seen, side), wanted, f"a psf of {side} x {side}", tolerance=1e-4)


# %% tags=["exercise"]
def find_psf(sharp, seen, side):
    """The psf (side, side) with which the periodic blur of sharp is seen; both are (H, W)."""
    return ...  # yours


check_2(find_psf)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def find_psf(sharp, seen, side):
#     X, Y = np.fft.fft2(sharp), np.fft.fft2(seen)
#     h = np.fft.ifft2(np.conj(X) * Y / (abs(X) ** 2 + 1e-9)).real
#     return np.roll(h, (side // 2, side // 2), (0, 1))[:side, :side]
# ```
#
# The usual mistakes: the conjugate forgotten (then each wave is turned the wrong way), and the
# centre left on pixel (0, 0), from where half of the psf lies across the border. A chart of random
# dots is a good one: it is strong in all waves. A photograph would tell little about the fast ones.
#
# </details>
#
# ### Exercise 3: when to stop
#
# Section 7 chose the number of iterations by the PSNR, for which one needs the sharp picture. Who
# has that? But the strength of the noise is often known, and a good guess should miss what was seen
# by just that much: not more, or it is still too smooth; not less, or it explains the noise
# (Morozov's discrepancy principle, 1966). Give the first number of iterations, from 0 on, for which
# the *blurred* guess of `restore.richardson_lucy` differs from `seen` by no more than `sigma`, root
# mean square; or `most`, if none below does.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_3(rng, answer):
    """A picture of random blocks."""
    psf, sigma = rng.random((3, 3)), rng.uniform(0.03, 0.06)
    psf /= psf.sum()
    sharp = np.kron(rng.random((6, 6)), np.ones((4, 4)))
    seen = (restore.blur(sharp, psf) + sigma * rng.standard_normal(sharp.shape)).clip(0)
    misses = []
    for n in range(40):
        guess = restore.blur(restore.richardson_lucy(seen, psf, n), psf)
        misses.append(np.linalg.norm(guess - seen) / np.sqrt(seen.size))
    for most in (2, 40):  # hardly ever enough, and always
        wanted = next((n for n, miss in enumerate(misses[:most]) if miss <= sigma), most)
        what = f"when to stop at a noise of {sigma:.3f}, {most} at most"
        expect(answer(seen, psf, sigma, most), wanted, what)


# %% tags=["exercise"]
def when_to_stop(seen, psf, sigma, most):
    """The number of iterations after which the blurred guess is as near to seen as the noise."""
    return ...  # yours


check_3(when_to_stop)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def when_to_stop(seen, psf, sigma, most):
#     for n in range(most):
#         guess = restore.richardson_lucy(seen, psf, n)
#         missed = restore.blur(guess, psf) - seen
#         if np.sqrt(np.mean(missed**2)) <= sigma:
#             return n
#     return most
# ```
#
# The usual mistakes: to compare the guess itself with what was seen (it *should* differ from that,
# it is sharper), and to forget the root. Try it on `restore.periodic(seen.clip(0), MARGIN)` of a
# photograph from section 10 (without it the border alone keeps the difference above `sigma`): how
# much is lost against the best number, which only someone who has the sharp picture can know?
#
# </details>
#
# ## Check

# %%
assert blur_errors["restore.blur(cat, psf)"] < 1e-12
assert blur_errors["conv2d with the psf turned"] < 1e-12
assert blur_errors["conv2d with the psf as it is"] > 0.01
assert np.allclose(inverse @ A, np.eye(16)) and inverse.min() < 0
assert not np.allclose(A.T @ A, np.eye(16), atol=0.1) and A.T.min() >= 0
sharp, once, twice = there_and_back.values()
assert psnr(sharp, twice) < psnr(sharp, once)
assert waves_error < 1e-12 and np.allclose(H, restore.transfer(psf, cat.shape))
assert quality["divided"] > 200 > quality["rounded, divided"] > quality["blurred"]
assert quality["noisy, divided"] < quality["blurred"]
assert drowned > 0.5
assert wiener_error < 1e-10 and rl_error < 1e-10
assert psnr(cat, by_law) > psnr(cat, by_number) > psnr(cat, noisy)
crime, naive, continued = border_quality.values()
assert naive + 3 < continued < crime + 0.1
assert curves[0.03][-1] < max(curves[0.03])

assert FAST or np.mean(losses[-100:]) > np.mean(repair_losses[:100])
scores = {name: min(table[photo][name][0] for photo in HELD_OUT) for name in table["camera"]}
assert scores["as seen"] < scores["inverse filter"] < scores["Wiener, one number"]
assert scores["Wiener, one number"] < scores["Richardson-Lucy"] < scores["total variation"]
assert FAST or scores["Wiener, one number"] < scores["Wiener, power law"]
assert FAST or scores["network"] + 1 < scores["Wiener, then network"]
assert FAST or table["camera"]["Wiener, then network"] > table["camera"]["total variation"]
for of in table.values():  # in PSNR
    assert FAST or of["Richardson-Lucy"][0] < of["Wiener, power law"][0]
    assert FAST or of["network"][0] + 1 < of["total variation"][0]
    assert FAST or of["inverse filter"][1] > of["Wiener, one number"][1]  # but in SSIM
best_two = [table["astronaut"][name][0] for name in ("Wiener, then network", "total variation")]
assert FAST or abs(best_two[0] - best_two[1]) < 0.2
assert FAST or table["astronaut"]["Richardson-Lucy"][1] > table["astronaut"]["Wiener, power law"][1]
assert 12 <= reach(network) <= 16
for scored in convolution.values():
    assert all(score > table[photo]["as seen"][0] for score, photo in zip(scored, HELD_OUT))
for number, photo in enumerate(HELD_OUT):
    by_sight = [scored[number] for scored in convolution.values()]
    assert (
        FAST or by_sight == sorted(by_sight) and by_sight[-1] < table[photo]["Wiener, power law"][0]
    )
    assert FAST or abs(convolution[15][number] - table[photo]["network"][0]) < 0.3
for name in set(scores) - {"as seen", "network", "Wiener, then network"}:
    assert broken[name, "turned"] < broken["as seen", "turned"]
    assert broken[name, "turned, told"] > broken[name, "turned"] + 2
for name in ("network", "Wiener, then network"):
    assert FAST or broken[name, "turned"] < broken["as seen", "turned"]
for name, wins in {"network": False, "Wiener, then network": True}.items():
    assert FAST or (broken[name, "turned, told"] > broken["as seen", "turned, told"] + 3) == wins
fallen = {name: broken[name, "as told"] - broken[name, "noise x 3"] for name in scores}
assert FAST or max(fallen, key=fallen.get) == "Wiener, then network"
assert FAST or broken["Wiener, then network", "noise x 3"] < broken["as seen", "noise x 3"]
assert FAST or loud_told[0] < loud_told[1]
straight = [
    broken[name, "straight, told"] for name in ("Wiener, power law", "Wiener, then network")
]
assert FAST or straight[0] < straight[1] < broken["total variation", "straight, told"]
for name in scores:
    assert FAST or abs(broken[name, "photons"] - broken[name, "as told"]) < 0.2
for name, (_, numbers) in METHODS.items():  # the best is not at the end of what was tried
    assert FAST or numbers[0] < chosen[name] < numbers[-1]
print("All checks passed.")
