"""What is heard of one channel along a recording: speech activity and typed events."""

import numpy as np

from avloc.features.events import Event, EventDetector
from avloc.features.speech import HOP_SAMPLES, ONSET, SpeechDetector
from avloc.pipelines.measures import GRID
from avloc.structures import Segment, Timeline

# Where sound is missing, nothing can be forged. Lost packets explain no more: many would hide a word.
MISSING = {"redaction": 0.08, "packet_loss": 0.0}  # seconds around it in which the network sees its ends
# A signal explains itself, but not what is said between its tones.
SIGNALS = frozenset(("music", "hold_tone", "dtmf", "ring_back", "beep"))
EDGE_S = 0.08
MOST = 0.5  # of a proposal; what events explain of it makes it none


class Listener:
    """Follows one channel, or the mix, from the frame on where it was first analysed.

    Parameters
    ----------
    start_frame : int
        Frame of the 25 Hz grid with which the first push begins.
    """

    def __init__(self, start_frame: int) -> None:
        self._start_s = GRID.time(start_frame)
        self._speech, self._events = SpeechDetector(), EventDetector()
        self._n_samples = 0

    def push(self, waveform: np.ndarray) -> np.ndarray:
        """Hear ``waveform`` (n,); returns where it holds speech, bool (n,), False where not yet known."""
        self._events.push(waveform)
        self._speech.push(waveform)
        n_done = len(self._speech.probabilities) * HOP_SAMPLES
        position = np.arange(self._n_samples, self._n_samples + len(waveform))
        self._n_samples += len(waveform)
        known = position < n_done
        mask = np.zeros(len(waveform), dtype=bool)
        mask[known] = self._speech.probabilities[position[known] // HOP_SAMPLES] >= ONSET
        return mask

    def finish(self) -> None:
        """Hear the end; nothing may be pushed any more."""
        self._speech.finish()
        self._events.finish()

    def speech(self, end_s: float) -> Timeline:
        """Spans of speech in the time of the recording, cut at ``end_s``."""
        spans = (self._moved(span, end_s) for span in self._speech.spans().segments)
        return Timeline(tuple(span for span in spans if span is not None))

    def events(self, end_s: float) -> tuple[Event, ...]:
        """Events in the time of the recording, cut at ``end_s``."""
        found = ((self._moved(event.span, end_s), event.code) for event in self._events.events())
        return tuple(Event(span, code) for span, code in found if span is not None)

    def _moved(self, span: Segment, end_s: float) -> Segment | None:
        start, end = span.start + self._start_s, min(span.end + self._start_s, end_s)
        return Segment(start, end) if start < end else None


def explained_frames(events: tuple[Event, ...], speech: Timeline, n_frames: int) -> np.ndarray:
    """Say which frames hold an event and nothing that could be forged.

    Signals and music explain nothing where somebody speaks, also in their pauses, and comfort noise explains
    nothing at all: pieces pasted into a steady noise look the same.

    Parameters
    ----------
    events : tuple of Event
        Of one channel.
    speech : Timeline
        Of that channel.
    n_frames : int
        Length on the 25 Hz grid.

    Returns
    -------
    bool (n_frames,)
    """
    spoken = _frames(speech.segments, n_frames, 0.0)
    signals = _frames([event.span for event in events if event.code in SIGNALS], n_frames, EDGE_S)
    missing = [
        _frames([event.span for event in events if event.code == code], n_frames, margin_s)
        for code, margin_s in MISSING.items()
    ]
    return np.logical_or.reduce([signals & ~spoken, *missing])


def explained_share(segments: np.ndarray, explained: np.ndarray) -> np.ndarray:
    """Share of each segment (N, 2), in seconds, that lies in explained frames; (N,) in [0, 1]."""
    before = np.concatenate(([0], np.cumsum(explained)))
    first, last = (np.clip(np.round(segments * float(GRID.rate)), 0, len(explained)).astype(int)).T
    last = np.minimum(np.maximum(last, first + 1), len(explained))
    return (before[last] - before[np.minimum(first, last)]) / np.maximum(1, last - first)


def _frames(spans: list[Segment] | tuple[Segment, ...], n_frames: int, margin_s: float) -> np.ndarray:
    inside = np.zeros(n_frames, dtype=bool)
    for span in spans:
        inside[max(0, GRID.index(span.start - margin_s)) : GRID.index_after(span.end + margin_s)] = True
    return inside
