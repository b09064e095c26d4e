"""Super-resolution: its networks, and their training from photographs."""

import functools
import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import refused

import tinydeconv as td
from tinydeconv import data, models, nn, optim, viz
from tinydeconv.cli import main
from tinydeconv.data import HELD_OUT, photograph
from tinydeconv.models.superresolution import (
    SCALES,
    UPSAMPLINGS,
    PairDiscriminator,
    SuperResolution,
    bicubic,
)
from tinydeconv.nn import functional as F
from tinydeconv.recipes import common
from tinydeconv.recipes import sr as recipe
from tinydeconv.recipes.sr import Settings
from tinydeconv.serialize import load_json

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
import measure_sr as tool  # noqa: E402
from measured import page  # noqa: E402

rng = np.random.default_rng(0)
KINDS = [(scale, upsampling) for scale in SCALES for upsampling in UPSAMPLINGS]


def draw(*shape):
    return rng.random(shape, dtype=np.float32)


def trained(scale=2, upsampling="shuffle", channels=(8, 4, 4)):
    """A network that does something: its last layer does not start close to zero."""
    td.manual_seed(0)
    model = SuperResolution(scale, upsampling, channels)
    for parameter in model.upsampling.parameters():
        nn.init.normal_(parameter, 0, 0.05)
    return model


def count(module):
    return sum(p.numel() for p in module.parameters())


# ---------------------------------------------------------------- the networks


@pytest.mark.parametrize("scale, upsampling", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (5, 6), (7, 3)])
def test_every_size_is_enlarged(scale, upsampling, size):
    y = trained(scale, upsampling)(td.tensor(draw(2, 1, *size)))
    assert y.shape == (2, 1, scale * size[0], scale * size[1])


def test_the_networks_differ_in_the_last_layer_alone():
    networks = {kind: SuperResolution(*kind) for kind in KINDS}
    assert len({count(network.trunk) for network in networks.values()}) == 1
    weights = {kind: count(network.upsampling) for kind, network in networks.items()}
    for scale in SCALES:
        assert weights[scale, "transposed"] == 32 * 9 * 9 + 1
        assert weights[scale, "shuffle"] == (32 * 3 * 3 + 1) * scale**2
        assert weights[scale, "resize"] == 32 * 5 * 5 + 1
    assert max(map(count, networks.values())) < 20_000


@pytest.mark.parametrize("scale, upsampling", KINDS)
def test_it_starts_close_to_bicubic_enlargement(scale, upsampling):
    td.manual_seed(0)
    small = td.tensor(photograph("coins")[None, None, :32, :40].copy())
    change = SuperResolution(scale, upsampling)(small) - bicubic(small, scale)
    assert 0 < abs(change).max().item() < 0.005


@pytest.mark.parametrize("scale", SCALES)
def test_the_pixels_of_a_shuffle_start_equal(scale):
    td.manual_seed(0)
    model, small = SuperResolution(scale, "shuffle"), td.tensor(draw(1, 1, 6, 7))
    painted = model.upsampling(model.trunk(small)).detach().numpy()[0, 0]
    np.testing.assert_array_equal(painted, np.kron(painted[::scale, ::scale], np.ones([scale] * 2)))
    assert painted.std() > 1e-6


@pytest.mark.parametrize("scale, upsampling", KINDS)
def test_the_margin_is_as_far_as_the_network_looks(scale, upsampling):
    model = trained(scale, upsampling, (4, 3, 3, 3)).double()
    half = model.margin + 2
    small, reach = td.tensor(rng.random((1, 1, 2 * half + 1, 2 * half + 1)), requires_grad=True), 0
    for phase in range(scale):
        place = half * scale + phase
        (g,) = td.grad(model(small)[0, 0, place, place], small)
        rows, columns = np.nonzero(g.numpy()[0, 0])
        reach = max(reach, abs(rows - half).max(), abs(columns - half).max())
    assert reach <= model.margin
    if (scale, upsampling) == (2, "transposed"):
        assert reach == model.margin


@pytest.mark.parametrize("scale", SCALES)
def test_bicubic_is_pillows(scale):
    image = photograph("coffee")[:200, :280]
    height, width = image.shape
    large, small = (width, height), (width // scale, height // scale)
    pillow = Image.fromarray(image).resize(small, Image.BICUBIC)
    ours = bicubic(td.tensor(image[None, None].copy()), 1 / scale)
    np.testing.assert_allclose(ours.numpy()[0, 0], np.asarray(pillow), atol=1e-6)
    again = bicubic(ours, scale).numpy()[0, 0]
    np.testing.assert_allclose(again, np.asarray(pillow.resize(large, Image.BICUBIC)), atol=1e-6)


@pytest.mark.parametrize("scale", SCALES)
def test_the_discriminator_sees_both_images(scale):
    td.manual_seed(0)
    judge = PairDiscriminator(scale)
    small, large = (
        td.tensor(draw(2, 1, *size), requires_grad=True)
        for size in [(6, 7), (6 * scale, 7 * scale)]
    )
    logits = judge(small, large)
    assert logits.shape == (2, 1, 6, 7)
    for g in td.grad(logits[0].sum(), [small, large]):
        assert np.any(g.numpy()[0]) and not np.any(g.numpy()[1])
    # where nothing was painted it still knows what the small image is of
    nothing = judge(small, bicubic(small, scale)).detach().numpy()
    assert abs(nothing[0] - nothing[1]).max() > 0.01


def test_bad_arguments_are_refused():
    with refused(ValueError, 2, 4, 3):
        SuperResolution(3)
    with refused(ValueError, "shuffle", "bilinear"):
        SuperResolution(2, "bilinear")
    with refused(ValueError, "three", (8, 4)):
        SuperResolution(channels=(8, 4))


@pytest.mark.parametrize("scale, upsampling", KINDS)
def test_it_learns_a_photograph(scale, upsampling):
    """Sixty steps on one crop, which anything that learns brings below bicubic enlargement."""
    td.manual_seed(0)
    model = SuperResolution(scale, upsampling, (16, 8, 8))
    large = td.tensor(photograph("coffee")[None, None, 120:184, 160:224].copy())
    small, optimizer, errors = bicubic(large, 1 / scale), optim.Adam(model.parameters(), 3e-3), []
    for _ in range(60):
        error = abs(model(small) - large).mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[0] == pytest.approx(abs(bicubic(small, scale) - large).mean().item(), rel=0.02)
    assert errors[-1] < 0.9 * errors[0]


# ---------------------------------------------------------------- weights files


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_a_model_comes_back_from_its_file(tmp_path, upsampling):
    model, path = trained(4, upsampling), tmp_path / "w.safetensors"
    models.save(model, path)
    again = models.load(path)
    assert again.config == model.config == json.loads(json.dumps(model.config))
    small = td.tensor(draw(1, 1, 5, 6))
    assert np.array_equal(again(small).detach(), model(small).detach())


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    models.save(models.Denoiser((4, 6)), path)
    with refused(ValueError, "SuperResolution", "Denoiser", path):
        models.load(path, SuperResolution)
    told = {"name": "SuperResolution", **trained(2).config}
    td.save(trained(4).state_dict(), path, {models.KEY: json.dumps(told)})
    with refused(RuntimeError, path, "upsampling.0.weight"):
        models.load(path)
    td.save(trained(2).state_dict(), path, {models.KEY: json.dumps(told | {"scale": 3})})
    with refused(ValueError, path, 3):
        models.load(path)


# ---------------------------------------------------------------- training

TINY = Settings(steps=8, seed=1, channels=(6, 4, 4), batch_size=2, crop=8, epoch=5)


def tiny(**more):
    return Settings(**{**vars(TINY), **more})


@pytest.fixture(autouse=True)
def few_photographs(monkeypatch):
    monkeypatch.setattr(recipe, "Crops", functools.partial(data.Crops, ["coins"]))


def batch(training):
    """The first batch as tensors: what Pillow shrinks, and that."""
    _, large, _ = next(training.loader.batches(0))
    scale, side = training.settings["scale"], training.settings["crop"]
    small = [Image.fromarray(x[0]).resize((side, side), Image.BICUBIC) for x in large]
    assert large.shape[2:] == (scale * side, scale * side)
    return td.tensor(np.stack([np.asarray(x)[None] for x in small])), td.tensor(large)


def test_the_plain_error_by_hand(tmp_path):
    training = common.start("sr", tmp_path, TINY)
    small, large = batch(training)
    expected = abs(training.networks["network"](small) - large).mean().item()
    training.run(stages={1: lambda: None})
    assert training.losses["error"][0] == pytest.approx(expected, rel=1e-5)
    assert list(training.losses) == ["error"]


def test_the_adversarial_term_begins_half_way(tmp_path):
    """Until then the run is the plain one, bit for bit, and its discriminator does not move."""
    states = {}
    for weight in (0.0, 0.1):
        training = common.start("sr", tmp_path / str(weight), tiny(adversarial=weight))
        games = training.networks.get("discriminator")
        first = games and [p.numpy().copy() for p in (p.detach() for p in games.parameters())]
        kept = states.setdefault(weight, {})

        def keep(kept=kept, training=training):
            kept[training.step] = [
                {name: x.numpy().copy() for name, x in network.state_dict().items()}
                for network in training.networks.values()
            ]

        training.run(stages={4: keep, 5: keep})
        if games:
            for a, b in zip(first, kept[4][1].values(), strict=True):
                assert np.array_equal(a, b)
            assert any(not np.array_equal(a, b) for a, b in zip(first, kept[5][1].values()))
            for name in ("adversarial", "discriminator"):
                losses = training.losses[name]
                assert losses[:4] == [0] * 4 and min(losses[4:]) > 0.1
    plain, played = states[0.0], states[0.1]
    for step, same in {4: True, 5: False}.items():
        pairs = zip(plain[step][0].values(), played[step][0].values(), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs) == same


def test_the_step_of_the_game_by_hand(tmp_path):
    """One step of each optimiser, whose losses and slopes are written down here once more."""
    training = common.start("sr", tmp_path, tiny(adversarial=0.1, steps=1))
    small, large = batch(training)
    network, judge = training.networks.values()
    painted = network(small)
    fooling = -F.logsigmoid(judge(small, painted)).mean()
    error = abs(painted - large).mean()
    judging = -(F.logsigmoid(judge(small, large)) + F.logsigmoid(-judge(small, painted))).mean()
    slopes = td.grad(error + 0.1 * fooling, [*network.parameters()], retain_graph=True)
    judges = td.grad(judging, [*judge.parameters()])
    training.run()
    losses = [training.losses[n][0] for n in ("error", "adversarial", "discriminator")]
    # the network's step does not change what it had painted
    expected = [error.item(), fooling.item(), judging.item()]
    assert losses == pytest.approx(expected, rel=1e-4)
    for module, expected in ((network, slopes), (judge, judges)):
        for parameter, slope in zip(module.parameters(), expected, strict=True):
            np.testing.assert_allclose(parameter.grad, slope.detach(), rtol=1e-3, atol=1e-5)


def state(training):
    return {
        f"{owner}.{name}": x.numpy()
        for owner, network in training.networks.items()
        for name, x in network.state_dict().items()
    }


@pytest.mark.parametrize("stop", [3, 6])
def test_it_goes_on_bit_for_bit(tmp_path, stop):
    settings = tiny(adversarial=0.1)
    whole = common.start("sr", tmp_path / "whole", settings)
    whole.run()
    cut = common.start("sr", tmp_path / "cut", settings)
    with pytest.raises(KeyboardInterrupt):
        cut.run(stages={stop: lambda: signal.raise_signal(signal.SIGINT)})
    again = common.resume("sr", tmp_path / "cut")
    assert again.step == stop
    again.run()
    assert again.losses == whole.losses
    for a, b in zip(state(again).items(), state(whole).items(), strict=True):
        assert a[0] == b[0] and np.array_equal(a[1], b[1])


def test_what_a_training_leaves_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "ROWS", 1)
    table = recipe.train(common.start("sr", tmp_path, tiny(adversarial=0.1)))
    names = ["checkpoint.safetensors", "first.png", "game.png", "loss.png", "metrics.jsonl"]
    names += ["results.json", "table.txt", "upscale.png", "weights.safetensors"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    assert table == (tmp_path / "table.txt").read_text(encoding="utf-8")
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results["training"]["recipe"] == "sr" and list(results["photographs"]) == list(HELD_OUT)
    # Pillow's, of a clean photograph as it is
    for name, of_method in results["photographs"].items():
        clean = photograph(name)
        small = Image.fromarray(clean).resize((256, 256), Image.BICUBIC)
        for label, method in {"bicubic": Image.BICUBIC, "Lanczos": Image.LANCZOS}.items():
            large = np.asarray(small.resize((512, 512), method)).clip(0, 1)
            error = np.mean((large.astype(float) - clean) ** 2)
            assert of_method[label]["psnr"] == pytest.approx(-10 * np.log10(error), abs=1e-3)
            assert f"{-10 * np.log10(error):.2f}" in table
        assert list(of_method) == ["bicubic", "Lanczos", "network"]
    made = load_json(tmp_path / "weights.safetensors", models.KEY)["made"]
    assert made["command"] == "tinydeconv train sr --adversarial 0.1 --steps 8 --seed 1"
    assert models.load(tmp_path / "weights.safetensors").config["channels"] == [6, 4, 4]


def test_detail_is_the_power_that_the_small_image_cannot_hold():
    x, y = np.meshgrid(np.arange(64), np.arange(48))
    low, high = 0.1 * np.sin(2 * np.pi * x / 8), 0.1 * np.sin(2 * np.pi * y / 3)
    for scale, kept in {2: high, 4: low + high}.items():
        clean = 0.5 + low + high
        assert recipe.detail(clean, clean, scale) == 1
        assert recipe.detail(clean, clean + kept, scale) == pytest.approx(4, rel=0.02)
        assert recipe.detail(clean, clean - kept / 2, scale) == pytest.approx(0.25, rel=0.02)
    assert recipe.detail(clean, 0.5 + 3 * low + high, 2) == pytest.approx(1, rel=0.02)


def test_the_table_says_by_how_much_the_network_wins():
    def of(**psnrs):
        return {n: {"psnr": value, "ssim": 0.5, "detail": 0.25} for n, value in psnrs.items()}

    table = recipe._table(
        {"camera": of(bicubic=28, network=29.5), "astronaut": of(bicubic=30, network=29)}, 4
    )
    assert "network against bicubic: -1.00 to +1.50 dB" in table
    assert "29.50 (0.500, 25 %)" in table and "x4" in table


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"scale": 3}, ("scale", 2, 4, 3)),
        ({"upsampling": "bilinear"}, ("upsampling", "shuffle", "bilinear")),
        ({"crop": 0}, ("crop", 0)),
        ({"adversarial": -1.0}, ("adversarial", "-1.0")),
        ({"channels": ()}, ("channels",)),
    ],
)
def test_bad_settings_are_refused(wrong, words):
    with refused(ValueError, *words):
        tiny(**wrong)


def test_a_crop_larger_than_a_photograph_is_refused(tmp_path):
    with refused(ValueError, 303, 400):
        common.start("sr", tmp_path, tiny(crop=100, scale=4))


def test_the_command(tmp_path, monkeypatch, capsys):
    for name in ("denoise_panel", "loss_curve"):  # which take a while
        monkeypatch.setattr(viz, name, lambda *words: None)
    words = ["train", "sr", "--out", str(tmp_path), "--scale", "3"]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2 and "--scale" in capsys.readouterr().err
    words[-1] = "4"
    assert main([*words, "--steps", "2", "--upsampling", "resize", "--device", "cpu"]) == 0
    assert "network against bicubic" in capsys.readouterr().out
    assert models.load(tmp_path / "weights.safetensors").config["upsampling"] == "resize"


@pytest.mark.slow
def test_three_hundred_steps_are_ahead_of_bicubic(tmp_path, monkeypatch):
    monkeypatch.undo()  # all photographs
    training = common.start("sr", tmp_path, Settings(steps=300))
    recipe.train(training)
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    for of_method in results["photographs"].values():
        assert of_method["network"]["psnr"] > of_method["bicubic"]["psnr"] + 0.4


# ---------------------------------------------------------------- docs/superresolution.md

RECORD = json.loads(tool.RECORD.read_text(encoding="utf-8"))
PAGE = tool.PAGE.read_text(encoding="utf-8")


def test_the_tables_say_what_was_measured():
    assert page(RECORD, PAGE, tool.TABLES) == PAGE, "run python tools/measure_sr.py --write"
    for name in tool.TABLES:
        assert f"<!-- table {name} -->\n|" in PAGE


def test_a_changed_record_changes_the_page():
    changed = json.loads(json.dumps(RECORD))
    changed["compared"]["4"]["plain"]["resize"]["photographs"]["camera"]["network"]["psnr"] += 1
    assert page(changed, PAGE, tool.TABLES) != PAGE


def test_all_were_trained_alike():
    for scale in SCALES:
        for term, weight in tool.TERMS.items():
            for upsampling in UPSAMPLINGS:
                made = RECORD["compared"][str(scale)][term][upsampling]["made"]
                told = {"recipe": "sr", **vars(Settings(scale, upsampling, weight, tool.STEPS))}
                assert made["settings"] == json.loads(json.dumps(told))


@pytest.mark.parametrize("scale", SCALES)
def test_the_shipped_weights_were_measured(scale):
    """By how much they are ahead of bicubic enlargement, too, and one figure again."""
    path, record = models.shipped(f"superresolution-x{scale}"), RECORD["shipped"][str(scale)]
    assert record["made"] == load_json(path, models.KEY)["made"]
    for quality in record["photographs"].values():
        gain = quality["network"]["psnr"] - quality["bicubic"]["psnr"]
        assert gain > {2: 0.8, 4: 0.5}[scale]
    images = recipe.enlarged(models.load(path), "camera")
    again = recipe.quality(images, scale)["network"]["psnr"]
    measured = record["photographs"]["camera"]["network"]["psnr"]
    assert again == pytest.approx(measured, abs=0.01)


def test_the_adversarial_term_costs_psnr_and_buys_detail():
    for of_scale in RECORD["compared"].values():
        for upsampling in UPSAMPLINGS:
            for name in HELD_OUT:
                plain, adversarial = (
                    of_scale[term][upsampling]["photographs"][name]["network"]
                    for term in tool.TERMS
                )
                assert adversarial["psnr"] < plain["psnr"]
                assert plain["detail"] < adversarial["detail"] < 1.2
