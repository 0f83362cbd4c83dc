"""What an honest editor does to a whole sound: denoising, levelling, music under it, another coder."""

import numpy as np

from avloc.datasets.speech_statistics import measure_speech
from avloc.features.audio import SAMPLE_RATE
from avloc.media.recode import recode
from avloc.synth.music import play_music
from avloc.synth.stft import Stft

KNEE = 0.7  # of full scale: from there on a limiter bends
BIT_RATES = {
    "mp3": (24_000, 32_000, 48_000, 64_000),
    "aac": (24_000, 32_000, 64_000),
    "opus": (12_000, 20_000),
}


def music_bed(rng: np.random.Generator, samples: np.ndarray) -> tuple[np.ndarray, dict]:
    """Lay made-up music 8 to 28 dB under the speech of ``samples`` (n,), from end to end."""
    below_db = float(rng.uniform(8, 28))
    level = float(measure_speech(samples).level[0]) * 10 ** (-below_db / 20)
    return samples + level * play_music(rng, len(samples)), {"below_db": below_db}


def denoise(rng: np.random.Generator, samples: np.ndarray) -> tuple[np.ndarray, dict]:
    """Turn down, bin by bin, what lies near the noise of the pauses of ``samples`` (n,).

    Spectral gating: a bin keeps what is over ``over_db`` above the noise, the rest is turned down to
    ``floor_db``; gains are smoothed over three frames.

    References
    ----------
    .. [1] Boll, "Suppression of acoustic noise in speech using spectral subtraction", IEEE TASSP 1979.
    """
    over_db, floor_db = float(rng.uniform(3, 9)), float(rng.uniform(-25, -6))
    transform = Stft(512, 128, len(samples))
    spectrum = transform.forward(samples)
    power = np.abs(spectrum) ** 2
    loudness = power.sum(axis=1)
    quiet = power[loudness <= np.percentile(loudness, 15)]
    noise = quiet.mean(axis=0) + 1e-12
    gain = np.clip((power / noise * 10 ** (-over_db / 10) - 0.5) * 2, 0, 1)
    gain = np.maximum(gain, 10 ** (floor_db / 20))
    padded = np.pad(gain, ((1, 1), (0, 0)), mode="edge")
    gain = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    return transform.inverse(spectrum * gain.astype(np.float32)), {"over_db": over_db, "floor_db": floor_db}


def loudness(rng: np.random.Generator, samples: np.ndarray) -> tuple[np.ndarray, dict]:
    """Bring the speech of ``samples`` (n,) to a level, half of the time with a slow leveller before.

    The leveller follows the sound with a window of 0.8 s, within 8 dB either way; peaks bend in a limiter.
    """
    target_db, levelled = float(rng.uniform(-28, -14)), bool(rng.random() < 0.5)
    made = samples.astype(np.float32)
    if levelled:
        made = made * _levelling(made)
    made = made * np.float32(10 ** (target_db / 20) / measure_speech(made).level[0])
    return _limit(made), {"target_db": target_db, "levelled": levelled}


def _levelling(samples: np.ndarray) -> np.ndarray:
    window = int(0.8 * SAMPLE_RATE)
    power = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    first = np.maximum(np.arange(len(samples)) - window // 2, 0)
    last = np.minimum(first + window, len(samples))
    local = np.sqrt((power[last] - power[first]) / np.maximum(last - first, 1) + 1e-12)
    level = float(measure_speech(samples).level[0])
    reach = 10 ** (8 / 20)
    # Pauses are left alone: a leveller that lifts them would be heard.
    gain = np.where(local > 0.1 * level, np.clip(level / local, 1 / reach, reach), 1.0) ** 0.7
    smooth = np.convolve(np.pad(gain, 800, mode="edge"), np.ones(1600) / 1600, mode="valid")
    return smooth[: len(samples)].astype(np.float32)


def _limit(samples: np.ndarray) -> np.ndarray:
    size = np.abs(samples)
    over = np.maximum(size - KNEE, 0) / (1 - KNEE)
    bent = KNEE + (1 - KNEE) * 0.98 * np.tanh(over)
    return np.where(size > KNEE, np.copysign(bent, samples), samples).astype(np.float32)


def another_coder(rng: np.random.Generator, samples: np.ndarray) -> tuple[np.ndarray, dict]:
    """Send ``samples`` (n,) through MP3, AAC or Opus."""
    codec = str(rng.choice(sorted(BIT_RATES)))
    bit_rate = int(rng.choice(BIT_RATES[codec]))
    coded = recode(np.clip(samples, -1, 1), SAMPLE_RATE, codec=codec, bit_rate=bit_rate)
    return coded, {"codec": codec, "bit_rate": bit_rate}
