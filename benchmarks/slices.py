"""What items have in common, so that a figure can be told apart by it: one row of the manifest, some labels.

A slice by what was forged has all genuine items as negatives; a slice by what a genuine item has too (who
speaks, what was done to the sound) has those of its own. What the manifest does not tell is no label, so it
is in no slice: sex, for one, where the speech corpora do not say it.
"""

from collections.abc import Iterable, Mapping, Sequence

from avloc.datasets.corpus import SEVERAL_SPEAKERS
from avloc.structures import Reference

LENGTHS_S = ((0.5, "under 0.5 s"), (1.0, "0.5 to 1 s"), (2.0, "1 to 2 s"), (float("inf"), "2 s and more"))
NOISE_DB = ((15.0, "under 15 dB"), (25.0, "15 to 25 dB"), (float("inf"), "25 dB and more"))
OF_FORGED = ("implementation", "length")
OF_ALL = ("language", "sex", "noise", "reverberation", "band", "coding")
PLAIN = "plain"


def labels(row: Mapping) -> dict[str, object]:
    """Give the labels of one row of a manifest; None where it does not tell.

    ``speaker`` is what a bootstrap draws together: the identity where that is one person, else the source
    recording. ``length`` is the class of all segments of an item, or ``"mixed"``. ``kinds`` are names of what
    was done to the sound, forged or not: genuine edits, degradations, ``"plain"`` for nothing.
    """
    family, implementation = row.get("family") or "unknown", row.get("implementation")
    corruptions = row.get("corruptions")
    return {
        "family": family,
        "modality": row.get("modality"),
        "implementation": f"{family}: {implementation}" if implementation else None,
        "source": speaker(row),
        "identity": row.get("identity"),
        "length": length_class(row.get("segments") or ()),
        "language": row.get("language"),
        "sex": row.get("sex"),
        "kinds": kinds(row),
        **(corruption_levels(corruptions) if corruptions is not None else {}),
    }


def speaker(row: Mapping) -> str:
    """Who speaks, if that is one person; else what the item was made of; else the item by itself."""
    identity = row.get("identity")
    if identity and not any(mark in identity for mark in SEVERAL_SPEAKERS):
        return f"identity {identity}"
    inner = row.get("attributes") or {}
    sources = row.get("sources") or (None,)
    given = (row.get("source"), inner.get("source"), row.get("host"), inner.get("host"), sources[0])
    return next((str(source) for source in given if source), str(row["path"]))


def length_class(segments: Iterable[Sequence[float]]) -> str | None:
    """Class of the lengths of an item's segments, [start, end) in seconds; None without any.

    Examples
    --------
    >>> length_class([(1.0, 1.3), (4.0, 4.4)]), length_class([(1.0, 1.3), (4.0, 6.4)])
    ('under 0.5 s', 'mixed')
    """
    classes = {_class(end - start, LENGTHS_S) for start, end in segments}
    return None if not classes else classes.pop() if len(classes) == 1 else "mixed"


def corruption_levels(corruptions: Mapping) -> dict[str, str]:
    """Level of each degradation that a condition drew, as ``avloc synth`` writes it down."""
    snr_db, band_hz = corruptions.get("snr_db"), corruptions.get("band_hz")
    return {
        "noise": "none" if snr_db is None else _class(snr_db, NOISE_DB),
        "reverberation": "yes" if corruptions.get("reverberation") else "none",
        "band": "whole" if band_hz is None else f"to {int(band_hz // 1000)} kHz",
        "coding": "yes" if "coding_step" in corruptions else "none",
    }


def kinds(row: Mapping) -> tuple[str, ...]:
    """Name what was done to the sound of an item, an item in several kinds at times.

    Examples
    --------
    >>> kinds({"genuine_edits": ["music_bed"], "corruptions": {"noise": "hum", "snr_db": 12.0}})
    ('music_bed', 'noise')
    """
    corruptions = row.get("corruptions") or {}
    done = [
        *(name for name in ("noise", "reverberation", "telephone") if corruptions.get(name)),
        *(["coding"] if "coding_step" in corruptions else []),
        *(["band"] if "band_hz" in corruptions and "telephone" not in corruptions else []),
        *(["clipping"] if "clipping_db" in corruptions else []),
    ]
    return (*dict.fromkeys(row.get("genuine_edits") or ()), *done) or (PLAIN,)


def slices_of(references: Sequence[Reference]) -> dict[str, dict[str, list[Reference]]]:
    """Group items by each label that any of them has; a group without a forged item is left out."""
    found = {}
    for name in (*OF_FORGED, *OF_ALL):
        values = {r.attributes.get(name) for r in references if r.segments} - {None}
        found[name] = {
            str(value): [
                r
                for r in references
                if r.attributes.get(name) == value or (name in OF_FORGED and not r.segments)
            ]
            for value in sorted(values)
        }
    return {name: groups for name, groups in found.items() if groups}


def count_identities(references: Iterable[Reference]) -> int:
    """How many speakers, or sources where the speaker is not known."""
    return len({reference.attributes["source"] for reference in references})


def _class(value: float, bounds: Sequence[tuple[float, str]]) -> str:
    return next(name for bound, name in bounds if value < bound)
