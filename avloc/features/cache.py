"""Features of recordings, found by what they were made of: shards of tensors, and rows that name them.

A folder of features holds ``features/NAME.safetensors``, tensors (T, C) under their keys, and
``runs/RUN/shard-I-of-N.jsonl``, a row a recording. A key is a hash of all that decides the numbers, the
bytes of the recording among it: a recording that was moved is found again, one that changed is not. Tensors
are written before the rows that name them, and neither is ever changed; what was written last of a recording
counts.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import save

from avloc.errors import AnnotationError

SCHEMA = "avloc.features/1"  # of a run whose rows are those of FeatureRow
SHARDS, RUNS = "features", "runs"
SUFFIX = ".safetensors"
DTYPES = ("float16", "float32")


@dataclass(frozen=True, slots=True)
class Stored:
    """Where the features of one stream lie.

    ``key`` names the tensor (T, C) in the file ``shard``; of its ``n_frames`` at 25 Hz ``n_present`` hold
    sound or a face, the others are zeros. ``warnings`` are reason codes of decoding.
    """

    key: str
    shard: str
    n_frames: int
    n_present: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """What became of one recording.

    ``status``, ``reasons``, ``warnings`` and ``message`` as in a result document; ``sha256`` of its bytes.
    ``stamp`` is what the file system said of each file that was read, size and time of change, None where
    there was none. ``features`` by stream; a stream that the recording lacks is absent.
    """

    id: str
    status: str
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    message: str | None = None
    sha256: str | None = None
    stamp: tuple[tuple[int, int] | None, ...] = ()
    features: Mapping[str, Stored] | None = None

    def to_line(self) -> str:
        """Give a line of JSON."""
        told = {**asdict(self), "features": {k: asdict(v) for k, v in (self.features or {}).items()}}
        return json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"

    @classmethod
    def from_line(cls, line: bytes) -> "FeatureRow | None":
        """Read a line; None if it is none of ``to_line``."""
        try:
            told = json.loads(line)
            features = {
                str(k): Stored(**(v | {"warnings": tuple(v["warnings"])}))
                for k, v in told["features"].items()
            }
            stamp = tuple(None if part is None else tuple(part) for part in told["stamp"])
            lists = {key: tuple(told[key]) for key in ("reasons", "warnings")}
            return cls(**(told | lists | {"stamp": stamp, "features": features}))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


def feature_key(content_sha256: str, encoder_sha256: str, settings: Mapping[str, Any]) -> str:
    """Hash all that decides the features of a stream: the recording, the encoder, what was made for it.

    Parameters
    ----------
    content_sha256, encoder_sha256 : str
        Of the bytes of the recording and of the weights file.
    settings : mapping
        Plain values: version and settings of all that comes before the encoder, and how it is stored.

    Examples
    --------
    >>> feature_key("ab", "cd", {"dtype": "float16"}) == feature_key("ab", "cd", {"dtype": "float32"})
    False
    """
    told = {"content": content_sha256, "encoder": encoder_sha256, **settings}
    return hashlib.sha256(json.dumps(told, sort_keys=True, allow_nan=False).encode()).hexdigest()


class FeatureCache:
    """The features that a folder holds, by key.

    Parameters
    ----------
    folder : Path
        What ``avloc extract --out`` names. What other processes write later is not seen.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stored: dict[str, Stored] = {}
        names = stored_shards(folder)
        for path in sorted((folder / RUNS).glob("*/shard-*.jsonl")):
            for row in read_rows(path):
                found = (row.features or {}).values()
                self._stored |= {stored.key: stored for stored in found if stored.shard in names}

    def find(self, key: str) -> Stored | None:
        """Say where the features of a key lie; None if they are not there."""
        return self._stored.get(key)

    def write(self, features: Mapping[str, tuple[np.ndarray, int, tuple[str, ...]]]) -> None:
        """Write a shard; it appears whole or not at all.

        Parameters
        ----------
        features : mapping of key to tuple
            Array (T, C), number of present frames, and warnings, as of ``Stored``.

        Raises
        ------
        OSError
            If it cannot be written; nothing is left then.
        """
        if not features:
            return
        # Of the keys, not the bytes: whoever writes the same keys after a crash replaces what was left.
        name = hashlib.sha256("\n".join(sorted(features)).encode()).hexdigest()[:24] + SUFFIX
        folder = self.folder / SHARDS
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{name}-{os.getpid()}-{os.urandom(4).hex()}.part"
        try:
            with part.open("xb") as stream:
                stream.write(
                    save({key: np.ascontiguousarray(array) for key, (array, _, _) in features.items()})
                )
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(part, folder / name)
        finally:
            part.unlink(missing_ok=True)
        for key, (array, n_present, warnings) in features.items():
            self._stored[key] = Stored(key, name, len(array), n_present, warnings)


def stored_shards(folder: Path) -> set[str]:
    """Name the shards of tensors that are there."""
    return {path.name for path in (folder / SHARDS).glob(f"*{SUFFIX}")}


def read_features(folder: Path, stored: Stored) -> np.ndarray:
    """Read the features of one stream, (T, C) as they were stored.

    Raises
    ------
    AnnotationError
        If the shard is absent or damaged, or holds something else.
    """
    path = folder / SHARDS / stored.shard
    try:
        with safetensors.safe_open(path, framework="np") as file:
            rows = file.get_tensor(stored.key)
    except (OSError, safetensors.SafetensorError) as error:
        raise AnnotationError(
            f"{str(path)!r}: expected features of avloc extract, got {error}; remove the file, and the same "
            "command makes it again"
        ) from error
    if rows.ndim != 2 or len(rows) != stored.n_frames or rows.dtype.name not in DTYPES:
        raise AnnotationError(
            f"{str(path)!r}: expected floats ({stored.n_frames}, C) under {stored.key!r}, got {rows.dtype} "
            f"{rows.shape}"
        )
    return rows


def read_rows(path: Path) -> Iterator[FeatureRow]:
    """Read the rows of a shard that may be written meanwhile: a last line that is not whole is left out.

    Raises
    ------
    AnnotationError
        If a line is no row, or the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.endswith(b"\n"):
                    return
                row = FeatureRow.from_line(line)
                if row is None:
                    raise AnnotationError(
                        f"{str(path)!r}, line {number}: expected a row of avloc extract; remove the line, "
                        "and its recording is done again"
                    )
                yield row
    except OSError as error:
        raise AnnotationError(f"{str(path)!r}: cannot be read: {error.strerror or error}") from error
