"""EncodedNetwork: DiMoDif or AuViRe with the encoders that make what they read, for whole recordings."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional

from avloc.decoding.proposals import Proposals
from avloc.decoding.published import PublishedQuirks, decode_levels, decode_tiles, suppress
from avloc.errors import CheckpointError
from avloc.models.auvire import AuViRe, AuViReOutputs
from avloc.models.dimodif import DiMoDif, DiMoDifOutputs
from avloc.models.encoders.two_stem import PIECES
from avloc.models.weights.card import Card
from avloc.models.weights.encoders import encoder_of
from avloc.models.weights.importing import STREAMS, encoder_problems
from avloc.models.weights.store import load_weights

CERTAIN = 1e-6  # a score is not nearer to 0 or 1 than this: its logit is finite


@dataclass(frozen=True, slots=True)
class EncodedOutputs:
    """What a published network says of a batch of windows, as ``HierarchicalLocalizer`` says it.

    ``proposals`` of each row are suppressed already. ``inside_logits`` (B, 2, T), rows audio and visual, are
    the best of the levels in every frame; a network that does not tell the modalities apart has the same in
    both rows, one that only detects the same in every frame. ``recording_logit`` (B,) is that of the best
    proposal, or of the detection.
    """

    proposals: list[Proposals]
    inside_logits: Tensor
    recording_logit: Tensor
    boundary_logits: None = None
    discrepancy: None = None
    lag_weights: None = None
    lag_evidence: None = None
    sound: None = None


class EncodedNetwork(nn.Module):
    """A published network behind the encoders that its card names.

    Parameters
    ----------
    network : DiMoDif or AuViRe
        Reads embeddings.
    audio_encoder, visual_encoder : nn.Module, optional
        Give (B, C, T) at 25 Hz, C at most the network's ``feature_channels``; zeros stand for channels that
        one of them lacks. They may share their weights. Without them only ``score`` can be used, on
        embeddings that were saved.
    quirks : PublishedQuirks
        What of the public code is kept; who cuts the windows heeds ``truncates``.
    """

    frame_rate = Fraction(25)
    window_has_cores = False

    def __init__(
        self,
        network: DiMoDif | AuViRe,
        *,
        audio_encoder: nn.Module | None = None,
        visual_encoder: nn.Module | None = None,
        quirks: PublishedQuirks = PublishedQuirks(),  # noqa: B008 - it is frozen
    ) -> None:
        super().__init__()
        self.network, self.quirks = network, quirks
        self.audio_encoder, self.visual_encoder = audio_encoder, visual_encoder
        self.window_frames = network.max_length
        self.window_hop_frames = network.max_length // 2

    @property
    def inputs(self) -> dict[str, tuple[str, ...]]:
        """Name the transforms that each encoder reads, by stream."""
        encoders = {"audio": self.audio_encoder, "visual": self.visual_encoder}
        return {stream: encoder.inputs for stream, encoder in encoders.items() if encoder is not None}

    @property
    def window_fills_up(self) -> bool:
        """Whether short windows are filled up, for an ear that reads whole pieces."""
        return PIECES in self.inputs.get("audio", ())

    def forward(
        self,
        *,
        audio: tuple | None = None,
        audio_mask: Tensor | None = None,
        visual: tuple | None = None,
        visual_mask: Tensor | None = None,
    ) -> EncodedOutputs:
        """Score a batch of windows of at most ``window_frames`` frames.

        Parameters are those of ``HierarchicalLocalizer``. A stream that is absent counts as embeddings of
        zeros, as the public code counts missing features, and so do frames that are masked.
        """
        if audio is None and visual is None:
            raise ValueError("at least one of audio and visual must be given")
        heard = None if audio is None else self._fitted(self.audio_encoder(audio, audio_mask)[0])
        seen = None if visual is None else self._fitted(self.visual_encoder(visual, visual_mask)[0])
        heard = torch.zeros_like(seen) if heard is None else heard
        seen = torch.zeros_like(heard) if seen is None else seen
        if not self.window_fills_up:
            return self.score(seen, heard)
        masks = [mask for mask in (audio_mask, visual_mask) if mask is not None]
        n_valid = _n_real(torch.stack(masks).any(0)).clamp(1, self.window_frames)
        return self.decode(self.network(seen, heard, n_valid=n_valid), n_valid, n_frames=seen.shape[2])

    def _fitted(self, embedding: Tensor) -> Tensor:
        """Cut what filled the window up, and put zeros for channels that an encoder lacks."""
        lacking = self.network.feature_channels - embedding.shape[1]
        return functional.pad(embedding[:, :, : self.window_frames], (0, 0, 0, lacking))

    def score(self, visual: Tensor, audio: Tensor) -> EncodedOutputs:
        """Score embeddings (B, C, T), T at most ``window_frames``; also those that were saved."""
        n_valid = torch.full((visual.shape[0],), visual.shape[2], device=visual.device)
        return self.decode(self.network(visual, audio, n_valid=n_valid), n_valid)

    def decode(
        self, outputs: DiMoDifOutputs | AuViReOutputs, n_valid: Tensor, *, n_frames: int | None = None
    ) -> EncodedOutputs:
        """Decode what the network said of windows of which ``n_valid`` (B,) frames are real.

        Of its frames ``n_frames`` are told, by default as many as the longest row has.
        """
        ends = torch.full_like(n_valid, self.network.max_length) if self.quirks.clamps_to_window else n_valid
        n_frames = int(n_valid.max()) if n_frames is None else n_frames
        if isinstance(outputs, AuViReOutputs):
            return self._of_auvire(outputs, n_frames, ends)
        return self._of_dimodif(outputs, n_frames, ends)

    def proposals(self, outputs: EncodedOutputs) -> list[Proposals]:
        """Give the segments of each window of the batch."""
        return outputs.proposals

    def _of_dimodif(self, outputs: DiMoDifOutputs, n_frames: int, ends: Tensor) -> EncodedOutputs:
        if outputs.offsets is None:  # section 3.10 (a): the mean over levels, then the larger modality
            scores = outputs.logits.sigmoid().mean(1)  # (B, 2), picture and sound
            nothing = [_to_proposals(scores.new_zeros(0, 3), scores.new_zeros(0, 2))] * scores.shape[0]
            inside = _logit(scores.flip(1))[:, :, None].expand(-1, -1, n_frames)
            return EncodedOutputs(nothing, inside, _logit(scores.amax(1)))
        best = outputs.logits.amax(1).unflatten(1, (2, -1))  # (B, 2, T), picture and sound
        rows = decode_tiles(outputs.logits, outputs.offsets, ends=ends)
        kept = []
        for window, end in zip(rows, ends.tolist(), strict=True):
            window, picked, found = self._suppress(window, end)
            is_sound = window[picked, 3]
            kept.append(_to_proposals(found, torch.stack((is_sound, 1 - is_sound), dim=1)))
        return EncodedOutputs(kept, best.flip(1)[:, :, :n_frames], _best_logit(rows, ends))

    def _of_auvire(self, outputs: AuViReOutputs, n_frames: int, ends: Tensor) -> EncodedOutputs:
        factors = self.network.level_factors
        rows = decode_levels(outputs.logits, outputs.offsets, factors=factors, ends=ends)
        kept = []
        for window, end in zip(rows, ends.tolist(), strict=True):
            _, _, found = self._suppress(window, end)
            kept.append(_to_proposals(found, torch.full_like(found[:, :2], torch.nan)))
        at_full_rate = [
            level.repeat_interleave(factor, dim=1)
            for level, factor in zip(outputs.logits, factors, strict=True)
        ]
        best = torch.stack(at_full_rate).amax(0)[:, None, :n_frames].expand(-1, 2, -1)
        return EncodedOutputs(kept, best, _best_logit(rows, ends))

    def _suppress(self, window: Tensor, end: int) -> tuple[Tensor, Tensor, Tensor]:
        """Leave out what begins behind the end, then suppress: rows, those picked of them, what is kept."""
        window = window[window[:, 1] < end]
        picked, kept = suppress(window, drops_last=self.quirks.drops_last, most=self.quirks.most_kept)
        return window, picked, kept


def with_encoders(
    network: nn.Module,
    card: Card,
    *,
    quirks: PublishedQuirks = PublishedQuirks(),  # noqa: B008 - it is frozen
) -> nn.Module:
    """Put a network behind the encoders that its card names; one with encoders of its own stays as it is.

    Raises
    ------
    CheckpointError
        If the weights are an encoder, or an encoder is missing or another one than the card names.
    """
    is_published = isinstance(network, DiMoDif | AuViRe)
    if not hasattr(network, "proposals") and not is_published:
        raise CheckpointError(f"{card.name!r} is an encoder ({card.network}), which finds nothing itself")
    if not is_published and not network.stored_streams:
        return network
    if not card.encoders:
        raise CheckpointError(
            f"{card.name!r} was imported for saved features only; import it again with --encoders to localize"
        )
    if problems := encoder_problems(card):
        raise CheckpointError(
            f"{card.name!r} reads encoders that cannot be used: {'; '.join(problems)}; import them with "
            "'avloc weights import FILE --as NAME', and then the network again"
        )
    encoders = _load_encoders(card.encoders)
    if is_published:
        return EncodedNetwork(network, **encoders, quirks=quirks).eval()
    for name, encoder in encoders.items():
        setattr(network, name, encoder)
    return network.eval()


def _load_encoders(told: Mapping[str, Mapping[str, str]]) -> dict[str, nn.Module]:
    """Load each file once, also where both streams read it."""
    by_name = {name: load_weights(name)[:2] for name in {e["name"] for e in told.values()}}
    return {f"{stream}_encoder": encoder_of(*by_name[told[stream]["name"]], stream) for stream in STREAMS}


def _n_real(mask: Tensor) -> Tensor:
    """Count the frames up to the last real one of each row of (B, T)."""
    return (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).amax(1)


def _to_proposals(kept: Tensor, modality: Tensor) -> Proposals:
    """Make proposals of rows (score, start, end in seconds); those without length are left out."""
    proposals = Proposals(kept[:, 1:].float(), kept[:, 0].float(), modality.float())
    return proposals[kept[:, 2] > kept[:, 1]]


def _best_logit(rows: Tensor, ends: Tensor) -> Tensor:
    """Logit of the best row of each window that begins before its end, of (B, N, 3 or more)."""
    return _logit(rows[..., 0].masked_fill(rows[..., 1] >= ends[:, None], 0.0).amax(1))


def _logit(score: Tensor) -> Tensor:
    return score.float().clamp(CERTAIN, 1 - CERTAIN).logit()
