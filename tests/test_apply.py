"""`tinydeconv apply`: pictures of every kind and size through networks of image to image."""

import numpy as np
import pytest
from PIL import Image
from refusals import refused

import tinydeconv as td
from tinydeconv import models, nn
from tinydeconv.cli import main
from tinydeconv.models import UNet
from tinydeconv.recipes import learned
from tinydeconv.recipes.apply import load, translate

rng = np.random.default_rng(0)
KINDS = [(1, 1), (1, 2), (1, 3), (3, 1), (3, 3)]  # channels in and out
BRIGHTNESS = np.float32([0.299, 0.587, 0.114])


def draw(*shape):
    return rng.random(shape, dtype=np.float32)


def lively(inputs=1, outputs=1, channels=(3, 4)):
    """A U-Net that does something, in training mode: what is applied is not to depend on it."""
    td.manual_seed(0)
    model = UNet(inputs, outputs, channels)
    for weight in model.parameters():
        nn.init.normal_(weight, weight.ndim == 1, 0.3)
    return model


def whole(model, planes):
    """Planes in [0, 1] through the network in one piece, with borders mirrored."""
    m, (height, width) = model.margin, planes.shape[1:]
    sides = [(m, m + -n % model.multiple) for n in (height, width)]
    padded = np.pad(planes, [(0, 0), *sides], mode="symmetric")
    model.eval()
    y = model(td.tensor(2 * padded[None] - 1)).detach().numpy()[0]
    model.train()
    return ((y[:, m : m + height, m : m + width] + 1) / 2).clip(0, 1)


class Plain(nn.Module):
    """A network of one number: pixels times it, in [-1, 1]."""

    margin = 1

    def __init__(self, by, channels=1, each_plane=False):
        self.config = {"in_channels": channels, "out_channels": channels}
        self.by, self.each_plane, self.seen = by, each_plane, []

    def forward(self, x):
        self.seen.append(x.numpy())
        return x * self.by


# ---------------------------------------------------------------- an image


@pytest.mark.parametrize(("inputs", "outputs"), KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (3, 2), (1, 40), (13, 18, 3)])
def test_any_size_and_colour(inputs, outputs, shape):
    model, image = lively(inputs, outputs), draw(*shape)
    before, buffers = image.copy(), [x.numpy().copy() for x in model.buffers()]
    found = translate(model, image)
    assert found.shape == shape[:2] + (3,) * (outputs > 1) and found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1
    assert np.array_equal(image, before) and model.training
    assert all(np.array_equal(a.numpy(), b) for a, b in zip(model.buffers(), buffers))


@pytest.mark.parametrize("channels", [(3,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("shape", [(64, 32), (21, 70), (33, 65)])
def test_tiles_are_the_whole_image(channels, shape, monkeypatch):
    monkeypatch.setattr(learned, "TILE", 32)
    model, image = lively(1, 3, channels), draw(*shape)
    expected = np.moveaxis(whole(model, image[None]), 0, 2)
    np.testing.assert_allclose(translate(model, image), expected, atol=2e-6)
    assert expected.std() > 0.02
    model.margin = model.multiple  # which is too short
    assert not np.allclose(translate(model, image), expected, atol=2e-6)


def test_memory_for_the_network_does_not_grow_with_the_image(monkeypatch):
    monkeypatch.setattr(learned, "TILE", 16)
    model = Plain(1.0)
    image = draw(50, 70)
    np.testing.assert_allclose(translate(model, image), image, atol=1e-6)
    shapes = [x.shape for x in model.seen]
    assert len(shapes) == 4 * 5 and max(shapes) == (1, 1, 18, 18)


def test_a_network_sees_pixels_from_minus_one_to_one():
    model = Plain(-1.0)
    image = np.array([[0, 0.25], [0.5, 1]], np.float32)
    np.testing.assert_allclose(translate(model, image), 1 - image, atol=1e-6)
    assert model.seen[0].min() == -1 and model.seen[0].max() == 1


def test_what_leaves_the_range_is_clipped():
    assert translate(Plain(3.0), np.float32([[0.1, 0.9, 0.5]])).tolist() == [[0, 1, 0.5]]


def test_a_grey_network_gets_the_brightness_of_colour():
    image = draw(6, 7, 3)
    np.testing.assert_allclose(translate(Plain(1.0), image), image @ BRIGHTNESS, atol=1e-6)


def test_a_colour_network_gets_a_grey_image_three_times():
    model, image = Plain(1.0, 3), draw(6, 7)
    expected = np.repeat(image[..., None], 3, 2)
    np.testing.assert_allclose(translate(model, image), expected, atol=1e-6)


def test_each_plane_of_a_colour_image_by_itself():
    """In the planes of JPEG, which Pillow knows too."""
    model, image = Plain(1.0, each_plane=True), draw(6, 7, 3)
    np.testing.assert_allclose(translate(model, image), image, atol=1e-6)
    assert len(model.seen) == 3
    planes = np.stack([x[0, 0, 1:7, 1:8] for x in model.seen], 2)
    pillow = Image.fromarray(np.rint(255 * image).astype(np.uint8)).convert("YCbCr")
    np.testing.assert_allclose((planes + 1) / 2 * 255, np.asarray(pillow), atol=1.5)
    grey = image[..., 0]
    np.testing.assert_allclose(translate(model, grey), grey, atol=1e-6)
    assert len(model.seen) == 4


def test_two_channels_are_the_colours_of_a_brightness_that_stays():
    """Colours of which none leads out of [0, 1], by Pillow."""
    model, image = lively(1, 2), draw(6, 7, 3)
    found = translate(model, image)
    grey = image @ BRIGHTNESS
    np.testing.assert_allclose(translate(model, grey), found, atol=1e-6)
    planes = np.concatenate([grey[None], whole(model, grey[None])])
    bytes_ = np.rint(255 * planes).astype(np.uint8).transpose(1, 2, 0)
    expected = np.asarray(Image.fromarray(bytes_, "YCbCr").convert("RGB")) / 255
    np.testing.assert_allclose(found, expected, atol=2.5 / 255)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 4, 2), "f4"), ["(H, W)", "(4, 4, 2)"]),
        (np.zeros((0, 4), "f4"), ["(0, 4)"]),
        (np.zeros(4, "f4"), ["(4,)"]),
        (np.zeros((4, 4), np.uint8), ["floats", "uint8"]),
    ],
)
def test_what_is_no_image_is_refused(image, words):
    with refused(ValueError, *words):
        translate(lively(), image)


# ---------------------------------------------------------------- the command


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run").mkdir()
    models.save(lively(1, 3), tmp_path / "run" / "weights.safetensors")
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("mode", "shape"), [("L", (24, 31)), ("RGB", (7, 5, 3)), ("RGBA", (9, 12, 4)), ("L", (1, 1))]
)
def test_a_picture_of_every_kind(mode, shape, run, tmp_path, capsys):
    photo, out = tmp_path / "photo.png", tmp_path / "new.png"
    pixels = rng.integers(0, 256, shape).astype(np.uint8)
    Image.fromarray(pixels).save(photo)
    for weights in (run, run / "weights.safetensors"):
        assert main(["apply", str(weights), str(photo), "--out", str(out)]) == 0
        assert capsys.readouterr().out == f"{out}\n"
        shown = pixels / np.float32(255)
        expected = translate(lively(1, 3), shown[..., :3] if mode == "RGBA" else shown)
        found = np.asarray(Image.open(out))
        assert found.shape == (*shape[:2], 3)
        np.testing.assert_allclose(found / 255, expected, atol=0.51 / 255)
        out.unlink()


def test_the_result_stands_beside_the_picture(run, tmp_path, capsys):
    (tmp_path / "my pictures").mkdir()
    photo = tmp_path / "my pictures" / "a cat.jpg"
    Image.fromarray(rng.integers(0, 256, (9, 9)).astype(np.uint8)).save(photo)
    before = photo.read_bytes()
    for _ in range(2):  # the second time over the first result
        assert main(["apply", str(run), str(photo)]) == 0
        names = sorted(p.name for p in photo.parent.iterdir())
        assert names == ["a cat-applied.png", "a cat.jpg"]
    assert photo.read_bytes() == before


def test_what_cannot_be_applied_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    with refused(FileNotFoundError, tmp_path / "run", "weights.safetensors"):
        load(tmp_path / "run")
    for model in (
        models.Denoiser((2, 3)), models.Generator(3, (4, 3)), models.Classifier(),
        models.PatchDiscriminator((2, 3)), models.SuperResolution(), UNet(2, 1, (2,)),
    ):  # fmt: skip
        path = tmp_path / "w.safetensors"
        models.save(model, path)
        with refused(ValueError, path, type(model).__name__, "image to image"):
            load(path)
