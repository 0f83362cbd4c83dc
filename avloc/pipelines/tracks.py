"""The streaming pass along a recording: bounded buffers, speech, faces and quality, one window at a time.

What a decoder gives is held only as long as a later window needs it: the hop and a window, about 40 s, or
``SLACK_FRAMES`` more where one stream runs behind the other.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from avloc.features.audio import SAMPLE_RATE, SAMPLES_PER_FRAME, WINDOW_FRAMES
from avloc.features.events import Event
from avloc.media.decode import AudioBlock, VideoBlock
from avloc.pipelines.listening import Listener
from avloc.pipelines.measures import GRID, ChannelMeasures, FaceMeasures, RunningRelations
from avloc.pipelines.pictures import Picture, Pictures
from avloc.pipelines.sounds import choose_sound, relate
from avloc.pipelines.stream_buffer import StreamBuffer
from avloc.pipelines.windows import PLAN, Window, WindowPlan, next_window
from avloc.structures import Recording, Segment, Timeline

SLACK_FRAMES = 2 * WINDOW_FRAMES  # a stream this far behind the other is not waited for


@dataclass(frozen=True, slots=True)
class WindowTracks:
    """One window of a recording: the sound and the pictures that are analysed of it.

    ``waveforms`` float32 (640 n,) by channel, None for the mix; ``heard`` bool (n,) frames that hold sound;
    ``pictures`` the usable faces.
    """

    window: Window
    waveforms: dict[int | None, np.ndarray]
    heard: np.ndarray
    pictures: tuple[Picture, ...]


class Tracks:
    """Iterate the windows of a recording; afterwards the attributes say what was measured along it.

    Parameters
    ----------
    recording : Recording
        What is decoded.
    blocks : iterable of AudioBlock and VideoBlock
        A ``Decoder``, or anything that gives the same.
    channels : {"each", "mix"} or int, optional
        Which channels are analysed, as of ``Settings``.
    first_frame : int [>= 0]
        Frame of the grid with which the blocks begin.
    plan : WindowPlan
        How the recording is cut.

    Attributes
    ----------
    n_frames : int
        Length on the 25 Hz grid.
    end_s : float [s]
        End of what was decoded.
    channels : list of ChannelMeasures
        One a source channel. Where they are mixed, ``mix`` is measured beside them, for what was analysed.
    chosen_channels : {"each", "mix"} or int
        Which of them are analysed.
    source_frames : list of np.ndarray [int64]
        Source frame shown at each frame of the grid, -1 for none; empty without a video stream.
    cuts : list of int
        Frames of the grid with which a new shot begins.
    faces : FaceMeasures
        Face tracks and counts.
    """

    def __init__(
        self,
        recording: Recording,
        blocks: Iterable[AudioBlock | VideoBlock],
        *,
        channels: str | int | None = None,
        first_frame: int = 0,
        plan: WindowPlan = PLAN,
    ) -> None:
        self._plan = plan
        self.first_frame = first_frame
        self.has_audio = recording.audio is not None
        self.has_video = recording.video is not None
        self.chosen_channels = ("mix" if self.has_video else "each") if channels is None else channels
        self._blocks = blocks
        n_channels = recording.audio.n_channels if recording.audio else 0
        self.channels = [ChannelMeasures() for _ in range(n_channels)]
        self.mix = ChannelMeasures()
        self.relations = RunningRelations(n_channels)
        video = recording.video
        self.faces = FaceMeasures((video.width, video.height) if video else None)
        self._sound, self._present = StreamBuffer(), StreamBuffer()
        self._pictures = Pictures(self.faces)
        self._listeners: dict[int | None, Listener] = {}
        self.n_video_frames = 0
        self.source_frames: list[np.ndarray] = []
        self.cuts: list[int] = []
        self.present_samples = 0
        self._cut_frames = 0  # end of the last window
        self._late_samples = 0  # of sound that came after its window

    def __iter__(self) -> Iterator[WindowTracks]:
        index = 0
        for block in self._blocks:
            self._push(block)
            while (window := self._window(index, self._n_available(), ended=False)) is not None:
                yield self._cut(window, ended=False)
                index += 1
        while (window := self._window(index, self.n_frames, ended=True)) is not None:
            yield self._cut(window, ended=window.end == self.n_frames)
            index += 1
        for listener in self._listeners.values():
            listener.finish()
        for measures in (*self.channels, self.mix):  # it is there, and nobody analysed it
            measures.heard_frames += round(self._late_samples / SAMPLES_PER_FRAME)

    @property
    def n_frames(self) -> int:
        """Frames so far; a rest of less than half a frame of sound is none."""
        heard = (self._sound.end + SAMPLES_PER_FRAME // 2) // SAMPLES_PER_FRAME
        return max(heard, self.n_video_frames)

    @property
    def start_s(self) -> float:
        """Where the part that is analysed begins."""
        return GRID.time(self.first_frame)

    @property
    def end_s(self) -> float:
        """Where the longest stream ends, as far as it was decoded."""
        return max(self._sound.end / SAMPLE_RATE, GRID.time(self.n_video_frames))

    @property
    def n_held_frames(self) -> int:
        """Frames in memory, of the fuller buffer."""
        return max(self._sound.n_held // SAMPLES_PER_FRAME, self._pictures.n_held)

    def speech(self, channel: int | None, end_s: float) -> Timeline:
        """Spans of speech of an analysed channel, or of the mix (None), cut at ``end_s``."""
        listener = self._listeners.get(channel)
        return Timeline() if listener is None else listener.speech(end_s)

    def events(self, channel: int | None, end_s: float) -> tuple[Event, ...]:
        """Typed events of an analysed channel, or of the mix (None), cut at ``end_s``."""
        listener = self._listeners.get(channel)
        return () if listener is None else listener.events(end_s)

    def cross_talk_s(self, end_s: float) -> float:
        """Seconds in which several of the channels that were mixed hold speech."""
        if self.chosen_channels != "mix":
            return 0.0
        spoken = [self.speech(channel, end_s) for channel in self.relations.parties()]
        pairs = [(a, b) for i, a in enumerate(spoken) for b in spoken[:i]]
        return Timeline(
            tuple(s for a, b in pairs for span in b.segments for s in a.crop(span).segments)
        ).duration

    def face_spans(self, end_s: float) -> list[tuple[int, Segment]]:
        """Stretches with a usable face, cut at ``end_s``: its id and the span."""
        spans = [(face, GRID.time(start), min(GRID.time(end), end_s)) for face, start, end in self.faces.runs]
        return [(face, Segment(start, end)) for face, start, end in spans if start < end]

    def shots(self, end_s: float) -> list[Segment]:
        """Shots of the picture, cut at ``end_s``; none without a video stream."""
        edges = [self.first_frame, *self.cuts, self.n_video_frames]
        spans = [(GRID.time(a), min(GRID.time(b), end_s)) for a, b in zip(edges, edges[1:], strict=False)]
        return [Segment(start, end) for start, end in spans if start < end] if self.has_video else []

    def _window(self, index: int, n_available: int, *, ended: bool) -> Window | None:
        """Give a window of the part that is decoded, on the grid of the recording."""
        window = next_window(index, n_available - self.first_frame, ended=ended, plan=self._plan)
        return None if window is None else window.later(self.first_frame)

    def _n_available(self) -> int:
        ends = [self._sound.end // SAMPLES_PER_FRAME] if self.has_audio else []
        ends += [self.n_video_frames] if self.has_video else []
        return max(min(ends), max(ends) - SLACK_FRAMES) if ends else 0

    def _push(self, block: AudioBlock | VideoBlock) -> None:
        if isinstance(block, AudioBlock):
            self._sound.append(block.start_sample, block.samples.T)  # time first
            self._present.append(block.start_sample, block.present)
            self.present_samples += int(block.present.sum())
            n_late = max(0, self._cut_frames * SAMPLES_PER_FRAME - block.start_sample)
            self._late_samples += int(block.present[:n_late].sum())
            self.relations.push(block.samples[:, :n_late])  # or sound that is all late would be called silent
            return
        self._pictures.push(block)
        self.source_frames.append(block.source_index)
        self.cuts += (block.start_frame + np.flatnonzero(block.cuts)).tolist()
        self.n_video_frames = max(self.n_video_frames, block.start_frame + len(block.source_index))

    def _cut(self, window: Window, *, ended: bool) -> WindowTracks:
        first, last = window.start * SAMPLES_PER_FRAME, window.end * SAMPLES_PER_FRAME
        sound, present = self._sound.take(first, last), self._present.take(first, last)
        heard = np.zeros(window.n_frames, dtype=bool)
        if present is not None:
            heard = present.reshape(window.n_frames, SAMPLES_PER_FRAME).mean(axis=1) >= 0.5
        samples = None if sound is None else np.ascontiguousarray(sound.T)  # (C, 640 n)
        relations = relate(samples, heard)
        waveforms = choose_sound(samples, relations, self.chosen_channels)
        pictures = self._pictures.take(window, ended=ended)
        if samples is not None:
            self._measure(window, samples, heard, relations, waveforms)
        self._cut_frames, keep_from = window.end, window.start + self._plan.hop
        self._pictures.drop_before(keep_from)
        for buffer in (self._sound, self._present):
            buffer.drop_before(keep_from * SAMPLES_PER_FRAME)
        return WindowTracks(window, waveforms, heard, pictures)

    def _measure(
        self,
        window: Window,
        samples: np.ndarray,
        heard: np.ndarray,
        relations: tuple[str, ...],
        waveforms: Mapping[int | None, np.ndarray],
    ) -> None:
        """Take speech and quality of the part that no window before held."""
        offset = window.new_start - window.start
        new = slice(offset * SAMPLES_PER_FRAME, None)
        n_heard = int(heard[offset:].sum())
        self.relations.push(samples[:, new])
        silence = np.zeros(samples.shape[1], np.float32)
        # A detector that was started goes on through windows that are not analysed, or its clock would stop.
        speech: dict[int | None, np.ndarray] = {}
        for channel in self._heard_apart(waveforms) | self._listeners.keys():
            waveform = waveforms.get(channel, silence if channel is None else samples[channel])
            speech[channel] = self._listen(channel, waveform[new], window.new_start)
        nobody = np.zeros(samples.shape[1] - offset * SAMPLES_PER_FRAME, dtype=bool)
        for channel, measures in enumerate(self.channels):
            measures.push(samples[channel, new], speech.get(channel, speech.get(None, nobody)))
        if None in waveforms:
            self.mix.push(waveforms[None][new], speech[None])
        for measures in (*self.channels, self.mix):
            measures.heard_frames += n_heard
            # Silence, and a copy of an analysed channel, hide nothing: they count as analysed.
            measures.analysed_frames += n_heard if relations else 0

    def _heard_apart(self, waveforms: Mapping[int | None, np.ndarray]) -> set[int | None]:
        """Channels that are listened to: what is analysed, and the parties of a mix each by itself too."""
        parties = set(self.relations.parties()) if None in waveforms else set()
        return waveforms.keys() | (parties if len(parties) > 1 else set())

    def _listen(self, channel: int | None, waveform: np.ndarray, start_frame: int) -> np.ndarray:
        """Follow the speech of a channel; returns where ``waveform`` holds speech, bool (n,)."""
        if channel not in self._listeners:
            self._listeners[channel] = Listener(start_frame)
        return self._listeners[channel].push(waveform)
