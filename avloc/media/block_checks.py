"""What a block of sound or pictures from the child may be, and how blocks follow each other.

A video block has two sets of arrays. ``source_index`` and ``cuts`` have an entry for each of its n frames.
The others have a row for each face on a frame, m in all and at most ``MAX_FACES`` a frame: ``row_frame`` says
on which frame of the block, ``face`` which track, and ``boxes`` and crops where. They are sorted by frame and
then by track.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from avloc.media.checks import LARGEST, check_arrays, check_table, number, whole
from avloc.media.clock import GRID_RATE, frame_to_sample
from avloc.media.protocol import CROP_SHAPES, Message, ProtocolError
from avloc.structures.landmarks import MAX_FACES

SLACK_S = 10.0  # an estimated duration may be a little too short
LARGEST_PIXEL = 1e6  # of a box

BLOCK = {"start": whole(0), "media_s": number(0.0, 1e12)}
SOUND = {"samples": ("<f4", ("c", "n")), "present": ("|b1", ("n",))}
PICTURES = {
    "source_index": ("<i8", ("n",)),
    "cuts": ("|b1", ("n",)),
    "row_frame": ("<i4", ("m",)),
    "face": ("<i4", ("m",)),
    "boxes": ("<f4", ("m", 4)),
}
COLOUR = {"frame": ("|u1", ("h", "w", 3)), "source_index": ("<i8", (1,))}


class DurationError(ProtocolError):
    """The blocks go on past the longest recording that is analysed."""

    reason = "limit_reached"


class BlockCheck:
    """Checks the blocks of one decoding, one after the other.

    Parameters
    ----------
    asked : mapping
        Fields of the request: they say which blocks there may be, and the caps.
    """

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._limits: Mapping[str, float] = asked["limits"]
        self._crops = {f"crop_{name}": ("|u1", ("m", *CROP_SHAPES[name])) for name in asked["crops"]}
        self._rates: dict[str, int | Fraction] = {}  # units of a second, by kind of block
        if asked["audio"] is not None:
            self._rates["audio"] = asked["sample_rate"]
        if asked["video"] is not None:
            self._rates["colour" if asked["picture"] == "colour" else "video"] = GRID_RATE
        first, last = asked["frames"]
        # Where the next block begins, by kind; none where the track has ended.
        self._next = {kind: frame_to_sample(first, rate) for kind, rate in self._rates.items()}
        self._first_frame = first
        self._end_s = self._limits["duration_s"] + SLACK_S if last is None else float(last / GRID_RATE)
        self._n_channels: int | None = asked["channels"] or None
        self._colour_size: tuple[int, int] | None = None
        self._newest_face = -1  # the highest id so far ...
        self._shot_faces = 0  # ... and the lowest that the present shot may have

    def __call__(self, message: Message) -> None:
        """Check the next block: all follow without a hole, and all but the last of a track are of a second.

        Raises
        ------
        ProtocolError
            If it is none that may come now; ``DurationError`` where blocks outrun the cap.
        """
        kind = message.kind
        if kind not in self._next:
            raise ProtocolError(f"no answer of the kind {kind!r} is expected")
        check_table(kind, message.fields, BLOCK)
        rate, start = self._rates[kind], message.fields["start"]
        n = {"audio": self._check_sound, "video": self._check_pictures, "colour": self._check_colour}[kind](
            message.arrays
        )
        full = 1 if kind == "colour" else int(rate)
        if not 1 <= n <= full:
            raise ProtocolError(f"{kind}: a block has 1 to {full} entries, got {n}")
        if start != self._next[kind]:
            raise ProtocolError(f"{kind}: the next block begins at {self._next[kind]}, got {start}")
        end_s = float((start + n) / rate)
        if abs(message.fields["media_s"] - end_s) > 1e-6:
            raise ProtocolError(f"{kind}: the block ends at {end_s} s, got {message.fields['media_s']}")
        if end_s > self._end_s:
            raise DurationError(f"duration_s: decoding gives over {self._limits['duration_s']:.0f} s")
        if n == full:
            self._next[kind] = start + n
        else:
            del self._next[kind]

    def _check_sound(self, arrays: Mapping[str, np.ndarray]) -> int:
        lengths = check_arrays("audio", arrays, SOUND)
        self._n_channels = self._n_channels or lengths["c"]
        if lengths["c"] != self._n_channels or not 1 <= lengths["c"] <= self._limits["channels"]:
            raise ProtocolError(f"audio: the stream has {self._n_channels} channels, got {lengths['c']}")
        _check_flags("audio: present", arrays["present"])
        if not (np.abs(arrays["samples"]) <= 1).all():  # false for NaN too
            raise ProtocolError("audio: samples lie in [-1, 1]")
        return lengths["n"]

    def _check_pictures(self, arrays: Mapping[str, np.ndarray]) -> int:
        n = check_arrays("video", arrays, PICTURES | self._crops)["n"]
        sources, cuts = arrays["source_index"], arrays["cuts"]
        _check_sources("video", sources)
        _check_flags("video: cuts", cuts)
        if self._next["video"] == self._first_frame and cuts[:1].any():
            raise ProtocolError("video: the first frame is no cut")
        _check_rows(n, arrays["row_frame"], arrays["face"], arrays["boxes"])
        most = MAX_FACES * (self._next["video"] - self._first_frame + n)  # each track shows in some frame
        if arrays["face"].max(initial=-1) >= most:
            raise ProtocolError(f"video: so far there are at most {most} tracks, got {arrays['face'].max()}")
        self._check_tracks(cuts, arrays["row_frame"], arrays["face"])
        return n

    def _check_tracks(self, cuts: np.ndarray, frame: np.ndarray, face: np.ndarray) -> None:
        """No track goes on across a cut: ids after it are higher than all before it."""
        bounds = [0, *np.searchsorted(frame, np.flatnonzero(cuts)), len(face)]
        for shot, (first, last) in enumerate(zip(bounds, bounds[1:], strict=False)):
            if shot > 0:
                self._shot_faces = self._newest_face + 1
            if face[first:last].min(initial=self._shot_faces) < self._shot_faces:
                raise ProtocolError("video: a track ends where a shot begins")
            self._newest_face = max(self._newest_face, int(face[first:last].max(initial=-1)))

    def _check_colour(self, arrays: Mapping[str, np.ndarray]) -> int:
        lengths = check_arrays("colour", arrays, COLOUR)
        size = (lengths["h"], lengths["w"])
        self._colour_size = self._colour_size or size
        if size != self._colour_size or not 1 <= size[0] * size[1] <= self._limits["pixels"]:
            raise ProtocolError(f"colour: the size {size} is over a cap, empty or not that of before")
        _check_sources("colour", arrays["source_index"])
        return 1


def _check_sources(what: str, sources: np.ndarray) -> None:
    if sources.min(initial=0) < -1 or sources.max(initial=0) > LARGEST:
        raise ProtocolError(f"{what}: frames are counted from 0, or -1 for none")


def _check_flags(what: str, flags: np.ndarray) -> None:
    if flags.view(np.uint8).max(initial=0) > 1:
        raise ProtocolError(f"{what} says true or false")


def _check_rows(n: int, frame: np.ndarray, face: np.ndarray, boxes: np.ndarray) -> None:
    """Faces (m,) belong to frames of the block, sorted, and each has a box."""
    if frame.min(initial=0) < 0 or frame.max(initial=0) >= max(n, 1) or face.min(initial=0) < 0:
        raise ProtocolError(f"video: faces are counted from 0 and lie on one of the {n} frames of the block")
    steps, next_face = np.diff(frame), np.diff(face.astype(np.int64))
    if not ((steps > 0) | ((steps == 0) & (next_face > 0))).all():
        raise ProtocolError("video: faces are sorted by frame and then by track, each once")
    if np.bincount(frame, minlength=1).max() > MAX_FACES:
        raise ProtocolError(f"video: a frame has at most {MAX_FACES} faces")
    if not ((np.abs(boxes) <= LARGEST_PIXEL).all() and (boxes[:, 2:] > 0).all()):
        raise ProtocolError("video: a face has a box")
