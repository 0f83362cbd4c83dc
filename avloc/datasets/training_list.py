"""Whether what a network was trained on is kept apart from what its figures come from."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from avloc.datasets.corpus import NATURAL_KINDS, read_manifest

HELD_OUT_USES = ("dev", "test")


@dataclass(frozen=True, slots=True)
class TrainingListCheck:
    """A list of recordings held against manifests.

    Parameters
    ----------
    n_listed, n_found, n_unknown : int
        Ids on the list, those that the manifests have, and those that they do not.
    n_identities : int
        Single speakers of the recordings that were found.
    recordings : tuple of str
        Offenders: listed ids whose use is dev or test.
    identities : tuple of str
        Offenders: speakers of listed recordings who also speak in a natural recording of use dev or test.
    """

    n_listed: int
    n_found: int
    n_unknown: int
    n_identities: int
    recordings: tuple[str, ...]
    identities: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Something was found, and nothing of it is held out."""
        return self.n_found > 0 and not self.recordings and not self.identities

    def to_dict(self) -> dict:
        """Plain values for JSON, ``is_clean`` with them."""
        return {**asdict(self), "is_clean": self.is_clean}

    def __str__(self) -> str:
        lines = [
            f"{self.n_listed} ids listed, {self.n_found} found in the manifests, {self.n_unknown} unknown",
            f"{len(self.recordings)} of them are of use dev or test",
            f"{len(self.identities)} of {self.n_identities} speakers are in recordings of use dev or test",
        ]
        if not self.n_found:
            lines.append("nothing is shown: give the manifests that the training read")
        lines += [f"recording {name}" for name in self.recordings]
        lines += [f"identity {name}" for name in self.identities]
        return "\n".join(lines)


def check_training_list(recordings: Iterable[str], manifests: Iterable[str | Path]) -> TrainingListCheck:
    """Look the ids of ``recordings`` up in ``manifests``.

    Synthetic speech of use test may imitate a voice that was trained on, so it holds no speaker back.

    Raises
    ------
    AnnotationError
        If a manifest is wrong.
    """
    listed = set(recordings)
    entries = [entry for path in manifests for entry in read_manifest(path)]
    found = [entry for entry in entries if entry.id in listed]
    voices = {entry.identity for entry in found if entry.one_speaker}
    held_out = {
        entry.identity for entry in entries if entry.use in HELD_OUT_USES and entry.kind in NATURAL_KINDS
    }
    n_found = len({entry.id for entry in found})
    return TrainingListCheck(
        n_listed=len(listed),
        n_found=n_found,
        n_unknown=len(listed) - n_found,
        n_identities=len(voices),
        recordings=tuple(sorted({entry.id for entry in found if entry.use in HELD_OUT_USES})),
        identities=tuple(sorted(voices & held_out)),
    )
