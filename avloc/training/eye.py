"""Pretraining of the eye on genuine clips: what lips do, what the ear hears meanwhile, and when.

The network's ear is the teacher and stays as it is; the visual encoder and the two embeddings of the
alignment learn. Three losses, each of which may be left out: the contours of the lips as a landmark model
sees them, what the recogniser makes of the sound that belongs to the picture, and the contrast between lags.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avloc.datasets.lips import N_LIP_POINTS
from avloc.features.prepare import prepare
from avloc.models.losses import synchrony_contrast
from avloc.training.batches import MAX_DELAY_FRAMES
from avloc.training.eye_clips import EyeClip, EyeClips
from avloc.training.objective import CONTRAST_LAG
from avloc.training.rendered_clips import RenderedClip

N_STATES = 16  # principal components of the recogniser's mixed layers that the eye predicts
LIP_SPREAD_PX = 3.0  # by how much a point of the lips moves

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EyeSettings:
    """How the eye is trained.

    Parameters
    ----------
    steps, batch_size, window_frames : int
        Updates, clips an update, and frames of a clip.
    learning_rate, weight_decay : float
        Of AdamW; the rate rises over a tenth of the steps and falls to zero.
    lips, ear, contrast : float [>= 0]
        Weights of the losses. Without the one of the lips nothing is known of them: no mouth is painted.
    rendered : float [0, 1]
        Share of a batch that shows drawn mouths (``avloc.training.rendered_clips``), if there are any.
    seed : int
        Of everything that is drawn.
    """

    steps: int = 400
    batch_size: int = 8
    window_frames: int = 74
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    lips: float = 1.0
    ear: float = 1.0
    contrast: float = 1.0
    rendered: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class EyeBatch:
    """Windows of clips.

    ``crops`` (B, T, 96, 96) uint8, ``seen`` (B, T) bool; ``heard`` (B, C, T) of sound that is ``lag`` (B,)
    frames late, ``audible`` (B, T) bool; ``states`` (B, K, T) of the sound in its place; ``lips`` (B, T, 80)
    px and ``known`` (B, T) frames whose lips are.
    """

    crops: Tensor
    seen: Tensor
    heard: Tensor
    audible: Tensor
    lag: Tensor
    states: Tensor
    lips: Tensor
    known: Tensor


class EyeObjective(nn.Module):
    """The eye, what is asked of it, and the losses.

    Parameters
    ----------
    network : nn.Module
        With a visual encoder and an alignment.
    clips : EyeClips
        The principal components of the recogniser's layers are those of their sound.
    """

    def __init__(self, network: nn.Module, clips: EyeClips) -> None:
        super().__init__()
        self.eye, self.alignment = network.visual_encoder, network.alignment
        channels = self.eye.sync_channels
        self.dropout = nn.Dropout(0.2)
        self.to_lips = nn.Conv1d(channels, 2 * N_LIP_POINTS, 1)
        self.to_states = nn.Conv1d(channels, N_STATES, 1)
        self.sharpness = nn.Parameter(torch.tensor(2.0))
        mean, components = principal_components([clip.states for clip in clips.clips], N_STATES)
        self.register_buffer("state_mean", mean)
        self.register_buffer("components", components)

    def forward(self, batch: EyeBatch) -> dict[str, Tensor]:
        """Give each loss."""
        crops = prepare(self.eye.inputs, crops={"mouth96_box": batch.crops})
        seen, mask = self.eye(crops, batch.seen)
        told = self.dropout(seen[:, : self.eye.sync_channels])
        a, v = self.alignment.embed(batch.heard, batch.audible, told, mask)
        contrast = synchrony_contrast(
            a,
            v,
            batch.audible & mask,
            batch.lag,
            max_lag=CONTRAST_LAG,
            sharpness=self.sharpness.exp(),
        )
        wanted = torch.einsum("kc,bct->bkt", self.components, batch.states - self.state_mean[:, None])
        states = ((self.to_states(told) - wanted) ** 2).mean(1)  # (B, T), components of variance one
        return {
            "lips": self._lips(told, batch),
            "ear": states[mask].mean(),
            "contrast": contrast,
        }

    def _lips(self, told: Tensor, batch: EyeBatch) -> Tensor:
        """Compare the motion of the lips: what they are like on average is the face's own."""
        if not bool(batch.known.any()):
            return told.sum() * 0.0
        error = _from_mean(self.to_lips(told).transpose(1, 2), batch.known)
        error = error - _from_mean(batch.lips / LIP_SPREAD_PX, batch.known)
        return functional.smooth_l1_loss(error, torch.zeros_like(error), reduction="none")[batch.known].mean()


def principal_components(states: Sequence[np.ndarray], n_components: int) -> tuple[Tensor, Tensor]:
    """Fit principal components of variance one to clips (T, K): mean (K,), projection (n_components, K)."""
    mean = np.mean([clip.mean(0, dtype=np.float64) for clip in states], axis=0)
    spread = np.mean([np.cov(clip.astype(np.float64).T) for clip in states], axis=0)
    value, vector = np.linalg.eigh(spread)
    chosen = vector[:, ::-1][:, :n_components] / np.sqrt(np.maximum(value[::-1][:n_components], 1e-6))
    return torch.from_numpy(mean).float(), torch.from_numpy(np.ascontiguousarray(chosen.T)).float()


def make_batch(rng: np.random.Generator, clips: EyeClips, settings: EyeSettings) -> EyeBatch:
    """Draw clips, show each as another face and move its sound by a constant delay."""
    n_rendered = round(settings.rendered * settings.batch_size) if clips.rendered else 0
    rows = [
        _draw_window(rng, clips.draw(rng, rendered=k < n_rendered), settings)
        for k in range(settings.batch_size)
    ]
    return EyeBatch(*(torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True)))


def _draw_window(
    rng: np.random.Generator, clip: EyeClip | RenderedClip, settings: EyeSettings
) -> tuple[np.ndarray, ...]:
    """One row of a batch, padded with zeros to ``window_frames``."""
    length = settings.window_frames
    n_frames = min(length, clip.n_frames)
    start = int(rng.integers(clip.n_frames - n_frames + 1))
    cut = slice(start, start + n_frames)
    crops, present, lips = clip.show(rng, cut, with_lips=settings.lips > 0)
    delay = int(rng.integers(-MAX_DELAY_FRAMES, MAX_DELAY_FRAMES + 1))
    version = clip.heard[int(rng.integers(len(clip.heard)))]
    frames = np.arange(start - delay, start - delay + n_frames)
    audible = (frames >= 0) & (frames < len(version))
    heard = version[frames.clip(0, len(version) - 1)].astype(np.float32) * audible[:, None]
    if lips is None:
        lips = np.full((n_frames, N_LIP_POINTS, 2), np.nan, dtype=np.float32)
    known = np.isfinite(lips).all((1, 2)) & present
    lips = np.where(known[:, None, None], lips - lips[:, : N_LIP_POINTS // 2].mean(1, keepdims=True), 0.0)
    row = (
        crops,
        present,
        heard,
        audible,
        np.float32(delay),
        clip.states[cut].astype(np.float32),
        lips.reshape(n_frames, -1).astype(np.float32),
        known,
    )
    padded = [_pad(value, length) if np.ndim(value) else value for value in row]
    padded[2], padded[5] = padded[2].T, padded[5].T  # channels first
    return tuple(padded)


def train_eye(network: nn.Module, clips: EyeClips, settings: EyeSettings) -> dict[str, float]:
    """Train the visual encoder and the alignment's embeddings of a network in place.

    Returns
    -------
    dict of str to float
        Each loss, averaged over the last tenth of the steps.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        objective = EyeObjective(network, clips).train()
        parameters = [p for p in objective.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.98)
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, settings.learning_rate, total_steps=settings.steps, pct_start=0.1, cycle_momentum=False
        )
        last: list[dict[str, float]] = []
        for step in range(settings.steps):
            rng = np.random.default_rng([settings.seed, step])
            losses = objective(make_batch(rng, clips, settings))
            total = sum(getattr(settings, name) * loss for name, loss in losses.items())
            optimizer.zero_grad()
            total.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            last.append({name: loss.item() for name, loss in losses.items()})
            if step % 20 == 19:
                logger.info("step %d: %s", step + 1, _mean(last[-20:]))
    network.eval()
    return _mean(last[-max(1, settings.steps // 10) :])


def _mean(losses: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(float(np.mean([row[name] for row in losses])), 3) for name in losses[0]}


def _from_mean(values: Tensor, known: Tensor) -> Tensor:
    """Take the mean over the known frames off (B, T, C)."""
    weight = known[..., None].to(values.dtype)
    return values - (values * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1.0)


def _pad(values: np.ndarray, length: int) -> np.ndarray:
    return np.pad(values, [(0, length - len(values))] + [(0, 0)] * (values.ndim - 1))
