"""From picture to picture: the U-Net, the pairs that it learns from, and its training."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from refusals import refused

import tinydeconv as td
from tinydeconv import data, models, nn
from tinydeconv.cli import main
from tinydeconv.data import HELD_OUT, photograph
from tinydeconv.models import PatchDiscriminator, UNet
from tinydeconv.models.unet import mirrored
from tinydeconv.ops import cat
from tinydeconv.recipes import common
from tinydeconv.recipes import pix2pix as recipe
from tinydeconv.recipes.apply import rgb
from tinydeconv.recipes.pix2pix import (
    RECIPES,
    Colours,
    Outlines,
    chroma,
    outline,
    steepness,
    variety,
)
from tinydeconv.serialize import load_json

rng = np.random.default_rng(0)
SMALL = {"steps": 4, "batch_size": 2, "channels": (3, 4, 5), "judges": (2, 3)}


def draw(*shape):
    return rng.random(shape) * 2 - 1


def lively(*channels, inputs=1, outputs=2):
    """A U-Net in float64 whose weights are large enough that nothing it does is lost, and in whose
    biases nothing lies on a kink.
    """
    td.manual_seed(0)
    model = UNet(inputs, outputs, channels).double()
    for weight in model.parameters():
        nn.init.normal_(weight, 0, 0.3)
    return model


# ---------------------------------------------------------------- the network


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (8, 8), (9, 16), (17, 23)])
def test_every_size(size):
    model = lively(3, 4, 5, inputs=3)
    for training in (True, False):
        y = model.train(training)(td.tensor(draw(2, 3, *size)))
        assert y.shape == (2, 2, *size)
        assert 0 < abs(y).max().item() <= 1


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (9, 7)])
def test_a_size_that_is_no_multiple_is_continued_by_the_mirror_image(size):
    model, x = lively(3, 4, 5).eval(), draw(1, 1, *size)
    wide = x
    while min(wide.shape[2:]) < 16:
        wide = np.pad(wide, [(0, 0), (0, 0), *[(0, n) for n in wide.shape[2:]]], mode="symmetric")
    wide = wide[:, :, : -(-size[0] // 8) * 8, : -(-size[1] // 8) * 8]
    np.testing.assert_array_equal(mirrored(td.tensor(x), 8).numpy(), wide)
    expected = model(td.tensor(wide)).detach().numpy()[:, :, : size[0], : size[1]]
    np.testing.assert_array_equal(model(td.tensor(x)).detach().numpy(), expected)


@pytest.mark.parametrize("channels", [(3,), (3, 4), (2, 3, 4), (2, 2, 3, 3)])
def test_the_margin_is_further_than_the_network_looks(channels):
    """And a margin that were one step shorter would not be."""
    model = lively(*channels).eval()
    step = 2 ** len(channels)
    middle, reach = 4 * step, 0
    x = td.tensor(draw(1, 1, 9 * step, 9 * step), requires_grad=True)
    y = model(x)
    for phase in range(step):
        place = middle + phase
        (g,) = td.grad(y[0, 0, place, place], x, retain_graph=True)
        rows, columns = np.nonzero(g.numpy()[0, 0])
        reach = max(reach, abs(rows - place).max(), abs(columns - place).max())
    assert reach == 3 * (step - 1) < model.margin == 3 * step


def test_it_is_the_papers_ladder():
    model = UNet(3, 2, (4, 6, 8))
    assert model.first.bias is not None and model.last.bias is not None
    found = []
    for layers in (model.down, model.up):
        for activation, convolution, norm in layers:
            found.append((type(activation).__name__, *convolution.weight.shape[:2]))
            assert convolution.bias is None  # the batch norm would take it off again
            assert convolution.kernel_size == (4, 4) and convolution.stride == (2, 2)
            assert norm.num_features == convolution.out_channels
    # of a transposed convolution the first number is the input's: half of it are the skip's
    down, up = [("LeakyReLU", 6, 4), ("LeakyReLU", 8, 6)], [("ReLU", 8, 6), ("ReLU", 12, 4)]
    assert found == down + up and model.last.weight.shape[:2] == (8, 2)
    for name, w in model.named_parameters():
        if w.ndim > 1:
            assert 0.015 < w.std().item() < 0.025, name


def test_a_thin_line_goes_through_the_skips():
    """Of what the smallest picture cannot hold, the answer knows only by the skips."""
    model = lively(3, 4, 5).eval()
    x = draw(1, 1, 16, 16)
    smallest = {}
    hook = model.down[-1].register_forward_hook(lambda layer, inputs, y: y * 0)
    smallest["without"] = model(td.tensor(x)).detach().numpy()
    hook.remove()
    y = model(td.tensor(x)).detach().numpy()
    assert not np.allclose(smallest["without"], y)  # what is small and what is large count both
    moved = x.copy()
    moved[..., 7, :] *= -1
    hook = model.down[-1].register_forward_hook(lambda layer, inputs, y: y * 0)
    assert not np.allclose(model(td.tensor(moved)).detach().numpy(), smallest["without"])
    hook.remove()


@pytest.mark.parametrize("training", [True, False])
def test_slopes_are_finite_differences(training):
    """Along random directions, in the picture and in every weight, of a size that is continued."""
    model, x = lively(2, 3).train(training), td.tensor(draw(2, 1, 5, 6), requires_grad=True)
    towards = td.tensor(draw(2, 2, 5, 6))

    def loss():
        return (model(x) * towards).sum()

    leaves = {"picture": x, **dict(model.named_parameters())}
    for (name, leaf), slope in zip(leaves.items(), td.grad(loss(), [*leaves.values()])):
        direction, values, ends = draw(*leaf.shape), leaf.detach().numpy().copy(), []
        for step in (1e-6, -1e-6):
            leaf.data = values + step * direction
            ends.append(loss().item())
        leaf.data = values
        expected = (ends[0] - ends[1]) / 2e-6
        assert (slope.numpy() * direction).sum() == pytest.approx(expected, rel=1e-5, abs=1e-7), (
            name
        )


def test_it_comes_back_from_its_file(tmp_path):
    model, path = UNet(1, 3, (3, 4)), tmp_path / "w.safetensors"
    models.save(model, path)
    again = models.load(path)
    assert again.config == model.config == json.loads(json.dumps(model.config))
    x = td.tensor(draw(1, 1, 5, 6).astype("f4"))
    assert np.array_equal(again.eval()(x).detach(), model.eval()(x).detach())
    told = {"name": "UNet", **model.config, "in_channels": 10**6}
    td.save(model.state_dict(), path, {models.KEY: json.dumps(told)})
    with refused(ValueError, path, "UNet"):
        models.load(path)
    with refused(ValueError, "at least one"):
        UNet(channels=())


# ---------------------------------------------------------------- pairs


def test_an_outline_by_loops():
    ink = rng.random((2, 1, 9, 7)) > 0.3
    found = outline(ink)
    for n, _, y, x in np.ndindex(ink.shape):
        around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        inside = all(0 <= i < 9 and 0 <= j < 7 and ink[n, 0, i, j] for i, j in around)
        assert found[n, 0, y, x] == (ink[n, 0, y, x] and not inside)


@pytest.mark.parametrize(("size", "hidden"), [(32, 16), (32, 0), (64, 40), (32, 32)])
def test_pairs_of_outlines(size, hidden):
    pairs = Outlines(size, hidden, seed=3)
    given, wanted, labels = pairs.labelled(2, range(40))
    digits, of_glyphs = data.Glyphs(10, size, 3).batch(2, range(40))
    assert given.dtype == wanted.dtype == np.float32
    assert given.shape == wanted.shape == (40, 1, size, size)
    np.testing.assert_array_equal(labels, of_glyphs)
    np.testing.assert_allclose(wanted, digits / 127.5 - 1, atol=1e-6)
    corners = set()
    for picture, digit in zip(given[:, 0], digits[:, 0]):
        rows, columns = np.nonzero(picture == 0)
        seen = np.ones((size, size), bool)
        if hidden:
            top, left = rows.min(), columns.min()
            corners.add((top, left))
            seen[top : top + hidden, left : left + hidden] = False
        assert np.array_equal(picture == 0, ~seen)
        assert np.array_equal(picture[seen] > 0, outline(digit >= 128)[seen])
    assert len(corners) > 20 or hidden in (0, size)


def test_pairs_of_colours():
    grey, colours = Colours(24, seed=1).batch(0, range(60))
    assert grey.dtype == colours.dtype == np.float32
    assert grey.shape == (60, 1, 24, 24) and colours.shape == (60, 2, 24, 24)
    for planes in (grey, colours):
        assert -1 <= planes.min() < planes.max() <= 1 and planes.std() > 0.05
    seen = rgb((np.concatenate([grey, colours], 1)[0] + 1) / 2)
    name = recipe.COLOURED[np.random.default_rng([1, 0, 0]).integers(5)]
    whole = {tuple(pixel) for pixel in np.rint(255 * photograph(name, colour=True)).reshape(-1, 3)}
    assert {tuple(pixel) for pixel in np.rint(255 * seen).reshape(-1, 3)} <= whole


def test_a_crop_is_a_part_of_its_photograph_or_of_its_mirror_image(monkeypatch):
    image = (np.arange(30 * 40 * 3, dtype=np.float32) / 3600).reshape(30, 40, 3)
    asked = []
    monkeypatch.setattr(
        recipe, "photograph", lambda name, colour: asked.append((name, colour)) or image
    )
    found = set()
    pairs = Colours(8, names=["chelsea", "coffee"]).batch(0, range(60))
    for x in (np.concatenate(pairs, 1) + 1) / 2:
        x = rgb(x)
        mirror = x[0, 0, 0] > x[0, 1, 0]
        x = x[:, ::-1] if mirror else x
        top, left = divmod(round(x[0, 0, 0] * 1200), 40)
        np.testing.assert_allclose(x, image[top : top + 8, left : left + 8], atol=1e-6)
        found.add((top, left, mirror))
    assert len(found) > 50 and {mirror for *_, mirror in found} == {True, False}
    assert set(asked) == {("chelsea", True), ("coffee", True)}


@pytest.mark.parametrize("pairs", [Outlines(), Colours(32)])
def test_a_pair_depends_on_seed_epoch_and_index_alone(pairs):
    whole = pairs.batch(1, [4, 5, 6])
    for kind, again in zip(whole, pairs.batch(1, [5])):
        assert np.array_equal(kind[1], again[0])
    other_seed = Outlines(seed=1) if isinstance(pairs, Outlines) else Colours(32, seed=1)
    for others in (pairs.batch(0, [4, 5, 6]), other_seed.batch(1, [4, 5, 6])):
        assert all(not np.array_equal(a, b) for a, b in zip(whole, others))
        assert (
            isinstance(pairs, Colours) or ((whole[0] == 0) != (others[0] == 0)).any((1, 2, 3)).all()
        )


def test_no_training_sees_a_held_out_photograph():
    assert not set(recipe.COLOURED) & set(HELD_OUT) and recipe.JUDGED in HELD_OUT
    with refused(ValueError, "astronaut", "held out"):
        Colours(names=["coffee", "astronaut"])


def test_photographs_in_colour():
    for name in (*recipe.COLOURED, recipe.JUDGED):
        image, grey = photograph(name, colour=True), photograph(name)
        assert image.shape == (*grey.shape, 3) and not image.flags.writeable
        np.testing.assert_array_equal(data.rgb2gray(image), grey)
    with refused(ValueError, "camera", "colour"):
        photograph("camera", colour=True)


# ---------------------------------------------------------------- measures


def test_steepness_by_loops():
    x, where = draw(2, 1, 5, 6), rng.random((2, 1, 5, 6)) > 0.4
    down, across = [], []
    for n, _, i, j in np.ndindex(x.shape):
        if where[n, 0, i, j]:
            down += [abs(x[n, 0, i, j] - x[n, 0, i - 1, j])] if i else []
            across += [abs(x[n, 0, i, j] - x[n, 0, i, j - 1])] if j else []
    assert steepness(x, where) == pytest.approx(np.mean(down) + np.mean(across))


def test_chroma_is_the_distance_from_grey():
    image = np.zeros((4, 4, 3), np.float32)
    image[...] = [0.5, 0.2, 0.7]
    y = 0.2125 * 0.5 + 0.7154 * 0.2 + 0.0721 * 0.7
    expected = ((0.5 - y) ** 2 + (0.2 - y) ** 2 + (0.7 - y) ** 2) ** 0.5
    assert chroma(image) == pytest.approx(expected, rel=1e-5)
    assert chroma(np.full((4, 4, 3), 0.3)) == pytest.approx(0, abs=1e-7)


def test_variety_is_the_area_that_colours_take_up():
    """Of colours on the corners of a rectangle of 2a x 2b around grey, a times b; of a line, 0."""
    a, b = 0.05, 0.1
    corners = [[[0.5, 0.5 + x, 0.5 + y] for x in (-a, a)] for y in (-b, b)]
    image = rgb(np.moveaxis(np.array(corners * 500), 2, 0))
    assert variety(image) == pytest.approx(a * b, rel=1e-3)
    assert variety(image * 0.5 + 0.3) == pytest.approx(a * b / 4, rel=1e-3)
    assert variety(image[:500:2]) == pytest.approx(0, abs=1e-7)


# ---------------------------------------------------------------- training


def small(**more):
    return replace(RECIPES["pix2pix"], **{**SMALL, **more})


def test_a_step_by_hand(tmp_path):
    """Losses written down once more, and whose slopes each optimiser follows."""
    settings = small(l1=7.0, adversarial=0.5)
    training = common.start("pix2pix", tmp_path, settings)
    network, judge = training.networks["network"], training.networks["discriminator"]
    assert isinstance(network, UNet) and isinstance(judge, PatchDiscriminator)
    given, wanted = map(td.tensor, next(training.loader.batches(0)))
    twin = [UNet(1, 1, settings.channels), PatchDiscriminator(settings.judges, 2)]
    for copy, net in zip(twin, (network, judge)):
        copy.load_state_dict(net.state_dict())
    painted = twin[0](given)
    error = abs(painted - wanted).mean()
    real, fake = (
        twin[1](cat([given, x], 1)).detach().numpy().astype(float) for x in (wanted, painted)
    )
    losses = training.update(given.numpy(), wanted.numpy())
    judged = np.mean(np.log1p(np.exp(-real))) + np.mean(np.log1p(np.exp(fake)))
    assert losses["error"].item() == pytest.approx(error.item(), rel=1e-5)
    assert losses["discriminator"].item() == pytest.approx(judged, rel=1e-5)
    # the network is told by a discriminator that has taken its step
    twin[1].load_state_dict(judge.state_dict())
    fooling = nn.functional.softplus(-twin[1](cat([given, painted], 1))).mean()
    assert losses["adversarial"].item() == pytest.approx(fooling.item(), rel=1e-3)
    slopes = td.grad(7 * error + 0.5 * fooling, [*twin[0].parameters()])
    for parameter, slope in zip(network.parameters(), slopes):
        np.testing.assert_allclose(parameter.grad, slope.detach(), rtol=1e-3, atol=1e-5)


def test_without_an_adversary_there_is_the_error_alone(tmp_path):
    training = common.start("pix2pix", tmp_path, small(adversarial=0.0))
    training.run()
    assert list(training.networks) == ["network"] and list(training.losses) == ["error"]


@pytest.mark.parametrize("more", [{}, {"task": "colour"}, {"adversarial": 0.0}])
def test_two_steps_and_two_more_are_four(tmp_path, more):
    whole = common.start("pix2pix", tmp_path / "whole", small(**more))
    whole.run()
    part = common.start("pix2pix", tmp_path / "part", small(**more))
    part.steps = 2
    part.run()
    again = common.resume("pix2pix", tmp_path / "part")
    assert again.step == 2
    again.run()
    assert again.losses == whole.losses
    states = [(tmp_path / run / "checkpoint.safetensors").read_bytes() for run in ("whole", "part")]
    assert states[0] == states[1]


@pytest.mark.parametrize(
    ("more", "columns", "rows"),
    [
        ({}, ["given", "painted", "truth"], ["mean absolute error", "read right"]),
        ({"task": "colour"}, ["given", "painted", "truth"], ["PSNR", "distance from grey"]),
        ({"size": 64, "hidden": 0, "adversarial": 0.0}, ["painted"], ["mean absolute error"]),
    ],
)
def test_what_a_training_leaves_behind(tmp_path, monkeypatch, more, columns, rows):
    monkeypatch.setattr(recipe, "MEASURED", 20)
    monkeypatch.setattr(recipe, "PICTURES", 1)
    table = recipe.train(common.start("pix2pix", tmp_path, small(**more)))
    names = ["checkpoint.safetensors", "losses.png", "metrics.jsonl", "results.json", "table.txt"]
    names += ["translated-1.png", "translated-4.png", "translated.png", "weights.safetensors"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    assert table == (tmp_path / "table.txt").read_text(encoding="utf-8")
    assert all(word in table for word in columns + rows) and max(map(len, table.split("\n"))) < 90
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results["training"]["recipe"] == "pix2pix"
    error = results["measured"]["mean absolute error, white less black is 1"]
    assert error["truth"] == 0 < error["painted"] < 1 and 0 < error["given"] < 1
    assert ("read right, share" in results["measured"]) == (more == {})
    made = load_json(tmp_path / "weights.safetensors", models.KEY)["made"]
    assert made["command"].startswith("tinydeconv train pix2pix")
    width, height = Image.open(tmp_path / "translated.png").size
    assert width > 300 and height > 100


def test_the_measures_of_the_truth_itself(monkeypatch):
    """A network that knew the answer would have no error, be as steep, and be read right."""
    monkeypatch.setattr(recipe, "MEASURED", 30)
    settings = small()
    _, wanted, _ = Outlines(seed=recipe.MEASURED_SEED).labelled(0, range(30))
    monkeypatch.setattr(recipe, "painted", lambda network, given: wanted)
    told = {what: row["painted"] for what, row in recipe.measure_digits(None, settings).items()}
    assert list(told.values()) == [0, 0, 1, 1]
    truth = photograph("astronaut", colour=True)
    monkeypatch.setattr(recipe, "translate", lambda network, image: truth + 0)
    told = {what: row["painted"] for what, row in recipe.measure_colours(None, settings).items()}
    assert list(told.values()) == [0, np.inf, 1, 1]


def test_a_picture_does_not_depend_on_those_beside_it(monkeypatch):
    monkeypatch.setattr(recipe, "BATCH", 2)
    network, given = UNet(1, 1, (3, 4)), draw(5, 1, 8, 8).astype("f4")
    found = recipe.painted(network, given)
    assert network.training
    network.eval()
    for x, y in zip(given, found):
        np.testing.assert_allclose(network(td.tensor(x[None])).detach().numpy()[0], y, atol=1e-6)


def test_what_is_shown_is_what_no_training_has_seen():
    settings = small(seed=3)
    given, _, wanted = recipe.show_digits(UNet(1, 1, (2,)), settings)
    fresh = Outlines(seed=recipe.MEASURED_SEED + 3).batch(0, range(recipe.ROW))
    for shown, expected in zip((given, wanted), fresh):
        np.testing.assert_array_equal(shown, (expected + 1) / 2)
    rows = recipe.show_colours(UNet(1, 2, (2,)), settings)
    parts = [
        photograph("astronaut", colour=True)[y : y + 120, x : x + 120] for y, x in recipe.SHOWN
    ]
    np.testing.assert_array_equal(rows[2], np.moveaxis(parts, 3, 1))
    brightness = np.einsum("c,nchw->nhw", [0.299, 0.587, 0.114], rows[2])
    np.testing.assert_allclose(rows[0], np.repeat(brightness[:, None], 3, 1), atol=1e-6)
    assert rows[1].shape == rows[2].shape


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"task": "maps"}, ("task", "edges", "colour", "'maps'")),
        ({"hidden": 33}, ("hidden", 32, 33)),
        ({"size": 48}, ("size", 32, 64, 48)),
        ({"l1": 0.0, "adversarial": 0.0}, ("l1", "adversarial")),
        ({"beta1": 1.0}, ("beta1", "1.0")),
        ({"batch_size": 1}, ("batch_size", 2, 1)),
        ({"judges": ()}, ("judges",)),
    ],
)
def test_bad_settings_are_refused(wrong, words):
    with refused(ValueError, *words):
        small(**wrong)


def test_a_checkpoint_of_other_settings_or_another_recipe_is_refused(tmp_path, capsys):
    common.start("pix2pix", tmp_path, small()).save()
    with refused(ValueError, "sr", "pix2pix"):
        common.resume("sr", tmp_path)
    assert main(["train", "pix2pix", "--out", str(tmp_path), "--resume", "--task", "colour"]) == 2
    assert "--task" in capsys.readouterr().err


@pytest.mark.slow
def test_it_learns_what_is_behind_the_square(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "MEASURED", 200)
    monkeypatch.setattr(recipe, "PICTURES", 1)
    recipe.train(common.start("pix2pix", tmp_path, replace(RECIPES["pix2pix"], steps=150)))
    told = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["measured"]
    errors = [row for what, row in told.items() if "error" in what or "hidden" in what]
    assert len(errors) == 2
    for row in errors:
        assert row["painted"] < 0.6 * row["given"]
