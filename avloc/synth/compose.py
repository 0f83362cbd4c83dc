"""compose(): one item of a family, with exact truth; draw_item(): one item of a mixture."""

from collections.abc import Mapping

import numpy as np

from avloc.datasets.speech_pool import SpeechPool
from avloc.errors import AnnotationError
from avloc.features.audio import SAMPLE_RATE
from avloc.structures import Timeline
from avloc.synth.families import AUDIO_FAMILIES, Host, Maker, Material
from avloc.synth.item import Item
from avloc.synth.spans import choose_span, draw_length
from avloc.synth.splice import MARGIN, Edit, assemble

GENUINE = "genuine"
GENUINE_SHARE = 0.38
MIXTURE: dict[str, float] = {
    "insert_other": 1.0,
    "insert_same": 1.2,
    "insert_tts": 1.2,
    "neural_pair": 1.0,
    "vocoder_griffin_lim": 1.0,
    "vocoder_source_filter": 1.0,
    "pitch_shift": 0.8,
    "formant_shift": 0.5,
}
SHORTEST_HOST_S = 1.5
EDGE = 800  # samples, 50 ms: no segment begins or ends nearer to an end of the recording
APART = 4000  # samples, 0.25 s: between two segments of one item


def draw_item(
    rng: np.random.Generator,
    pool: SpeechPool,
    *,
    mixture: Mapping[str, float] | None = None,
    genuine_share: float = GENUINE_SHARE,
    duration_s: float = 25.6,
) -> Item:
    """Draw one item of a mixture of families and genuine recordings.

    A genuine item takes its host by the rule of a family drawn like any other, so that the choice of hosts
    says nothing about the class.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all choices: the same state gives the same item.
    pool : SpeechPool
        Speech of one use.
    mixture : mapping of family to weight or None
        None for ``MIXTURE``.
    genuine_share : float [0, 1]
        Probability of an item without any edit.
    duration_s : float [s, > 1.5]
        Longest item.
    """
    mixture = MIXTURE if mixture is None else mixture
    names = sorted(mixture)
    weights = np.array([mixture[name] for name in names], dtype=np.float64)
    family = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    genuine = bool(rng.random() < genuine_share)
    return compose(rng, pool, family=GENUINE if genuine else family, duration_s=duration_s, host_like=family)


def compose(
    rng: np.random.Generator,
    pool: SpeechPool,
    *,
    family: str,
    duration_s: float = 25.6,
    host_like: str | None = None,
) -> Item:
    """Make one item of ``family`` from a random host of ``pool``.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all choices.
    pool : SpeechPool
        Speech of one use; inserted material comes from it too.
    family : str
        A key of ``AUDIO_FAMILIES``, or ``"genuine"``.
    duration_s : float [s]
        Longest item; a shorter recording is taken whole or cut at random.
    host_like : str or None
        Family by whose rule the host of a genuine item is drawn.

    Returns
    -------
    Item
        One to three segments in ``audio``, none for ``"genuine"``.

    Raises
    ------
    ValueError
        If the family is unknown.
    AnnotationError
        If the pool cannot serve it.
    """
    if family not in AUDIO_FAMILIES and family != GENUINE:
        raise ValueError(f"family must be {GENUINE!r} or one of {sorted(AUDIO_FAMILIES)}, got {family!r}")
    limit = int(duration_s * SAMPLE_RATE)
    for _ in range(40):
        host = _draw_host(rng, pool, host_like or family, duration_s)
        if family == GENUINE:
            return finish_item(host, host.samples, [], GENUINE, [])
        edits, materials = draw_edits(rng, host, AUDIO_FAMILIES[family], limit)
        if edits:
            samples, spans = apply_edits(host, edits, limit)
            return finish_item(host, samples, spans, family, materials)
    raise AnnotationError(
        f"no item of family {family!r} can be made from this pool of {len(pool)} recordings"
    )


def _draw_host(rng: np.random.Generator, pool: SpeechPool, family: str, duration_s: float) -> Host:
    candidates = pool.natural
    if family == "neural_pair":
        candidates = np.array(sorted({natural for natural, _ in pool.pairs}), dtype=np.int64)
        if not len(candidates):
            raise AnnotationError(
                "the family 'neural_pair' needs generated twins of natural recordings in the pool"
            )
    for _ in range(100):
        index = pool.draw(rng, candidates)
        n = pool.n_samples(index)
        if n >= SHORTEST_HOST_S * SAMPLE_RATE:
            break
    longest = min(n, int(duration_s * SAMPLE_RATE))
    shortest = min(longest, max(int(SHORTEST_HOST_S * SAMPLE_RATE), longest // 2))
    # Half of the items are cut at random places, so that a start or an end in mid-word means nothing.
    length = longest if rng.random() < 0.5 else int(rng.integers(shortest, longest + 1))
    start = int(rng.integers(0, n - length + 1))
    return Host.cut(pool, index, start, start + length)


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
        length = draw_length(rng, longest_s)
        bounds = (EDGE, n - EDGE)
        span = choose_span(rng, host.envelope, host.sound.threshold, bounds=bounds, length=length)
        if span is None or any(span[0] < e.end + APART and e.start < span[1] + APART for e, _ in chosen):
            continue
        material = maker(rng, host, *span)
        if material is not None:
            chosen.append((_place(rng, host, span, material, in_time), material))
    chosen.sort(key=lambda pair: pair[0].start)
    # A segment that would be cut off with what the recording gains in length is not made.
    room = limit if host.whole else n
    edits: list[Edit] = []
    materials: list[Material] = []
    added = 0
    for edit, material in chosen:
        inside = len(edit.material) - 2 * MARGIN
        if edit.start + added + inside <= room - EDGE:
            edits.append(edit)
            materials.append(material)
            added += inside - (edit.end - edit.start)
    return edits, materials


def apply_edits(host: Host, edits: list[Edit], limit: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Apply ``edits``; a cut host keeps its length, a whole one keeps its end, as genuine items do."""
    n = len(host.samples)
    gained = sum(len(e.material) - 2 * MARGIN - (e.end - e.start) for e in edits)
    follows = min(max(-gained, 0), host.n_recorded - host.start - n)
    longer = host.read(host.start, host.start + n + follows)
    return assemble(longer, edits, min(limit if host.whole else n, len(longer) + gained))


def _place(
    rng: np.random.Generator, host: Host, span: tuple[int, int], material: Material, in_time: bool
) -> Edit:
    """Decide how much of the host gives way: the same words, or as much as goes in, or less, or nothing."""
    inside = len(material.samples) - 2 * MARGIN
    start, end = span
    if in_time:
        end = start + inside
    elif not material.like_host:
        removed = rng.choice([inside, inside, 0, int(rng.integers(0, inside + 1))])
        end = min(start + int(removed), len(host.samples) - EDGE)
    fades = tuple(int(rng.integers(32, 2 * MARGIN + 1)) for _ in range(2))
    equal_power = bool(not material.like_host and rng.random() < 0.5)
    return Edit(start, end, material.samples, fades, equal_power)


def finish_item(
    host: Host, samples: np.ndarray, spans: list[tuple[int, int]], family: str, materials: list[Material]
) -> Item:
    """Put an item together from its sound, its forged spans in samples and what went into them."""
    # The values of a 16-bit file, for both classes alike: a finer grain would mark the edited samples.
    waveform = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.float32) / 32768
    attributes = {
        "host": host.entry.id,
        "identity": host.entry.identity,
        "host_start_s": host.start / SAMPLE_RATE,
        "segments": [
            {"source": m.source.id, "identity": m.source.identity, **m.parameters} for m in materials
        ],
    }
    truth = Timeline.from_pairs((first / SAMPLE_RATE, last / SAMPLE_RATE) for first, last in spans)
    return Item(waveform[None], SAMPLE_RATE, truth, Timeline(), family, attributes)
