"""A whole recording that a synthesizer or a neural vocoder spoke, in the sound of a natural recording."""

from dataclasses import replace

import numpy as np

from avloc.features.audio import SAMPLE_RATE
from avloc.synth.edits import Forged
from avloc.synth.families import draw_source
from avloc.synth.host import Host
from avloc.synth.matching import Sound, fit_to_host

WHOLE_GENERATED = "whole_generated"
SHORTEST_S = 1.5
TAKEN = (0.5, 0.9)  # of a file
QUIETER_B = (0.3, 1.5)  # 3 to 15 dB


def speak_whole(rng: np.random.Generator, host: Host) -> Forged | None:
    """Put generated speech in the place of all of ``host``; None where none fits.

    Level, tilt, band, noise and rumble are the host's, so that not the cleanness of a synthesizer's file but
    its voice is what can be found. A part of a file is taken, because files begin and end in silence.
    """
    source = draw_source(rng, host, host.pool.generated, lambda i: True)
    if source is None:
        return None
    n_source = host.pool.n_samples(source)
    n = min(len(host.samples), int(n_source * rng.uniform(*TAKEN)))
    if n < SHORTEST_S * SAMPLE_RATE:
        return None
    begin = int(rng.integers(0, n_source - n + 1))
    sound = Sound.of(host.pool.statistics, source)
    samples = host.pool.read(source, begin, begin + n) - sound.offset
    strength = float(rng.choice([0.0, 0.5, 1.0, 1.0]))
    gain = 10 ** (rng.normal(0, 1.5) / 20)
    # The floor is an average: steady noise of that level would fill every quiet moment of a recording.
    natural = replace(host.sound, floor=host.sound.floor * 10 ** -rng.uniform(*QUIETER_B))
    fitted = fit_to_host(rng, samples, host.samples[:n], natural, sound, gain=gain, tilt_strength=strength)
    entry = host.pool.entries[source]
    told = {"source": entry.id, "identity": entry.identity, "source_start_s": begin / SAMPLE_RATE}
    return Forged(fitted, [(0, n)], [told | {"tilt_strength": strength, "gain": gain}], WHOLE_GENERATED)
