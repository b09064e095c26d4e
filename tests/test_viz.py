"""The pictures: what is in them, and that they are written whole or not at all."""

import os
import subprocess
import sys

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from PIL import Image
from refusals import refused
from test_budgets import ROOT

from tinydeconv import viz
from tinydeconv.data import SIGMA, add_noise, photograph
from tinydeconv.metrics import psnr, ssim

CLEAN = photograph("chelsea")[80:180, 100:260]
NOISY = add_noise(CLEAN, SIGMA, np.random.default_rng(0))
PHOTOGRAPHS = {
    "chelsea": {"clean": CLEAN, "noisy": NOISY, "nothing": CLEAN},
    "left part": {"clean": CLEAN[:, :90], "noisy": NOISY[:, :90]},
}
ZOOM = {"chelsea": (10, 30, 40), "left part": (50, 20, 25)}


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, in order."""
    figures, save = [], viz._save
    monkeypatch.setattr(
        viz, "_save", lambda figure, path: (figures.append(figure), save(figure, path))
    )
    return figures


def test_panel(tmp_path, drawn):
    viz.denoise_panel(tmp_path / "panel.png", PHOTOGRAPHS, ZOOM)
    with Image.open(tmp_path / "panel.png") as image:
        assert 600 < image.width < 800 and 700 < image.height < 1000
    axes = np.array(drawn[0].axes).reshape(4, 3)
    for row, (name, images) in enumerate(PHOTOGRAPHS.items()):
        top, left, side = ZOOM[name]
        for column, (label, pixels) in enumerate(images.items()):
            whole, part = axes[2 * row : 2 * row + 2, column]
            assert np.array_equal(whole.images[0].get_array(), pixels)
            assert np.array_equal(
                part.images[0].get_array(), pixels[top : top + side, left : left + side]
            )
            for shown in (whole, part):
                assert shown.images[0].get_clim() == (0, 1)  # the same grey in every picture
            assert whole.patches[0].get_bbox().bounds == (left, top, side, side)
            first, second = whole.get_title().split("\n")
            assert first == label
            if column == 0:
                assert second == name
            else:
                quality = psnr(images["clean"], pixels), ssim(images["clean"], pixels, 1)
                assert second == "PSNR {:.2f} dB, SSIM {:.3f}".format(*quality)
    assert not axes[2, 2].images  # the second photograph has one picture fewer


def test_loss_curve(tmp_path, drawn):
    losses = np.geomspace(1, 0.01, 300) + 0.001
    viz.loss_curve(tmp_path / "loss.png", losses, "mean squared error")
    (axis,) = drawn[0].axes
    assert axis.get_yscale() == "log"
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("step", "mean squared error")
    raw, mean = axis.lines
    assert raw.get_alpha() < 0.5
    assert raw.get_xdata()[[0, -1]].tolist() == [1, 300]
    assert np.array_equal(raw.get_ydata(), losses)
    for step, value in zip(mean.get_xdata(), mean.get_ydata()):  # the mean of the last 300 / 50
        assert value == pytest.approx(np.mean(losses[step - 6 : step]))
    assert mean.get_xdata()[[0, -1]].tolist() == [6, 300]


def test_loss_curves_are_panels_above_one_axis_of_steps(tmp_path, drawn):
    panels = {"distance": [-1.0, 2.0, 3.0], "norm": {"a": [1.0, 2, 2], "b": [1.0, 1, 0.1]}}
    viz.loss_curves(tmp_path / "losses.png", panels)
    above, below = drawn[0].axes
    assert (above.get_ylabel(), below.get_ylabel()) == ("distance", "norm")
    assert (above.get_xlabel(), below.get_xlabel()) == ("", "step")
    assert (above.get_yscale(), below.get_yscale()) == ("linear", "log")  # -1, and 0.1 to 2
    assert above.lines[0].get_ydata().tolist() == panels["distance"] and len(below.lines) == 4
    assert above.get_xlim() == below.get_xlim() == (1, 3)


@pytest.mark.parametrize("most, scale", [(9.9, "linear"), (10, "log")])
def test_a_loss_curve_is_logarithmic_where_losses_differ_tenfold(drawn, most, scale):
    viz.loss_curve(None, {"a": [1.0, most], "b": [2.0, 3.0]})
    assert drawn[0].axes[0].get_yscale() == scale


def test_a_loss_curve_of_one_step(tmp_path):
    viz.loss_curve(tmp_path / "loss.png", [0.5])
    assert os.listdir(tmp_path) == ["loss.png"]


def test_bad_input(tmp_path):
    with refused(ValueError, "(0,)"):
        viz.loss_curve(tmp_path / "loss.png", [])
    with refused(FileNotFoundError, "nowhere"):
        viz.loss_curve(tmp_path / "nowhere" / "loss.png", [1.0])
    assert os.listdir(tmp_path) == []


def test_drawing_needs_neither_pyplot_nor_a_screen(tmp_path):
    code = (
        "import sys\n"
        "from tinydeconv import viz\n"
        "assert 'matplotlib' not in sys.modules\n"
        f"viz.loss_curve({str(tmp_path / 'loss.png')!r}, [1.0, 0.5])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("MPLBACKEND", "DISPLAY")}
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        env=environment,
    )
    assert run.returncode == 0, run.stderr


def test_show_gives_a_notebook_the_picture_and_its_words():
    shell = InteractiveShell.instance()
    with capture_output() as shown:
        shell.run_cell(
            "import matplotlib.pyplot as plt\n"
            "from tinydeconv import viz\n"
            "plt.plot([1, 2])\n"
            "viz.show('a line that rises')\n"
            "left = plt.get_fignums()"
        )
    InteractiveShell.clear_instance()
    (output,) = shown.outputs
    assert output.data["image/png"] and output.metadata["image/png"]["alt"] == "a line that rises"
    assert shell.user_ns["left"] == []  # else the notebook would show it twice


def test_show_opens_windows_elsewhere(monkeypatch):
    opened = []
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: opened.append(True))
    viz.show("nothing to be seen", viz.loss_curve(None, [1.0]))
    assert opened == [True]


# ---------------------------------------------------------------- grids of small images


def test_a_grid_has_every_pixel_of_every_image_in_its_place(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 4, 6)).astype(np.float32) / 255
    viz.grid(tmp_path / "g.png", images, columns=3, scale=2)
    page = np.asarray(Image.open(tmp_path / "g.png"))
    assert page.shape == (2 * (2 * 5 + 1), 2 * (3 * 7 + 1))
    small = page[::2, ::2]
    assert np.array_equal(page, small.repeat(2, 0).repeat(2, 1))
    for number, image in enumerate(images):
        row, column = divmod(number, 3)
        found = small[1 + 5 * row :, 1 + 7 * column :][:4, :6]
        assert np.array_equal(found, np.rint(255 * image[0]))
    assert set(small[6:, 15:].ravel()) == {128}  # the place of the sixth image, which is not there


def test_a_grid_in_colour_is_about_square_and_large_enough_to_see(tmp_path):
    images = np.zeros((10, 3, 16, 16), np.float32)
    images[:, 1] = 1
    viz.grid(tmp_path / "g.png", images)
    page = np.asarray(Image.open(tmp_path / "g.png"))
    assert page.shape[2] == 3 and 500 <= page.shape[1] <= 700
    assert page[20, 20].tolist() == [0, 255, 0]
    assert 3 / 4 * page.shape[1] <= page.shape[0] + 5


@pytest.mark.parametrize("shape", [(0, 1, 4, 4), (2, 2, 4, 4), (2, 4, 4), (1, 4, 4, 3)])
def test_a_grid_of_what_are_no_images_is_refused(shape, tmp_path):
    with refused(ValueError, "(n, 1 or 3, H, W)", str(shape)):
        viz.grid(tmp_path / "g.png", np.zeros(shape))


def test_losses_of_several_networks_are_drawn_together(tmp_path, drawn):
    losses = {"generator": [1.0, -2.0, 3.0], "discriminator": [0.5, 0.25, 0.125]}
    viz.loss_curve(tmp_path / "l.png", losses)
    (axis,) = drawn[0].axes
    assert axis.get_yscale() == "linear"  # one is negative
    for name, line in zip(losses, axis.lines[::2]):
        assert line.get_ydata().tolist() == losses[name] and name in line.get_label()
    with refused(ValueError, "at least one step"):
        viz.loss_curve(tmp_path / "l.png", {})
