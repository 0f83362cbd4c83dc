"""What a file holds by its bytes: a media container, text, a playlist or else, and whether it is whole.

Nothing here decodes. The child calls it before the demuxer sees the file, so that playlists, references to
other files and encrypted recordings are refused by name instead of by whatever the demuxer makes of them.
"""

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

HEAD_BYTES = 1 << 16
EMBEDDED_SCAN_BYTES = 1 << 22
MAX_BOXES = 200_000
UNKNOWN_SIZES = (0, 0x7FFFF000, 0xFFFFFFFF)  # what writers into pipes leave in a WAV

PLAYLIST_MARKS = re.compile(
    rb"ffconcat|#EXTM3U|#EXTINF|#EXT-X-|\[playlist\]|\[Reference\]|<asx|<smil|<MPD|<SmoothStreamingMedia|<playlist"
    rb"|^v=0\r?\no=|^RTSPtext|^\s*(https?|rtsp|rtmp|mms|ftp|file|concat|subfile|crypto|data):|^file\s+['\"]?\S",
    re.IGNORECASE | re.MULTILINE,
)
EMBEDDED_PLAYLIST = re.compile(rb"#EXTM3U|ffconcat version|#EXT-X-")
OTHER_FILES = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"SQLite format 3", "a database"),
    (b"\xd0\xcf\x11\xe0", "an office document"),
)
MEDIA_STARTS = (
    (b"RIFF", "riff"), (b"RF64", "riff"), (b"\x1a\x45\xdf\xa3", "matroska"), (b"fLaC", "flac"),
    (b"OggS", "ogg"), (b"ID3", "mp3"), (b"#!AMR", "amr"), (b".snd", "au"), (b"FORM", "aiff"),
    (b"caff", "caf"), (b"FLV\x01", "flv"), (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (b"\x00\x00\x01\xba", "mpeg"), (b"riff\x2e\x91\xcf\x11", "w64"), (b"wvpk", "wv"), (b"NIST_1A", "nist"),
)  # fmt: skip
MP4_BOXES = frozenset(b"ftyp moov mdat free skip wide pnot moof styp sidx uuid".split())


@dataclass(frozen=True, slots=True)
class Content:
    """What the bytes say.

    ``kind`` is a container family or None when none was recognised; ``refusal`` is (reason, message) when
    the file must not be opened; ``truncated`` is True when the structure runs past the end of the file.
    ``n_channels`` and ``sample_rate`` (Hz) are what the header of a WAV claims: the demuxer hides absurd
    values before a cap could name them. ``promised_s`` is the length that the header of a cut WAV claims: the
    demuxer tells what is left.
    """

    kind: str | None
    truncated: bool = False
    refusal: tuple[str, str] | None = None
    n_channels: int | None = None
    sample_rate: int | None = None
    promised_s: float | None = None


def inspect_content(path: str | os.PathLike) -> Content:
    """Read the head of a file and, where the format allows it, walk its structure."""
    with open(path, "rb") as stream:
        n_bytes = os.fstat(stream.fileno()).st_size
        head = stream.read(HEAD_BYTES)
        if not head:
            return Content(None, refusal=("empty", "the file has no bytes"))
        if head[4:8] in MP4_BOXES:
            return _inspect_mp4(stream, n_bytes)
        kind = next((kind for magic, kind in MEDIA_STARTS if head.startswith(magic)), None)
        if kind == "riff":
            return _inspect_riff(stream, head, n_bytes)
        if kind == "matroska":
            return Content(kind, truncated=_is_matroska_cut(head, n_bytes))
        if kind is not None:
            return Content(kind)
        return Content(None, refusal=_refuse_other(head))


def _refuse_other(head: bytes) -> tuple[str, str] | None:
    if _is_text(head[:4096]):
        if PLAYLIST_MARKS.search(head[:4096]):
            return (
                "playlist_refused",
                "the file is a list of other files or addresses, which are never opened",
            )
        return "not_media", "expected a media file, got text"
    for magic, name in OTHER_FILES:
        if head.startswith(magic):
            return "not_media", f"expected a media file, got {name}"
    return None


def _is_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and len(head) % 2 == 0:
        try:
            return head.decode("utf-16").isprintable()
        except UnicodeDecodeError:
            return False
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data" or error.start == 0:
            return False  # only a character cut by the end of what was read is no objection
        text = head[: error.start].decode("utf-8-sig")
    return all(c.isprintable() or c in "\t\r\n\f" for c in text)


def _walk(stream: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, first byte of the body, end) of the boxes of an MP4 between two positions."""
    position = start
    for _ in range(MAX_BOXES):
        if position + 8 > end:
            return
        stream.seek(position)
        header = stream.read(16)
        if len(header) < 8:
            return
        size, body = struct.unpack(">I", header[:4])[0], position + 8
        if size == 1 and len(header) == 16:
            size, body = struct.unpack(">Q", header[8:])[0], position + 16
        elif size == 0:
            size = end - position
        if size < body - position:
            return
        yield header[4:8], body, position + size
        position += size


def _inspect_mp4(stream: BinaryIO, n_bytes: int) -> Content:
    found, truncated = set(), n_bytes < 8
    for kind, body, end in _walk(stream, 0, n_bytes):
        found.add(kind)
        truncated = truncated or end > n_bytes
        if kind == b"moov":
            refusal = _inspect_movie(stream, body, min(end, n_bytes))
            if refusal:
                return Content("mp4", truncated, refusal)
    if b"moov" not in found:
        return Content(
            "mp4", True, ("truncated", "the MP4 has no index (moov box); the end of the file is missing")
        )
    return Content("mp4", truncated)


def _inspect_movie(stream: BinaryIO, start: int, end: int, depth: int = 0) -> tuple[str, str] | None:
    """Look through the tracks for media that lie in other files or are encrypted."""
    for kind, body, stop in _walk(stream, start, end):
        stop = min(stop, end)
        if kind in (b"trak", b"mdia", b"minf", b"dinf", b"stbl") and depth < 5:
            refusal = _inspect_movie(stream, body, stop, depth + 1)
            if refusal:
                return refusal
        elif kind == b"dref":
            for _, entry, entry_end in _walk(stream, body + 8, stop):
                stream.seek(entry)
                flags = stream.read(4)
                if len(flags) == 4 and not flags[3] & 1 and entry_end - entry > 4:
                    return (
                        "external_reference",
                        "the media of a track lie in another file, which is never opened",
                    )
        elif kind == b"stsd":
            for code, _, _ in _walk(stream, body + 8, stop):
                if code in (b"encv", b"enca", b"drmi", b"drms"):
                    return "encrypted", "a track is encrypted; decrypt the recording first"
    return None


def _inspect_riff(stream: BinaryIO, head: bytes, n_bytes: int) -> Content:
    form = head[8:12]
    declared = struct.unpack("<I", head[4:8])[0] if len(head) >= 8 else 0
    if form == b"AVI ":
        stream.seek(0)
        if EMBEDDED_PLAYLIST.search(stream.read(EMBEDDED_SCAN_BYTES)):
            return Content(
                "avi", refusal=("playlist_refused", "the AVI embeds a list of other files or addresses")
            )
        known = declared not in (0, 0xFFFFFFFF)
        return Content("avi", truncated=known and declared + 8 > n_bytes + 1)
    if form != b"WAVE":
        cut = len(head) < 12
        return Content(
            "wav" if cut else None, cut, ("truncated", "the file ends inside its header") if cut else None
        )
    return _inspect_wave(stream, n_bytes)


def _inspect_wave(stream: BinaryIO, n_bytes: int) -> Content:
    position, long_size, n_channels, sample_rate, byte_rate = 12, None, None, None, 0
    for _ in range(MAX_BOXES):
        stream.seek(position)
        header = stream.read(8)
        if len(header) < 8:
            return Content("wav", True, ("truncated", "the file ends before its sound begins"))
        name, size = header[:4], struct.unpack("<I", header[4:])[0]
        body = stream.read(16) if name in (b"ds64", b"fmt ") else b""
        if name == b"ds64" and len(body) == 16:
            long_size = struct.unpack("<Q", body[8:])[0]
        elif name == b"fmt " and len(body) == 16:
            n_channels, sample_rate, byte_rate = struct.unpack("<HII", body[2:12])
        elif name == b"data":
            streamed = size in UNKNOWN_SIZES and long_size is None
            size = long_size if long_size is not None and size == 0xFFFFFFFF else size
            truncated = not streamed and position + 8 + size > n_bytes
            promised_s = size / byte_rate if truncated and byte_rate else None
            return Content(
                "wav", truncated, n_channels=n_channels, sample_rate=sample_rate, promised_s=promised_s
            )
        position += 8 + size + size % 2
    return Content("wav")


def _is_matroska_cut(head: bytes, n_bytes: int) -> bool:
    """Compare the declared end of the segment with the size of the file (RFC 8794 sections 4 and 5)."""

    def number(position: int) -> tuple[int, int] | None:
        if position >= len(head) or head[position] == 0:
            return None
        width = 9 - head[position].bit_length()
        raw = int.from_bytes(head[position : position + width], "big") & ((1 << (7 * width)) - 1)
        return (-1 if raw == (1 << (7 * width)) - 1 else raw), position + width

    header = number(4)
    if header is None:
        return True
    position = header[1] + max(header[0], 0)
    if position + 4 > n_bytes:
        return True
    if head[position : position + 4] != b"\x18\x53\x80\x67":
        return False
    size = number(position + 4)
    return size is not None and size[0] >= 0 and size[1] + size[0] > n_bytes
