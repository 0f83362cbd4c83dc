"""compose(): one item of a family, with exact truth; draw_item(): one item of a mixture."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from avloc.datasets.speech_pool import SpeechPool
from avloc.datasets.talking_faces import TalkingFaces
from avloc.errors import AnnotationError
from avloc.features.audio import SAMPLE_RATE
from avloc.structures import Timeline
from avloc.synth.edits import Forged, apply_edits, draw_edits
from avloc.synth.families import AUDIO_FAMILIES
from avloc.synth.genuine_edits import EDIT_SHARE, cut_host, draw_genuine_edits, master
from avloc.synth.host import Host, Implementation, draw_implementation
from avloc.synth.item import Item
from avloc.synth.whole import WHOLE_GENERATED, speak_whole
from avloc.synth.words import RESERVE_S, edit_words

GENUINE = "genuine"
GENUINE_SHARE = 0.38
WORD_EDIT = "word_edit"
FAMILIES = (*AUDIO_FAMILIES, WORD_EDIT, WHOLE_GENERATED)
# Without whole recordings: in them there is nothing to localize.
MIXTURE: dict[str, float] = {
    "insert_other": 1.0,
    "insert_same": 1.2,
    "insert_tts": 1.2,
    "neural_pair": 1.0,
    "neural_words": 1.2,
    "vocoder_griffin_lim": 1.0,
    "vocoder_source_filter": 1.0,
    "pitch_shift": 0.5,
    "time_stretch": 0.4,
    "formant_shift": 0.5,
    "self_blend": 0.8,
    "word_edit": 0.3,
}
SHORTEST_HOST_S = 1.5
END_CUT = 640  # samples: the length of a whole recording may be round, that of a forged one is not


def draw_item(
    rng: np.random.Generator,
    pool: SpeechPool,
    *,
    mixture: Mapping[str, float] | None = None,
    genuine_share: float = GENUINE_SHARE,
    edit_share: float = EDIT_SHARE,
    duration_s: float = 25.6,
) -> Item:
    """Draw one item of a mixture of families and genuine recordings.

    A genuine item takes a host that a family drawn like any other could have forged, and genuine edits are
    drawn before anyone knows the class, so that neither says anything about it.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all choices: the same state gives the same item.
    pool : SpeechPool
        Speech of one use.
    mixture : mapping of family to weight or None
        None for ``MIXTURE``. What :func:`lacking` names is left out.
    genuine_share : float [0, 1]
        Probability of an item in which nothing is forged.
    edit_share : float [0, 1]
        Probability of genuine edits, forged item or not.
    duration_s : float [s, > 1.5]
        Longest item.
    """
    family = draw_family(rng, MIXTURE if mixture is None else mixture, without=lacking(pool))
    genuine = bool(rng.random() < genuine_share)
    return compose(
        rng,
        pool,
        family=GENUINE if genuine else family,
        duration_s=duration_s,
        host_like=family,
        genuine_edits=draw_genuine_edits(rng, edit_share, family=family, picture=False),
    )


def lacking(pool: SpeechPool, faces: TalkingFaces | None = None) -> dict[str, str]:
    """Give the families that find no material, and what they need: with ``faces``, those with a picture."""
    if faces is not None:
        timed = any(entry.words for entry in faces.entries)
        return {} if timed else {WORD_EDIT: "talking faces whose words have times"}
    needs = {
        "insert_tts": (len(pool.generated), "generated speech"),
        WHOLE_GENERATED: (len(pool.generated), "generated speech"),
        "neural_pair": (len(pool.pairs), "generated twins"),
        "neural_words": (len(pool.spoken_again), "words of recordings that were spoken again"),
        WORD_EDIT: (len(pool.timed), "recordings whose words have times"),
    }
    return {family: what for family, (count, what) in needs.items() if not count}


def draw_family(rng: np.random.Generator, mixture: Mapping[str, float], *, without: Mapping[str, str]) -> str:
    """Draw a family by its weight, none of those in ``without``, which says what each of them needs."""
    names = sorted(set(mixture) - set(without))
    weights = np.array([mixture[name] for name in names], dtype=np.float64)
    if not weights.sum() > 0:
        needs = "; ".join(f"{name} needs {without[name]}" for name in sorted(set(mixture) & set(without)))
        raise AnnotationError(f"no family can be drawn from {dict(mixture)}: {needs}")
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def compose(
    rng: np.random.Generator,
    pool: SpeechPool,
    *,
    family: str,
    duration_s: float = 25.6,
    host_like: str | None = None,
    genuine_edits: Sequence[str] = (),
    implementations: Mapping[str, tuple[Implementation, ...]] = AUDIO_FAMILIES,
) -> Item:
    """Make one item of ``family`` from a random host of ``pool``.

    Parameters
    ----------
    rng : np.random.Generator
        Source of all choices.
    pool : SpeechPool
        Speech of one use; inserted material comes from it too.
    family : str
        One of ``FAMILIES``, or ``"genuine"``.
    duration_s : float [s]
        Longest item; a shorter recording is taken whole or cut at random.
    host_like : str or None
        Family that could have forged the host of a genuine item.
    genuine_edits : sequence of str
        What an honest editor did, of ``GENUINE_EDITS``; a cut is left out where no place for it is found.
    implementations : mapping of family to tuple of Implementation
        What makes the material.

    Returns
    -------
    Item
        One to four segments in ``audio``, none for ``"genuine"``; one that is all of it for
        ``"whole_generated"``.

    Raises
    ------
    ValueError
        If the family is unknown.
    AnnotationError
        If the pool cannot serve it.
    """
    like = host_like or family
    for name in (family, like):
        if name not in (*FAMILIES, GENUINE):
            raise ValueError(f"family must be {GENUINE!r} or one of {sorted(FAMILIES)}, got {name!r}")
    limit = int(duration_s * SAMPLE_RATE)
    for _ in range(40):
        host = _draw_host(rng, pool, like, duration_s)
        host, _, cuts = cut_host(rng, host, genuine_edits)
        # A host that could not be forged makes no genuine item either: it has less speech than others.
        forged = forge_sound(rng, host, like, limit, implementations)
        if forged is not None:
            if family == GENUINE:
                # Generated recordings are short; a genuine one must not be told by its length.
                n_samples = len(forged.samples) if like == WHOLE_GENERATED else len(host.samples)
                forged = Forged(host.samples[:n_samples])
            if host.whole:
                forged = _shortened(forged, int(rng.integers(END_CUT)))
            return finish_item(rng, host, forged, family, genuine_edits, cuts)
    raise AnnotationError(
        f"no item of family {family!r} can be made from this pool of {len(pool)} recordings"
    )


def forge_sound(
    rng: np.random.Generator,
    host: Host,
    family: str,
    limit: int,
    implementations: Mapping[str, tuple[Implementation, ...]] = AUDIO_FAMILIES,
) -> Forged | None:
    """Forge ``host`` by ``family``, up to ``limit`` samples long; None if nothing fits."""
    if family == GENUINE:
        return Forged(host.samples)
    if family == WORD_EDIT:
        edited = edit_words(rng, host)
        if edited is None:
            return None
        arrangement, spans, parameters = edited
        follows = host.read(host.start, host.start + len(host.samples) + int(RESERVE_S * SAMPLE_RATE))
        return Forged(arrangement.sound(follows), spans, [describe_own(host, parameters)], WORD_EDIT)
    if family == WHOLE_GENERATED:
        return speak_whole(rng, host)
    chosen = draw_implementation(rng, implementations[family])
    edits, materials = draw_edits(rng, host, chosen.make, limit)
    return apply_edits(host, edits, materials, limit, chosen.name) if edits else None


def _shortened(forged: Forged, n_off: int) -> Forged:
    """Cut ``n_off`` samples off the end."""
    n_samples = len(forged.samples) - n_off
    spans = [(first, min(last, n_samples)) for first, last in forged.spans]
    return replace(forged, samples=forged.samples[:n_samples], spans=spans)


def describe_own(host: Host, parameters: Mapping) -> dict:
    """Describe a segment that is made of the host itself."""
    return {"source": host.entry.id, "identity": host.entry.identity, **parameters}


def _draw_host(rng: np.random.Generator, pool: SpeechPool, family: str, duration_s: float) -> Host:
    candidates, reserve = pool.natural, 0
    if family in lacking(pool):
        raise AnnotationError(f"the family {family!r} needs {lacking(pool)[family]} in the pool")
    if family == "neural_pair":
        candidates = np.array(sorted({natural for natural, _ in pool.pairs}), dtype=np.int64)
    if family == "neural_words":
        candidates = np.array(sorted(pool.spoken_again), dtype=np.int64)
    if family == WORD_EDIT:
        candidates, reserve = pool.timed, int(RESERVE_S * SAMPLE_RATE)
    for _ in range(100):
        index = pool.draw(rng, candidates)
        n = pool.n_samples(index) - reserve
        if n >= SHORTEST_HOST_S * SAMPLE_RATE:
            break
    longest = min(n, int(duration_s * SAMPLE_RATE))
    shortest = min(longest, max(int(SHORTEST_HOST_S * SAMPLE_RATE), longest // 2))
    # Half of the items are cut at random places, so that a start or an end in mid-word means nothing. No file
    # of a synthesizer begins as a recording does, so beside these all are.
    is_whole = family != WHOLE_GENERATED and rng.random() < 0.5
    length = longest if is_whole else int(rng.integers(shortest, longest + 1))
    start = int(rng.integers(0, n - length + 1))
    return Host.cut(pool, index, start, start + length)


def finish_item(
    rng: np.random.Generator,
    host: Host,
    forged: Forged,
    family: str,
    genuine_edits: Sequence[str] = (),
    cuts: Sequence[Mapping] = (),
) -> Item:
    """Put an item together from its host and what became of its sound, and master it; ``cuts`` were made."""
    samples, mastered = master(rng, forged.samples, genuine_edits)
    # The values of a 16-bit file, for both classes alike: a finer grain would mark the edited samples.
    waveform = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.float32) / 32768
    attributes = {
        "host": host.entry.id,
        "identity": host.entry.identity,
        "host_start_s": host.start / SAMPLE_RATE,
        "segments": [dict(segment) for segment in forged.segments],
        "genuine_edits": [*cuts, *mastered],
        "implementation": forged.implementation,
        "language": host.entry.language,
        "sex": host.entry.sex,
    }
    truth = Timeline.from_pairs((first / SAMPLE_RATE, last / SAMPLE_RATE) for first, last in forged.spans)
    return Item(waveform[None], SAMPLE_RATE, truth, Timeline(), family, attributes)
