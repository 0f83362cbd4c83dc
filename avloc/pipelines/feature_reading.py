"""A recording before it is encoded: keys of its features, and of what the cache lacks the streams."""

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from avloc.errors import MissingStreamError
from avloc.features.cache import FeatureCache, FeatureRow, feature_key
from avloc.media.landmarks import landmarks_of, track_file
from avloc.media.listing import Input
from avloc.media.probe import open_recording
from avloc.media.supervisor import Limits
from avloc.models.weights.encoders import StreamEncoder
from avloc.pipelines.failures import message_of, reason_of
from avloc.pipelines.landmarks import LANDMARK_CROP, find_landmarks
from avloc.pipelines.whole_streams import Stream, read_streams
from avloc.structures import Reason, Recording

logger = logging.getLogger(__name__)

VERSION = 1  # of all that comes before the encoders; another one where a change there moves a number
MAX_FRAMES = 1500


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """What decides the features beside the recording and the encoder.

    ``tracks`` is a folder of landmarks, ``ID.npz`` for ``ID.mp4``; without it faces are looked for. What is
    longer than ``max_frames`` of 25 Hz is cut.
    """

    dtype: str = "float16"
    max_frames: int = MAX_FRAMES
    limits: Limits = field(default_factory=Limits)
    tracks: Path | None = None

    def to_dict(self) -> dict:
        """Give plain values; where landmarks lie decides nothing, their content does."""
        return {
            "version": VERSION,
            "dtype": self.dtype,
            "max_frames": self.max_frames,
            "limits": self.limits.to_dict(),
            "tracks": self.tracks is not None,
        }


@dataclass(frozen=True, slots=True)
class Read:
    """A recording that was read: keys of its features by stream, and the streams that are to be encoded.

    A stream that is to be encoded and holds nothing is None.
    """

    id: str
    stamp: tuple[tuple[int, int] | None, ...]
    recording: Recording | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    streams: Mapping[str, Stream | None] = field(default_factory=dict)
    warnings: tuple[Reason, ...] = ()
    failure: tuple[Reason, str] | None = None


class Reader:
    """Reads recordings, several at once in threads; what the cache holds already is not decoded.

    Parameters
    ----------
    cache : FeatureCache
        Asked for what is there.
    encoders : mapping of str to StreamEncoder
        By stream.
    settings : FeatureSettings
        Length, landmarks, caps.
    """

    def __init__(
        self, cache: FeatureCache, encoders: Mapping[str, StreamEncoder], settings: FeatureSettings
    ) -> None:
        self._cache, self._encoders, self._settings = cache, encoders, settings
        self._crops = encoders["visual"].crops if "visual" in encoders else ()

    def is_done(self, row: FeatureRow, item: Input) -> bool:
        """Whether a row still says what the files would: they are untouched, and its features are there."""
        stored = (row.features or {}).values()
        return row.stamp == self.stamp(item) and all(self._cache.find(s.key) for s in stored)

    def stamp(self, item: Input) -> tuple[tuple[int, int] | None, ...]:
        """Size and time of change of the recording and of its landmarks, None for what is not there."""
        track = self._track_file(item.id)
        return tuple(_stamp(path) for path in (item.path, *((track,) if track else ())))

    def __call__(self, item: Input) -> Read:
        """Read one recording; whatever happens to it is told in what is returned."""
        stamp = self.stamp(item)
        try:
            return self._read(item, stamp)
        except Exception as error:  # the boundary of one recording: it becomes a row, the run goes on
            reason = reason_of(error)
            if reason == Reason.INTERNAL_ERROR:
                logger.exception("%r: %s", item.path, reason.value)
            return Read(item.id, stamp, failure=(reason, message_of(error)))

    def _read(self, item: Input, stamp: tuple) -> Read:
        recording = open_recording(item.path, id=item.id, limits=self._settings.limits)
        there = {"audio": recording.audio, "visual": recording.video}
        wanted = [stream for stream in self._encoders if there[stream] is not None]
        if not wanted:
            message = f"there is no stream that the encoders of {' and '.join(self._encoders)} read"
            raise MissingStreamError(recording.path, message, reason="no_samples")
        track = self._track_file(item.id) if "visual" in wanted else None
        landmarks = None if track is None else landmarks_of(recording.path, track)
        keys = {stream: self._key(stream, recording, track) for stream in wanted}
        missing = [stream for stream in wanted if self._cache.find(keys[stream]) is None]
        if not missing:
            return Read(item.id, stamp, recording, keys)
        crops = self._crops if "visual" in missing else ()
        if landmarks is None and LANDMARK_CROP in crops:
            frames = (0, self._settings.max_frames)
            landmarks = find_landmarks(recording, limits=self._settings.limits, frames=frames)
        streams, warnings = read_streams(
            recording,
            crops=crops,
            landmarks=landmarks if crops else None,
            max_frames=self._settings.max_frames,
            limits=self._settings.limits,
        )
        return Read(item.id, stamp, recording, keys, {s: streams.get(s) for s in missing}, warnings)

    def _track_file(self, id: str) -> Path | None:
        tracks = self._settings.tracks
        return None if tracks is None or not self._crops else track_file(tracks, id)

    def _key(self, stream: str, recording: Recording, track: Path | None) -> str:
        encoder = self._encoders[stream]
        told = self._settings.to_dict() | {"stream": stream, "inputs": list(encoder.network.inputs)}
        if stream == "audio":
            del told["tracks"]
        elif track is not None:
            told["tracks"] = hashlib.sha256(track.read_bytes()).hexdigest()
        elif LANDMARK_CROP in self._crops:
            told["tracks"] = f"mediapipe {version('mediapipe')}"
        return feature_key(recording.sha256, encoder.sha256, told)


def _stamp(path: str | Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns
