"""Second implementations of the families, which training never draws: only evaluation asks for them.

A detector of self-made forgeries may learn how they were implemented. These are the same manipulations made
in another way, so that a figure on them says what was learnt of the manipulation. Nothing that training
imports imports this module.
"""

from dataclasses import replace

import numpy as np

from avloc.synth.families import (
    draw_formant_factor,
    draw_semitones,
    draw_tempo,
    insert_generated,
    insert_other,
    insert_same,
    resynthesis,
)
from avloc.synth.harmonic_noise import draw_harmonic_noise, harmonic_noise
from avloc.synth.host import ZERO_CROSSING, Host, Implementation, Maker, Material
from avloc.synth.overlap_add import psola, wsola
from avloc.synth.own_sound import self_blend
from avloc.synth.pole_shift import shift_poles
from avloc.synth.rtisi import draw_rtisi, rtisi
from avloc.synth.splice import RAISED_COSINE


def _rtisi(rng: np.random.Generator, samples: np.ndarray) -> tuple[np.ndarray, dict]:
    parameters = draw_rtisi(rng)
    return rtisi(rng, samples, **parameters), parameters


def _harmonic_noise(rng: np.random.Generator, samples: np.ndarray) -> tuple[np.ndarray, dict]:
    parameters = draw_harmonic_noise(rng)
    return harmonic_noise(rng, samples, **parameters), parameters


def _psola(rng: np.random.Generator, samples: np.ndarray) -> tuple[np.ndarray, dict]:
    semitones, periods = draw_semitones(rng), float(rng.uniform(0.9, 1.2))
    return psola(samples, semitones, periods=periods), {"semitones": semitones, "periods": periods}


def _wsola(rng: np.random.Generator, samples: np.ndarray) -> tuple[np.ndarray, dict]:
    parameters = {"frame": int(rng.choice([384, 512, 640])), "tolerance": int(rng.integers(120, 241))}
    factor = draw_tempo(rng)
    return wsola(samples, factor, **parameters), {"stretch": factor, **parameters}


def _shift_poles(rng: np.random.Generator, samples: np.ndarray) -> tuple[np.ndarray, dict]:
    factor = draw_formant_factor(rng)
    parameters = {"n_frame": int(rng.choice([400, 512, 640])), "order": int(rng.integers(16, 23))}
    return shift_poles(samples, factor, **parameters), {"formant_factor": factor, **parameters}


def _without_fade(insert: Maker) -> Maker:
    """Maker of what ``insert`` takes, joined from one sample to the next where both rise through zero."""

    def maker(rng: np.random.Generator, host: Host, first: int, last: int) -> Material | None:
        material = insert(rng, host, first, last)
        return None if material is None else replace(material, law=ZERO_CROSSING)

    return maker


def _raised_cosine_blend(rng: np.random.Generator, host: Host, first: int, last: int) -> Material | None:
    """Blend as ``self_blend`` does, original and copy by power, under a gate with a raised-cosine slope."""
    blended = self_blend(rng, host, first, last, weigh=lambda share: (float(np.sqrt(1 - share**2)), share))
    return None if blended is None else replace(blended, law=RAISED_COSINE)


HELD_BACK_FAMILIES: dict[str, tuple[Implementation, ...]] = {
    "insert_other": (Implementation("zero_crossing", _without_fade(insert_other)),),
    "insert_same": (Implementation("zero_crossing", _without_fade(insert_same)),),
    "insert_tts": (Implementation("zero_crossing", _without_fade(insert_generated)),),
    "vocoder_griffin_lim": (Implementation("rtisi", resynthesis(_rtisi)),),
    "vocoder_source_filter": (Implementation("harmonic_noise", resynthesis(_harmonic_noise)),),
    "pitch_shift": (Implementation("psola", resynthesis(_psola)),),
    "time_stretch": (Implementation("wsola", resynthesis(_wsola)),),
    "formant_shift": (Implementation("pole_shift", resynthesis(_shift_poles)),),
    "self_blend": (Implementation("raised_cosine_gate", _raised_cosine_blend),),
}
"""Each family that has a second implementation, and that."""
