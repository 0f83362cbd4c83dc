"""What an item is made of: the host, the material that goes into a span of it, and what makes material."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from avloc.datasets.corpus import Entry
from avloc.datasets.speech_pool import SpeechPool
from avloc.features.audio import SAMPLE_RATE
from avloc.synth.matching import Sound
from avloc.synth.spans import frame_envelope
from avloc.synth.splice import MARGIN

ZERO_CROSSING = "zero_crossing"


@dataclass(frozen=True, slots=True)
class Host:
    """The part of a recording that an item is made of.

    ``samples`` (n,) is ``read(start, start + n)``; ``envelope`` its RMS per 10 ms. ``index`` is its place in
    ``pool``, where inserted material comes from, or -1 for sound that is not in the pool as it is: that of a
    clip or of an edit, which joined the entries ``made_of``.
    """

    pool: SpeechPool
    entry: Entry
    index: int
    read: Callable[[int, int], np.ndarray]
    n_recorded: int
    start: int
    samples: np.ndarray
    envelope: np.ndarray
    sound: Sound
    made_of: tuple[int, ...] = ()

    @classmethod
    def cut(cls, pool: SpeechPool, index: int, start: int, end: int) -> "Host":
        """Take samples ``[start, end)`` of entry ``index``."""
        samples = pool.read(index, start, end)
        return cls(
            pool=pool,
            entry=pool.entries[index],
            index=index,
            read=partial(pool.read, index),
            n_recorded=pool.n_samples(index),
            start=start,
            samples=samples,
            envelope=frame_envelope(samples),
            sound=Sound.of(pool.statistics, index),
            made_of=(index,),
        )

    @classmethod
    def of_clip(
        cls, pool: SpeechPool, entry: Entry, recorded: np.ndarray, start: int, end: int, sound: Sound
    ) -> "Host":
        """Take samples ``[start, end)`` of ``recorded`` (n,), the sound of a clip."""
        samples = recorded[start:end]
        return cls(
            pool=pool,
            entry=entry,
            index=-1,
            read=partial(read_padded, recorded),
            n_recorded=len(recorded),
            start=start,
            samples=samples,
            envelope=frame_envelope(samples),
            sound=sound,
        )

    def edited(self, samples: np.ndarray, *others: int) -> "Host":
        """Give the host that an edit makes of this one: ``samples`` (n,), partly of entries ``others``.

        The times of its words are no longer known.
        """
        return replace(
            self,
            entry=replace(self.entry, words=()),
            index=-1,
            read=partial(read_padded, samples),
            n_recorded=len(samples),
            start=0,
            samples=samples,
            envelope=frame_envelope(samples),
            made_of=(*self.made_of, *others),
        )

    @property
    def whole(self) -> bool:
        """Nothing of the recording was cut off."""
        return self.start == 0 and len(self.samples) == self.n_recorded

    def words(self) -> list[tuple[int, int, str]]:
        """List the words that lie inside, (start, end, word) in samples of the host."""
        words = [
            (round(start * SAMPLE_RATE) - self.start, round(end * SAMPLE_RATE) - self.start, word)
            for start, end, word in self.entry.words
        ]
        return [w for w in words if w[0] >= 0 and w[1] <= len(self.samples)]

    def around(self, first: int, last: int, extra: int) -> np.ndarray:
        """Read samples ``[first - extra, last + extra)``, beyond the cut too where the recording has them."""
        return self.read(self.start + first - extra, self.start + last + extra)


def read_padded(samples: np.ndarray, start: int, end: int) -> np.ndarray:
    """Read ``samples[start:end]``, with zeros for what lies outside."""
    inside = samples[max(start, 0) : max(end, 0)]
    return np.pad(inside, (max(-start, 0), end - max(start, 0) - len(inside)))


@dataclass(frozen=True, slots=True)
class Material:
    """What goes in: ``samples`` with ``margin`` more at each end, and where it came from.

    A margin of more than ``MARGIN`` makes the fades a soft gate: from ``margin`` to twice as long. ``law`` of
    its fades is one of ``LAWS``, ``ZERO_CROSSING`` for none at all, or None: drawn as for all others.
    ``span``, in samples of the host, is what it takes the place of, where that is another than it was asked
    for.
    """

    samples: np.ndarray
    source: Entry
    like_host: bool  # the same words at the same times: fades keep amplitude, not power
    parameters: Mapping = field(default_factory=dict)
    margin: int = MARGIN
    law: str | None = None
    span: tuple[int, int] | None = None

    @property
    def n_inside(self) -> int:
        """Samples that go in, without the margins."""
        return len(self.samples) - 2 * self.margin


Maker = Callable[[np.random.Generator, Host, int, int], Material | None]


@dataclass(frozen=True, slots=True)
class Implementation:
    """One way to make the material of a family, and the name by which manifests and figures know it."""

    name: str
    make: Maker


def draw_implementation(rng: np.random.Generator, ways: tuple[Implementation, ...]) -> Implementation:
    """Draw one of a family's implementations."""
    return ways[0] if len(ways) == 1 else ways[int(rng.integers(len(ways)))]
