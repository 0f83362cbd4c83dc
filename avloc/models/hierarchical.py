"""avloc's own network: two encoders, alignment, discrepancy map, pyramid and heads in one forward."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor, nn

from avloc.decoding.proposals import Proposals, decode_points
from avloc.models.alignment import Aligned, CrossModalAlignment
from avloc.models.discrepancy import DiscrepancyMap
from avloc.models.encoders.compact import CompactVisualEncoder
from avloc.models.encoders.spectral import SpectralEncoder
from avloc.models.encoders.stored import StoredFeatures
from avloc.models.encoders.two_stem import PIECE_HOP, TwoStemEncoder
from avloc.models.heads import FrameHead, PointHead, RecordingHead
from avloc.models.pyramid import FeaturePyramid
from avloc.models.temporal import masked
from avloc.registry import ENCODERS, NETWORKS, build, look_up

__all__ = [
    "CompactVisualEncoder",
    "HierarchicalLocalizer",
    "LocalizerOutputs",
    "SpectralEncoder",
    "StoredFeatures",
    "TwoStemEncoder",
    "build_network",
]

ABSENT = -8.0  # logit of what is not there: a score of 0.0003


@dataclass(frozen=True, slots=True)
class LocalizerOutputs:
    """What the network says about a batch of windows.

    ``score_logits`` (B, T_l), ``distances`` (B, 2, T_l) in frames of 25 Hz, ``modality_logits`` (B, 2, T_l)
    and ``point_masks`` (B, T_l) hold one entry a level, level l with stride 2**l; point i lies at frame (i +
    0.5) 2**l and its segment is [point - left, point + right). ``inside_logits`` and ``boundary_logits`` are
    (B, 2, T), rows audio and visual. ``recording_logit`` (B,). ``discrepancy`` (B, T) in [0, 1] and its
    logit, ``lag_weights`` (B, 2L+1) over lags of the sound, ``lag_evidence`` (B, 2L+1, T) the cosine at each
    lag in each frame, ``aligned`` and ``residual``, and ``sound`` (B, C), the mean
    embedding of the sound, are None where a stream is absent. Without a discrepancy map ``discrepancy``, its
    logit and ``residual`` are None.
    """

    score_logits: tuple[Tensor, ...]
    distances: tuple[Tensor, ...]
    modality_logits: tuple[Tensor, ...]
    point_masks: tuple[Tensor, ...]
    inside_logits: Tensor
    boundary_logits: Tensor
    recording_logit: Tensor
    discrepancy: Tensor | None = None
    discrepancy_logit: Tensor | None = None
    lag_weights: Tensor | None = None
    lag_evidence: Tensor | None = None
    aligned: Aligned | None = None
    residual: Tensor | None = None
    sound: Tensor | None = None


@NETWORKS.register_module()
class HierarchicalLocalizer(nn.Module):
    """Hierarchical cross-modal fusion of sound and picture.

    Parameters
    ----------
    audio_encoder, visual_encoder : nn.Module or None
        None: the network has no such branch.
    alignment : CrossModalAlignment or None
        Needed where both encoders are there.
    discrepancy : DiscrepancyMap or None
        Without it what the alignment finds is not fused, and there is no discrepancy curve.
    pyramid : FeaturePyramid
        Levels; its width is the width of the fusion.
    n_head_layers : int
        Convolutions of the point head before its outputs.
    window_hop_frames : int [frames of 25 Hz]
        From a window of a recording to the next. What two windows share, ``window_frames`` less this, is the
        longest segment that one of them surely holds whole; the more they share, the more is computed twice.

    Raises
    ------
    ValueError
        If the hop is no multiple of 120 frames (of the recogniser's pieces) below the window's length.
    """

    frame_rate = Fraction(25)
    window_frames = 640
    window_hop_frames = 360

    def __init__(
        self,
        *,
        audio_encoder: nn.Module | None,
        visual_encoder: nn.Module | None,
        alignment: CrossModalAlignment | None,
        discrepancy: DiscrepancyMap | None,
        pyramid: FeaturePyramid,
        n_head_layers: int = 2,
        window_hop_frames: int = window_hop_frames,
    ) -> None:
        if window_hop_frames not in range(PIECE_HOP, self.window_frames, PIECE_HOP):
            expected = f"a multiple of {PIECE_HOP} below {self.window_frames}"
            raise ValueError(f"window_hop_frames must be {expected}, got {window_hop_frames}")
        super().__init__()
        self.window_hop_frames = window_hop_frames
        channels = pyramid.channels
        self.audio_encoder, self.visual_encoder = audio_encoder, visual_encoder
        self.alignment, self.discrepancy = alignment, discrepancy
        if audio_encoder is not None:
            self.fuse_audio = nn.Conv1d(audio_encoder.out_channels, channels, 1)
        if visual_encoder is not None:
            self.fuse_visual = nn.Conv1d(visual_encoder.out_channels, channels, 1)
        if discrepancy is not None:
            self.fuse_discrepancy = nn.Conv1d(discrepancy.channels, channels, 1)
        self.pyramid = pyramid
        self.point_head = PointHead(channels=channels, n_levels=pyramid.n_levels, n_layers=n_head_layers)
        self.frame_head = FrameHead(channels=channels)
        self.recording_head = RecordingHead(channels=channels)

    @classmethod
    def from_config(cls, cfg: Mapping) -> "HierarchicalLocalizer":
        """Build from the ``model`` key of a configuration."""
        audio_encoder = build(ENCODERS, cfg["audio_encoder"])
        visual_encoder = build(ENCODERS, cfg["visual_encoder"])
        alignment = discrepancy = None
        if audio_encoder is not None and visual_encoder is not None:
            alignment = CrossModalAlignment(
                audio_channels=audio_encoder.sync_channels,
                visual_channels=visual_encoder.sync_channels,
                **cfg["alignment"],
            )
            if cfg["discrepancy"] is not None:
                discrepancy = DiscrepancyMap(
                    embedding_channels=alignment.channels, max_lag=alignment.max_lag, **cfg["discrepancy"]
                )
        return cls(
            audio_encoder=audio_encoder,
            visual_encoder=visual_encoder,
            alignment=alignment,
            discrepancy=discrepancy,
            pyramid=FeaturePyramid(**cfg["pyramid"]),
            **cfg["head"],
            **{key: cfg[key] for key in ("window_hop_frames",) if key in cfg},
        )

    @property
    def inputs(self) -> dict[str, tuple[str, ...]]:
        """Name the transforms that each branch reads, by stream."""
        branches = {"audio": self.audio_encoder, "visual": self.visual_encoder}
        return {name: branch.inputs for name, branch in branches.items() if branch is not None}

    @property
    def stored_streams(self) -> tuple[str, ...]:
        """Name the streams whose embeddings are made elsewhere (``StoredFeatures``)."""
        branches = {"audio": self.audio_encoder, "visual": self.visual_encoder}
        return tuple(name for name, branch in branches.items() if isinstance(branch, StoredFeatures))

    def forward(
        self,
        *,
        audio: tuple | None = None,
        audio_mask: Tensor | None = None,
        visual: tuple | None = None,
        visual_mask: Tensor | None = None,
    ) -> LocalizerOutputs:
        """Score a batch of windows; an absent stream is None, never zeros.

        Parameters
        ----------
        audio, visual : tuple of tensors, or None
            What ``features.prepare`` makes of each encoder's ``inputs``.
        audio_mask, visual_mask : Tensor [shape=(B, T), bool]
            Real frames of each stream. A recording of the batch may lack a stream: its row is all False.
        """
        if audio is None and visual is None:
            raise ValueError("at least one of audio and visual must be given")
        mask = _either(audio_mask if audio is not None else None, visual_mask if visual is not None else None)
        fused, heard, seen, aligned, map_logit, residual = 0.0, None, None, None, None, None
        if audio is not None:
            heard, audio_mask = self.audio_encoder(audio, audio_mask)
            fused = fused + masked(self.fuse_audio(heard), audio_mask)
        if visual is not None:
            seen, visual_mask = self.visual_encoder(visual, visual_mask)
            fused = fused + masked(self.fuse_visual(seen), visual_mask)
        if heard is not None and seen is not None:
            aligned = self.alignment(heard, audio_mask, seen, visual_mask)
            if self.discrepancy is not None:
                compared, map_logit, residual = self.discrepancy(aligned)
                fused = fused + masked(self.fuse_discrepancy(compared), aligned.mask)
        stream_masks = torch.stack(
            [_or_none(audio, audio_mask, mask), _or_none(visual, visual_mask, mask)], dim=1
        )
        outputs = self._heads(masked(fused, mask), mask, stream_masks, aligned, map_logit, residual)
        return outputs if heard is None else replace(outputs, sound=_mean(heard, audio_mask))

    def _heads(
        self,
        fused: Tensor,
        mask: Tensor,
        stream_masks: Tensor,
        aligned: Aligned | None,
        map_logit: Tensor | None,
        residual: Tensor | None,
    ) -> LocalizerOutputs:
        levels, masks = self.pyramid(fused, mask)
        points = [
            self.point_head(x, m, level) for level, (x, m) in enumerate(zip(levels, masks, strict=True))
        ]
        # A stream that is absent cannot be called forged.
        inside, boundary = (x.masked_fill(~stream_masks, ABSENT) for x in self.frame_head(levels[0], mask))
        best_point = torch.cat(
            [p[0].masked_fill(~m, ABSENT) for p, m in zip(points, masks, strict=True)], dim=1
        )
        strongest = torch.cat((inside.amax(2), best_point.amax(1, keepdim=True)), dim=1)
        middle = min(3, len(levels) - 1)
        return LocalizerOutputs(
            score_logits=tuple(p[0] for p in points),
            distances=tuple(p[1] for p in points),
            modality_logits=tuple(p[2] for p in points),
            point_masks=masks,
            inside_logits=inside,
            boundary_logits=boundary,
            recording_logit=self.recording_head(levels[middle], masks[middle], strongest),
            discrepancy=None if map_logit is None else map_logit.sigmoid() * aligned.mask,
            discrepancy_logit=map_logit,
            lag_weights=None if aligned is None else aligned.lag_weights,
            lag_evidence=None if aligned is None else aligned.band,
            aligned=aligned,
            residual=residual,
        )

    def proposals(self, outputs: LocalizerOutputs) -> list[Proposals]:
        """Give the candidate segments of each window of the batch, before suppression."""
        return decode_points(
            score_logits=outputs.score_logits,
            distances=outputs.distances,
            modality_logits=outputs.modality_logits,
            point_masks=outputs.point_masks,
            frame_rate=self.frame_rate,
        )


def _mean(embedding: Tensor, mask: Tensor) -> Tensor:
    """Mean over the real frames, (B, C); zeros where there is none."""
    return masked(embedding, mask).sum(2) / mask.sum(1, keepdim=True).clamp_min(1)


def _or_none(stream: tuple | None, stream_mask: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if stream is None else stream_mask


def _either(first: Tensor | None, second: Tensor | None) -> Tensor:
    if first is None or second is None:
        return second if first is None else first
    return first | second


def build_network(cfg: Mapping) -> nn.Module:
    """Assemble the network that ``cfg`` (the ``model`` key of a configuration) describes.

    Parameters
    ----------
    cfg : Mapping
        ``type`` names a class of NETWORKS (or is one); the other keys are what its ``from_config`` reads.

    Raises
    ------
    ConfigError
        If the type is not registered.
    """
    return look_up(NETWORKS, cfg["type"]).from_config(cfg)
