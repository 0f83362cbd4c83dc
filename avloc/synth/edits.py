"""Edits: spans of a host are chosen, material goes into them, and that becomes samples and truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avloc.features.audio import SAMPLE_RATE
from avloc.synth.host import ZERO_CROSSING, Host, Maker, Material
from avloc.synth.joints import levels_db, nearest_level
from avloc.synth.spans import EDGE, JITTER_S, SHORTEST_S, choose_span, draw_length, frame_envelope
from avloc.synth.splice import EQUAL_POWER, LINEAR, MARGIN, Edit, assemble, at_zero_crossings

APART = 4000  # samples, 0.25 s: between two segments of one item
WORDS_SHARE = 0.3  # of the spans of a host whose words have times are whole words


@dataclass(frozen=True, slots=True)
class Forged:
    """Sound (n,) with what was forged in it: ``spans`` in samples, and a mapping for each piece put in.

    ``implementation`` names what made the pieces; None where nothing was forged.
    """

    samples: np.ndarray
    spans: Sequence[tuple[int, int]] = ()
    segments: Sequence[Mapping] = ()
    implementation: str | None = None


def draw_edits(
    rng: np.random.Generator, host: Host, maker: Maker, limit: int, *, in_time: bool = False
) -> tuple[list[Edit], list[Material]]:
    """Choose one to three spans of ``host`` and make what goes into them.

    ``limit`` is the longest item in samples. ``in_time``: nothing of the host moves, as a picture belongs
    to it. Both lists are empty if nothing fits.
    """
    n = len(host.samples)
    wanted = int(rng.choice([1, 1, 1, 2, 3])) if n > 4 * SAMPLE_RATE else 1
    longest_s = 0.5 * n / SAMPLE_RATE / wanted
    chosen: list[tuple[Edit, Material]] = []
    for _ in range(wanted * 3):
        if len(chosen) == wanted:
            break
        span = _draw_span(rng, host, draw_length(rng, longest_s))
        if span is None or any(span[0] < e.end + APART and e.start < span[1] + APART for e, _ in chosen):
            continue
        material = maker(rng, host, *span)
        if material is None:
            continue
        edit = _place(rng, host, span, material, in_time)
        if not any(edit.start < e.end + APART and e.start < edit.end + APART for e, _ in chosen):
            chosen.append((edit, material))
    chosen.sort(key=lambda pair: pair[0].start)
    # A segment that would be cut off with what the recording gains in length is not made.
    room = limit if host.whole else n
    edits: list[Edit] = []
    materials: list[Material] = []
    added = 0
    for edit, material in chosen:
        fits = edit.end <= n - EDGE  # material in time may be longer than the span
        if fits and edit.start + added + edit.n_inside <= room - EDGE:
            edits.append(edit)
            materials.append(material)
            added += edit.gained
    return edits, materials


def _draw_span(rng: np.random.Generator, host: Host, length: int) -> tuple[int, int] | None:
    """Draw a span about ``length`` long: at times whole words where their times are known, else by energy."""
    words = host.words() if host.entry.words else []
    if words and rng.random() < WORDS_SHARE:
        start = words[int(rng.integers(len(words)))][0]
        end = min((end for _, end, _ in words if end > start), key=lambda end: abs(end - start - length))
        start, end = (place + round(rng.normal(0, JITTER_S) * SAMPLE_RATE) for place in (start, end))
        if start >= EDGE and end <= len(host.samples) - EDGE and end - start >= SHORTEST_S * SAMPLE_RATE:
            return start, end
    bounds = (EDGE, len(host.samples) - EDGE)
    return choose_span(rng, host.envelope, host.sound.threshold, bounds=bounds, length=length)


def apply_edits(
    host: Host, edits: Sequence[Edit], materials: Sequence[Material], limit: int, implementation: str
) -> Forged:
    """Apply ``edits``; a cut host keeps its length, a whole one keeps its end, as genuine items do."""
    n = len(host.samples)
    gained = sum(edit.gained for edit in edits)
    follows = min(max(-gained, 0), host.n_recorded - host.start - n)
    longer = host.read(host.start, host.start + n + follows)
    samples, spans = assemble(longer, edits, min(limit if host.whole else n, len(longer) + gained))
    segments = [{"source": m.source.id, "identity": m.source.identity, **m.parameters} for m in materials]
    return Forged(samples, spans, segments, implementation)


def _place(
    rng: np.random.Generator, host: Host, span: tuple[int, int], material: Material, in_time: bool
) -> Edit:
    """Decide how much of the host gives way: its words, or as much as goes in, or less, or nothing."""
    inside = material.n_inside
    start, end = material.span or span
    if in_time:
        end = start + inside
    elif not material.like_host and material.span is None:
        removed = int(rng.choice([inside, inside, 0, int(rng.integers(0, inside + 1))]))
        end = min(start + removed, len(host.samples) - EDGE)
        if removed != inside:  # words were cut to end as loud as the host does at the same time
            level = levels_db(frame_envelope(material.samples[: len(material.samples) - material.margin]))[-2]
            bounds = (start, len(host.samples) - EDGE)
            end = nearest_level(rng, host.envelope, end, level, bounds=bounds)
    if material.law == ZERO_CROSSING:
        return at_zero_crossings(host.samples, start, end, material.samples)
    shortest = 32 if material.margin == MARGIN else material.margin
    fades = tuple(int(rng.integers(shortest, 2 * material.margin + 1)) for _ in range(2))
    law = material.law or (EQUAL_POWER if not material.like_host and rng.random() < 0.5 else LINEAR)
    return Edit(start, end, material.samples, fades, law, material.margin)
