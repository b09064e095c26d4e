"""Pictures of results: figures, and PNG files of them unless the path is None.

matplotlib is imported when one is drawn; its pyplot only by show(), for notebooks.
"""

import builtins
import io
from math import ceil, sqrt

import numpy as np

from .data.images import images_extra, write_image
from .metrics import psnr, ssim
from .serialize import write_atomically

INCHES = 2.3  # width of one picture in a panel
MARK = "#e8590c"  # the colour of what is drawn over grey pixels
# Colours that colour-blind readers can tell apart (Okabe and Ito, "Color Universal Design", 2008).
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
RED, SKY, GREY = "#D55E00", "#56B4E9", "#666666"
ON_WHITE = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}  # behind words


def show(alt, figure=None):
    """Show a figure, by default what pyplot has drawn; in a notebook with `alt`, what is to be seen
    in words, for readers who cannot see it.
    """
    pyplot = images_extra("matplotlib.pyplot")
    if figure is None:
        figure = pyplot.gcf()
    if hasattr(builtins, "get_ipython"):  # IPython, so IPython can be imported
        from IPython.display import Image, display

        display(Image(_png(figure, bbox_inches="tight"), alt=alt))  # cuts off nothing but white
        pyplot.close(figure)
    else:
        pyplot.show()


def denoise_panel(path, photographs, zoom):
    """Draw denoised photographs side by side, each whole and with a part of it enlarged below.

    photographs: {name: {label: image}} of grey images (H, W) in [0, 1]; the first of each is the
        clean one, against which the others' PSNR and SSIM are printed
    zoom: {name: (top, left, side)} of the part to enlarge, in pixels
    """
    columns = max(len(images) for images in photographs.values())
    heights = []  # of the rows, in widths of a picture
    for images in photographs.values():
        height, width = next(iter(images.values())).shape
        heights += [height / width, 1]
    figure = _figure(INCHES * columns, (INCHES + 0.05) * sum(heights) + 0.55 * len(photographs))
    axes = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
    for axis in axes.flat:
        axis.set_axis_off()
    for row, (name, images) in enumerate(photographs.items()):
        _draw_photograph(axes[2 * row : 2 * row + 2], name, images, *zoom[name])
    return _save(figure, path)


def _draw_photograph(axes, name, images, top, left, side):
    """One photograph in two rows of axes: whole, and below a square of it."""
    rectangle = images_extra("matplotlib.patches").Rectangle
    clean = next(iter(images.values()))
    for column, (label, image) in enumerate(images.items()):
        whole, part = axes[:, column]
        quality = f"PSNR {psnr(clean, image):.2f} dB, SSIM {ssim(clean, image, 1):.3f}"
        whole.set_title(f"{label}\n{quality if column else name}", fontsize=9)
        whole.imshow(image, cmap="gray", vmin=0, vmax=1)
        whole.add_patch(rectangle((left, top), side, side, fill=False, edgecolor=MARK))
        square = image[top : top + side, left : left + side]
        part.imshow(square, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        part.add_patch(
            rectangle((0, 0), 1, 1, transform=part.transAxes, fill=False, edgecolor=MARK, lw=2)
        )


def loss_curve(path, losses, label="loss"):
    """Draw the loss of every step, faint, and its running mean, on a logarithmic axis if all are
    positive and the largest is ten times the smallest.

    losses: of one training, or {name: losses}
    label: name of the loss and, if it has one, its unit
    """
    return loss_curves(path, {label: losses})


def loss_curves(path, panels):
    """Draw several loss_curve, one below the other: {label: losses}."""
    figure = _figure(7, 4 if len(panels) == 1 else 3 * len(panels))
    axes = figure.subplots(len(panels), squeeze=False, sharex=True)[:, 0]
    for axis, (label, losses) in zip(axes, panels.items()):
        _draw_losses(axis, losses, label)
    axes[-1].set_xlabel("step")
    return _save(figure, path)


def _draw_losses(axis, losses, label):
    named = losses if isinstance(losses, dict) else {"": losses}
    named = {name: np.asarray(of, dtype=np.float64) for name, of in named.items()}
    shapes = [of.shape for of in named.values()]
    if not shapes or any(len(shape) != 1 or 0 in shape for shape in shapes):
        raise ValueError(f"expected the losses of at least one step, got {shapes or 'none'}")
    least, most = min(of.min() for of in named.values()), max(of.max() for of in named.values())
    axis.set_yscale("log" if 0 < 10 * least <= most else "linear")
    for number, (name, of) in enumerate(named.items()):
        window, steps = max(1, len(of) // 50), np.arange(1, len(of) + 1)
        mean = np.convolve(of, np.full(window, 1 / window), mode="valid")
        before = f"{name}, " if name else ""
        axis.plot(steps, of, color=f"C{number}", alpha=0.25, lw=0.6, label=f"{before}each step")
        told = f"{before}mean of the last {window}"
        axis.plot(steps[window - 1 :], mean, color=f"C{number}", label=told)
    axis.set(ylabel=label, xlim=(1, max(2, *(shape[0] for shape in shapes))))
    axis.grid(which="both", alpha=0.25)
    axis.legend()


def grid(path, images, columns=None, scale=None):
    """Write small images side by side, row by row, as one PNG file; each pixel stays sharp.

    images: (n, 1, H, W) grey or (n, 3, H, W) colour, in [0, 1]
    columns: how many in a row (default: as many as rows, or one more)
    scale: how many pixels wide a pixel becomes (default: so that the picture is some 600 wide)
    """
    images = np.asarray(images, np.float32)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.size == 0:
        raise ValueError(f"expected images (n, 1 or 3, H, W), got shape {images.shape}")
    n, channels, height, width = images.shape
    columns = min(n, columns or ceil(sqrt(n)))
    rows, gap = -(-n // columns), max(1, width // 16)
    scale = scale or max(1, round(600 / (columns * (width + gap))))
    page = np.full((rows, height + gap, columns, width + gap, channels), 0.5, np.float32)
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        page[row, gap:, column, gap:] = image.transpose(1, 2, 0)
    page = page.reshape(rows * (height + gap), columns * (width + gap), channels)
    page = np.pad(page, ((0, gap), (0, gap), (0, 0)), constant_values=0.5)
    page = page.repeat(scale, 0).repeat(scale, 1)
    write_image(path, page if channels == 3 else page[..., 0])


def scatter(path, points, labels, names=("first number", "second number")):
    """Draw points (n, 2), each as its label, a whole number, around zero in the middle.

    names: of the two axes
    """
    points, labels = np.asarray(points), np.asarray(labels)
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
        raise ValueError(
            f"expected points (n, 2) and labels (n,), got shapes {points.shape} and {labels.shape}"
        )
    figure = _figure(7, 7)
    axis = figure.subplots()
    for label in np.unique(labels):
        x, y = points[labels == label].T
        axis.plot(x, y, ls="", marker=f"${label}$", ms=7, mew=0.3, color=f"C{label % 10}")
    reach = 1.1 * (abs(points).max(initial=0) or 1)
    axis.set(xlabel=names[0], ylabel=names[1], xlim=(-reach, reach), ylim=(-reach, reach))
    axis.grid(alpha=0.25)
    return _save(figure, path)


def spectrogram(path, rows, rate, columns, quietest=-60):
    """Draw how strong each frequency of short waves is at each time, in dB of a sine of amplitude
    1, a wave a panel, all in the same colours.

    rows: {label: waves (n, length) in [-1, 1]}; columns: names of the n
    rate: samples a second; quietest: dB, what is below looks the same
    """
    figure = _figure(0.6 + 1.35 * len(columns), 0.7 + 1.7 * len(rows))
    axes = figure.subplots(len(rows), len(columns), sharex=True, sharey=True, squeeze=False)
    window, hop = 256, 32  # samples; a pixel stands around the middle of its window
    hann = np.sin(np.pi * np.arange(window) / window) ** 2
    wide, high = 1000 * hop / rate, rate / 1000 / window  # of a pixel
    for line, (label, waves) in zip(axes, rows.items()):
        line[0].set_ylabel(f"{label}\nfrequency, kHz")
        for axis, wave in zip(line, waves):
            parts = np.lib.stride_tricks.sliding_window_view(np.pad(wave, window // 2), window)
            amplitude = abs(np.fft.rfft(parts[::hop] * hann)) * (2 / hann.sum())
            level = 20 * np.log10(np.maximum(amplitude, 10 ** (quietest / 20)))
            edges = -wide / 2, (len(level) - 0.5) * wide, -high / 2, rate / 2000 + high / 2
            shown = axis.imshow(
                level.T, cmap="magma", vmin=quietest, vmax=0, origin="lower", aspect="auto",
                extent=edges, interpolation="nearest",
            )  # fmt: skip
    for first, last, name in zip(axes[0], axes[-1], columns):
        first.set_title(name, fontsize=10)
        last.set_xlabel("time, ms")
    figure.colorbar(shown, ax=axes, label="level, dB", pad=0.01)
    return _save(figure, path)


def step_curve(path, steps, forward, central, title=""):
    """Draw the errors of forward and central differences by step size, as gradcheck.step_curve
    gives them, on logarithmic axes.
    """
    figure = _figure(7, 4)
    axis = figure.subplots()
    axis.loglog(steps, forward, label="forward differences")
    axis.loglog(steps, central, label="central differences")
    axis.set(title=title, xlabel="step size", ylabel="relative error of the slope")
    axis.grid(alpha=0.25)
    axis.legend()
    return _save(figure, path)


def roofline(path, roofs, points):
    """Draw what computations reach under the two ceilings of where they run, on logarithmic axes:
    GFLOP/s by intensity, the operations a byte moved (Williams, Waterman and Patterson 2009).

    roofs: {place: (GFLOP/s, GB/s)}, the ceilings of arithmetic and of memory
    points: {label: (intensity, GFLOP/s, place)}
    """
    found = [intensity for intensity, _, _ in points.values()]
    found += [gflops / gbs for gflops, gbs in roofs.values()]  # where the two ceilings meet
    along = np.geomspace(min(found) / 10, max(found) * 10, 200)
    figure = _figure(8, 6)
    axis = figure.subplots()
    colours = _colours(roofs)
    for place, (gflops, gbs) in roofs.items():
        label = f"{place}: {gflops:,.0f} GFLOP/s, {gbs:,.0f} GB/s"
        axis.loglog(along, np.minimum(gflops, gbs * along), color=colours[place], label=label)
    for number, (label, (intensity, gflops, place)) in enumerate(points.items()):
        side = (-1) ** number  # neighbours on a ladder often lie close together
        axis.plot(intensity, gflops, "o", color=colours[place])
        ceiling = min(roofs[place][0], roofs[place][1] * intensity)
        axis.vlines(intensity, gflops, ceiling, colors=colours[place], ls=":")
        beside = {"xytext": (9 * side, -3), "textcoords": "offset points", "va": "center"}
        align = "left" if side > 0 else "right"
        axis.annotate(label, (intensity, gflops), ha=align, fontsize=9, bbox=ON_WHITE, **beside)
    axis.set(xlabel="operational intensity, FLOP per byte moved", ylabel="GFLOP/s")
    axis.set_xlim(along[0], along[-1])
    axis.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=min(2, len(roofs)))
    return _save(figure, path)


def bars(path, roofs, values):
    """Draw GFLOP/s as bars on a logarithmic axis, the first on top, and the ceiling of each place.

    roofs: as in roofline; values: {label: (GFLOP/s, place)}
    """
    figure = _figure(8, 1.2 + 0.3 * len(values))
    axis = figure.subplots()
    colours = _colours(roofs)
    for place, (gflops, _) in roofs.items():
        axis.axvline(gflops, color=colours[place], ls="--", label=f"matrix product, {place}")
    for row, (gflops, place) in enumerate(values.values()):
        axis.barh(row, gflops, color=colours[place])
        told = f"{gflops:.3g}" if gflops < 999.5 else f"{gflops:,.0f}"
        axis.text(gflops * 1.15, row, told, va="center", fontsize=9, bbox=ON_WHITE)
    axis.set(xscale="log", xlabel="GFLOP/s")
    axis.set_yticks(range(len(values)), values)
    axis.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=min(2, len(roofs)))
    return _save(figure, path)


def _colours(names):
    """A colour for each name."""
    return dict(zip(names, (BLUE, ORANGE, GREEN, PURPLE)))


def _figure(width, height):
    """A figure of this size in inches, of 100 pixels each, that no window will show."""
    return images_extra("matplotlib.figure").Figure((width, height), dpi=100, layout="constrained")


def _save(figure, path):
    if path is not None:
        write_atomically(path, _png(figure))
    return figure


def _png(figure, **options):
    """The bytes of a PNG file of it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", **options)
    return buffer.getvalue()
