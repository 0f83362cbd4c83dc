"""Features of whole data sets: encode what was read, fill the cache, one row a recording."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from avloc.features.cache import FeatureCache, FeatureRow
from avloc.pipelines.encoding import Batcher, Job
from avloc.pipelines.failures import message_of, reason_of, status_of
from avloc.pipelines.feature_reading import Read
from avloc.structures import Reason, Status

logger = logging.getLogger(__name__)

SHARD_BYTES = 64 << 20
SHARD_S = 60.0  # after this time a shard is closed as it is, so that little is lost
ABSENT = {"audio": Reason.NO_SAMPLES, "visual": Reason.NO_FACE}  # of a stream that is there and holds none


@dataclass(slots=True)
class Done:
    """How far a run is: rows that are written, frames of 40 ms that were encoded, seconds since it began."""

    n_rows: int = 0
    n_frames: int = 0
    wall_s: float = 0.0

    @property
    def frames_per_s(self) -> float:
        """Throughput."""
        return self.n_frames / self.wall_s if self.wall_s > 0 else 0.0


class Extractor:
    """Encodes what was read, and writes features before the rows that name them.

    Parameters
    ----------
    cache : FeatureCache
        Gets the features.
    batcher : Batcher
        Holds the encoders.
    write : callable
        Puts rows where they stay.
    told : callable
        Called with ``Done`` after rows were written.
    shard_bytes, shard_s : int [bytes], float [s]
        A shard is closed when it has this size or is this old: so much is lost at most when a run is killed,
        beside what was not encoded yet.
    """

    def __init__(
        self,
        cache: FeatureCache,
        batcher: Batcher,
        *,
        write: Callable[[list[FeatureRow]], None],
        told: Callable[[Done], None] = lambda done: None,
        shard_bytes: int = SHARD_BYTES,
        shard_s: float = SHARD_S,
    ) -> None:
        self._cache, self._batcher, self._write, self._told = cache, batcher, write, told
        self._shard_bytes, self._shard_s = shard_bytes, shard_s
        self._shard: dict[str, tuple[np.ndarray, int, tuple[str, ...]]] = {}
        self._in_flight: set[str] = set()
        self._failed: dict[str, tuple[Reason, str]] = {}
        self._waiting: list[tuple[Read, int]] = []
        self._started = time.monotonic()

    def run(self, recordings: Iterable[Read]) -> Done:
        """Encode recordings; an interrupt keeps what is encoded.

        Raises
        ------
        OSError
            If features or rows cannot be written.
        """
        done = Done()
        self._started = closed = time.monotonic()
        try:
            for read in recordings:
                self._take(read)
                is_full = sum(array.nbytes for array, _, _ in self._shard.values()) >= self._shard_bytes
                if is_full or time.monotonic() - closed >= self._shard_s:
                    self._publish(done)
                    closed = time.monotonic()
            self._keep(self._batcher.finish())
        except BaseException as error:
            if not isinstance(error, Exception):  # an interrupt, or a request to end
                self._publish(done)
            raise
        self._publish(done)
        return done

    def _take(self, read: Read) -> None:
        n_frames = max((len(data.present) for data in read.streams.values() if data), default=0)
        warnings = tuple(warning.value for warning in read.warnings)
        for stream, data in read.streams.items():
            key = read.keys[stream]
            if key in self._in_flight:  # another recording of the same bytes
                continue
            self._in_flight.add(key)
            if data is None:
                self._shard[key] = (np.zeros((0, 1), np.float16), 0, warnings)
            else:
                self._keep(self._batcher.add(Job(key, stream, data, warnings)))
        self._waiting.append((replace(read, streams={}), n_frames))

    def _keep(self, encoded: Iterable[tuple[Job, np.ndarray | Exception]]) -> None:
        for job, features in encoded:
            if isinstance(features, Exception):
                logger.error("%s", message_of(features), exc_info=features)
                self._failed[job.key] = (reason_of(features), message_of(features))
            else:
                self._shard[job.key] = (features, int(job.data.present.sum()), job.warnings)

    def _publish(self, done: Done) -> None:
        """Write the shard, then the rows of all recordings whose features are there."""
        self._cache.write(self._shard)
        self._in_flight -= self._shard.keys() | self._failed.keys()
        self._shard = {}
        rows, waiting = [], []
        for read, n_frames in self._waiting:
            row = self._row(read)
            if row is None:
                waiting.append((read, n_frames))
                continue
            rows.append(row)
            done.n_frames += n_frames if row.status == Status.ANALYSED else 0
        self._waiting = waiting
        self._failed = {}
        self._write(rows)
        done.n_rows += len(rows)
        done.wall_s = time.monotonic() - self._started
        self._told(done)

    def _row(self, read: Read) -> FeatureRow | None:
        """Give the row of a recording; None while some of its features are not encoded."""
        sha256 = None if read.recording is None else read.recording.sha256
        failures = [self._failed[key] for key in read.keys.values() if key in self._failed]
        if failure := read.failure or next(iter(failures), None):
            reason, message = failure
            return FeatureRow(
                read.id, status_of(reason).value, (reason.value,), (), message, sha256, read.stamp
            )
        stored = {stream: self._cache.find(key) for stream, key in read.keys.items()}
        if not all(stored.values()):
            return None
        warnings = [warning.value for warning in read.recording.warnings]
        for stream, place in stored.items():
            warnings += [*place.warnings, *([] if place.n_frames else [ABSENT[stream].value])]
        return FeatureRow(
            read.id,
            Status.ANALYSED.value,
            warnings=tuple(dict.fromkeys(warnings)),
            sha256=sha256,
            stamp=read.stamp,
            features=stored,
        )
