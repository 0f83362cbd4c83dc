"""What the eye learns from: mouths, seen or drawn, what the ear makes of their sound, lip contours."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from avloc.datasets.corpus import Entry
from avloc.datasets.lips import MIRRORED_LIPS, FindLips, read_lips
from avloc.datasets.speech_pool import SpeechPool
from avloc.datasets.talking_faces import TalkingFaces
from avloc.features.audio import PIECE_FRAMES, PIECE_HOP, SAMPLES_PER_FRAME
from avloc.features.prepare import prepare
from avloc.synth.phase_vocoder import shift_formants, shift_pitch
from avloc.training.batches import stack_sound
from avloc.training.disguise import disguise_mouth
from avloc.training.rendered_clips import RenderedClip
from avloc.training.sources import corrupt

VERSION = "1"  # part of the cache's names: raise it when sounds are varied in another way
N_SOUNDS = 4  # versions of each clip's sound; the first is the sound itself
TELEPHONE_SHARE = 0.25
LONGEST_SAMPLES = 30 * 16000  # of a recording whose mouth is drawn
N_CLIPS_WITH_LIPS = 150  # of one identity: they show all that one mouth does, and finding lips takes long

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EyeClip:
    """One genuine clip.

    ``crops`` (T, 96, 96) uint8, ``present`` (T,) bool; ``heard`` (V, T, C) the recogniser's share of the
    ear's embedding of V versions of the sound; ``states`` (T, K) the recogniser's mixed layers of the sound
    itself; ``lips`` (T, 40, 2) px of the crop with NaN, or None.
    """

    identity: str
    crops: np.ndarray
    present: np.ndarray
    heard: np.ndarray
    states: np.ndarray
    lips: np.ndarray | None

    @property
    def n_frames(self) -> int:
        """Length on the 25 Hz grid."""
        return len(self.present)

    def show(
        self, rng: np.random.Generator, cut: slice, *, with_lips: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Show frames as another face: crops, ``present`` and lips where they are known and asked for."""
        lips = self.lips[cut] if with_lips and self.lips is not None else None
        crops, lips, mirrored = disguise_mouth(rng, self.crops[cut], lips)
        return crops, self.present[cut], lips[:, MIRRORED_LIPS] if mirrored and lips is not None else lips


class _Speakers:
    """Clips by identity, drawn so that an identity counts with the square root of its seconds."""

    def __init__(self, clips: Sequence[EyeClip] | Sequence[RenderedClip]) -> None:
        members: dict[str, list[EyeClip | RenderedClip]] = defaultdict(list)
        for clip in clips:
            members[clip.identity].append(clip)
        self.members = list(members.values())
        frames = [sum(clip.n_frames for clip in group) for group in self.members]
        self._shares = np.sqrt(frames) / np.sqrt(frames).sum()

    def draw(self, rng: np.random.Generator) -> EyeClip | RenderedClip:
        """Draw a clip."""
        group = self.members[int(rng.choice(len(self.members), p=self._shares))]
        return group[int(rng.integers(len(group)))]


class EyeClips:
    """Clips of the training split, and recordings of it whose mouths are drawn."""

    def __init__(self, clips: Sequence[EyeClip], rendered: Sequence[RenderedClip] = ()) -> None:
        self.clips, self.rendered = tuple(clips), tuple(rendered)
        self._seen, self._drawn = _Speakers(self.clips), _Speakers(self.rendered)

    @property
    def has_lips(self) -> bool:
        """Whether a landmark model has seen any clip."""
        return any(clip.lips is not None for clip in self.clips)

    def describe(self) -> dict[str, int | float]:
        """Count clips, identities and seconds, and clips with lips."""
        return {
            "n_clips": len(self.clips),
            "n_identities": len(self._seen.members),
            "seconds": round(sum(clip.n_frames for clip in self.clips) / 25, 1),
            "n_clips_with_lips": sum(clip.lips is not None for clip in self.clips),
            "n_rendered": len(self.rendered),
            "n_rendered_identities": len(self._drawn.members),
            "rendered_seconds": round(sum(clip.n_frames for clip in self.rendered) / 25, 1),
        }

    def draw(self, rng: np.random.Generator, *, rendered: bool = False) -> EyeClip | RenderedClip:
        """Draw a clip, or a recording whose mouth is drawn."""
        return (self._drawn if rendered else self._seen).draw(rng)

    @classmethod
    def build(
        cls,
        network: nn.Module,
        media: Sequence[str],
        *,
        cache: Path,
        make_finder: Callable[[], FindLips] | None,
        with_rendered: bool = False,
    ) -> "EyeClips":
        """Read the clips that may train shipped weights; what the cache lacks is made.

        Parameters
        ----------
        network : nn.Module
            Its ear is the teacher.
        media : sequence of str
            ``manifest.json`` files.
        cache : Path
            Folder for faces, sounds and lips.
        make_finder : callable or None
            Landmark model, as ``datasets.lips.read_lips`` takes it.
        with_rendered : bool
            Read recordings whose phones have times too, so that mouths can be drawn for them; a warning if
            there are none.

        Raises
        ------
        AnnotationError
            If a manifest is wrong or no clip with a face is left.
        """
        faces = TalkingFaces.build(media, use="train", cache=cache)
        pool = SpeechPool.build(media, use="train", cache=cache)
        sounds, with_lips = _Sounds(network.audio_encoder, cache / "ear", pool), defaultdict(int)
        clips = []
        for index, entry in enumerate(faces.entries):
            clip = faces[index]
            heard, states = sounds.read(entry, clip.samples)
            find = make_finder if with_lips[entry.identity] < N_CLIPS_WITH_LIPS else None
            lips = read_lips(clip, cache / "lips", find)
            with_lips[entry.identity] += lips is not None
            clips.append(
                EyeClip(entry.identity, clip.crops["mouth96_box"], clip.present, heard, states, lips)
            )
            if index % 50 == 49:
                logger.info("%d of %d clips are read", index + 1, len(faces))
        return cls(clips, _recordings_to_draw(sounds, pool) if with_rendered else ())


def _recordings_to_draw(sounds: "_Sounds", pool: SpeechPool) -> list[RenderedClip]:
    """Read the natural recordings whose phones have times."""
    chosen = [int(i) for i in pool.natural if pool.entries[i].phones]
    if not chosen:
        logger.warning("no recording has phone_segments, so no mouths are drawn; tools/make_voices.py aligns")
    clips = []
    for k, index in enumerate(chosen):
        entry = pool.entries[index]
        samples = pool.read(index, 0, min(pool.n_samples(index), LONGEST_SAMPLES))
        heard, states = sounds.read(entry, samples)
        clips.append(RenderedClip(entry.identity, entry.phones, heard, states))
        if k % 50 == 49:
            logger.info("%d of %d recordings are heard", k + 1, len(chosen))
    return clips


@torch.inference_mode()
def hear(ear: nn.Module, samples: np.ndarray, n_frames: int) -> tuple[Tensor, Tensor]:
    """Run the ear over a clip (N,): recogniser's share of the embedding (T, C) and mixed layers (T, K)."""
    length = PIECE_FRAMES + PIECE_HOP * max(0, -(-(n_frames - PIECE_FRAMES) // PIECE_HOP))
    waveform, mask = stack_sound([samples], length)
    (pieces,) = prepare(("whisper_mel",), waveform=waveform, audio_mask=mask)
    states, heard = ear.listen(pieces, mask)
    return heard[0, :, :n_frames].T, states[0, :n_frames]


def vary_voice(rng: np.random.Generator, samples: np.ndarray) -> np.ndarray:
    """Make the voice (N,) another person's, roughly: formants and pitch move, the times stay."""
    varied = samples
    if rng.random() < 0.7:
        varied = shift_formants(varied, float(np.exp(rng.uniform(-0.2, 0.2))))
    if rng.random() < 0.7:
        varied = shift_pitch(varied, float(rng.uniform(-4, 4)))
    fitted = np.zeros(len(samples), np.float32)
    fitted[: len(varied)] = varied[: len(samples)]
    return fitted


class _Sounds:
    """What an ear makes of sounds and some versions of them, kept in a folder."""

    def __init__(self, ear: nn.Module, folder: Path, pool: SpeechPool) -> None:
        self.ear, self.folder, self.pool = ear, folder, pool
        self.digest = _digest(ear)

    def read(self, entry: Entry, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give ``heard`` (V, T, C) and ``states`` (T, K) of a recording's samples."""
        file = self.folder / f"{entry.sha256[:24]}-{self.digest}-v{VERSION}.npz"
        if not file.exists():
            self._store(file, entry, samples)
        with np.load(file) as stored:
            return stored["heard"], stored["states"]

    def _store(self, file: Path, entry: Entry, samples: np.ndarray) -> None:
        rng = np.random.default_rng(int(entry.sha256[:12], 16))
        n_frames = len(samples) // SAMPLES_PER_FRAME
        heard, states = hear(self.ear, samples, n_frames)
        versions = [heard]
        for _ in range(N_SOUNDS - 1):
            varied = corrupt(rng, vary_voice(rng, samples), telephone_share=TELEPHONE_SHARE, pool=self.pool)
            versions.append(hear(self.ear, varied, n_frames)[0])
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part.npz")
        np.savez(part, heard=torch.stack(versions).half().numpy(), states=states.half().numpy())
        part.replace(file)


def _digest(ear: nn.Module) -> str:
    """Name an ear by the numbers that it listens with; what it reads of log spectra is nothing to the eye."""
    digest = hashlib.sha256()
    for name, values in sorted(ear.state_dict().items()):
        if not name.startswith("spectral."):
            digest.update(name.encode() + values.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
