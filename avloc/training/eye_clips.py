"""What the eye learns from: mouths of talking faces, what the ear makes of their sound, lip contours."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from avloc.datasets.lips import FindLips, read_lips
from avloc.datasets.speech_pool import SpeechPool
from avloc.datasets.talking_faces import FaceClip, TalkingFaces
from avloc.features.audio import PIECE_FRAMES, PIECE_HOP
from avloc.features.prepare import prepare
from avloc.synth.phase_vocoder import shift_formants, shift_pitch
from avloc.training.batches import stack_sound
from avloc.training.sources import corrupt

VERSION = "1"  # part of the cache's names: raise it when sounds are varied in another way
N_SOUNDS = 4  # versions of each clip's sound; the first is the sound itself
TELEPHONE_SHARE = 0.25
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


class EyeClips:
    """Clips of the training split, drawn so that an identity counts with the square root of its seconds."""

    def __init__(self, clips: Sequence[EyeClip]) -> None:
        self.clips = tuple(clips)
        members: dict[str, list[int]] = defaultdict(list)
        for index, clip in enumerate(self.clips):
            members[clip.identity].append(index)
        self._members = list(members.values())
        frames = [sum(len(self.clips[i].present) for i in group) for group in self._members]
        self._shares = np.sqrt(frames) / np.sqrt(frames).sum()

    @property
    def has_lips(self) -> bool:
        """Whether a landmark model has seen any clip."""
        return any(clip.lips is not None for clip in self.clips)

    def describe(self) -> dict[str, int | float]:
        """Count clips, identities and seconds, and clips with lips."""
        return {
            "n_clips": len(self.clips),
            "n_identities": len(self._members),
            "seconds": round(sum(len(clip.present) for clip in self.clips) / 25, 1),
            "n_clips_with_lips": sum(clip.lips is not None for clip in self.clips),
        }

    def draw(self, rng: np.random.Generator) -> EyeClip:
        """Draw a clip."""
        group = self._members[int(rng.choice(len(self._members), p=self._shares))]
        return self.clips[group[int(rng.integers(len(group)))]]

    @classmethod
    def build(
        cls,
        network: nn.Module,
        media: Sequence[str],
        *,
        cache: Path,
        make_finder: Callable[[], FindLips] | None,
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

        Raises
        ------
        AnnotationError
            If a manifest is wrong or no clip with a face is left.
        """
        faces = TalkingFaces.build(media, use="train", cache=cache)
        pool = SpeechPool.build(media, use="train", cache=cache)
        ear, with_lips = _digest(network.audio_encoder), defaultdict(int)
        clips = []
        for index, entry in enumerate(faces.entries):
            clip = faces[index]
            file = cache / "ear" / f"{entry.sha256[:24]}-{ear}-v{VERSION}.npz"
            if not file.exists():
                _store_sounds(file, network.audio_encoder, clip, pool)
            with np.load(file) as stored:
                heard, states = stored["heard"], stored["states"]
            find = make_finder if with_lips[entry.identity] < N_CLIPS_WITH_LIPS else None
            lips = read_lips(clip, cache / "lips", find)
            with_lips[entry.identity] += lips is not None
            clips.append(
                EyeClip(entry.identity, clip.crops["mouth96_box"], clip.present, heard, states, lips)
            )
            if index % 50 == 49:
                logger.info("%d of %d clips are read", index + 1, len(faces))
        return cls(clips)


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


def _store_sounds(file: Path, ear: nn.Module, clip: FaceClip, pool: SpeechPool) -> None:
    """Hear a clip's sound and some versions of it, and keep what the ear makes of them."""
    rng = np.random.default_rng(int(clip.entry.sha256[:12], 16))
    heard, states = hear(ear, clip.samples, clip.n_frames)
    versions = [heard]
    for _ in range(N_SOUNDS - 1):
        varied = corrupt(rng, vary_voice(rng, clip.samples), telephone_share=TELEPHONE_SHARE, pool=pool)
        versions.append(hear(ear, varied, clip.n_frames)[0])
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
