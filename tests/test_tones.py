"""Tones: the data, the generator, its distance, sound files, and the recipe."""

import json
import wave as wave_module
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from scipy.io import wavfile
from scipy.special import jv

import tinydeconv as td
from tinydeconv import data, models, viz
from tinydeconv.cli import main
from tinydeconv.data.tones import (
    DETUNED,
    FREQUENCIES,
    HIGHEST,
    LENGTH,
    LOUDEST,
    NOTES,
    RATE,
    TIMBRES,
    _bessel,
    tone,
    write_wave,
)
from tinydeconv.models.tones import ToneGenerator
from tinydeconv.recipes import common
from tinydeconv.recipes import tones as recipe
from tinydeconv.recipes.tones import RECIPES, Settings

rng = np.random.default_rng(0)
WINDOWS = Settings().windows
TIMES = np.arange(LENGTH) / RATE
STEADY = {"attack": 1e-9, "decay": 0.0, "loudness": 1.0}
SMALL = {"steps": 4, "batch_size": 2, "latent": 3, "channels": (6, 4, 3, 2)}


def small_generator():
    td.manual_seed(0)
    return ToneGenerator(3, (6, 4, 3, 2), 5, 2)


def partials(wave, frequencies, start=0, stop=3200):
    """Amplitudes of sines of these frequencies in a part of a wave, by least squares."""
    t = TIMES[start:stop, None]
    columns = [f(2 * np.pi * np.asarray(frequencies) * t) for f in (np.sin, np.cos)]
    found = np.linalg.lstsq(np.hstack(columns), wave[start:stop], rcond=None)[0]
    return np.hypot(*found.reshape(2, -1))


# ---------------------------------------------------------------- the data


def test_a_tone_is_the_same_whatever_was_drawn_before():
    tones = data.Tones(seed=3)
    waves, timbres, notes = tones.batch(1, [5, 2])
    assert waves.dtype == np.int16 and waves.shape == (2, 1, LENGTH)
    alone = tones.batch(1, [2])
    assert [x[1].tobytes() for x in (waves, timbres, notes)] == [x[0].tobytes() for x in alone]
    others = [data.Tones(4).batch(1, [2]), tones.batch(2, [2]), tones.batch(1, [3])]
    assert len({x[0].tobytes() for x in (alone, *others)}) == 4


def test_all_timbres_and_notes_are_drawn_and_none_is_clipped():
    waves, timbres, notes = data.Tones().batch(0, range(400))
    for numbers, kinds in ((timbres, TIMBRES), (notes, NOTES)):
        assert np.bincount(numbers, minlength=len(kinds)).min() > 25
    peaks = abs(waves).max((1, 2)) / LOUDEST
    assert peaks.min() > 0.29 and peaks.max() < 0.91
    assert abs(waves[..., [0, -1]]).max() <= 2  # of 32767: nothing clicks


@pytest.mark.parametrize("timbre", TIMBRES)
def test_pitches_are_the_notes(timbre):
    waves, timbres, notes = data.Tones(7).batch(0, range(300))
    heard = recipe.strongest if timbre == "bell" else recipe.pitch
    for wave, note in zip(
        waves[timbres == list(TIMBRES).index(timbre), 0],
        notes[timbres == list(TIMBRES).index(timbre)],
    ):
        cents = 1200 * np.log2(heard(wave / LOUDEST) / FREQUENCIES[note])
        assert abs(cents) < DETUNED + 12


def test_the_scale_is_c_major():
    assert FREQUENCIES[NOTES.index("A4")] == 440
    assert FREQUENCIES[-1] / FREQUENCIES[0] == pytest.approx(2)
    steps = np.rint(12 * np.diff(np.log2(FREQUENCIES)))
    assert steps.tolist() == [2, 2, 1, 2, 2, 2, 1]


EXPECTED = {
    "sine": {1: 1},
    "triangle": {1: 1, 3: 1 / 9, 5: 1 / 25, 7: 1 / 49},
    "square": {1: 1, 3: 1 / 3, 5: 1 / 5, 7: 1 / 7},
    "sawtooth": {k: 1 / k for k in range(1, 14)},
}


@pytest.mark.parametrize("timbre", EXPECTED)
def test_harmonics_are_as_strong_as_the_formula_says(timbre):
    f, k = 261.6, np.arange(1, 14)
    found = partials(tone(timbre, f, **STEADY), k * f)
    expected = np.array([EXPECTED[timbre].get(n, 0.0) for n in k])
    if timbre in ("triangle", "square"):
        expected = np.where(k % 2, 1.0 / k ** (2 if timbre == "triangle" else 1), 0)
    np.testing.assert_allclose(found / found[0], expected, atol=1e-6)


@pytest.mark.parametrize("timbre, sides", [("square", np.sign), ("triangle", np.arcsin)])
def test_a_slow_tone_is_nearly_the_wave_of_its_name(timbre, sides):
    """Signs and order too: the wave itself, of many harmonics, sampled as it is."""
    wave = tone(timbre, 20.0, **STEADY)[:3600]
    ideal = sides(np.sin(2 * np.pi * 20 * TIMES[:3600]))
    assert np.corrcoef(wave, ideal)[0, 1] > 0.997


def test_an_organ_has_six_drawbars_and_a_tremolo():
    f = 261.6
    wave = tone("organ", f, **STEADY)
    found = partials(wave, np.arange(1, 14) * f)
    np.testing.assert_allclose(
        found / found[0], np.isin(range(1, 14), [1, 2, 3, 4, 6, 8]), atol=0.06
    )
    loud = [partials(wave, [f], start, start + 200)[0] for start in range(0, 3600, 100)]
    assert max(loud) / min(loud) == pytest.approx(1.4 / 0.6, rel=0.1)


@pytest.mark.parametrize("timbre, ratio", [("brass", 1), ("bell", 3.5)])
def test_frequency_modulation_is_chownings_formula(timbre, ratio):
    f, decay = 100.0, 1.0  # so low that no partial is left out
    wave = tone(timbre, f, 0.05, decay)
    rise = np.sin(np.pi / 2 * np.clip(TIMES / 0.05, 0, 1)) ** 2
    fall = np.sin(np.pi / 2 * np.clip((LENGTH / RATE - TIMES) / 0.05, 0, 1)) ** 2
    envelope = rise * np.exp(-decay * TIMES)
    depth = 3 * envelope if timbre == "brass" else 1.5 * np.exp(-4 * TIMES)
    a = 2 * np.pi * f * TIMES
    expected = envelope * fall * np.sin(a + depth * np.sin(ratio * a))
    np.testing.assert_allclose(wave, expected * 0.5 / abs(expected).max(), atol=1e-4)


def test_bessels_function():
    x, of_x = _bessel()
    n = np.arange(len(of_x)) - len(of_x) // 2
    np.testing.assert_allclose(of_x, jv(n[:, None], x), atol=1e-14)


def test_a_string_dies_away_as_karplus_and_strongs():
    """Beside their loop: noise of one period that becomes the mean of neighbours each time."""
    period = 30
    f = RATE / (period + 0.5)  # the mean of two neighbours is half a sample late
    looped = np.zeros(LENGTH)
    looped[:period] = rng.choice([-1.0, 1.0], period)
    for i in range(period + 1, LENGTH):
        looped[i] = (looped[i - period] + looped[i - period - 1]) / 2
    k = np.arange(1, 5)  # higher ones are soon too faint to measure
    ours = tone("string", f, **STEADY)
    for wave in (looped, ours):
        early, late = (partials(wave, k * f, start, start + 305) for start in (61, 671))
        # 671 - 61 samples are 20 periods
        np.testing.assert_allclose(late / early, np.cos(np.pi * k * f / RATE) ** 20, rtol=0.05)


# ---------------------------------------------------------------- nothing aliases


def above(wave, times_as_many):
    """The power of a wave above half of RATE over that below; it has so many more samples."""
    power = abs(np.fft.rfft(wave * np.blackman(len(wave)))) ** 2
    edge = len(power) // times_as_many
    return power[edge:].sum() / power[:edge].sum()


@pytest.mark.parametrize("timbre", TIMBRES)
def test_nothing_lies_above_half_the_sample_rate(timbre):
    """The same tone at eight times as many places: what there is above would have been folded."""
    dense = np.arange(8 * LENGTH) / (8 * RATE)
    for f in FREQUENCIES:
        for attack in (0.004, 0.01):
            options = {"attack": attack, "shift": 0.3, "loudness": 1.0}
            wave = tone(timbre, f, **options, times=dense)
            assert above(wave, 8) < 1e-6  # -60 dB
            sampled = tone(timbre, f, **options)
            ratio = wave[::8] @ sampled / (sampled @ sampled)
            np.testing.assert_allclose(wave[::8], ratio * sampled, atol=1e-9)  # the same tone


def test_a_square_wave_sampled_as_it_is_would_alias():
    dense = np.arange(8 * LENGTH) / (8 * RATE)
    assert above(np.sign(np.sin(2 * np.pi * FREQUENCIES[0] * dense)), 8) > 1e-3


@pytest.mark.parametrize("f", FREQUENCIES)
def test_no_partial_is_too_high_or_left_out(f):
    k, _ = TIMBRES["sawtooth"](f, TIMES, TIMES, rng)
    assert k[-1] * f <= HIGHEST < (k[-1] + 1) * f


# ---------------------------------------------------------------- sound files


def test_two_programs_read_the_same_bits(tmp_path):
    wave = rng.uniform(-1, 1, 1000)
    wave[:2] = -1, 1
    path = tmp_path / "a.wav"
    write_wave(path, wave, 11025)
    expected = np.rint(wave * 32767).astype(np.int16)
    with wave_module.open(str(path)) as file:
        told = file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()
        frames = file.readframes(1000)
    assert told == (1, 2, 11025, 1000)
    assert np.array_equal(np.frombuffer(frames, "<i2"), expected)
    rate, read = wavfile.read(path)
    assert rate == 11025 and read.dtype == np.int16 and np.array_equal(read, expected)
    assert path.stat().st_size == 44 + 2000


@pytest.mark.parametrize(
    "name, wave, words",
    [
        ("a.mp3", [0.0], [".wav", "a.mp3"]),
        ("a", [0.0], [".wav"]),
        ("a.wav", [[0.0]], ["(T,)", "(1, 1)"]),
        ("a.wav", [], ["(T,)"]),
        ("a.wav", [0.5, -1.25], ["[-1, 1]", "1.25"]),
        ("a.wav", [0.5, np.nan], ["[-1, 1]", "nan"]),
    ],
)
def test_what_is_no_wave_is_refused(name, wave, words, tmp_path):
    with refused(ValueError):
        write_wave(tmp_path / name, wave)
    with pytest.raises(ValueError) as caught:
        write_wave(tmp_path / name, wave)
    assert all(word in str(caught.value) for word in words)
    assert not [*tmp_path.iterdir()]


def test_tones_are_joined_without_clicks():
    whole = recipe.joined(np.ones((3, LENGTH)))
    assert whole.shape == (3 * LENGTH,)
    assert abs(whole).max() == 1 and abs(whole[::LENGTH]).max() == 0
    assert abs(np.diff(whole)).max() < 0.11  # a step from 0 to 1 would be 1
    assert abs(whole[LENGTH - 1 :: LENGTH]).max() == 0
    assert (whole.reshape(3, -1)[:, 20:-200] == 1).all()


# ---------------------------------------------------------------- the generator


@pytest.mark.parametrize("channels, length", [((3,), 64), ((4, 3), 256), ((6, 4, 3, 2), 4096)])
def test_lengths(channels, length):
    model = ToneGenerator(3, channels, 5, 2)
    waves = model(td.randn(2, 3), td.tensor([0, 7]), td.tensor([7, 0]))
    assert waves.shape == (2, 1, length) and model.length == length
    assert abs(waves).max().item() <= 1


def test_its_layers_are_transposed_convolutions_of_one_dimension():
    ladder = ToneGenerator().ladder
    assert {type(layer).__name__ for layer in ladder} == {"ConvTranspose1d"}
    assert {(*layer.kernel_size, *layer.stride) for layer in ladder} == {(25, 4)}


def test_noise_timbre_and_note_all_change_the_wave():
    model = small_generator()
    z = td.randn(2, 3)
    noise, timbre, note = td.cat([z[:1]] * 4), td.tensor([0, 0, 1, 0]), td.tensor([0, 0, 0, 1])
    noise = td.cat([z[1:], noise[1:]])
    waves = model(noise, timbre, note).detach().numpy()
    assert len({wave.tobytes() for wave in waves}) == 4


def test_a_layer_is_shown_the_phase_of_the_note():
    model = ToneGenerator(3, (4, 3), 5, 2)
    shown = model._phases(td.tensor([5, 0]), td.zeros(2, 4, 64)).numpy()
    assert shown.shape == (2, 4, 64)
    t = np.arange(64) * 4 / RATE  # 256 samples of the wave
    for row, f in zip(shown, (440, FREQUENCIES[0])):
        expected = [g(2 * np.pi * k * f * t) for g in (np.sin, np.cos) for k in (1, 2)]
        np.testing.assert_allclose(row, expected, atol=1e-5)


@pytest.mark.parametrize("timbre, note", [(8, 0), (0, 8), (-1, 0)])
def test_a_timbre_or_note_that_is_not_there_is_refused(timbre, note):
    with refused(IndexError, timbre or note):
        small_generator()(td.randn(1, 3), td.tensor([timbre]), td.tensor([note]))


def test_it_has_channels():
    with refused(ValueError, "channels"):
        ToneGenerator(channels=())


def test_weights_are_read_back(tmp_path):
    model = small_generator()
    models.save(model, tmp_path / "g.safetensors")
    again = models.load(tmp_path / "g.safetensors", ToneGenerator)
    z, one = td.randn(1, 3), td.tensor([1])
    assert np.array_equal(*(m(z, one, one).detach().numpy() for m in (model, again)))


# ---------------------------------------------------------------- the distance


@pytest.mark.parametrize("window", WINDOWS)
def test_spectra_are_numpys(window):
    waves = rng.standard_normal((2, 1, 1300))
    found = recipe.spectra(td.tensor(waves), window).numpy()
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    for wave, spectrum in zip(waves[:, 0], found):
        starts = range(0, 1300 - window + 1, window // 2)
        expected = [abs(np.fft.rfft(hann * wave[s : s + window])) for s in starts]
        np.testing.assert_allclose(spectrum.T, np.array(expected) * 2 / hann.sum(), atol=1e-4)


def test_the_spectrum_of_a_sine_is_its_amplitude():
    wave = 0.7 * np.sin(2 * np.pi * 500 * TIMES)
    found = recipe.spectra(td.tensor(wave[None, None]), 512).numpy()[0]
    assert (found.argmax(0) == 32).all()  # 500 Hz of 8000, by 512 samples
    np.testing.assert_allclose(found.max(0), 0.7, atol=1e-6)


def test_distances_by_loops():
    waves = rng.uniform(-1, 1, (3, 2, 1, 1024))
    near, apart = (x.item() for x in recipe.distances(*map(td.tensor, waves), WINDOWS))

    def d(x, y):
        total = 0.0
        for window in WINDOWS:
            a, b = (recipe.spectra(td.tensor(w), window).numpy() for w in (x, y))
            each = []
            for n in range(a.shape[0]):
                for t in range(a.shape[2]):
                    p, q = a[n, :, t], b[n, :, t]
                    log = np.log((p + 0.003) / (q + 0.003))
                    each.append(4 * np.sqrt(sum((p - q) ** 2)) + np.sqrt(np.mean(log**2)))
            total += np.mean(each)
        return total

    real, first, second = waves
    assert near == pytest.approx((d(real, first) + d(real, second)) / 2, rel=1e-6)
    assert apart == pytest.approx(d(first, second), rel=1e-6)


def test_the_distance_has_the_right_slope():
    real, *made = (td.tensor(rng.uniform(-1, 1, (2, 1, 24))) for _ in range(3))
    for x in made:
        x.requires_grad = True
    td.gradcheck(lambda *x: sum(recipe.distances(real, *x, (16, 8))), tuple(made))


def test_equal_tones_are_at_no_distance_and_silence_is_finite():
    wave = td.tensor(rng.uniform(-1, 1, (1, 1, 1024)))
    silence = td.zeros(1, 1, 1024, dtype=np.float64, requires_grad=True)
    assert max(x.item() for x in recipe.distances(wave, wave, wave, WINDOWS)) < 1e-3
    near, apart = recipe.distances(wave, silence, silence, WINDOWS)
    near.backward()
    assert apart.item() < 1e-3 < near.item() and np.isfinite(silence.grad.numpy()).all()


def test_the_energy_distance_is_least_for_tones_as_varied_as_the_real_ones():
    """Real ones beside others of the same kind, beside one tone again and again, and noise."""
    waves, timbres, notes = data.Tones(11).batch(0, range(700))
    chosen = waves[(timbres == 3) & (notes < 3)] / LOUDEST
    real, others, more = (td.tensor(chosen[i : i + 8]) for i in (0, 8, 16))

    def energy(first, second):
        near, apart = (x.item() for x in recipe.distances(real, first, second, WINDOWS))
        return 2 * near - apart

    one = td.tensor(np.repeat(chosen[:1], 8, 0))
    noise = td.tensor(rng.uniform(-0.5, 0.5, (2, 8, 1, LENGTH)))
    assert energy(others, more) < energy(one, one) < energy(*noise)


# ---------------------------------------------------------------- what is heard


def test_pitch_and_its_absence():
    for f in (220.0, 300.5, 523.25, 650.0):
        for wave in (np.sin(2 * np.pi * f * TIMES), tone("sawtooth", f), tone("brass", f)):
            assert recipe.pitch(wave) == pytest.approx(f, rel=0.004)
    assert recipe.pitch(np.zeros(LENGTH)) == 0
    assert recipe.strongest(tone("bell", 400.0)) == pytest.approx(400, rel=0.004)


def test_levels_are_in_decibels():
    wave = np.stack([np.sin(2 * np.pi * 500 * TIMES), 0 * TIMES])
    of = recipe.levels(wave)
    assert of[0].max() == pytest.approx(0, abs=1e-3) and of.min() == -60 == of[1].max()


def test_real_tones_are_recognised_and_others_are_not(monkeypatch):
    monkeypatch.setattr(recipe, "KNOWN", 300)
    known, names, _ = recipe._real(1, 300)
    waves, timbres, notes = recipe._real(2, 60)
    good = recipe._quality(waves, timbres, notes, recipe.levels(known), names).mean(0)
    assert good[0] > 0.9 and good[1] == 1
    wrong = recipe._quality(waves, (timbres + 1) % 8, (notes + 1) % 8, recipe.levels(known), names)
    assert wrong.mean(0)[0] < 0.1 and wrong.mean(0)[1] < 0.1
    copies = recipe._quality(known[:9], names[:9], np.zeros(9, int), recipe.levels(known), names)
    assert copies[:, 2].max() == 0


def test_one_tone_again_and_again_has_no_variety():
    asked = np.repeat(np.arange(8), 2), np.zeros(16, int)
    waves = np.repeat([tone(name, 300.0) for name in TIMBRES], 2, 0)
    assert recipe._variety(waves, *asked).max() == 0
    waves[1] /= 2  # 6 dB where it is heard
    varied = recipe._variety(waves, *asked)
    assert 0 < varied[0] < 6.1 / 8 and not varied[1:].any()


def test_the_spectrogram(tmp_path, monkeypatch):
    drawn = []
    save = viz._save
    monkeypatch.setattr(
        viz, "_save", lambda figure, path: (drawn.append(figure), save(figure, path))
    )
    waves = np.stack([np.sin(2 * np.pi * f * TIMES) for f in (1000, 3000)])
    viz.spectrogram(tmp_path / "s.png", {"a": waves, "b": waves / 10}, RATE, ["low", "high"])
    *axes, bar = drawn[0].axes
    assert [axis.get_title() for axis in axes] == ["low", "high", "", ""]
    assert "kHz" in axes[0].get_ylabel() and "ms" in axes[2].get_xlabel()
    assert "dB" in bar.get_ylabel()
    for axis, (level, kilohertz) in zip(axes, [(0, 1), (0, 3), (-20, 1), (-20, 3)]):
        shown = axis.images[0].get_array()
        assert shown.max() == pytest.approx(level, abs=1e-6)
        left, right, low, high = axis.images[0].get_extent()
        height, width = (high - low) / len(shown), (right - left) / shown.shape[1]
        middle = low + (shown[:, 5:-5].argmax(0) + 0.5) * height
        np.testing.assert_allclose(middle, kilohertz, atol=1e-9)
        begins, ends = np.flatnonzero(shown.max(0) > level - 6.1)[[0, -1]]  # half of the window
        assert left + (begins + 0.5) * width == pytest.approx(0, abs=width)
        assert left + (ends + 0.5) * width == pytest.approx(512, abs=width)
        assert axis.images[0].get_clim() == (-60, 0)
    assert Image.open(tmp_path / "s.png").width > 300


# ---------------------------------------------------------------- the recipe


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(recipe, "PER_CLASS", 2)
    monkeypatch.setattr(recipe, "KNOWN", 200)


def small(**more):
    return replace(RECIPES["tones"], **{**SMALL, **more})


def test_two_steps_and_two_more_are_four(tmp_path):
    whole = common.start("tones", tmp_path / "whole", small())
    whole.run()
    part = common.start("tones", tmp_path / "part", small())
    part.steps = 2
    part.run()
    again = common.resume("tones", tmp_path / "part")
    assert again.step == 2
    again.run()
    assert again.losses == whole.losses
    checkpoints = [(tmp_path / name / common.CHECKPOINT).read_bytes() for name in ("whole", "part")]
    assert checkpoints[0] == checkpoints[1]


def test_the_second_term_grows_to_its_full_weight():
    """The slope of the loss is that of 2 * near - weight * apart."""
    for step, weight in ((0, 0.3), (1, 0.65), (2, 1.0), (3, 1.0)):
        td.manual_seed(0)
        training = recipe.build(None, small(), "cpu")
        for _ in range(step):
            training.schedules["generator"].step()
        generator, batch = training.networks["generator"], data.Tones().batch(0, range(2))
        state = td.get_rng_state()
        z = td.randn(4, 3)
        waves, asked = batch[0] / np.float32(LOUDEST), [np.tile(x, 2) for x in batch[1:]]
        fake = generator(z, *map(td.tensor, asked))
        near, apart = recipe.distances(td.tensor(waves), fake[:2], fake[2:], WINDOWS)
        (2 * near - weight * apart).backward()
        expected = [p.grad.numpy().copy() for p in generator.parameters()]
        td.set_rng_state(state)
        training.update(*batch)
        for p, g in zip(generator.parameters(), expected):
            np.testing.assert_allclose(p.grad.numpy(), g, rtol=1e-4, atol=1e-7)


def test_a_training_leaves_sound_pictures_and_a_table(tmp_path, quick, capsys):
    training = common.start("tones", tmp_path / "run", small())
    table = recipe.train(training)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"tones.wav", "tones.png", "generator.safetensors", "table.txt", "losses.png"} < names
    rate, sound = wavfile.read(tmp_path / "run" / "tones.wav")
    assert rate == RATE and sound.shape == (8 * LENGTH,) and abs(sound).max() > 0
    expected = recipe.joined(recipe.one_of_each(training.networks["generator"]))
    assert np.array_equal(sound, np.rint(LOUDEST * expected))
    assert (tmp_path / "run" / "table.txt").read_text(encoding="utf-8") == table
    assert all(name in table for name in (*TIMBRES, "all"))
    told = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    assert told["tones"] == 128 and told["training"]["recipe"] == "tones"
    real = told["real"]["sine"]
    assert real["recognised"] == real["in tune"] == 1 and f"{real['from a real one']:7.1f}" in table

    out = tmp_path / "scale.wav"
    words = ["sample", tmp_path / "run", "--out", out, "--n", 8, "--class", 2]
    assert main([*map(str, words)]) == 0
    assert wavfile.read(out)[1].shape == (8 * LENGTH,)
    assert Image.open(tmp_path / "scale.png").width > 600
    capsys.readouterr()
    for more, told in (
        (["--out", tmp_path / "a.png"], ".wav"),
        (["--out", tmp_path / "b.wav", "--class", 8], "0 to 7"),
        (["--out", tmp_path / "no" / "b.wav"], "does not exist"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["sample", str(tmp_path / "run"), *map(str, more)])
        line = capsys.readouterr().err
        assert stop.value.code == 2 and told in line and line.count("\n") == 1
    assert not {"a.png", "b.wav", "b.png"} & {path.name for path in tmp_path.iterdir()}


def test_a_scale_is_a_timbre_after_the_other(tmp_path):
    model = small_generator()
    recipe.draw(model, tmp_path / "all.wav", n=20)
    _, sound = wavfile.read(tmp_path / "all.wav")
    timbres, notes = np.arange(20) // 8, np.arange(20) % 8
    expected = recipe.joined(recipe.samples(model, timbres, notes, 0))
    assert np.array_equal(sound, np.rint(LOUDEST * expected))
    some = recipe.samples(model, timbres, notes, 1)
    assert not np.array_equal(some, recipe.samples(model, timbres, notes, 0))


def test_four_channels_make_the_length():
    with refused(ValueError, "four", 4096, "(4, 3)"):
        Settings(channels=(4, 3))


def test_no_training_hears_the_tones_that_it_is_measured_with():
    Settings(seed=recipe.MEASURED_SEED - 1)
    with refused(ValueError, "seed below", recipe.MEASURED_SEED, recipe.MEASURED_SEED + 1):
        Settings(seed=recipe.MEASURED_SEED + 1)


def test_samples_of_tones_are_a_sound_file_if_nobody_says_where(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    models.save(small_generator(), "tones.safetensors")
    assert main(["sample", "tones.safetensors", "--n", "2"]) == 0
    assert capsys.readouterr().out == "samples.wav\n"
    assert wavfile.read("samples.wav")[1].shape == (2 * LENGTH,)
