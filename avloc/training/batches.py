"""Fresh training batches: items made for one index, corrupted as a whole, prepared for the network."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from avloc.features.audio import RATE as GRID_RATE
from avloc.features.audio import SAMPLES_PER_FRAME
from avloc.features.prepare import prepare
from avloc.structures import Timeline
from avloc.synth.item import Item
from avloc.training.assignment import collate_segments
from avloc.training.crops import vary_crops
from avloc.training.objective import TrainingBatch

RATE = float(GRID_RATE)
MISMATCHING_FAMILIES = (
    "lag_shift",
    "mouth_blend",
    "mouth_freeze",
    "mouth_reverse",
    "replace_audio",
)  # sound and picture no longer belong together; in a self-blend or around a cut of both they still do
MAX_DELAY_FRAMES = 4  # constant recorder offset that training draws, to either side

DrawItem = Callable[..., Item]
Corrupt = Callable[[np.random.Generator, np.ndarray], np.ndarray]


class BatchSource(Dataset):
    """Batches that depend on the seed and their index alone: none is seen twice, a run resumes anywhere.

    Parameters
    ----------
    draw_sound, draw_picture : callable
        ``(rng, *, duration_s) -> Item``; ``draw_picture`` may be None where ``picture_share`` is 0.
    corrupt : callable
        ``(rng, waveform) -> waveform``, applied to the whole item after the edit.
    inputs : mapping
        The network's inputs by stream.
    picture_share : float [0, 1]
        Share of the batches that have a picture.
    drop_sound : float [0, 1]
        Share of those that come without their sound.
    window_frames : sequence of int
        Lengths of windows, 160 + 120 k frames. A batch of sound draws one; a longer one makes a smaller
        batch. A batch with a picture takes the shortest: talking-face clips are short.
    batch_size, picture_batch_size : int
        Windows a batch, at the shortest length.
    n_batches, seed : int
        Length of the run, and the seed of everything that is drawn.
    first : int
        Batches before it are None: they were trained on before the run was resumed.
    """

    def __init__(
        self,
        *,
        draw_sound: DrawItem,
        draw_picture: DrawItem | None,
        corrupt: Corrupt,
        inputs: Mapping[str, tuple[str, ...]],
        picture_share: float,
        drop_sound: float,
        batch_size: int,
        picture_batch_size: int,
        window_frames: Sequence[int],
        n_batches: int,
        seed: int,
        first: int = 0,
    ) -> None:
        if picture_share > 0 and draw_picture is None:
            raise ValueError("picture_share above 0 needs talking faces; give draw_picture")
        self.draw_sound, self.draw_picture, self.corrupt = draw_sound, draw_picture, corrupt
        self.inputs, self.picture_share, self.drop_sound = inputs, picture_share, drop_sound
        self.batch_size, self.picture_batch_size = batch_size, picture_batch_size
        self.window_frames = sorted(window_frames)
        self.n_batches, self.seed, self.first = n_batches, seed, first

    def __len__(self) -> int:
        return self.n_batches

    def __getitem__(self, index: int) -> TrainingBatch | None:
        if index < self.first:
            return None
        rng = np.random.default_rng([self.seed, index])
        if rng.random() < self.picture_share:
            return self._picture_batch(rng)
        return self.sound_batch(rng)

    def sound_batch(self, rng: np.random.Generator) -> TrainingBatch:
        """Make a batch without picture."""
        n_frames = self.window_frames[int(rng.integers(len(self.window_frames)))]
        batch_size = max(1, self.batch_size * self.window_frames[0] // n_frames)
        items = [self.draw_sound(rng, duration_s=n_frames / RATE) for _ in range(batch_size)]
        waves = [self.corrupt(rng, item.waveform[0]) for item in items]
        waveform, mask = stack_sound(waves, n_frames)
        rows = [segments_in_frames(item.audio, item.visual) for item in items]
        return self._batch(items, rows, waveform=waveform, audio_mask=mask)

    def _picture_batch(self, rng: np.random.Generator) -> TrainingBatch:
        length = self.window_frames[0]
        items = [self.draw_picture(rng, duration_s=length / RATE) for _ in range(self.picture_batch_size)]
        delays = [
            int(rng.integers(-MAX_DELAY_FRAMES, MAX_DELAY_FRAMES + 1)) if rng.random() < 0.5 else 0
            for _ in items
        ]
        waves, rows, mismatch = [], [], torch.zeros(len(items), length)
        shown = []
        seen = torch.zeros(len(items), length, dtype=torch.bool)
        for row, (item, delay) in enumerate(zip(items, delays, strict=True)):
            waves.append(self.corrupt(rng, _delay(item.waveform[0], delay * SAMPLES_PER_FRAME)))
            extent = len(item.present)
            rows.append(segments_in_frames(item.audio, item.visual, audio_delay=delay, n_frames=extent))
            n_frames = min(extent, length)
            shown.append(vary_crops(rng, {name: crop[:n_frames] for name, crop in item.crops.items()}))
            seen[row, :n_frames] = torch.from_numpy(item.present[:n_frames])
            if item.family in MISMATCHING_FAMILIES:
                for span in (*item.audio.segments, *item.visual.segments):
                    mismatch[row, round(span.start * RATE) : round(span.end * RATE)] = 1.0
        waveform, mask = stack_sound(waves, length)
        without_sound = rng.random() < self.drop_sound
        if without_sound:
            rows = [[(s, e, False, True) for s, e, _, visual in row if visual] for row in rows]
        return self._batch(
            items,
            rows,
            waveform=None if without_sound else waveform,
            audio_mask=None if without_sound else mask,
            crops=stack_crops(shown, length),
            visual_mask=seen,
            mismatch=mismatch,
            lag=torch.tensor(delays, dtype=torch.float32),
        )

    def _batch(
        self,
        items: Sequence[Item],
        rows: Sequence[Sequence[tuple[float, float, bool, bool]]],
        *,
        waveform: Tensor | None,
        audio_mask: Tensor | None,
        crops: Mapping[str, Tensor] | None = None,
        visual_mask: Tensor | None = None,
        mismatch: Tensor | None = None,
        lag: Tensor | None = None,
    ) -> TrainingBatch:
        segments, modality, valid = collate_segments(rows)
        n_frames = (audio_mask if audio_mask is not None else visual_mask).shape[1]
        audio = visual = None
        if waveform is not None:
            audio = prepare(self.inputs["audio"], waveform=waveform, audio_mask=audio_mask)
        if crops is not None:
            visual = prepare(self.inputs["visual"], crops=crops)
        return TrainingBatch(
            audio=audio,
            audio_mask=audio_mask,
            visual=visual,
            visual_mask=visual_mask,
            segments=segments,
            modality=modality,
            valid=valid,
            mismatch=torch.zeros(len(items), n_frames) if mismatch is None else mismatch,
            lag=torch.zeros(len(items)) if lag is None else lag,
            forged=valid.any(1),
            families=tuple(item.family for item in items),
        )


def load_batches(
    source: BatchSource, settings: Mapping, device: torch.device, *, first: int = 0
) -> DataLoader:
    """Make batches from ``first`` on in ``settings["workers"]`` processes, in pinned memory for a GPU."""
    return DataLoader(
        source,
        batch_size=None,
        sampler=range(first, len(source)),
        num_workers=settings["workers"],
        prefetch_factor=4 if settings["workers"] else None,
        pin_memory=device.type == "cuda",
    )


def stack_sound(waves: Sequence[np.ndarray], n_frames: int) -> tuple[Tensor, Tensor]:
    """Stack waveforms to (B, N), filled up by repetition as in inference; mask (B, T) of what is real."""
    n_samples = n_frames * SAMPLES_PER_FRAME
    stacked = torch.zeros(len(waves), n_samples)
    mask = torch.zeros(len(waves), n_frames, dtype=torch.bool)
    for row, wave in enumerate(waves):
        repeated = np.resize(wave, n_samples) if len(wave) < n_samples else wave[:n_samples]
        stacked[row] = torch.from_numpy(np.ascontiguousarray(repeated, dtype=np.float32))
        mask[row, : min(n_frames, len(wave) // SAMPLES_PER_FRAME)] = True
    return stacked, mask


def stack_crops(clips: Sequence[Mapping[str, np.ndarray]], n_frames: int) -> dict[str, Tensor]:
    """Stack crops (T, H, W) of clips by name to uint8 (B, n_frames, H, W), zeros after their ends."""
    stacked = {
        name: torch.zeros(len(clips), n_frames, *crop.shape[1:], dtype=torch.uint8)
        for name, crop in clips[0].items()
    }
    for row, clip in enumerate(clips):
        for name, crop in clip.items():
            stacked[name][row, : len(crop)] = torch.from_numpy(crop[:n_frames])
    return stacked


def _delay(wave: np.ndarray, n_samples: int) -> np.ndarray:
    """Move sound ``n_samples`` later (earlier if negative); the hole is a mirror image, so nothing joins."""
    if n_samples >= 0:
        return np.pad(wave, (n_samples, 0), mode="reflect")[: len(wave)]
    return np.pad(wave, (0, -n_samples), mode="reflect")[-len(wave) :]


def segments_in_frames(
    audio: Timeline, visual: Timeline, *, audio_delay: int = 0, n_frames: float = float("inf")
) -> list[tuple[float, float, bool, bool]]:
    """Give (start, end, audio, visual) in frames; a span that both streams share is one segment.

    Sound that is ``audio_delay`` frames late takes its truth along; what then lies outside of the recording's
    ``n_frames`` is cut off, and a rest of one frame or less is left out.
    """
    heard = {(s.start * RATE + audio_delay, s.end * RATE + audio_delay) for s in audio.segments}
    seen = {(s.start * RATE, s.end * RATE) for s in visual.segments}
    return [
        (max(s, 0.0), min(e, n_frames), (s, e) in heard, (s, e) in seen)
        for s, e in sorted(heard | seen)
        if min(e, n_frames) - max(s, 0.0) > 1
    ]
