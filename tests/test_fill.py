"""Learning by filling holes: the network, its loss, and the probe of what it has learned."""

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import data, models, nn
from tinydeconv.gradcheck import gradcheck
from tinydeconv.recipes import common, fill
from tinydeconv.recipes.fill import Holes, Reader, Settings, hole_error
from tinydeconv.serialize import load_json

rng = np.random.default_rng(0)


def draw(*shape):
    return rng.random(shape, dtype=np.float32) * 2 - 1


def trained(channels=(3, 4), skips=False, **more):
    """A network that does something: its last layer does not start at zero."""
    td.manual_seed(0)
    model = models.Filler(channels=channels, skips=skips, **more)
    nn.init.normal_(model.last.weight, 0, 0.3)
    return model


# ---------------------------------------------------------------- the network


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (5, 6), (17, 3)])
def test_every_size_comes_back(size, skips):
    x = draw(2, 1, *size)
    model = trained((2, 3, 4), skips)
    y = model(td.tensor(x)).detach().numpy()
    assert y.shape == x.shape
    # as if the picture had been mirrored before, and cut afterwards
    around = [(0, 0), (0, 0), *((0, -n % 8) for n in size)]
    while any(
        after > n for (_, after), n in zip(around, x.shape)
    ):  # np.pad mirrors again and again
        around = [(0, min(after, n)) for (_, after), n in zip(around, x.shape)]
        x = np.pad(x, around, "symmetric")
        around = [(0, 0), (0, 0), *((0, -n % 8) for n in x.shape[2:])]
    x = np.pad(x, around, "symmetric")
    whole = model(td.tensor(x)).detach().numpy()
    np.testing.assert_allclose(y, whole[:, :, : size[0], : size[1]], atol=1e-6)


def test_other_channels_come_out():
    model = trained(in_channels=3, out_channels=2)
    assert model(td.tensor(draw(2, 3, 8, 8))).shape == (2, 2, 8, 8)
    assert model.features(td.tensor(draw(2, 3, 9, 8))).shape == (2, 4, 3, 2)


def test_with_skips_it_starts_as_the_identity():
    x = draw(1, 1, 6, 7)
    kept, nothing = (
        models.Filler(channels=(2, 3), skips=skips)(td.tensor(x)).detach().numpy()
        for skips in (True, False)
    )
    np.testing.assert_array_equal(kept, x)
    assert not np.any(nothing)


@pytest.mark.parametrize("skips", [False, True])
def test_without_skips_all_passes_the_smallest_size(skips):
    """A change of the features is all that an answer can see."""
    model = trained(skips=skips)
    x, other = (td.tensor(draw(1, 1, 8, 8)) for _ in range(2))
    apart = model(x) - model(other)
    model.down[-1].weight.data[...] = 0
    model.down[-1].bias.data[...] = 1
    same = np.array_equal(model(x).detach(), model(other).detach())
    assert np.abs(apart.detach().numpy()).max() > 0.01 and same != skips


@pytest.mark.parametrize("channels", [(3,), (3, 2), (3, 2, 2)])
def test_the_margin_is_as_far_as_the_network_looks(channels):
    model = trained(channels).double()
    for layer in (*model.down, *model.up):  # no place where a ReLU is closed hides anything
        layer.weight.data[...] = abs(layer.weight.data)
    half, reach = model.margin + model.multiple, 0
    x = td.tensor(np.ones((1, 1, 2 * half, 2 * half)), requires_grad=True)
    for phase in range(model.multiple):
        (g,) = td.grad(model(x)[0, 0, half + phase, half + phase], x)
        places = np.nonzero(g.numpy()[0, 0])[0]
        reach = max(reach, *abs(places - half - phase))
    assert reach == model.margin - 3 and model.margin % model.multiple == 0


def test_bad_channels_are_refused():
    with refused(ValueError, "channels", "one resolution", "()"):
        models.Filler(channels=())
    with refused(ValueError, "skips", 1, 2):
        models.Filler(1, 2, skips=True)


def test_it_comes_back_from_its_file(tmp_path):
    model, path = trained(skips=True), tmp_path / "w.safetensors"
    models.save(model, path)
    again = models.load(path, models.Filler)
    assert again.config == model.config == json.loads(json.dumps(model.config))
    x = td.tensor(draw(1, 1, 5, 6))
    np.testing.assert_array_equal(again(x).detach(), model(x).detach())
    told = {"name": "Filler", **model.config, "channels": [3, 10**7]}
    td.save(model.state_dict(), path, {models.KEY: json.dumps(told)})
    with refused(ValueError, path, "Filler", "another kind"):
        models.load(path)


# ---------------------------------------------------------------- holes and their loss


def test_holes_are_keyed_and_within_the_frame():
    holes = Holes(data.Glyphs(seed=3), 4, 9, seed=5)
    images, masks, labels = holes.batch(2, range(300))
    for array, other in zip((images, labels), data.Glyphs(seed=3).batch(2, range(300))):
        np.testing.assert_array_equal(array, other)
    assert masks.shape == (300, 1, 32, 32) and masks.dtype == np.float32
    sides, corners = set(), set()
    for (mask,) in masks:
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        assert len(rows) == len(columns) and mask.sum() == len(rows) ** 2
        sides.add(len(rows))
        corners |= {("top", rows[0]), ("left", columns[0]), ("bottom", rows[-1])}
    assert sides == {4, 5, 6, 7, 8, 9}
    assert {("top", 0), ("left", 0), ("bottom", 31)} <= corners
    for again in (holes.batch(2, [7, 3]), Holes(data.Glyphs(seed=3), 4, 9, 5).batch(2, [7, 3])):
        np.testing.assert_array_equal(again[1], masks[[7, 3]])
    for other in (holes.batch(1, range(9)), Holes(data.Glyphs(), 4, 9, 6).batch(2, range(9))):
        assert np.any(other[1] != masks[:9])


def test_a_hole_says_nothing_of_the_glyph_in_it():
    """Their draws have other keys: with the same ones a hole's place would tell the face."""
    _, masks, _ = Holes(data.Glyphs(), 4, 28).batch(0, range(400))
    there = masks[:, 0].any(2), masks[:, 0].any(1)
    drawn = [np.random.default_rng([0, 0, index]).random(7) for index in range(400)]
    numbers = np.column_stack([there[0].sum(1), *(x.argmax(1) for x in there), drawn])
    assert np.abs(np.corrcoef(numbers, rowvar=False)[:3, 3:]).max() < 0.2


def test_the_loss_by_a_loop():
    painted, images = draw(3, 2, 5, 6), draw(3, 2, 5, 6)
    holes = (rng.random((3, 1, 5, 6)) < 0.4).astype(np.float32)
    inside, beside = [], []
    for n, c, y, x in np.ndindex(painted.shape):
        wrong = (float(painted[n, c, y, x]) - float(images[n, c, y, x])) ** 2
        (inside if holes[n, 0, y, x] else beside).append(wrong)
    tensors = [td.tensor(x) for x in (painted, images, holes)]
    assert hole_error(*tensors).item() == pytest.approx(np.mean(inside), rel=1e-5)
    both = np.mean(inside) + 0.3 * np.mean(beside)
    assert hole_error(*tensors, 0.3).item() == pytest.approx(both, rel=1e-5)


@pytest.mark.parametrize("outside", [0, 0.5])
def test_the_slope_of_the_loss(outside):
    painted = td.tensor(rng.random((2, 1, 3, 3)), requires_grad=True)
    images = td.tensor(rng.random((2, 1, 3, 3)))
    holes = td.tensor(np.eye(3)[None, None].repeat(2, 0))
    assert gradcheck(lambda x: hole_error(x, images, holes, outside), [painted])
    (g,) = td.grad(hole_error(painted, images, holes, outside), painted)
    assert np.any(g.numpy()[:, :, 0, 1]) == bool(outside)  # which is no hole


def test_the_network_does_not_see_what_is_in_the_hole():
    images, holes, _ = Holes(data.Glyphs(), 10, 12).batch(0, range(4))
    images = images / np.float32(127.5) - 1
    other = np.where(holes, draw(*images.shape), images)
    painted, again = (fill.filled(trained(), x, holes) for x in (images, other))
    inside = holes.astype(bool)
    np.testing.assert_array_equal(painted[inside], again[inside])
    np.testing.assert_array_equal(painted[~inside], images[~inside])
    assert np.any(painted[inside] != images[inside])
    assert painted.dtype == np.float32 and abs(painted).max() <= 1


# ---------------------------------------------------------------- training

TINY = Settings(steps=6, channels=(2, 3), batch_size=2)


def state(training):
    return {n: x.numpy() for n, x in training.networks["filler"].state_dict().items()}


def test_it_goes_on_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(fill, "EPOCH", 2)
    whole = common.start("fill", tmp_path / "whole", TINY)
    whole.run()
    cut = common.start("fill", tmp_path / "cut", TINY)
    with pytest.raises(KeyboardInterrupt):
        cut.run(stages={3: lambda: signal.raise_signal(signal.SIGINT)})
    again = common.resume("fill", tmp_path / "cut")
    assert again.step == 3
    again.run()
    assert again.losses == whole.losses
    for a, b in zip(state(again).items(), state(whole).items(), strict=True):
        assert a[0] == b[0] and np.array_equal(a[1], b[1])


def test_what_a_training_leaves_behind(tmp_path, monkeypatch):
    for name, value in {
        "PICTURES": 1, "MEASURED": 60, "SEEDS": 2, "LABELLED": (1, 2), "PROBE_STEPS": 2,
    }.items():  # fmt: skip
        monkeypatch.setattr(fill, name, value)
    training = common.start("fill", tmp_path, replace(TINY, outside=0.5))
    table = fill.train(training)
    names = ["checkpoint.safetensors", "filled-1.png", "filled-6.png", "filled.png", "loss.png"]
    names += ["metrics.jsonl", "results.json", "table.txt", "weights.safetensors"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    assert table == (tmp_path / "table.txt").read_text(encoding="utf-8")
    told = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert told["training"]["recipe"] == "fill" and told["holes"]["whole"]["error"] == 0
    assert list(told["probe"]) == list(fill.ARMS)
    for of in told["probe"].values():
        assert {each: len(found) for each, found in of.items()} == {"1": 2, "2": 2}
    made = load_json(tmp_path / "weights.safetensors", models.KEY)["made"]
    command = "tinydeconv train fill --outside 0.5 --steps 6 --seed 0 --batch-size 2"
    assert made["command"] == command
    # the probe has left the network as it was
    saved = models.load(tmp_path / "weights.safetensors", models.Filler).state_dict()
    for name, x in state(training).items():
        np.testing.assert_array_equal(saved[name], x)


def test_what_is_measured_of_holes():
    images, holes, labels = Holes(data.Glyphs(), 8, 12).batch(0, range(40))
    told = fill.measured(trained((2, 3)), images, holes, labels)
    x = images / 127.5 - 1
    inside = np.broadcast_to(holes.astype(bool), x.shape)
    assert told["black"]["error"] == pytest.approx(np.mean((x[inside] + 1) ** 2), rel=1e-4)
    assert told["whole"] == {"error": 0, "read": 1}
    assert told["black"]["read"] < 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"smallest": 20, "largest": 10}, ["smallest to largest", "20 to 10"]),
        ({"largest": 32}, ["leave something", 32]),
        ({"classes": 26}, ["10, 62", "classes", 26]),
        ({"seed": fill.FRESH}, ["seed below", fill.FRESH]),
        ({"outside": -1.0}, ["outside", "-1.0"]),
        ({"channels": ()}, ["channels"]),
    ],
)
def test_bad_settings_are_refused(wrong, words):
    with refused(ValueError, *words):
        replace(TINY, **wrong)


# ---------------------------------------------------------------- the probe


def test_labelled_glyphs_are_the_first_of_each_class():
    images, labels = fill.labelled(10, 5, 7)
    assert images.shape == (50, 1, 32, 32)
    np.testing.assert_array_equal(labels, np.arange(10).repeat(5))
    drawn, of = data.Glyphs(seed=7).batch(0, range(400))
    np.testing.assert_array_equal(images[20:25], drawn[of == 4][:5])
    np.testing.assert_array_equal(fill.labelled(10, 1, 7)[0], images[::5])
    assert len(fill.labelled(62, 1, 7)[1]) == 62


def known(classes=3, each=4):
    """Toy images that a mean tells apart, and their labels."""
    labels = np.arange(classes * each) % classes
    images = np.full((len(labels), 1, 8, 8), -1, np.float32)
    images += labels[:, None, None, None] + 0.05 * draw(*images.shape)
    return td.tensor(images), td.tensor(labels)


@pytest.mark.parametrize("learns", [False, True])
def test_a_reader_learns_what_can_be_known(learns):
    images, labels = known()
    model = trained((4, 6))
    before = {name: x.numpy().copy() for name, x in model.state_dict().items()}
    reader = Reader(model, images, 3)
    assert not np.any(reader(images).detach().numpy())  # it starts without an opinion
    assert reader.features(images).mean(0).detach().numpy() == pytest.approx(0, abs=1e-5)
    fresh, expected = known(each=10)
    answers = fill._answers(reader, images, labels, fresh, learns)
    assert np.mean(answers == expected.numpy()) > 0.9
    moved = {n for n, x in model.state_dict().items() if np.any(x.numpy() != before[n])}
    encoder = {n for n in before if n.startswith("down")}
    assert moved == (encoder if learns else set())


@pytest.mark.slow
def test_what_it_learned_helps(tmp_path, monkeypatch):
    """A short training fills better than black does, and its frozen features read better."""
    monkeypatch.setattr(fill, "SEEDS", 2)
    monkeypatch.setattr(fill, "LABELLED", (20,))
    frozen = {arm: how for arm, how in fill.ARMS.items() if not how[1]}
    monkeypatch.setattr(fill, "ARMS", frozen)
    training = common.start("fill", tmp_path, Settings(steps=300, channels=(16, 32, 64)))
    training.run()
    images, holes, labels = fill.with_holes(Settings(), fill.FRESH).batch(0, range(500))
    network = training.networks["filler"]
    told = fill.measured(network, images, holes, labels)
    assert told["filled"]["error"] < 0.8 * told["black"]["error"]
    found = fill.probed(network, 10, images, labels)
    gains = np.subtract(found["filler, frozen"]["20"], found["random, frozen"]["20"])
    assert min(gains) > 0.02, found


def test_labels_by_chance_teach_nothing():
    images, labels = known(each=8)
    shuffled = td.tensor(np.random.default_rng(1).integers(0, 3, len(labels)))
    answers = fill._answers(Reader(trained((4, 6)), images, 3), images, shuffled, images, False)
    assert np.mean(answers == labels.numpy()) < 0.8


def test_the_arms_differ_in_the_encoder_alone(monkeypatch):
    """All get the same labelled images, and begin with the same encoder twice."""
    monkeypatch.setattr(fill, "SEEDS", 2)
    monkeypatch.setattr(fill, "LABELLED", (1,))
    seen = []

    def note(reader, images, labels, fresh, learns):
        weight = reader.network.down[0].weight.detach().numpy().copy()
        seen.append((weight, images.numpy(), labels.numpy(), learns))
        return np.zeros(len(fresh))

    monkeypatch.setattr(fill, "_answers", note)
    network = trained((2, 3))
    images, labels = data.Glyphs(seed=fill.FRESH).batch(0, range(20))
    told = fill.probed(network, 10, images, labels)
    assert told["random, tuned"] == {"1": [np.mean(labels == 0)] * 2}
    assert [learns for *_, learns in seen] == [False, False, True, True] * 2
    for first in (0, 4):
        filler, random, again, likewise = seen[first : first + 4]
        np.testing.assert_array_equal(filler[0], network.down[0].weight.detach())
        np.testing.assert_array_equal(filler[0], again[0])
        np.testing.assert_array_equal(random[0], likewise[0])
        assert np.any(random[0] != filler[0])
        for arm in (random, again, likewise):
            np.testing.assert_array_equal(arm[1], filler[1])
            np.testing.assert_array_equal(arm[2], filler[2])
    assert np.any(seen[0][1] != seen[4][1]) and np.any(seen[1][0] != seen[5][0])


def test_the_table_has_the_gains_of_pairs():
    arms = {arm: {"1": [0.2, 0.4], "5": [0.5, 0.5]} for arm in fill.ARMS}
    arms["filler, frozen"] = {"1": [0.3, 0.5], "5": [0.4, 0.6]}
    holes = {"black": {"error": 0.5}, "filled": {"error": 0.25}}
    lines = fill._table(holes, arms, 62).splitlines()
    (frozen,) = (line.split() for line in lines if line.startswith("gain, frozen"))
    assert frozen == ["gain,", "frozen", "+10.0", "±", "0.0", "+0.0", "±14.1"]
    (tuned,) = (line.split() for line in lines if line.startswith("gain, tuned"))
    assert tuned[2:] == ["+0.0", "±", "0.0", "+0.0", "±", "0.0"]
