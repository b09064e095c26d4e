"""Six ways for a generator to double the size, and the study of their spectra."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import models, nn
from tinydeconv.models import Generator
from tinydeconv.models.gan import SIGMA, TAPS, UPSAMPLINGS, FixedDoubling
from tinydeconv.nn import functional as F
from tinydeconv.recipes import gan

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from benchmarks import __main__ as command  # noqa: E402
from benchmarks import harness  # noqa: E402
from benchmarks import upsampling as study  # noqa: E402
from benchmarks.libraries import open_library  # noqa: E402

rng = np.random.default_rng(0)


def small(upsampling, **more):
    td.manual_seed(0)
    return Generator(5, (6, 4, 3), upsampling=upsampling, **more)


# ---------------------------------------------------------------- the generators


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize("channels, side", [((4,), 8), ((6, 4, 3), 32)])
def test_every_step_doubles(upsampling, channels, side):
    generator = Generator(5, channels, 3, 2, upsampling=upsampling)
    x, sides = generator.first(td.randn(2, 10)), []
    for layer in generator.ladder:
        x = layer(x)
        sides += [x.shape[2]] if not sides or x.shape[2] != sides[-1] else []
    assert sides == [4 * 2**i for i in range(len(sides))] and sides[-1] == side
    assert generator(td.randn(2, 5), td.tensor([0, 1])).shape == (2, 3, side, side)


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_every_weight_learns_and_no_kernel_that_is_fixed(upsampling):
    generator = small(upsampling)
    before = {name: x.numpy().copy() for name, x in generator.named_buffers()}
    (generator(td.randn(4, 5)) * td.randn(4, 1, 32, 32)).sum().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None and parameter.grad.numpy().any(), name
    kernels = [name for name in before if "kernel" in name]
    assert len(kernels) == (3 if upsampling in TAPS else 0)
    assert not {*kernels} & {name for name, _ in generator.named_parameters()}
    assert all(np.array_equal(generator.get_buffer(name).numpy(), before[name]) for name in kernels)


def test_what_was_there_before_is_the_same_bit_for_bit():
    """The network of before there was a choice, written out."""
    td.manual_seed(3)
    generator = Generator(5, (6, 4), 2, 3)
    td.manual_seed(3)
    embedding, first = nn.Embedding(3, 5), nn.Linear(10, 96, bias=False)
    ladder = nn.Sequential(
        nn.Unflatten(1, (6, 4, 4)),
        nn.BatchNorm2d(6), nn.ReLU(), nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1), nn.Tanh(),
    )  # fmt: skip
    for layer in (embedding, first, *ladder):
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1, 0.02)
        elif isinstance(layer, nn.Linear | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    nn.init.normal_(embedding.weight, 0, 5**-0.5)
    expected = {"embedding.weight": embedding.weight, "first.weight": first.weight}
    expected |= {f"ladder.{name}": x for name, x in ladder.state_dict().items()}
    state = generator.state_dict()
    assert [*state] == [*expected]
    for name, x in expected.items():
        assert state[name].numpy().tobytes() == x.detach().numpy().tobytes(), name
    z, labels = td.randn(2, 5), td.tensor([0, 2])
    painted = ladder(first(td.cat([z, embedding(labels)], 1)))
    assert np.array_equal(generator(z, labels).detach().numpy(), painted.detach().numpy())


def test_a_file_of_before_there_was_a_choice_still_loads(tmp_path):
    generator, path = small("transposed4"), tmp_path / "w.safetensors"
    told = {"name": "Generator", **generator.config}
    del told["upsampling"]
    td.save(generator.state_dict(), path, {models.KEY: json.dumps(told)})
    again = models.load(path, Generator)
    assert again.config == generator.config
    z = td.randn(2, 5)
    assert np.array_equal(*(g.eval()(z).detach().numpy() for g in (again, generator)))


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_it_comes_back_from_its_file(upsampling, tmp_path):
    generator, path = small(upsampling), tmp_path / "w.safetensors"
    models.save(generator, path)
    again, z = models.load(path, Generator), td.randn(2, 5)
    assert again.config["upsampling"] == upsampling
    assert np.array_equal(*(g.eval()(z).detach().numpy() for g in (again, generator)))


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_it_paints_the_same_on_a_gpu(upsampling, cupy):
    generator, z = small(upsampling), td.randn(2, 5)
    here = generator(z).detach().numpy()
    there = generator.to("cuda")(z.to("cuda"))
    there.sum().backward()
    np.testing.assert_allclose(there.detach().cpu().numpy(), here, atol=1e-5)


def test_an_upsampling_that_nobody_knows():
    with refused(ValueError, "transposed4", "shuffle", "'nearest'"):
        Generator(upsampling="nearest")
    with refused(ValueError, "upsampling", "transposed4", "nearest"):
        gan.Settings(upsampling="nearest")


def test_the_settings_choose_the_doubling():
    settings = replace(gan.RECIPES["cgan"], upsampling="resize")
    assert gan.networks(settings, 1)["generator"].config["upsampling"] == "resize"
    assert gan.RECIPES["dcgan"].upsampling == gan.RECIPES["cgan"].upsampling == "transposed4"


# ---------------------------------------------------------------- kernels that are fixed


@pytest.mark.parametrize("name", TAPS)
def test_each_phase_of_a_fixed_kernel_adds_up_to_1(name):
    kernel = FixedDoubling(TAPS[name]).kernel.numpy()[0, 0]
    for i in range(2):
        for j in range(2):
            assert kernel[i::2, j::2].sum() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1])
    np.testing.assert_allclose(kernel, kernel.T)


@pytest.mark.parametrize("name", TAPS)
def test_what_is_constant_stays_so_but_at_the_rim(name):
    double = FixedDoubling(TAPS[name])
    rim = len(double.kernel[0, 0]) // 2 - 1
    y = double(td.full((2, 3, 5, 7), 0.3)).numpy()
    assert y.shape == (2, 3, 10, 14)
    np.testing.assert_allclose(y[..., rim:-rim, rim:-rim], 0.3, rtol=1e-6)
    assert y[..., 0].max() < 0.29


def test_the_bilinear_kernel_interpolates():
    x = td.tensor(rng.standard_normal((2, 3, 6, 5), np.float32))
    y = FixedDoubling(TAPS["bilinear"])(x).numpy()
    other = F.interpolate(x, scale_factor=2, mode="bilinear").numpy()
    np.testing.assert_allclose(y[..., 1:-1, 1:-1], other[..., 1:-1, 1:-1], atol=1e-6)


def test_the_gaussian_kernel_by_loops():
    x = rng.standard_normal((5, 6))
    y = FixedDoubling(TAPS["gaussian"])(td.tensor(x[None, None].astype(np.float32))).numpy()[0, 0]
    for i in range(2, 8):
        for j in range(2, 10):
            found = weight = 0.0
            for a in range(5):
                for b in range(6):  # the centres of the small pixels, in large ones
                    down, across = abs(2 * a + 0.5 - i), abs(2 * b + 0.5 - j)
                    if max(down, across) < 3:
                        w = np.exp(-(down**2 + across**2) / (2 * SIGMA**2))
                        found, weight = found + w * x[a, b], weight + w
            assert y[i, j] == pytest.approx(found / weight, abs=1e-5)


def test_a_shuffle_starts_as_nearest_neighbours():
    """Each doubling alone, and so the whole generator's pictures, of blocks of two pixels."""
    generator = small("shuffle")
    convolutions = [layer for layer in generator.ladder if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 3
    for layer in convolutions:
        x = td.randn(2, layer.in_channels, 5, 6)
        y = F.pixel_shuffle(layer(x), 2).detach().numpy()
        one = F.conv2d(x, layer.weight[::4], padding=1)
        nearest = F.interpolate(one, scale_factor=2).detach().numpy()
        np.testing.assert_allclose(y, nearest, atol=1e-6)
        assert layer.weight.detach().numpy().std() == pytest.approx(0.02, rel=0.3)
    pictures = generator(td.randn(2, 5)).detach().numpy()
    for i, j in ((0, 1), (1, 0), (1, 1)):
        np.testing.assert_allclose(pictures[..., i::2, j::2], pictures[..., ::2, ::2], atol=1e-6)


# ---------------------------------------------------------------- the measure

N = 32
ROWS, COLUMNS = np.mgrid[:N, :N]


def noise(n=2000, deviation=0.5):
    return deviation * np.random.default_rng(1).standard_normal((n, 1, N, N))


def test_the_spectrum_of_white_noise_is_its_variance():
    power = study.spectrum(noise())
    assert power.shape == (N, N) and abs(power.mean() - 0.25) < 1e-3
    assert power.min() > 0.2 and power.max() < 0.3
    for period in study.PERIODS:
        assert abs(study.energy(power, period) - 1) < 0.03
    at, rings = study.profile(power)
    np.testing.assert_allclose(rings[1:], 0.25, rtol=0.05)
    assert at[16] == 0.5 and len(at) == 24  # to the corner, sqrt(2) / 2


def test_the_spectrum_by_its_definition():
    x = rng.standard_normal((3, 1, 4, 4))
    power = study.spectrum(x)
    for u in range(4):
        for v in range(4):
            waves = np.exp(-2j * np.pi * (u * np.arange(4)[:, None] + v * np.arange(4)) / 4)
            expected = np.mean([abs((waves * image[0]).sum()) ** 2 for image in x]) / 16
            assert power[u, v] == pytest.approx(expected)


@pytest.mark.parametrize("period", study.PERIODS)
@pytest.mark.parametrize("amplitude", [0.02, 0.1])
def test_a_pattern_of_known_amplitude(period, amplitude):
    """A wave of a level's own, +-amplitude: its power is N^2 amplitude^2, shared by how many of the
    level's frequencies it has, here one or two of them.
    """
    wave = amplitude * np.sqrt(2) * np.cos(2 * np.pi * COLUMNS / period + np.pi / 4)
    found = study.energy(study.spectrum(noise() + wave), period)
    frequencies = {2: 3, 4: 12, 8: 48}[period]
    assert found == pytest.approx(1 + N**2 * amplitude**2 / 0.25 / frequencies, rel=0.03)


@pytest.mark.parametrize(
    "pattern, period",
    [
        ((-1) ** (ROWS + COLUMNS), 2),
        ((-1) ** ROWS, 2),
        (ROWS % 4 == 0, 4),
        (8 * ((ROWS % 8 == 0) & (COLUMNS % 8 == 0)), 8),
    ],
)
def test_a_pattern_is_seen_at_its_own_period_and_not_at_longer_ones(pattern, period):
    power = study.spectrum(noise() + 0.3 * pattern)
    assert study.energy(power, period) > 3
    for longer in (p for p in study.PERIODS if p > period):
        assert abs(study.energy(power, longer) - 1) < 0.05


def test_what_does_not_repeat_with_the_stride_is_no_energy():
    for away in (3, 5, 7):
        power = study.spectrum(noise() + 0.3 * np.cos(2 * np.pi * COLUMNS * away / N))
        assert all(study.energy(power, period) < 1.05 for period in study.PERIODS)


def test_each_level_has_its_frequencies():
    for period, number in {2: 3, 4: 12, 8: 48}.items():
        seen = 0
        for i, j in np.ndindex(N, N):
            power = np.ones((N, N))
            power[i, j] = 2
            if study.energy(power, period) > 1:
                assert i % (N // period) == 0 and j % (N // period) == 0
                seen += 1
        assert seen == number


def test_random_transposed_convolutions_leave_a_pattern_and_a_shuffle_leaves_none():
    head = {"settings": TINY, "draws": [20, 8]}
    found = {}
    for name in UPSAMPLINGS:
        row = study.at_the_start(None, head, {"upsampling": name})
        found[name] = study.energy(np.array(row["spectrum"]), 2)
    assert min(found["transposed4"], found["transposed3"]) > 10
    assert max(found[name] for name in ("bilinear", "gaussian", "resize")) < 5
    assert found["shuffle"] < 1e-6


def test_the_start_is_the_mean_over_generators_in_training_mode():
    expected = []
    for draw in range(3):
        td.manual_seed(draw)
        settings = gan.Settings(**TINY, upsampling="transposed3")
        generator = gan.networks(settings, 1)["generator"]
        painted = generator(td.randn(8, 4), td.tensor(np.arange(8)))
        expected.append(study.spectrum(painted.detach().numpy()))
    row = study.at_the_start(
        None, {"settings": TINY, "draws": [3, 8]}, {"upsampling": "transposed3"}
    )
    np.testing.assert_allclose(row["spectrum"], np.mean(expected, axis=0), rtol=6e-3)
    assert row["weights"] == sum(p.numel() for p in generator.parameters())


# ---------------------------------------------------------------- the study

TINY = {
    "classes": 10, "batch_size": 4, "latent": 4, "channels": (8, 8, 8), "judges": (2, 3, 4),
    "steps": 2,
}  # fmt: skip


@pytest.fixture
def in_no_time(monkeypatch):
    """Tiny networks, few samples, and workers in this process; what they were asked to do."""
    monkeypatch.setattr(study, "SAMPLES", 100)
    monkeypatch.setattr(study, "DRAWS", 2)
    monkeypatch.setattr(study, "ROUNDS", 2)
    monkeypatch.setitem(study.recipe.RECIPES, "cgan", study.recipe.Settings(**TINY))
    asked = []

    class Here:
        def __init__(self, library, threads, environment):
            self.library = open_library(library)

        def ask(self, command, case):
            asked.append(study.key(case["row"]))
            case = json.loads(json.dumps(case))  # it goes through a pipe
            before, call = study.build(self.library, case)
            call(before())

        def end(self):
            pass

    monkeypatch.setattr(harness, "Worker", Here)
    return asked


def test_the_study_goes_on_where_it_was(in_no_time, tmp_path, capsys, monkeypatch):
    path, page = tmp_path / "upsampling.json", tmp_path / "upsampling.md"
    words = ["upsampling", "--json", str(path), "--steps", "2", "--threads", "1", "--seeds"]
    command.main([*words, "3"])
    assert len(in_no_time) == 14 and ("trained", "resize", 3) in in_no_time
    first = json.loads(path.read_text(encoding="utf-8"))
    command.main([*words, "3", "4"])
    assert [row[2] for row in in_no_time[14:]] == [4] * 6
    measured = json.loads(path.read_text(encoding="utf-8"))
    assert measured["results"][:14] == first["results"] and len(measured["results"]) == 20
    assert measured["settings"]["steps"] == 2 and "upsampling" not in measured["settings"]
    out = capsys.readouterr().out
    assert all(name in out for name in study.NAMES.values())
    with pytest.raises(SystemExit) as stop:
        command.main([*words[:4], "1", *words[5:], "3"])
    assert stop.value.code == 2 and "of these settings" in capsys.readouterr().err
    monkeypatch.setattr(study, "RECORD", path)
    monkeypatch.setattr(study, "PAGE", page)
    page.write_text("<!-- table start -->\n<!-- end -->", encoding="utf-8")
    command.main([*words, "4"])
    assert "| pixel shuffle, ICNR" in page.read_text(encoding="utf-8") and len(in_no_time) == 20
    for name in ("spectra", "profiles", "samples"):
        assert (tmp_path / "upsampling" / f"{name}.png").stat().st_size > 10_000


def test_a_row_says_what_was_painted(monkeypatch):
    pictures = np.clip(rng.normal(0, 0.5, (30, 1, N, N)), -1, 1).astype(np.float32)
    monkeypatch.setattr(study, "scores", lambda *given: given)
    told = study.told(pictures, "images", "labels")
    assert told["scores"][0] is pictures and told["scores"][1:] == ("images", "labels")
    kept = study.unpacked(told["pictures"], N)
    assert kept.shape == (study.SHOWN, N, N)
    np.testing.assert_allclose(kept / 127.5 - 1, pictures[: study.SHOWN, 0], atol=1 / 127)
    np.testing.assert_allclose(told["spectrum"], study.spectrum(pictures), rtol=6e-3)


def test_the_data_are_those_that_no_training_saw():
    images, others, labels = study.unseen({"settings": TINY, "samples": 6})
    for seed in range(3):
        seen = gan.data_set(gan.Settings(**TINY, seed=seed)).batch(0, range(6))[0]
        assert not np.array_equal(images, study.centred(seen))
    assert not np.array_equal(images, others) and labels.shape == (6,)


# ---------------------------------------------------------------- docs/upsampling.md

RECORD = json.loads(study.RECORD.read_text(encoding="utf-8"))
PAGE = study.PAGE.read_text(encoding="utf-8")
(OF_DATA,) = (study.figures(row) for row in study.rows_of(RECORD, "data", "data"))


def of(what, name):
    """The figures of each row of this kind."""
    return [study.figures(row) for row in study.rows_of(RECORD, what, name)]


def energies(found):
    return [figures[level] for figures in found for level in study.PERIODS.values()]


def sentences():
    """What the page says in words, from the record."""
    (four,), (three,) = of("start", "transposed4"), of("start", "transposed3")
    at = [(four[level], three[level]) for level in study.PERIODS.values()]
    yield (
        f"at period 2 the power is {at[0][0]:.0f} times that of the frequencies around it with "
        f"kernel 4, and {at[0][1]:.0f} times with kernel 3; at period 4 {at[1][0]:.0f} and "
        f"{at[1][1]:.0f} times, at period 8 {at[2][0]:.1f} and {at[2][1]:.1f} times"
    )
    fixed = energies([*of("start", "bilinear"), *of("start", "gaussian")])
    yield f"that is not learned the energy is {max(fixed):.1f} at most"
    nearest = energies(of("start", "resize"))
    yield f"less than there is around, {min(nearest):.2f} to {max(nearest):.2f}"
    assert of("start", "shuffle")[0]["1/2"] < 1e-6
    (row,) = study.rows_of(RECORD, "times", None)
    ms = {name: 1000 * np.median(seconds) for name, seconds in row["seconds"].items()}
    over = [ms[name] / ms["transposed4"] for name in ("resize", "bilinear", "gaussian")]
    yield (
        f"A step takes {ms['transposed4']:.0f} ms of processor time with kernel 4, "
        f"{ms['shuffle']:.0f} with pixel shuffle, and where the convolution works at the large "
        f"size {min(over):.1f} to {max(over):.1f} times as long as with kernel 4"
    )
    trained = {name: energies(of("trained", name)) for name in UPSAMPLINGS}
    shuffled, painted = (max(trained[name]) for name in ("shuffle", "transposed4"))
    assert {shuffled, painted} <= {
        figures["1/2"] for name in UPSAMPLINGS for figures in of("trained", name)
    }
    others = [x for found in trained.values() for x in found if x not in (shuffled, painted)]
    yield (
        f"One training of pixel shuffle and one of kernel 4 have some of it left at period 2, "
        f"{shuffled:.2f} and {painted:.2f}; all other energies of all trainings are between "
        f"{min(others):.2f} and {max(others):.2f}, and the data's between "
        f"{min(energies([OF_DATA])):.2f} and {max(energies([OF_DATA])):.2f}"
    )
    beyond = {
        name: [figures["beyond 1/2"] / OF_DATA["beyond 1/2"] for figures in of("trained", name)]
        for name in UPSAMPLINGS
    }
    lean = [x for name in ("resize", "bilinear", "gaussian") for x in beyond[name]]
    rich = [x for name in ("transposed3", "transposed4", "shuffle") for x in beyond[name]]
    yield (
        f"Beyond 1/2 cycle a pixel the transposed convolutions and pixel shuffle have "
        f"{min(rich):.1f} to {max(rich):.1f} times the data's power, a convolution after a fixed "
        f"doubling {min(lean):.1f} to {max(lean):.1f} times"
    )
    distances = {
        name: [figures["Frechet distance"] for figures in of("trained", name)]
        for name in UPSAMPLINGS
    }
    ranked = sorted(distances, key=lambda name: max(distances[name]))
    assert ranked[:2] == ["resize", "shuffle"]
    a, b, c, d, e, f = (
        sorted(distances[name])
        for name in ("resize", "shuffle", "gaussian", "transposed4", "bilinear", "transposed3")
    )
    yield (
        f"In both seeds the Frechet distance is small with nearest neighbours ({a[0]:.1f} and "
        f"{a[1]:.1f}) and pixel shuffle ({b[0]:.1f} and {b[1]:.1f}), and large with the Gaussian "
        f"({c[0]:.1f} and {c[1]:.1f}). Two seeds of one way can be as far apart as the ways are: "
        f"{d[0]:.1f} and {d[1]:.1f} with kernel 4, {e[0]:.1f} and {e[1]:.1f} with bilinear "
        f"weights, {f[0]:.1f} and {f[1]:.1f} with kernel 3"
    )


def test_the_words_say_what_was_measured():
    words = " ".join(PAGE.split())
    for sentence in sentences():
        assert sentence in words, sentence


def test_the_tables_say_what_was_measured():
    assert study.page(RECORD, PAGE) == PAGE, "python -m benchmarks upsampling --json " + str(
        study.RECORD
    )
    for name in study.TABLES:
        assert f"<!-- table {name} -->\n|" in PAGE
    changed = json.loads(json.dumps(RECORD))
    study.rows_of(changed, "trained", "shuffle")[0]["spectrum"][16][16] *= 9
    assert study.page(changed, PAGE) != PAGE


def test_all_were_trained_alike_and_the_numbers_of_weights_are_those_of_today():
    settings = replace(gan.RECIPES["cgan"], steps=study.STEPS)
    for name, value in RECORD["settings"].items():
        assert getattr(settings, name) == (tuple(value) if isinstance(value, list) else value)
    assert [row["seed"] for row in study.rows_of(RECORD, "trained", "resize")] == [0, 1]
    for name in UPSAMPLINGS:
        (row,) = study.rows_of(RECORD, "start", name)
        generator = gan.networks(replace(settings, upsampling=name), 1)["generator"]
        assert row["weights"] == sum(p.numel() for p in generator.parameters())
