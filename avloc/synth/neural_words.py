"""Words of a recording spoken again by a neural synthesizer, in the place of the recording's own."""

from dataclasses import dataclass

import numpy as np

from avloc.features.audio import SAMPLE_RATE
from avloc.synth.host import Host, Material
from avloc.synth.joints import GOOD_DB, TRIES, levels_db
from avloc.synth.matching import Sound, fit_to_host, rms
from avloc.synth.spans import EDGE, HOP, JITTER_S, LONGEST_S, SHORTEST_S, frame_envelope
from avloc.synth.splice import MARGIN

MOST_WORDS = 6
REACH = 3  # frames of 10 ms that an end moves at most: word times are no better
LARGEST_GAIN_DB = 6.0  # a stressed word may be so much over or under the average of its recording


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive words: ``span`` in samples of the host, ``own`` in those of entry ``source``."""

    source: int
    span: tuple[int, int]
    own: tuple[int, int]
    said: str


def neural_words(rng: np.random.Generator, host: Host, first: int, last: int) -> Material | None:
    """Replace one to six words by the same words, at times others, that a synthesizer spoke for this place.

    Which words is decided by what was spoken, not by ``[first, last)``. All that follows moves by as much as
    the words are longer or shorter. Of several draws that one is taken whose ends are as loud as those of
    the words that they replace.
    """
    best, least = None, np.inf
    for _ in range(TRIES):
        run = _draw_run(rng, host)
        if run is None:
            continue
        run, missed_db = _fit_ends(rng, host, run)
        if missed_db < least:
            best, least = run, missed_db
        if least < GOOD_DB:
            break
    return None if best is None else _material(rng, host, best)


def _draw_run(rng: np.random.Generator, host: Host) -> Run | None:
    files = host.pool.spoken_again.get(host.index, ())
    if not files:
        return None
    source = int(rng.choice(files))
    words = host.pool.entries[source].replaces.words
    count = int(rng.integers(1, min(MOST_WORDS, len(words)) + 1))
    k = int(rng.integers(len(words) - count + 1))
    said = words[k : k + count]
    start, end = (
        round((time_s + rng.normal(0, JITTER_S)) * SAMPLE_RATE) - host.start
        for time_s in (said[0][0], said[-1][1])
    )
    own = round(said[0][2] * SAMPLE_RATE), round(said[-1][3] * SAMPLE_RATE)
    longest = min(LONGEST_S * SAMPLE_RATE, len(host.samples) // 2)
    shortest = SHORTEST_S * SAMPLE_RATE
    fits = start >= EDGE and end <= len(host.samples) - EDGE
    if not (fits and shortest <= end - start <= longest and shortest <= own[1] - own[0] <= longest):
        return None
    return Run(source, (start, end), own, " ".join(word for *_, word in said))


def _fit_ends(rng: np.random.Generator, host: Host, run: Run) -> tuple[Run, float]:
    """Move the ends of what is put in by at most 30 ms to where they are as loud as the host's own."""
    envelope = frame_envelope(host.pool.read(run.source))
    ours, theirs = levels_db(envelope, _gain(host, run)), levels_db(host.envelope)
    starts, ends = (_frames_near(place, len(ours)) for place in run.own)
    missed = np.abs(ours[starts] - theirs[run.span[0] // HOP])
    missed_end = np.abs(ours[ends - 2] - theirs[max(run.span[1] // HOP - 2, 0)])
    # Any sample of a frame, so that no joint betrays itself by lying on a 10 ms grid.
    own = tuple(
        int(frames[m.argmin()]) * HOP + int(rng.integers(HOP))
        for frames, m in ((starts, missed), (ends, missed_end))
    )
    own = own if own[1] - own[0] >= SHORTEST_S * SAMPLE_RATE / 2 else run.own
    return Run(run.source, run.span, own, run.said), float(max(missed.min(), missed_end.min()))


def _frames_near(place: int, n_frames: int) -> np.ndarray:
    centre = place // HOP
    return np.arange(max(centre - REACH, 2), max(min(centre + REACH + 1, n_frames), 3))


def _gain(host: Host, run: Run) -> float:
    """Gain that makes the words as loud as those that they replace, within 6 dB of the usual."""
    wanted = rms(host.samples[slice(*run.span)]) / rms(host.pool.read(run.source, *run.own))
    usual = host.sound.level / Sound.of(host.pool.statistics, run.source).level
    largest = 10 ** (LARGEST_GAIN_DB / 20)
    return usual * float(np.clip(wanted / usual, 1 / largest, largest))


def _material(rng: np.random.Generator, host: Host, run: Run) -> Material:
    entry, sound = host.pool.entries[run.source], Sound.of(host.pool.statistics, run.source)
    start, end = run.own
    samples = host.pool.read(run.source, start - MARGIN, end + MARGIN) - sound.offset
    # The level of each recording is matched already where its average is known.
    gain = _gain(host, run) * sound.level / host.sound.level * 10 ** (rng.normal(0, 1.0) / 20)
    strength = float(rng.choice([0.0, 0.5, 1.0, 1.0]))
    rumble = host.around(run.span[0], run.span[0] + end - start, MARGIN)
    fitted = fit_to_host(rng, samples, rumble, host.sound, sound, gain=gain, tilt_strength=strength)
    parameters = {"words": run.said, "source_start_s": start / SAMPLE_RATE, "tilt_strength": strength}
    return Material(fitted, entry, False, parameters, span=run.span)
