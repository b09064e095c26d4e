"""Textures of any size: the generator, painting in tiles, what is measured, and the training."""

import json
import signal
import tracemalloc
from dataclasses import replace
from functools import partial

import naive
import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import data, models
from tinydeconv.cli import main
from tinydeconv.data import TEXTURES, photograph
from tinydeconv.models import TextureGenerator
from tinydeconv.recipes import common
from tinydeconv.recipes import texture as recipe
from tinydeconv.recipes.gan import LOSSES
from tinydeconv.recipes.sample import sample
from tinydeconv.recipes.texture import (
    RECIPES,
    Patches,
    gram_distance,
    grams,
    nearest_square,
    paint,
    painted,
    seams,
    texture,
)
from tinydeconv.serialize import load_json
from tinydeconv.train import KEY

rng = np.random.default_rng(0)
TINY = replace(
    RECIPES["texture"], steps=6, seed=1, batch_size=2, crop=32, latent=3, channels=(4, 3),
    judges=(3, 4), looks=2,
)  # fmt: skip


@pytest.fixture(autouse=True)
def few(monkeypatch):
    for name in ("MEASURED", "SQUARES", "PICTURES"):
        monkeypatch.setattr(recipe, name, 2)
    monkeypatch.setattr(recipe, "SIDE", 64)


def noise(*shape):
    return rng.standard_normal(shape, dtype=np.float32)


def trained(latent=3, channels=(5, 4, 3), out_channels=1, looks=1):
    """A generator of pictures with contrast, whose batch norm has seen some noise."""
    td.manual_seed(0)
    model = TextureGenerator(latent, channels, out_channels, looks)
    for parameter in model.parameters():
        parameter.data[...] *= 8 if parameter.ndim > 1 else 1
    with td.no_grad():
        for _ in range(20):
            model(td.randn(4, latent, 9, 9))
    return model.eval()


def array(x):
    return x.detach().numpy()


# ---------------------------------------------------------------- the generator


@pytest.mark.parametrize("channels", [(4,), (4, 3), (5, 4, 3, 2)])
@pytest.mark.parametrize(("out_channels", "looks"), [(1, 1), (3, 2)])
def test_shapes(channels, out_channels, looks):
    model = TextureGenerator(3, channels, out_channels, looks)
    factor, margin = model.factor, model.margin
    assert factor == 2 ** len(channels)
    pictures = model(td.tensor(noise(2, 3, 2 * margin + 1, 2 * margin + 4)))
    assert pictures.shape == (2, out_channels, factor, 4 * factor)
    assert abs(pictures).max().item() < 1
    again = TextureGenerator(**json.loads(json.dumps(model.config)))
    again.load_state_dict(model.state_dict())


def test_it_paints_what_seven_loops_paint():
    model = trained(2, (3, 2), looks=2)
    z = rng.standard_normal((1, 2, 7, 8))
    state = {name: x.numpy().astype(float) for name, x in model.state_dict().items()}

    def normed(x, layer):
        mean, var, w, b = (
            state[f"ladder.{layer}.{name}"][:, None, None]
            for name in ("running_mean", "running_var", "weight", "bias")
        )
        return np.maximum((x - mean) / np.sqrt(var + 1e-5) * w + b, 0)

    x = normed(naive.conv(z, state["ladder.0.weight"]), 1)
    x = normed(naive.conv(x, state["ladder.3.weight"]), 4)
    x = normed(naive.conv_transpose(x, state["ladder.6.weight"], stride=2, padding=2), 7)
    last = [state[f"ladder.9.{name}"] for name in ("weight", "bias")]
    x = np.tanh(naive.conv_transpose(x, *last, stride=2, padding=2))
    ours = array(model.double()(td.tensor(z)))
    np.testing.assert_allclose(ours, x[:, :, 1:-1, 1:-1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("looks", [1, 2, 3])
def test_the_margin_is_as_far_as_the_network_looks(looks):
    """No cell further away changes a pixel; and some pixel looks so far, so it is no larger."""
    model, reach = trained(looks=looks).double(), 0
    cells, factor = 2 * model.margin + 5, model.factor
    z = td.tensor(rng.standard_normal((1, 3, cells, cells)), requires_grad=True)
    picture = model(z)
    middle = cells // 2
    for row in range(factor):
        place = (middle - model.margin) * factor + row
        (g,) = td.grad(picture[0, 0, place, place], z, retain_graph=True)
        rows, columns = np.nonzero(g.numpy()[0].any(0))
        reach = max(reach, abs(rows - middle).max(), abs(columns - middle).max())
    assert reach == model.margin == looks + 1


def test_noise_shifted_by_a_cell_shifts_the_picture_by_its_pixels():
    """In eval mode; and so at the border too, since no layer pads."""
    model, z = trained(), noise(1, 3, 10, 11)
    whole = array(model(td.tensor(z)))
    for down, right in ((1, 0), (0, 2), (3, 1)):
        part = array(model(td.tensor(z[:, :, down:, right:])))
        expected = whole[:, :, down * model.factor :, right * model.factor :]
        np.testing.assert_allclose(part, expected, atol=1e-6)
    assert whole.std() > 0.1


def test_bad_noise_is_refused():
    model = TextureGenerator(3, (4, 3), looks=2)
    for shape in ((1, 2, 9, 9), (1, 3, 6, 9), (1, 3, 9), (3, 9, 9)):
        with refused(ValueError, "(N, 3, h, w)", 7, str(shape)):
            model(td.tensor(noise(*shape)))
    with refused(ValueError, "channels"):
        TextureGenerator(3, ())
    with refused(ValueError, "looks", 1, 0):
        TextureGenerator(looks=0)


# ---------------------------------------------------------------- painting


@pytest.mark.parametrize("size", [(40, 56), (33, 71), (3, 200), (1, 1)])
@pytest.mark.parametrize("out_channels", [1, 3])
def test_the_tiles_leave_no_trace(size, out_channels, monkeypatch):
    model, pictures = trained(out_channels=out_channels), []
    for tile in (1, 2, 3, 5, 1000):
        monkeypatch.setattr(recipe, "TILE", tile)
        pictures.append(paint(model, *size, seed=3))
    assert pictures[0].shape == (out_channels, *size) and pictures[0].dtype == np.float32
    for picture in pictures:
        np.testing.assert_allclose(picture, pictures[-1], atol=1e-6)


def test_a_picture_in_tiles_is_the_network_s_of_all_the_noise():
    model, z = trained(), noise(3, 25, 41)
    whole = array(model(td.tensor(z[None])))[0]
    np.testing.assert_allclose(painted(model, z), (whole + 1) / 2, atol=1e-6)


def test_a_periodic_picture_many_times_is_one_picture():
    model = trained()
    factor, margin, tile = model.factor, model.margin, paint(model, 32, 48, 5, periodic=True)
    assert tile.std() > 0.05
    td.manual_seed(5)
    z = td.randn(3, 4, 6).numpy()
    around = np.pad(np.tile(z, (1, 3, 2)), ((0, 0), (margin, margin), (margin, margin)), "wrap")
    np.testing.assert_allclose(painted(model, around), np.tile(tile, (1, 3, 2)), atol=1e-6)
    # and any part of it of the same size fits itself as well
    turned = np.pad(np.roll(z, (1, 2), (1, 2)), ((0, 0), (margin,) * 2, (margin,) * 2), "wrap")
    expected = np.roll(tile, (factor, 2 * factor), (1, 2))
    np.testing.assert_allclose(painted(model, turned), expected, atol=1e-6)


@pytest.mark.parametrize("size", [(8, 8), (8, 80)])
def test_a_tile_may_be_smaller_than_the_margin(size):
    model = trained()
    tile = paint(model, *size, periodic=True)
    assert tile.shape == (1, *size)


def test_a_size_that_is_no_multiple_is_a_part_of_one_that_is():
    model = trained()
    whole = paint(model, 40, 64)
    np.testing.assert_array_equal(paint(model, 37, 57), whole[:, :37, :57])
    for size in ((37, 64), (40, 60)):
        with refused(ValueError, "multiples of 8", f"{size[1]} x {size[0]}"):
            paint(model, *size, periodic=True)
    with refused(ValueError, "1 x 1", "0 x 5"):
        paint(model, 5, 0)


def test_the_seed_alone_makes_the_picture():
    model = trained()
    td.manual_seed(1)
    before, first = td.get_rng_state(), paint(model, 16, 16, seed=2)
    assert td.get_rng_state() == before
    td.manual_seed(7)
    np.testing.assert_array_equal(paint(model, 16, 16, seed=2), first)
    assert np.abs(paint(model, 16, 16, seed=3) - first).mean() > 0.02
    model.train()
    np.testing.assert_array_equal(paint(model, 16, 16, seed=2), first)  # in eval mode all the same
    assert model.training and model.ladder[1].num_batches_tracked.item() == 20


def test_memory_does_not_grow_with_the_picture(monkeypatch):
    """But for the picture and its noise."""
    monkeypatch.setattr(recipe, "TILE", 4)
    model = trained()

    def peak(height, width):
        tracemalloc.start()
        picture = paint(model, height, width)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        of_noise = 3 * (height / 8 + 4) * (width / 8 + 4) * 12  # float64, then float32
        return most - picture.nbytes - of_noise, picture.nbytes

    peak(64, 64)  # what is kept for the next time
    (small, _), (large, picture) = peak(64, 64), peak(128, 1024)
    assert large - small < picture / 2  # all layers of all of it take thrice the picture


# ---------------------------------------------------------------- measurements


def test_seams_by_loops():
    images = rng.random((3, 1, 5, 7))
    across = np.mean([abs(image[0, :, 0] - image[0, :, 6]) for image in images])
    inside = np.mean(
        [abs(image[0, :, i] - image[0, :, i + 1]) for image in images for i in range(6)]
    )
    down = np.mean([abs(image[0, 0] - image[0, 4]) for image in images])
    steps = np.mean([abs(image[0, i] - image[0, i + 1]) for image in images for i in range(4)])
    assert seams(images) == pytest.approx((across / inside, down / steps))
    ramp = np.broadcast_to(np.arange(20.0)[:, None], (1, 1, 20, 30)) + np.arange(30) % 2
    assert seams(ramp) == pytest.approx((1, 19))


def test_a_gram_by_loops():
    image, patterns = rng.random((9, 10), dtype=np.float32), recipe.filters(3, 5)
    np.testing.assert_allclose(patterns.sum((1, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose((patterns**2).sum((1, 2, 3)), 1, rtol=1e-6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "filters", lambda: patterns)
        (found,) = grams(image, scales=1)
    for a in range(3):
        for b in range(3):
            total = 0.0
            for i in range(5):
                for j in range(6):
                    part = image[i : i + 5, j : j + 5]
                    total += max((part * patterns[a, 0]).sum(), 0) * max(
                        (part * patterns[b, 0]).sum(), 0
                    )
            assert found[a, b] == pytest.approx(total / 30, rel=1e-4)


def test_each_scale_sees_half_the_image():
    image = rng.random((64, 48), dtype=np.float32)
    half = image.reshape(32, 2, 24, 2).mean((1, 3))
    np.testing.assert_allclose(grams(image)[1:], grams(half, 2), rtol=1e-4, atol=1e-6)


def test_the_distance_of_grams_by_hand():
    a = np.array([[[3.0, 0], [0, 4]], [[1, 0], [0, 0]]])
    b = np.array([[[0.0, 0], [0, 0]], [[1, 0], [0, 0]]])
    assert gram_distance(a, a) == 0
    assert gram_distance(a, b) == gram_distance(b, a) == pytest.approx(0.5)  # (5 / 5 + 0) / 2


def test_each_quarter_of_a_texture_is_nearest_to_its_own():
    known = {name: grams(photograph(name)) for name in ("camera", "coins", *TEXTURES)}
    for name in TEXTURES:
        for part in recipe.quarters(photograph(name)):
            assert part.shape == (256, 256)
            of_part = grams(part)
            distances = {other: gram_distance(of_part, found) for other, found in known.items()}
            assert min(distances, key=distances.get) == name
            others = min(d for other, d in distances.items() if other != name)
            assert distances[name] < 0.7 * others


def test_the_nearest_square_by_looking_at_all(monkeypatch):
    image, squares = rng.random((12, 11)), rng.random((4, 5, 5))
    squares[2] = image[3:8, 6:11]
    every = [
        [np.linalg.norm(s - image[i : i + 5, j : j + 5]) for i in range(8) for j in range(7)]
        for s in squares
    ]
    found = nearest_square(squares, image)
    np.testing.assert_allclose(found, np.min(every, 1), atol=1e-7)
    assert found[2] < 1e-6 < found[0]


# ---------------------------------------------------------------- data


def test_crops_lie_as_the_photograph_does():
    image = np.arange(2 * 30 * 20, dtype=np.float32).reshape(2, 30, 20)
    (crops,) = Patches(image, 8, seed=3).batch(0, range(200))
    assert crops.shape == (200, 2, 8, 8)
    places = set()
    for crop in crops:
        top, left = divmod(int(crop[0, 0, 0]), 20)
        np.testing.assert_array_equal(crop, image[:, top : top + 8, left : left + 8])
        places.add((top, left))
    assert {p[0] for p in places} == set(range(23)) and {p[1] for p in places} == set(range(13))
    np.testing.assert_array_equal(Patches(image, 8, 3).batch(0, [5])[0][0], crops[5])
    for other in (Patches(image, 8, 4).batch(0, range(9)), Patches(image, 8, 3).batch(1, range(9))):
        assert not np.array_equal(other[0], crops[:9])
    with refused(ValueError, 21, "20 x 30"):
        Patches(image, 21)


def test_a_texture_is_a_name_or_a_file(tmp_path):
    for name in TEXTURES:
        np.testing.assert_array_equal(texture(name)[0], photograph(name))
    colour = np.rint(rng.random((64, 70, 3)) * 255) / 255
    data.write_image(tmp_path / "a.png", colour)
    data.write_image(tmp_path / "b.png", colour[..., 0])
    np.testing.assert_allclose(texture(tmp_path / "a.png"), colour.transpose(2, 0, 1), atol=1e-6)
    np.testing.assert_allclose(texture(tmp_path / "b.png"), colour[None, ..., 0], atol=1e-6)
    data.write_image(tmp_path / "c.png", colour[:, :63])
    with refused(ValueError, 64, "63 x 64", tmp_path / "c.png"):
        texture(tmp_path / "c.png")
    with refused(ValueError, "brick, grass, gravel", "sand", "nothing there"):
        texture("sand")
    with refused(ValueError, "brick, grass, gravel", tmp_path, "a folder"):
        texture(str(tmp_path))
    (tmp_path / "d.png").write_text("no image", encoding="utf-8")
    with refused(ValueError, tmp_path / "d.png"):
        texture(tmp_path / "d.png")


# ---------------------------------------------------------------- training


def numbers(training):
    return {
        f"{owner}.{name}": x.numpy().copy()
        for owner, network in training.networks.items()
        for name, x in network.state_dict().items()
    }


@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_by_hand(loss, tmp_path):
    settings = replace(TINY, steps=1, loss=loss, smoothing=0.1)
    training = common.start("texture", tmp_path, settings)
    generator, judge = training.networks.values()
    (crops,) = next(training.loader.batches(0))
    photo = 2 * photograph("gravel")[None] - 1
    np.testing.assert_array_equal(crops, Patches(photo, 32, TINY.seed).batch(0, [0, 1])[0])
    real, state = td.tensor(crops), td.get_rng_state()
    fake = generator(td.randn(2, 3, 8 + 6, 8 + 6))  # 8 cells for 32 pixels
    assert fake.shape == crops.shape == (2, 1, 32, 32)
    to_judge, to_paint = LOSSES[loss]
    judged = to_judge(judge(real), judge(fake), 0.1)
    slopes = td.grad(judged, [*judge.parameters()], retain_graph=True)
    training = common.start("texture", tmp_path, settings)  # batch norm as it was
    td.set_rng_state(state)
    training.run()
    assert training.losses["discriminator"] == pytest.approx([judged.item()], rel=1e-4)
    learned = training.networks["discriminator"]  # the generator meets it after its step
    fooled = to_paint(learned(fake))
    assert fooled.item() != to_paint(judge(fake)).item()
    assert training.losses["generator"] == pytest.approx([fooled.item()], rel=1e-4)
    for parameter, slope in zip(learned.parameters(), slopes):
        np.testing.assert_allclose(parameter.grad, slope.detach(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("stop", [2, 5])
def test_it_goes_on_bit_for_bit(tmp_path, stop):
    whole = common.start("texture", tmp_path / "whole", TINY)
    whole.run()
    cut = common.start("texture", tmp_path / "cut", TINY)
    with pytest.raises(KeyboardInterrupt):
        cut.run(stages={stop: lambda: signal.raise_signal(signal.SIGINT)})
    again = common.resume("texture", tmp_path / "cut")
    assert again.step == stop
    again.run()
    assert again.losses == whole.losses
    mine, expected = numbers(again), numbers(whole)
    assert all(np.array_equal(mine[name], x) for name, x in expected.items())


def test_a_wrong_number_in_a_checkpoint_makes_no_endless_network(tmp_path):
    common.start("texture", tmp_path, TINY).save()
    path = tmp_path / common.CHECKPOINT
    told = load_json(path, KEY)
    told["settings"]["looks"] = 50_000
    td.save(td.load(path), path, {KEY: json.dumps(told)})
    with refused(ValueError, "expected at least", "weights", "'looks': 50000"):
        common.resume("texture", tmp_path)


@pytest.mark.parametrize("channels", [1, 3])
def test_what_a_training_leaves_behind(tmp_path, channels):
    photo, run = tmp_path / "wall.png", tmp_path / "run"
    data.write_image(photo, rng.random((80, 90, channels)[: 2 + channels // 3]))
    table = recipe.train(common.start("texture", run, replace(TINY, texture=str(photo))))
    names = ["checkpoint.safetensors", "generator.safetensors", "losses.png", "metrics.jsonl"]
    names += [f"painted-{step}.png" for step in (1, 3, 6)]
    names += ["results.json", "table.txt", "texture.png", "tile.png"]
    assert sorted(p.name for p in run.iterdir()) == names
    assert table == (run / "table.txt").read_text(encoding="utf-8")
    told = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert list(told["gram"]["painted"]) == [str(photo), *TEXTURES]
    generator = models.load(run / "generator.safetensors", TextureGenerator)
    assert generator.config["out_channels"] == channels
    made = load_json(run / "generator.safetensors", models.KEY)["made"]
    assert made["command"] == f"tinydeconv train texture --texture {photo} --steps 6 --seed 1" + (
        " --batch-size 2 --crop 32 --latent 3"
    )
    # the numbers of the table, once more from the pictures themselves
    paints = [
        np.stack([paint(generator, 64, 64, recipe.MEASURED_SEED + i, kind) for i in range(2)])
        for kind in (True, False)
    ]
    for label, pictures in zip(("periodic", "not periodic"), paints):
        assert told["edges"][label] == pytest.approx(seams(pictures))
    own, brick = grams(recipe.grey(texture(photo))), grams(photograph("brick"))
    for name, known in {str(photo): own, "brick": brick}.items():
        of = [gram_distance(grams(recipe.grey(x)), known) for x in paints[1]]
        assert told["gram"]["painted"][name] == pytest.approx(np.mean(of))
        assert f"{np.mean(of):.3f}" in table
    shown = data.read_image(run / "tile.png")
    assert shown.shape[:2] == (2 * 64, 3 * 64)
    np.testing.assert_array_equal(shown[:64, :64], shown[64:, 64:128])
    assert data.read_image(run / "texture.png").shape[:2] == (64, 64 + recipe.GAP + 3 * 64)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"crop": 16}, ["crop", 32, 16]),
        ({"texture": ""}, ["texture"]),
        ({"loss": "fair"}, ["loss", "hinge", "'fair'"]),
        ({"smoothing": 1.0}, ["smoothing", "below 1"]),
        ({"beta1": 1.0}, ["beta1", "below 1"]),
        ({"batch_size": 1}, ["batch_size", 2, 1]),
    ],
)
def test_bad_settings_are_refused(wrong, words):
    with refused(ValueError, *words):
        replace(RECIPES["texture"], **wrong)


def test_a_crop_that_does_not_fit_is_refused(tmp_path):
    with refused(ValueError, 528, "512 x 512"):
        common.start("texture", tmp_path / "a", replace(TINY, crop=528))
    with refused(ValueError, "sand"):
        common.start("texture", tmp_path / "a", replace(TINY, texture="sand"))
    assert not (tmp_path / "a").exists()


# ---------------------------------------------------------------- tinydeconv sample


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    models.save(trained(), folder / "generator.safetensors")
    return folder


def test_a_sample_is_of_the_size_that_was_asked_for(run, capsys):
    out = run / "a.png"
    assert main(["sample", str(run), "--size", "70x30", "--seed", "4", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    expected = paint(trained(), 30, 70, 4)[0]
    np.testing.assert_allclose(data.read_image(out), expected, atol=0.6 / 255)
    assert main(["sample", str(run), "--size", "64x32", "--tile", "--out", str(out)]) == 0
    expected = paint(trained(), 32, 64, periodic=True)[0]
    np.testing.assert_allclose(data.read_image(out), expected, atol=0.6 / 255)
    sample(run, out)
    assert data.read_image(out).shape == (512, 512)


def test_a_sample_in_colour(tmp_path):
    models.save(trained(out_channels=3), tmp_path / "w.safetensors")
    sample(tmp_path / "w.safetensors", tmp_path / "a.png", size=(20, 10))
    assert data.read_image(tmp_path / "a.png").shape == (10, 20, 3)


def test_each_kind_of_generator_takes_its_own_options(run, tmp_path):
    path, out = tmp_path / "w.safetensors", tmp_path / "a.png"
    models.save(models.Generator(3, (4, 4, 4)), path)
    refuse = partial(refused, ValueError)
    for asked, got in (({"size": (9, 9)}, "--size"), ({"tile": True}, "--tile")):
        with refuse("Generator", path, "--n and --class", got):
            sample(path, out, **asked)
    for asked, got in (({"n": 3}, "--n"), ({"label": 0, "n": 3}, "--class and --n")):
        with refuse("TextureGenerator", run / "generator.safetensors", "--size and --tile", got):
            sample(run, out, **asked)
    assert not out.exists()


@pytest.mark.parametrize(
    "size", ["512", "512x", "x5", "0x5", "5x0", "-3x5", "3.5x5", "axb", "1x2x3"]
)
def test_a_size_is_two_numbers(run, size, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["sample", str(run), f"--size={size}"])
    told = capsys.readouterr().err
    assert stopped.value.code == 2 and told.count("\n") == 1
    assert "--size" in told and "2048x1024" in told and f"'{size}'" in told


# ---------------------------------------------------------------- it learns


@pytest.mark.slow
def test_it_learns_a_texture(tmp_path, monkeypatch):
    """Some seconds of training: the pictures are nearest to their own photograph by far."""
    monkeypatch.setattr(recipe, "SIDE", 128)
    settings = replace(
        TINY, texture="brick", steps=200, batch_size=4, crop=64, channels=(24, 16, 12), looks=1,
        judges=(12, 16, 24), latent=8, generator_lr=2e-3, discriminator_lr=2e-3,
    )  # fmt: skip
    training = common.start("texture", tmp_path, settings)
    training.run()
    told = recipe.measured(training.networks["generator"], texture("brick"), "brick")
    own, *others = told["gram"]["painted"].values()
    assert own < 0.7 * min(others)
