"""Manifests of recordings: who speaks in a file, what it may be used for, and under which licence."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from avloc.errors import AnnotationError

USES = ("train", "dev", "test", "any")
HELD_OUT = "held_out"  # neither trains shipped weights nor is it test: dev, and train without the licence
NATURAL_KINDS = ("speech", "telephony_speech", "genuine_talking_face")
ALIGNMENT = "alignment"  # no recording: the times of the words of another entry
SILENCES = ("sil", "sp", "", "SIL", "SP")  # what alignments write where nothing is said
VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
CONSONANTS = (
    *("B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N"),
    *("NG", "P", "R", "S", "SH", "T", "TH", "V", "W", "Y", "Z", "ZH"),
)
PHONES = (*VOWELS, *CONSONANTS)  # ARPAbet, as the CMU Pronouncing Dictionary has it, without stress
LEAST_GAP_S = -1e-6  # phones may touch
SEVERAL_SPEAKERS = ("several", "two speakers", "unknown", "none")


@dataclass(frozen=True, slots=True)
class SpokenAgain:
    """Words of recording ``entry`` that a generated file says again.

    ``words`` holds (start_s, end_s, own_start_s, own_end_s, what is said) in order of time: what the file
    says in [own_start_s, own_end_s) may take the place of [start_s, end_s) of the recording.
    """

    entry: str
    words: tuple[tuple[float, float, float, float, str], ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One recording of a manifest.

    ``duration`` in seconds; ``pair_lag`` in seconds, how late this generated file is against its natural
    twin ``natural_pair``; ``words`` holds (start_s, end_s, word) in order of time; ``words_of`` is the entry
    that an alignment belongs to; ``replaces`` what a generated file was spoken for. ``path`` is absolute.
    ``language`` and ``sex`` of the speaker are None unless the manifest tells them.
    """

    id: str
    path: Path
    kind: str
    identity: str
    use: str
    weights_ok: bool
    duration: float
    sha256: str
    licence: str
    generator: str | None = None
    natural_pair: str | None = None
    pair_lag: float = 0.0
    words: tuple[tuple[float, float, str], ...] = ()
    words_of: str | None = None
    language: str | None = None
    sex: str | None = None
    replaces: SpokenAgain | None = None
    phones: tuple[tuple[float, float, str], ...] = ()

    @property
    def one_speaker(self) -> bool:
        """The identity names one person, so that two files of it have the same voice."""
        return not any(mark in self.identity for mark in SEVERAL_SPEAKERS)


def read_manifest(path: str | Path) -> list[Entry]:
    """Entries of one ``manifest.json``, in file order.

    Parameters
    ----------
    path : str or Path
        The manifest; the files that it names are relative to its folder.

    Returns
    -------
    list of Entry
        Unknown fields are ignored.

    Raises
    ------
    AnnotationError
        If the file is not such a manifest, or an entry lacks its id, file, kind, use or licence of material.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        rows = document["entries"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AnnotationError(
            f"{str(path)!r}: expected a JSON object with 'entries', got {error!r}"
        ) from error
    return [_entry(row, path, number) for number, row in enumerate(rows)]


def _entry(row: dict, path: Path, number: int) -> Entry:
    missing = [key for key in ("id", "file", "kind", "use", "licence_material") if not row.get(key)]
    if missing:
        raise AnnotationError(f"{str(path)!r}, entry {number} ({row.get('id')!r}): missing {missing}")
    if row["use"] not in USES:
        raise AnnotationError(
            f"{str(path)!r}, entry {row['id']!r}: use must be one of {USES}, got {row['use']!r}"
        )
    return Entry(
        id=row["id"],
        path=(path.parent / row["file"]).resolve(),
        kind=row["kind"],
        identity=row.get("identity") or "unknown",
        use=row["use"],
        weights_ok=row.get("weights_ok") is True,
        duration=float(row.get("duration_s") or 0.0),
        sha256=row.get("sha256") or "",
        licence=_licence(row),
        generator=row.get("generator"),
        natural_pair=row.get("natural_pair"),
        pair_lag=float(row.get("pair_lag_ms") or 0.0) / 1000,
        words=_words(row, path),
        words_of=row.get("media_entry") if row["kind"] == ALIGNMENT else None,
        language=row.get("lang"),
        sex=row.get("sex"),
        replaces=_replaces(row, path) if row.get("replaces") is not None else None,
        phones=_phones(row, path),
    )


def _words(row: dict, path: Path) -> tuple[tuple[float, float, str], ...]:
    """Read ``word_segments``."""
    return _spoken(row, path, "word_segments", "word")


def _phones(row: dict, path: Path) -> tuple[tuple[float, float, str], ...]:
    """Read ``phone_segments``, with or without digits of stress; one speaker says one phone at a time."""
    phones, before = [], 0.0
    for start, end, told in _spoken(row, path, "phone_segments", "phone"):
        phone = told.rstrip("012")
        if phone not in PHONES:
            raise AnnotationError(
                f"{str(path)!r}, entry {row['id']!r}: expected in phone_segments one of "
                f"{' '.join(PHONES)}, got {told!r}"
            )
        if start - before < LEAST_GAP_S:
            raise AnnotationError(
                f"{str(path)!r}, entry {row['id']!r}: expected phones that do not overlap in phone_segments, "
                f"got {[start, end, told]!r} before the one that ends at {before}"
            )
        phones.append((start, end, phone))
        before = end
    return tuple(phones)


def _spoken(row: dict, path: Path, field: str, what: str) -> tuple[tuple[float, float, str], ...]:
    """Read triples (start, end, what) or (what, start, end) without silences, in order of time."""
    spoken = []
    for triple in row.get(field) or ():
        try:
            text, start, end = triple if isinstance(triple[0], str) else (triple[2], *triple[:2])
            start, end = float(start), float(end)
        except (TypeError, ValueError, IndexError, KeyError):
            start = end = 0.0
        if not 0 <= start < end < math.inf:
            raise AnnotationError(
                f"{str(path)!r}, entry {row['id']!r}: expected [start_s, end_s, {what}] with "
                f"0 <= start_s < end_s in {field}, got {triple!r}"
            )
        if str(text) not in SILENCES:
            spoken.append((start, end, str(text)))
    return tuple(sorted(spoken))


def _replaces(row: dict, path: Path) -> SpokenAgain:
    """Read ``replaces``: the recording, and which of its spans the words of this file were spoken for."""
    told, words = row["replaces"], []
    where = f"{str(path)!r}, entry {row['id']!r}: "
    named = isinstance(told, dict) and isinstance(told.get("media_entry"), str)
    if not (named and isinstance(told.get("words"), list) and told["words"]):
        raise AnnotationError(
            f"{where}expected an object with 'media_entry', an id, and a list 'words', not empty, in "
            f"replaces, got {told!r}"
        )
    before = own_before = 0.0
    for line in told["words"]:
        try:
            start, end, own_start, own_end, word = line
            start, end, own_start, own_end = (float(time) for time in (start, end, own_start, own_end))
        except (TypeError, ValueError):
            start = end = own_start = own_end = math.nan
        if not (before <= start < end < math.inf and own_before <= own_start < own_end < math.inf):
            raise AnnotationError(
                f"{where}expected [start_s, end_s, own_start_s, own_end_s, word] in order of time, each end "
                f"after its start, in the words of replaces, got {line!r}"
            )
        words.append((start, end, own_start, own_end, str(word)))
        before, own_before = end, own_end
    return SpokenAgain(told["media_entry"], tuple(words))


def _licence(row: dict) -> str:
    """Name the material with its licence in brackets; the repository's where it has none of its own."""
    material, repository = row["licence_material"], row.get("licence_repository")
    return material if "(" in material or not repository else f"{material} ({repository})"


def read_manifests(paths: Iterable[str | Path]) -> list[Entry]:
    """Entries of several manifests together, refused if a natural identity is in two uses.

    A recording takes the times of its words and phones from the alignment that names it, wherever that
    stands; an alignment whose licence forbids weights gives none to a recording that may train them.

    Raises
    ------
    AnnotationError
        If an id occurs twice or a natural identity is in more than one of train, dev and test.
    """
    entries = [entry for path in paths for entry in read_manifest(path)]
    ids: set[str] = set()
    use_of: dict[str, Entry] = {}
    for entry in entries:
        if entry.id in ids:
            raise AnnotationError(f"{str(entry.path)!r}: the id {entry.id!r} occurs twice in the manifests")
        ids.add(entry.id)
        if entry.kind in NATURAL_KINDS and entry.one_speaker:
            first = use_of.setdefault(entry.identity, entry)
            if first.use != entry.use:
                raise AnnotationError(
                    f"identity {entry.identity!r} is in two splits: {first.id!r} is {first.use}, "
                    f"{entry.id!r} is {entry.use}"
                )
    return _with_alignments(entries)


def _with_alignments(entries: list[Entry]) -> list[Entry]:
    given = {entry.words_of: entry for entry in entries if entry.words_of}
    return [
        replace(entry, words=entry.words or told.words, phones=entry.phones or told.phones)
        if (told := given.get(entry.id)) is not None and told.weights_ok >= entry.weights_ok
        else entry
        for entry in entries
    ]


def select_entries(
    entries: Sequence[Entry], *, use: str, kinds: Sequence[str], weights_only: bool = True
) -> list[Entry]:
    """Entries of exactly one use and of the given kinds, in order.

    Generated speech is left out where its voice belongs to a natural identity of another use, so that a set
    made from the result shares no speaker with a set of another use.

    Parameters
    ----------
    entries : sequence of Entry
        All entries of all manifests; the natural ones decide whose voice a generated one has.
    use : str
        ``"train"``, ``"dev"``, ``"test"``, or ``"held_out"``: development entries, and those training entries
        that licence and identity keep out of shipped weights; nobody there was ever trained on.
    kinds : sequence of str
        Manifest kinds wanted.
    weights_only : bool
        Keep only what the licence allows for weights that are shipped.
    """
    if use not in (*USES[:3], HELD_OUT):
        raise ValueError(f"use must be one of {(*USES[:3], HELD_OUT)}, got {use!r}")
    if use == HELD_OUT:
        return _held_out(entries, kinds)
    use_of = {e.identity: e.use for e in entries if e.kind in NATURAL_KINDS}
    return [
        entry
        for entry in entries
        if entry.use == use
        and entry.kind in kinds
        and (entry.weights_ok or not weights_only)
        and (entry.kind in NATURAL_KINDS or use_of.get(entry.identity, use) == use)
    ]


def _held_out(entries: Sequence[Entry], kinds: Sequence[str]) -> list[Entry]:
    trained = {e.identity for e in entries if e.use == "train" and e.weights_ok}
    return [
        entry
        for entry in entries
        if entry.kind in kinds
        and (entry.use == "dev" or (entry.use == "train" and not entry.weights_ok))
        and entry.identity not in trained
    ]
