"""Endless short tones of eight timbres, made of partials that all lie below half the sample rate.

A partial is a sine of its own frequency and strength. Since a tone is a sum of them and those that
have no room are left out, nothing aliases, as it would if a square wave were sampled as it is.
"""

import io
import wave as wave_module
from functools import cache

import numpy as np

from ..serialize import write_atomically

RATE = 8000  # samples a second
LENGTH = 4096  # samples, half a second
HIGHEST = 0.45 * RATE  # Hz, of a partial; what is left is for what an attack adds around it
NOTES = "C4", "D4", "E4", "F4", "G4", "A4", "B4", "C5"  # a C major scale
# Hz, equal temperament: a semitone is a twelfth of an octave, and A4 is 440 Hz
FREQUENCIES = 440 * 2.0 ** (np.array([-9, -7, -5, -4, -2, 0, 2, 3]) / 12)
DETUNED = 5  # cents, hundredths of a semitone, at most
LOUDEST = 2**15 - 1  # of int16
DEEPEST = 3  # of a frequency modulation
MODULATED = 9  # partials on either side; further ones have an amplitude below 2e-5
RELEASE = 0.05  # seconds, at the end

# ---------------------------------------------------------------- timbres
# Each function takes the frequency f (Hz), times t (T,) in seconds, the envelope (T,) in [0, 1] and
# a generator, and gives the partials: their frequencies over f, (K,), and amplitudes, (K,) or
# (K, T). Those of FM can be negative frequencies: the sine of -f is minus the sine of f.


def _sine(f, t, envelope, rng):
    return np.ones(1), np.ones(1)


def _triangle(f, t, envelope, rng):
    k = _harmonics(f)[::2]
    return k, (-1) ** (k // 2) / k**2


def _square(f, t, envelope, rng):
    k = _harmonics(f)[::2]
    return k, 1 / k


def _sawtooth(f, t, envelope, rng):
    k = _harmonics(f)
    return k, 1 / k


def _organ(f, t, envelope, rng):
    """Six drawbars of a Hammond organ, all out (8', 4', 2 2/3', 2', 1 1/3', 1'), with tremolo."""
    k = np.array([1, 2, 3, 4, 6, 8])
    return k, np.ones((6, 1)) * (1 + 0.4 * np.sin(2 * np.pi * (6 * t + rng.random())))


def _brass(f, t, envelope, rng):
    """Frequency modulation at f itself, the deeper the louder (Chowning 1973)."""
    return _modulated(1, DEEPEST * envelope)


def _bell(f, t, envelope, rng):
    """Frequency modulation at 3.5 f, so that partials are no harmonics; its depth dies away."""
    return _modulated(3.5, 1.5 * np.exp(-4 * t))


def _string(f, t, envelope, rng):
    """The partials of Karplus and Strong's plucked string (1983): a period of noise goes round and
    round, and is the mean of two neighbours each time, which takes cos(pi k f / rate) of partial k.
    """
    k = _harmonics(f)
    strength = rng.uniform(0.5, 1, len(k)) * rng.choice([-1, 1], len(k))
    return k, strength[:, None] * np.exp(np.outer(np.log(np.cos(np.pi * k * f / RATE)), f * t))


TIMBRES = {
    "sine": _sine, "triangle": _triangle, "square": _square, "sawtooth": _sawtooth,
    "organ": _organ, "brass": _brass, "bell": _bell, "string": _string,
}  # fmt: skip
STRUCK = "bell", "string"  # which begin at once


def _harmonics(f):
    return np.arange(1, int(HIGHEST / f) + 1)


def _modulated(ratio, depth):
    """The partials of sin(a + depth * sin(ratio * a)): sin((1 + n * ratio) * a), as strong as
    Bessel's function J_n(depth), for all whole n.

    depth: (T,), up to DEEPEST
    """
    n = np.arange(-MODULATED, MODULATED + 1)
    depths, table = _bessel()
    return 1 + n * ratio, np.stack([np.interp(depth, depths, row) for row in table])


@cache
def _bessel():
    """(x, J_n(x)) for n from -MODULATED to MODULATED in rows: the mean of cos(n u - x sin u) over a
    turn of u, of which 64 places are enough for all digits.
    """
    u, n = np.arange(64) * 2 * np.pi / 64, np.arange(-MODULATED, MODULATED + 1)
    x = np.linspace(0, DEEPEST, 601)
    return x, np.cos(n[:, None, None] * u - x[:, None] * np.sin(u)).mean(-1)


def tone(timbre, frequency, attack=0.02, decay=1.0, loudness=0.5, shift=0.0, rng=None, times=None):
    """A tone, float64 (T,), whose largest sample is `loudness`.

    timbre: a name of TIMBRES; frequency: Hz; shift: of the phase, in periods
    attack: seconds until it is there; decay: how much quieter it gets, in nepers a second
    rng: what a string and the tremolo of an organ are drawn from
    times: (T,) in seconds, by default LENGTH at RATE
    """
    rng = np.random.default_rng(0) if rng is None else rng
    t = np.arange(LENGTH) / RATE if times is None else times
    left = LENGTH / RATE - t
    ramps = np.clip(t / attack, 0, 1), np.clip(left / RELEASE, 0, 1)
    rise, fall = (np.sin(np.pi / 2 * x) ** 2 for x in ramps)
    envelope = rise * np.exp(-decay * t)
    ratios, amplitudes = TIMBRES[timbre](frequency, t, envelope, rng)
    heard = abs(ratios * frequency) <= HIGHEST
    turns = np.outer(ratios[heard], frequency * t + shift)
    wave = np.sin(2 * np.pi * turns)
    wave = (amplitudes[heard].reshape(heard.sum(), -1) * wave).sum(0) * envelope * fall
    return wave * (loudness / abs(wave).max())


class Tones:
    """Half seconds of the eight timbres on eight notes, no two alike.

    Tone (epoch, index) is drawn from a generator keyed by (seed, epoch, index): timbre and note,
    all equally likely, how far it is out of tune, phase, attack, decay and loudness.
    """

    def __init__(self, seed=0):
        self.seed = seed

    def batch(self, epoch, indices):
        """(waves, timbres, notes): int16 (n, 1, LENGTH), and numbers in TIMBRES and NOTES, int64
        (n,).
        """
        waves, timbres, notes = zip(*(self._tone(epoch, index) for index in indices))
        return np.stack(waves)[:, None], np.array(timbres), np.array(notes)

    def _tone(self, epoch, index):
        rng = np.random.default_rng([self.seed, epoch, index])
        timbre, note = (int(n) for n in rng.integers((len(TIMBRES), len(NOTES))))
        name = list(TIMBRES)[timbre]
        detuned, attack, decay, loudness, shift = rng.random(5)
        wave = tone(
            name,
            FREQUENCIES[note] * 2 ** (DETUNED * (2 * detuned - 1) / 1200),
            attack=0.004 if name in STRUCK else 0.01 * 8**attack,
            decay=0.5 + 2.5 * decay,
            loudness=0.3 + 0.6 * loudness,
            shift=shift,
            rng=rng,
        )
        return np.rint(LOUDEST * wave).astype(np.int16), timbre, note


def write_wave(path, wave, rate=RATE):
    """Writes a wave (T,) in [-1, 1] as a .wav file: one channel, 16 bits a sample.

    Raises ValueError for another shape, for samples that would be clipped and for another suffix.
    """
    wave = np.asarray(wave)
    if not str(path).lower().endswith(".wav"):
        raise ValueError(f"expected a file name that ends in .wav, got {path}")
    if wave.ndim != 1 or wave.size == 0:
        raise ValueError(f"expected a wave of shape (T,), got {wave.shape}")
    if not np.abs(wave).max() <= 1:
        raise ValueError(f"expected samples in [-1, 1], got {np.abs(wave).max():.4g}")
    buffer = io.BytesIO()
    with wave_module.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(LOUDEST * wave).astype("<i2").tobytes())
    write_atomically(path, buffer.getvalue())
