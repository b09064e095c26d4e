"""A generator of short tones of eight timbres, taught without a judge: by the energy distance of
spectra (Gritsenko et al., "A spectral energy distance for parallel speech synthesis", NeurIPS
2020).

    2 E d(x, G(z)) - E d(G(z), G(z'))

is least if the generator's tones G(z) are spread as the real tones x are, given what was asked for:
the first term draws them to the real ones, the second keeps them from being all the same.
"""

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

import tinydeconv as td
from tinydeconv import data, metrics, models, ops, optim, viz
from tinydeconv.data.tones import FREQUENCIES, LENGTH, LOUDEST, NOTES, RATE, TIMBRES, write_wave
from tinydeconv.models.tones import ToneGenerator
from tinydeconv.nn import functional as F
from tinydeconv.recipes.common import check, made, option, report, stages
from tinydeconv.recipes.learned import device_of
from tinydeconv.train import Training

PICTURES = 6  # stages
EPOCH = 500  # batches
BATCH = 64  # tones that are made at once
WEIGHTS = "generator.safetensors"
WINDOW = 512  # samples of the spectra that are measured
FIRST = 0.3  # of the second term, its weight at first
QUIET = 0.003  # amplitude: what is fainter does not count as different
PER_CLASS = 8  # tones of each timbre on each note that are measured
KNOWN = 1024  # real tones that they are held against
MEASURED_SEED = 1_000_000  # of the measured tones; it is no training's
CLOSE = 0.03  # how far off a pitch may be; the next note is 6 % away or more
LISTENED = 5  # the note of the sound file, A4
FADES = 0.002, 0.02  # seconds, before and after each tone of a file: else it might click


@dataclass(frozen=True)
class Settings:
    """Everything that a training depends on."""

    steps: int = option(4000, "fewer steps are quicker and sound worse")
    seed: int = option(0, "of weights, noise and data", least=0)
    batch_size: int = option(8, "real tones a step, and twice as many made")
    latent: int = option(16, "numbers that a tone is made from")
    channels: tuple = (64, 48, 32, 16)  # of the generator, from the shortest wave on
    harmonics: int = 8  # of the note, that its layers are shown
    windows: tuple = (512, 128)  # samples that a spectrum is of: long ones tell pitches, short when
    max_lr: float = option(6e-3, "the highest learning rate")

    def __post_init__(self):
        check(self)
        if len(self.channels) != 4:
            raise ValueError(f"expected four channels, for {LENGTH} samples, got {self.channels}")
        if self.seed >= MEASURED_SEED:
            raise ValueError(
                f"expected a seed below {MEASURED_SEED}, which is that of the tones to measure "
                f"with, got {self.seed}"
            )


RECIPES = {"tones": Settings()}


# ---------------------------------------------------------------- the distance


@cache
def _waves_to_compare(window):
    """Cosines and sines of all frequencies of a window, under Hann's curve, float64
    (window + 2, 1, window): the products with a sine of amplitude 1 are 1 long.
    """
    turns = np.outer(np.arange(window // 2 + 1), np.arange(window)) / window
    under = np.sin(np.pi * np.arange(window) / window) ** 2
    both = np.concatenate([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)])
    return (both * under * (2 / under.sum()))[:, None]


def spectra(waves, window):
    """Amplitudes (N, window / 2 + 1, T) by frequency and time of waves (N, 1, length); windows
    overlap by half.
    """
    kernel = ops.tensor(_waves_to_compare(window), dtype=waves.dtype, device=waves.device)
    cosines, sines = ops.chunk(F.conv1d(waves, kernel, stride=window // 2), 2, 1)
    return (cosines * cosines + sines * sines + 1e-8).sqrt()  # the root of 0 has no slope


def distance(a, b):
    """How far apart spectra (N, frequencies, T) are: the norms over the frequencies of what lies
    between amplitudes and between their logarithms, in the mean over tones and times.
    """
    linear, logarithm = a - b, ((a + QUIET) / (b + QUIET)).log()
    return 4 * _norm((linear * linear).sum(1)) + _norm((logarithm * logarithm).mean(1))


def _norm(squares):
    return (squares + 1e-10).sqrt().mean()


def distances(real, first, second, windows):
    """(E d(x, G(z)), E d(G(z), G(z'))) of waves (N, 1, length) for the same requests, d being the
    distance of spectra, summed over the windows.
    """
    near, apart = 0.0, 0.0
    for window in windows:
        x, a, b = (spectra(waves, window) for waves in (real, first, second))
        near = near + (distance(x, a) + distance(x, b)) / 2
        apart = apart + distance(a, b)
    return near, apart


# ---------------------------------------------------------------- training


def build(path, settings, device):
    """The Training of a generator of tones."""
    loader = data.Loader(data.Tones(settings.seed), settings.batch_size, EPOCH)
    generator = ToneGenerator(settings.latent, settings.channels, harmonics=settings.harmonics).to(
        device
    )
    optimizer = optim.Adam(generator.parameters(), betas=(0.9, 0.99))
    schedule = optim.OneCycleLR(optimizer, settings.max_lr, settings.steps)
    update = partial(_update, generator, optimizer, schedule, settings)
    return Training(
        {"generator": generator}, {"generator": optimizer}, {"generator": schedule}, loader, update,
        settings.steps, path,
    )  # fmt: skip


def _update(generator, optimizer, schedule, settings, waves, timbres, notes):
    """A step down the energy distance; its terms.

    In the first half of the steps the second term grows to its full weight: at first tones shall
    become like real ones, and need not yet differ.
    """
    device, n = device_of(generator), len(waves)
    real = td.tensor(waves / np.float32(LOUDEST), device=device)
    asked = [td.tensor(np.tile(numbers, 2), device=device) for numbers in (timbres, notes)]
    fake = generator(ops.randn(2 * n, generator.config["latent"], device=device), *asked)
    near, apart = distances(real, fake[:n], fake[n:], settings.windows)
    grown = min(1, 2 * schedule.last_epoch / settings.steps)
    loss = 2 * near - (FIRST + (1 - FIRST) * grown) * apart
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"to real tones": near, "of two made": apart}


def train(training):
    """Runs the training to its end; beside the checkpoint come weights, a sound file, spectrograms,
    losses and measurements. Returns the measurements as a table to print.
    """
    folder, generator = training.path.parent, training.networks["generator"]

    def listen(name=None):
        models.save(generator, folder / WEIGHTS, made(training))
        path = folder / f"{name or f'tones-{training.step}'}.wav"
        write_wave(path, joined(one_of_each(generator)))
        tqdm.write(f"after step {training.step}: {path}")

    training.run(stages=stages(training, PICTURES, listen))
    listen("tones")
    picture(folder / "tones.png", one_of_each(generator))
    viz.loss_curve(folder / "losses.png", training.losses)
    return _measurements(generator, training)


# ---------------------------------------------------------------- tones that are made


def samples(generator, timbres, notes, seed=0):
    """Waves (n, LENGTH), float32 in [-1, 1], of numbers (n,) of timbres and notes, the same for the
    same seed.
    """
    state, training = td.get_rng_state(), generator.training
    td.manual_seed(seed)
    noise = ops.randn(len(timbres), generator.config["latent"])
    td.set_rng_state(state)
    where = device_of(generator)
    waves = []
    generator.eval()
    with td.no_grad():
        for start in range(0, len(timbres), BATCH):
            part = slice(start, start + BATCH)
            asked = (td.tensor(numbers[part], device=where) for numbers in (timbres, notes))
            waves.append(generator(noise[part].to(where), *asked).cpu().numpy()[:, 0])
    generator.train(training)
    return np.concatenate(waves)


def one_of_each(generator):
    """A wave of each timbre, (8, LENGTH), all on the note of the sound file."""
    timbres = np.arange(len(TIMBRES))
    return samples(generator, timbres, np.full_like(timbres, LISTENED))


def joined(waves):
    """Waves (n, length) one after another, (n * length,), each faded in and out."""
    within = np.ones(waves.shape[1])
    for side, seconds in zip((1, -1), FADES):
        steps = np.arange(round(seconds * RATE))
        within[::side][: len(steps)] = np.sin(np.pi / 2 * steps / len(steps)) ** 2
    return (waves * within).reshape(-1)


# ---------------------------------------------------------------- measurements


def levels(waves):
    """The spectra of waves (n, length) in dB of a sine of amplitude 1, no lower than -60."""
    with td.no_grad():
        amplitudes = spectra(td.tensor(waves[:, None]), WINDOW).numpy()
    return 20 * np.log10(np.maximum(amplitudes, 1e-3))


def pitch(wave):
    """The frequency of a wave (length,), in Hz: the first lag at which it is nearly as much like
    itself as at the best one; 0 if there is none among those of 200 to 700 Hz.
    """
    n = len(wave)
    power = abs(np.fft.rfft(wave - wave.mean(), 2 * n)) ** 2
    alike = np.fft.irfft(power)[:n] / (n - np.arange(n))  # fewer samples meet at a larger lag
    lags = np.arange(RATE // 700, RATE // 200 + 1)
    before, here, after = alike[lags - 1], alike[lags], alike[lags + 1]
    peaks = np.flatnonzero((here > before) & (here >= after) & (here > 0.85 * here.max()))
    if here.max() <= 0 or not len(peaks):
        return 0.0
    p = peaks[0]  # the summit of a parabola through three lags
    offset = (before[p] - after[p]) / (2 * (before[p] - 2 * here[p] + after[p]))
    return RATE / (lags[p] + offset)


def strongest(wave):
    """The frequency of a wave's strongest partial, in Hz: the pitch of a bell, whose partials are
    no harmonics, so that it has no period.
    """
    spectrum = abs(np.fft.rfft(wave * np.hanning(len(wave)), 4 * len(wave)))
    return spectrum.argmax() * RATE / (4 * len(wave))


def _quality(waves, timbres, notes, known, names):
    """(n, 3) of waves: is its nearest neighbour among `known` levels of the timbre that was asked
    for, whose number stands in names; is it in tune; how many dB is it from that neighbour.
    """
    far, nearest = metrics.nearest_distance(levels(waves), known)
    bell = list(TIMBRES).index("bell")
    heard = [(strongest if t == bell else pitch)(wave) for t, wave in zip(timbres, waves)]
    close = abs(np.array(heard) / FREQUENCIES[notes] - 1) < CLOSE
    return np.stack([names[nearest] == timbres, close, far / known[0].size ** 0.5], 1)


def _variety(waves, timbres, notes):
    """(timbres,): how many dB two waves of a timbre and note are apart, in the mean over notes."""
    of = levels(waves)
    kinds = len(TIMBRES) * len(NOTES)
    apart = metrics.pairwise_distance(of, timbres * len(NOTES) + notes, kinds)
    return apart.reshape(len(TIMBRES), -1).mean(1) / of[0].size ** 0.5


def _measurements(generator, training):
    """Writes what is heard in tones that are made, and in real ones, as JSON and as the table that
    is returned.
    """
    number = PER_CLASS * len(TIMBRES) * len(NOTES)
    print(f"measuring {number} tones ...", flush=True)
    known, names, _ = _real(MEASURED_SEED + 1, KNOWN)
    known = levels(known)
    asked = np.arange(number) % len(TIMBRES), np.arange(number) // len(TIMBRES) % len(NOTES)
    judged = {
        "made": (samples(generator, *asked, MEASURED_SEED), *asked),
        "real": _real(MEASURED_SEED, number),
    }
    told = {}
    for name, (waves, timbres, notes) in judged.items():
        each = _quality(waves, timbres, notes, known, names)
        of = np.stack([each[timbres == t].mean(0) for t in range(len(TIMBRES))])
        told[name] = np.column_stack([of, _variety(waves, timbres, notes)])
    results = {
        "tones": number, "training": training.settings,
        **{name: {t: dict(zip(HEARD, row)) for t, row in zip(TIMBRES, of.tolist())}
           for name, of in told.items()},
    }  # fmt: skip
    return report(training, results, _table(told, number))


HEARD = "recognised", "in tune", "from a real one", "from each other"


def _table(told, number):
    """Rows of timbres, and columns of what was heard, in tones made and in real ones."""
    lines = [
        f"{number} tones made, and as many real ones: the share whose nearest neighbour among\n"
        f"{KNOWN} more real tones is of the timbre asked for; the share in tune, within\n"
        f"{CLOSE:.0%} of the note's pitch; dB from that neighbour, and of two tones of one timbre\n"
        "and note from each other.\n",
        f"{'':10}" + "".join(f"{what:>18}" for what in HEARD),
        f"{'':10}" + f"{'made':>11}{'real':>7}" * len(HEARD),
    ]
    rows = dict(zip(TIMBRES, np.stack([told["made"], told["real"]], 2)))
    rows["all"] = np.mean(list(rows.values()), 0)
    for name, row in rows.items():
        cells = (
            f"{made:11.{digits}f}{real:7.{digits}f}"
            for (made, real), digits in zip(row, (2, 2, 1, 1))
        )
        lines.append(f"{name:10}" + "".join(cells))
    return "\n".join(lines) + "\n"


def _real(seed, number):
    """So many real tones, float32 (n, LENGTH) in [-1, 1], their timbres and notes."""
    waves, timbres, notes = data.Tones(seed).batch(0, range(number))
    return waves[:, 0] / np.float32(LOUDEST), timbres, notes


def picture(path, waves):
    """Draws a real tone of each timbre above waves (8, LENGTH) of all, as spectrograms."""
    real, timbres, notes = _real(MEASURED_SEED, KNOWN)
    of = [np.flatnonzero((timbres == t) & (notes == LISTENED))[0] for t in range(len(TIMBRES))]
    viz.spectrogram(path, {"real": real[of], "made": waves}, RATE, list(TIMBRES))


def draw(model, out, seed=0, n=64, label=None):
    """Writes n tones one after another as a .wav file, and their spectrogram beside it: up the
    scale, of one timbre (a number) or of all in turn, a scale each.
    """
    if label is not None and label >= len(TIMBRES):
        raise ValueError(
            f"expected 0 to {len(TIMBRES) - 1}, {', '.join(TIMBRES)}, got class {label}"
        )
    notes = np.arange(n) % len(NOTES)
    timbres = np.arange(n) // len(NOTES) % len(TIMBRES) if label is None else np.full(n, label)
    waves = samples(model, timbres, notes, seed)
    write_wave(out, joined(waves))
    some = slice(len(NOTES) * len(TIMBRES))
    rows = {}
    for t in dict.fromkeys(timbres[some].tolist()):
        rows[list(TIMBRES)[t]] = waves[some][timbres[some] == t][: len(NOTES)]
    viz.spectrogram(Path(out).with_suffix(".png"), rows, RATE, NOTES)
