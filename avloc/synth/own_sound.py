"""Forging a span with nothing but the recording's own sound: moved in time, or blended with a moved copy."""

from collections.abc import Callable

import numpy as np

from avloc.features.audio import SAMPLE_RATE
from avloc.synth.host import Host, Material
from avloc.synth.joints import levels_db
from avloc.synth.matching import rms
from avloc.synth.spans import frame_envelope
from avloc.synth.splice import MARGIN

LAG_S = (0.2, 0.8)
LAG_TRIES = 12
BLEND_LAG_S = (0.01, 0.06)
GATE = 800  # samples, 50 ms: half of the longest slope of the gate of a self-blend


def lag_shift(rng: np.random.Generator, host: Host, first: int, last: int) -> Material | None:
    """Move the sound of the span by 0.2 to 0.8 s; the words are the recording's own.

    The parameter ``lag_s`` is positive where the sound comes late.
    """
    wanted = levels_db(frame_envelope(host.around(first, last, 0)))
    best, least = None, np.inf
    for _ in range(LAG_TRIES):
        lag = int(rng.uniform(*LAG_S) * SAMPLE_RATE) * int(rng.choice([-1, 1]))
        samples = _moved(host, first, last, lag, MARGIN)
        if samples is None or (frame_envelope(samples) > host.sound.threshold).mean() < 0.4:
            continue
        # As loud at both ends as the host was, so that no step at a joint betrays it.
        levels = levels_db(frame_envelope(samples[MARGIN : len(samples) - MARGIN]))
        missed = max(abs(levels[0] - wanted[0]), abs(levels[-2] - wanted[-2]))
        if missed < least:
            best, least = Material(samples, host.entry, False, {"lag_s": lag / SAMPLE_RATE}), missed
    return best


Weigh = Callable[[float], tuple[float, float]]


def _share_amplitude(share: float) -> tuple[float, float]:
    return 1 - share, share


def self_blend(
    rng: np.random.Generator, host: Host, first: int, last: int, *, weigh: Weigh = _share_amplitude
) -> Material | None:
    """Blend the sound of the span with its own copy 10 to 60 ms later or earlier, under a soft gate.

    The gate rises from nothing to its full height in 50 to 100 ms; the truth is where it is above half of
    it. Nothing else tells the span: the material, its level and its noise are the host's own. Parameters:
    ``lag_s``, positive where the copy comes late, and ``share``, that of the copy inside the gate, from which
    ``weigh`` makes the weights of the original and of the copy.

    References
    ----------
    .. [1] arXiv 2604.09110 (self-blended forgeries in time).
    """
    lag = int(rng.uniform(*BLEND_LAG_S) * SAMPLE_RATE) * int(rng.choice([-1, 1]))
    share = float(rng.uniform(0.5, 1.0))
    original = host.around(first, last, GATE)
    for way in (lag, -lag):
        moved = _moved(host, first, last, way, GATE)
        if moved is not None:
            stays, comes = weigh(share)
            blended = stays * original + comes * moved
            blended *= rms(original) / rms(blended)
            parameters = {"lag_s": way / SAMPLE_RATE, "share": share}
            return Material(blended.astype(np.float32), host.entry, True, parameters, GATE)
    return None


def _moved(host: Host, first: int, last: int, lag: int, margin: int) -> np.ndarray | None:
    """Read the span with ``margin`` at each end as it sounded ``lag`` samples before; None outside."""
    start, end = host.start + first - lag - margin, host.start + last - lag + margin
    return None if start < 0 or end > host.n_recorded else host.read(start, end)
