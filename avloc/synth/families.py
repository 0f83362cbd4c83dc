"""The ways in which the sound of a span is forged: each makes the material that goes into a host.

These are the implementations that training draws from; ``held_back`` has others of the same families.
"""

from collections.abc import Callable

import numpy as np

from avloc.synth.griffin_lim import draw_griffin_lim, griffin_lim
from avloc.synth.host import Host, Implementation, Maker, Material
from avloc.synth.joints import cut_words
from avloc.synth.matching import Sound, fit_to_host, noise_over, rms
from avloc.synth.neural_words import neural_words
from avloc.synth.own_sound import lag_shift, self_blend
from avloc.synth.phase_vocoder import shift_formants, shift_pitch, stretch
from avloc.synth.sola import shift_by_rate, sola
from avloc.synth.source_filter import draw_source_filter, source_filter
from avloc.synth.spans import frame_envelope
from avloc.synth.splice import MARGIN

CONTEXT = 800  # samples beyond the margin that a resynthesis sees and that are cut off again
NOISE_DB = 3.0  # by so much may the noise of a source, brought to the host's level, be over the host's
PAIR_SEARCH = 240  # samples, 15 ms: how far the lag of a pair may differ from the manifest's


def resynthesis(make: Callable[[np.random.Generator, np.ndarray], tuple[np.ndarray, dict]]) -> Maker:
    """Maker that turns the span itself, with some context, into new samples of about the same length.

    ``make`` takes samples (n,) and gives others with the parameters that it drew.
    """

    def maker(rng: np.random.Generator, host: Host, first: int, last: int) -> Material | None:
        original = host.around(first, last, MARGIN + CONTEXT)
        made, parameters = make(rng, original)
        cut = CONTEXT * len(made) // len(original)
        made = made[cut : len(made) - cut]
        gain = rms(original) / rms(made) * 10 ** (rng.normal(0, 0.5) / 20)
        rumble = host.around(first, first + len(made) - 2 * MARGIN, MARGIN)
        fitted = fit_to_host(rng, made, rumble, host.sound, None, gain=gain)
        return Material(fitted, host.entry, True, parameters)

    return maker


def _griffin_lim(rng: np.random.Generator, samples: np.ndarray) -> tuple[np.ndarray, dict]:
    parameters = draw_griffin_lim(rng)
    return griffin_lim(rng, samples, **parameters), parameters


def _source_filter(rng: np.random.Generator, samples: np.ndarray) -> tuple[np.ndarray, dict]:
    parameters = draw_source_filter(rng)
    return source_filter(rng, samples, **parameters), parameters


def _pitch_shift(rng: np.random.Generator, samples: np.ndarray) -> tuple[np.ndarray, dict]:
    parameters = _draw_vocoder(rng)
    semitones = draw_semitones(rng)
    return shift_pitch(samples, semitones, **parameters), {"semitones": semitones, **parameters}


def _time_stretch(rng: np.random.Generator, samples: np.ndarray) -> tuple[np.ndarray, dict]:
    parameters = _draw_vocoder(rng)
    factor = draw_tempo(rng)
    return stretch(samples, factor, **parameters), {"stretch": factor, **parameters}


def _pitch_by_rate(rng: np.random.Generator, samples: np.ndarray) -> tuple[np.ndarray, dict]:
    parameters, semitones = _draw_sequences(rng), draw_semitones(rng)
    return shift_by_rate(samples, semitones, **parameters), {"semitones": semitones, **parameters}


def _stretch_by_sequences(rng: np.random.Generator, samples: np.ndarray) -> tuple[np.ndarray, dict]:
    parameters, factor = _draw_sequences(rng), draw_tempo(rng)
    return sola(samples, factor, **parameters), {"stretch": factor, **parameters}


def draw_semitones(rng: np.random.Generator) -> float:
    """How far the pitch moves."""
    return float(rng.choice([-1, 1]) * rng.uniform(0.7, 4))


def draw_tempo(rng: np.random.Generator) -> float:
    """How many times as long a span becomes."""
    return float(np.exp(rng.choice([-1, 1]) * rng.uniform(0.06, 0.3)))


def draw_formant_factor(rng: np.random.Generator) -> float:
    """How many times as high the formants become."""
    return float(np.exp(rng.choice([-1, 1]) * rng.uniform(0.07, 0.25)))


def _draw_vocoder(rng: np.random.Generator) -> dict:
    n_fft = int(rng.choice([512, 768, 1024]))
    return {"n_fft": n_fft, "hop": n_fft // int(rng.choice([4, 4, 8]))}


def _draw_sequences(rng: np.random.Generator) -> dict:
    ranges = {
        "sequence": (560, 1281),
        "overlap": (96, 225),
        "seek": (160, 321),
    }  # 35 to 80, 6 to 14, 10 to 20 ms
    return {name: int(rng.integers(*limits)) for name, limits in ranges.items()}


def _formant_shift(rng: np.random.Generator, samples: np.ndarray) -> tuple[np.ndarray, dict]:
    factor = draw_formant_factor(rng)
    order = int(rng.integers(24, 41))
    return shift_formants(samples, factor, order=order), {"formant_factor": factor, "order": order}


def insert_other(rng: np.random.Generator, host: Host, first: int, last: int) -> Material | None:
    """Take words of another speaker of the same use."""
    identity = host.entry.identity
    source = draw_source(rng, host, host.pool.natural, lambda i: host.pool.entries[i].identity != identity)
    return None if source is None else _insertion(rng, host, source, first, last)


def insert_same(rng: np.random.Generator, host: Host, first: int, last: int) -> Material | None:
    """Take other words of the same speaker: of another recording, or of another place in this one."""
    members = host.pool.by_identity.get(host.entry.identity, ())
    others = np.array([i for i in members if i not in host.made_of], dtype=np.int64)
    source = host.index
    if len(others) and rng.random() < 0.85:
        drawn = draw_source(rng, host, others, lambda i: True)
        source = host.index if drawn is None else drawn
    if source < 0:
        return None
    away = (host.start + first, host.start + last) if source == host.index else None
    return _insertion(rng, host, source, first, last, away=away)


def insert_generated(rng: np.random.Generator, host: Host, first: int, last: int) -> Material | None:
    """Take words that a neural synthesizer or vocoder spoke, of any sentence and voice of the same use."""
    if not len(host.pool.generated):
        return None
    source = draw_source(rng, host, host.pool.generated, lambda i: True)
    return None if source is None else _insertion(rng, host, source, first, last)


def neural_pair(rng: np.random.Generator, host: Host, first: int, last: int) -> Material | None:
    """Paste the same words at the same times from the neural twin of the host."""
    twins = [fake for natural, fake in host.pool.pairs if natural == host.index]
    if not twins:
        return None
    source = int(rng.choice(twins))
    lag = round(host.pool.entries[source].pair_lag * 16000)
    original = host.around(first, last, MARGIN)
    wide = host.pool.read(
        source,
        host.start + first - MARGIN + lag - PAIR_SEARCH,
        host.start + last + MARGIN + lag + PAIR_SEARCH,
    )
    shift = _best_shift(original, wide)
    twin = wide[shift : shift + len(original)]
    if rms(twin) < 0.1 * host.sound.threshold:
        return None
    sound = Sound.of(host.pool.statistics, source)
    strength = float(rng.choice([0.0, 1.0]))
    gain = 10 ** (rng.normal(0, 0.5) / 20)
    fitted = fit_to_host(rng, twin, original, host.sound, sound, gain=gain, tilt_strength=strength)
    parameters = {
        "lag_s": (lag + shift - PAIR_SEARCH) / 16000,
        "generator": host.pool.entries[source].generator,
    }
    return Material(fitted, host.pool.entries[source], True, parameters)


def _best_shift(original: np.ndarray, wide: np.ndarray) -> int:
    """Offset in ``wide`` at which it agrees best with ``original``; the middle where nothing agrees."""
    n = len(original) + len(wide)
    size = 1 << (n - 1).bit_length()
    spectrum = np.conj(np.fft.rfft(original, size)) * np.fft.rfft(wide, size)
    correlation = np.fft.irfft(spectrum, size)[: len(wide) - len(original) + 1]
    best = int(correlation.argmax())
    energy = rms(original) * rms(wide[best : best + len(original)]) * len(original)
    return best if correlation[best] > 0.25 * energy else PAIR_SEARCH


def draw_source(
    rng: np.random.Generator, host: Host, candidates: np.ndarray, fits: Callable[[int], bool]
) -> int | None:
    """Draw an entry whose band is as wide as the host's and whose noise at its level is not louder.

    A top that is missing or noise that cannot be taken away would mark the splice.
    """
    fallback = None
    for _ in range(12):
        i = host.pool.draw(rng, candidates)
        if not fits(i):
            continue
        source = Sound.of(host.pool.statistics, i)
        if source.bandwidth_hz >= host.sound.bandwidth_hz - 400 and noise_over(source, host.sound) < NOISE_DB:
            return i
        fallback = i
    return fallback if rng.random() < 0.2 else None


def _insertion(
    rng: np.random.Generator,
    host: Host,
    source: int,
    first: int,
    last: int,
    away: tuple[int, int] | None = None,
) -> Material | None:
    """Cut words of entry ``source``, about as long as the span, matched to the host."""
    n = host.pool.n_samples(source)
    length = last - first
    if n < length + 4 * MARGIN:
        return None
    begin = int(rng.integers(0, max(n - length - 8000, 0) + 1))
    slice_end = min(n, begin + length + 16000)
    envelope = frame_envelope(host.pool.read(source, begin, slice_end))
    sound = Sound.of(host.pool.statistics, source)
    bounds = (2 * MARGIN, slice_end - begin - 2 * MARGIN)
    gain = 10 ** (rng.normal(0, 1.5) / 20)
    span = cut_words(
        rng,
        envelope,
        sound.threshold,
        bounds=bounds,
        host=host.envelope,
        span=(first, last),
        gain=gain * host.sound.level / sound.level,
    )
    if span is None:
        return None
    start, end = begin + span[0], begin + span[1]
    if away and start < away[1] + 1600 and end > away[0] - 1600:
        return None
    samples = host.pool.read(source, start - MARGIN, end + MARGIN) - sound.offset
    strength = float(rng.choice([0.0, 0.5, 1.0, 1.0]))
    rumble = host.around(first, first + end - start, MARGIN)
    fitted = fit_to_host(rng, samples, rumble, host.sound, sound, gain=gain, tilt_strength=strength)
    parameters = {"source_start_s": start / 16000, "tilt_strength": strength, "gain": gain}
    return Material(fitted, host.pool.entries[source], False, parameters)


def replace_audio(rng: np.random.Generator, host: Host, first: int, last: int) -> Material | None:
    """Put other speech under an untouched picture, of the same speaker in three of ten."""
    maker = insert_same if rng.random() < 0.3 else insert_other
    return maker(rng, host, first, last) or insert_other(rng, host, first, last)


AUDIO_FAMILIES: dict[str, tuple[Implementation, ...]] = {
    "insert_other": (Implementation("cross_fade", insert_other),),
    "insert_same": (Implementation("cross_fade", insert_same),),
    "insert_tts": (Implementation("cross_fade", insert_generated),),
    "neural_pair": (Implementation("twin", neural_pair),),
    "neural_words": (Implementation("spoken_again", neural_words),),
    "vocoder_griffin_lim": (Implementation("griffin_lim", resynthesis(_griffin_lim)),),
    "vocoder_source_filter": (Implementation("source_filter", resynthesis(_source_filter)),),
    "pitch_shift": (
        Implementation("phase_vocoder", resynthesis(_pitch_shift)),
        Implementation("sola", resynthesis(_pitch_by_rate)),
    ),
    "time_stretch": (
        Implementation("phase_vocoder", resynthesis(_time_stretch)),
        Implementation("sola", resynthesis(_stretch_by_sequences)),
    ),
    "formant_shift": (Implementation("cepstral_envelope", resynthesis(_formant_shift)),),
    "self_blend": (Implementation("linear_gate", self_blend),),
}
"""Each family of forged sound, and what makes its material: one of these, drawn for each item."""

MOVING = ("insert_other", "insert_same", "insert_tts", "neural_words")  # sound that may be longer or shorter
SOUND_FAMILIES: dict[str, tuple[Implementation, ...]] = {
    "lag_shift": (Implementation("moved", lag_shift),),
    "replace_audio": (Implementation("cross_fade", replace_audio),),
    **{name: made for name, made in AUDIO_FAMILIES.items() if name not in MOVING},
}
"""What is done to the sound under an untouched picture; nothing after the span moves."""
