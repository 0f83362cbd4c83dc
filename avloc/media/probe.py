"""open_recording(): headers and first packet timestamps of a file, as a Recording; nothing is decoded."""

import hashlib
import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict
from fractions import Fraction
from typing import Any, NamedTuple

from avloc.errors import UnreadableMediaError
from avloc.media.protocol import Message, pack_path
from avloc.media.supervisor import Limits, borrow_supervisor
from avloc.structures import AudioInfo, RawFormat, Reason, Recording, VideoInfo

logger = logging.getLogger(__name__)

HASH_BLOCK_BYTES = 1 << 20


class FileState(NamedTuple):
    """Size, time of change and identity: what tells that a file is still the same."""

    n_bytes: int
    changed_ns: int
    inode: int
    device: int


def open_recording(
    path: str | os.PathLike,
    *,
    id: str | None = None,
    extra: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    input_format: RawFormat | None = None,
) -> Recording:
    """Find out what a media file contains, in the decoding child.

    Parameters
    ----------
    path : str or os.PathLike
        A regular file; any bytes in its name are allowed.
    id : str, optional
        Name of the recording in outputs; the path as given without it.
    extra : mapping, optional
        Columns that pass through to the result.
    limits : Limits, optional
        Caps; the defaults without it.
    input_format : RawFormat, optional
        How to read a file that has no header; one that has is opened as what it is.

    Returns
    -------
    Recording
        Streams, clock and the SHA-256 of the bytes. Warnings name what was noticed (``truncated``,
        ``extension_mismatch``, ``limit_reached``, ``codec_unsupported``, ``variable_rate``).

    Raises
    ------
    UnreadableMediaError
        With ``reason``: what is wrong with the file, a code of ``avloc.structures.Reason``.
    """
    return probe(path, id=id, extra=extra, limits=limits, input_format=input_format, with_hash=True)


def probe(
    path: str | os.PathLike,
    *,
    id: str | None = None,
    extra: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    input_format: RawFormat | None = None,
    with_hash: bool,
) -> Recording:
    """``open_recording`` with a choice about the hash: ``sha256`` is None without it."""
    limits = limits or Limits()
    name = os.fsdecode(path)
    before = check_file(name, limits)
    facts = _ask(name, limits, input_format)
    sha256 = _hash_bytes(name) if with_hash else None
    if check_file(name, limits) != before:
        raise UnreadableMediaError(name, "the file changed while it was read", reason="changed_during_read")
    zero = Fraction(*facts["zero"])
    streams = tuple(_make_info(s, zero, (facts["audio"], facts["video"])) for s in facts["streams"])
    used = [s for s in streams if s.used]
    ends = [s.start + s.duration for s in used if s.duration is not None]
    warnings = [Reason(code) for code in facts["warnings"]]
    if any(getattr(s, "variable_rate", None) for s in used):
        warnings.append(Reason.VARIABLE_RATE)
    for note in facts["notes"]:
        logger.warning("%r: limit reached: %s", name, note)
    return Recording(
        id=name if id is None else id,
        path=name,
        sha256=sha256,
        n_bytes=before.n_bytes,
        container=facts["container"],
        start=float(zero),
        duration=max(ends) if ends else None,
        streams=streams,
        extra=extra,
        warnings=tuple(warnings),
        notes=tuple(facts["notes"]),
        _file_state=tuple(before),
        _raw_format=input_format,
    )


def check_file(path: str, limits: Limits) -> FileState:
    """Look at a path without opening what must not be opened.

    Raises
    ------
    UnreadableMediaError
        ``not_found``, ``permission_denied``, ``special_file``, or ``limit_reached`` for its size.
    """
    try:
        status = os.stat(path)
    except PermissionError as error:
        raise UnreadableMediaError(
            path, "no permission to reach the file", reason="permission_denied"
        ) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error  # without the path: results name no folders
        message = "no such file" if isinstance(error, FileNotFoundError) else f"no such file: {why}"
        raise UnreadableMediaError(path, message, reason="not_found") from error
    if stat.S_ISDIR(status.st_mode):
        if not os.access(path, os.R_OK | os.X_OK):
            raise UnreadableMediaError(path, "no permission to list the folder", reason="permission_denied")
        raise UnreadableMediaError(
            path, "expected a file, got a folder; -r takes the files below it", reason="special_file"
        )
    if not stat.S_ISREG(status.st_mode):
        message = "expected a regular file, got a device, pipe or socket"
        raise UnreadableMediaError(path, message, reason="special_file")
    if not os.access(path, os.R_OK):
        raise UnreadableMediaError(path, "no permission to read the file", reason="permission_denied")
    if status.st_size > limits.bytes:
        message = f"bytes: the file has {status.st_size} bytes, at most {limits.bytes} are read"
        raise UnreadableMediaError(path, message, reason="limit_reached")
    return FileState(status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)


def _ask(path: str, limits: Limits, input_format: RawFormat | None) -> dict[str, Any]:
    # The child keeps the working folder that it was started in; this process may have another by now.
    absolute = pack_path(os.path.abspath(path))
    raw = None if input_format is None else asdict(input_format)
    request = Message("open", {"path": absolute, "limits": limits.to_dict(), "raw": raw})
    with borrow_supervisor() as supervisor:
        answers = list(supervisor.exchange(request, path=path, wall_factor=limits.wall_factor))
    return dict(answers[-1].fields)


def _hash_bytes(path: str) -> str:
    digest = hashlib.sha256()
    try:
        # a name may have been replaced by a pipe since it was looked at; do not wait for its writer
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as stream:
            while block := stream.read(HASH_BLOCK_BYTES):
                digest.update(block)
    except OSError as error:
        raise UnreadableMediaError(path, f"reading failed: {error}", reason="permission_denied") from error
    return digest.hexdigest()


def _make_info(
    facts: Mapping[str, Any], zero: Fraction, used: tuple[int | None, ...]
) -> AudioInfo | VideoInfo:
    start = Fraction(*facts["start"]) if facts["start"] else zero
    common = {
        "index": facts["index"],
        "codec": facts["codec"] or "unknown",
        "start": float(start - zero),
        "duration": facts["duration"],
        "used": facts["index"] in used,
    }
    if facts["kind"] == "audio":
        return AudioInfo(sample_rate=facts["sample_rate"], n_channels=facts["channels"], **common)
    rate = Fraction(*facts["frame_rate"]) if facts["frame_rate"] else None
    return VideoInfo(
        frame_rate=rate,
        width=facts["width"],
        height=facts["height"],
        variable_rate=facts["variable_rate"],
        **common,
    )
