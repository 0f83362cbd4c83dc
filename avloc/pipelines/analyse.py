"""One window through the network: from a view to proposals, frame curves and a score."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from avloc.decoding.proposals import Proposals
from avloc.features.audio import PIECE_FRAMES, PIECE_HOP, RATE, SAMPLES_PER_FRAME
from avloc.features.prepare import prepare
from avloc.models.encoders.two_stem import PIECES, EncodedPieces
from avloc.pipelines.windows import Window, fill_up


@dataclass(frozen=True, slots=True)
class View:
    """One channel, or the mix, of one window with the picture that it is compared with.

    ``channel`` is None for the mix; ``waveform`` float32 (640 n,) or None; ``heard`` bool (n,) frames that
    hold sound; ``crops`` uint8 (n, H, W) by name, or None; ``seen`` bool (n,) frames with a usable face.
    """

    channel: int | None
    waveform: np.ndarray | None
    heard: np.ndarray
    crops: Mapping[str, np.ndarray] | None
    seen: np.ndarray


@dataclass(frozen=True, slots=True)
class WindowFindings:
    """What the network says of one window of a channel, or of the mix.

    ``curves`` float32 (n,) by name, NaN where a stream is absent; ``score`` [0, 1]; ``lag_weights`` float32
    (2 L + 1,) over the lags of the sound and ``band`` float32 (2 L + 1, n), the cosine of picture and sound
    at each lag in each frame: None where the two were not compared. ``sound`` float32 (C,) is the mean
    embedding of the sound, or None.
    """

    proposals: Proposals
    curves: dict[str, np.ndarray]
    score: float
    lag_weights: np.ndarray | None
    band: np.ndarray | None
    sound: np.ndarray | None

    def by_face(self, face: np.ndarray) -> dict[int, "WindowFindings"]:
        """Give each face what was found of it, where faces of a picture show one after the other.

        Parameters
        ----------
        face : int (n,)
            Id of the face in each frame, -1 for none.

        Returns
        -------
        dict of int to WindowFindings
            Proposals of the face that shows in most of their frames; curves NaN in the frames of others.
        """
        ids = np.unique(face[face >= 0])
        shown = face == ids[:, None]  # (F, n)
        before = np.pad(np.cumsum(shown, axis=1), ((0, 0), (1, 0)))
        frames = (self.proposals.segments.double().cpu().numpy() * float(RATE)).clip(0, len(face))
        first, last = np.floor(frames[:, 0]).astype(int), np.ceil(frames[:, 1]).astype(int)
        overlap = before[:, last] - before[:, first]  # (F, N)
        owner = ids[overlap.argmax(axis=0)]
        found = {}
        for identity, here in zip(ids.tolist(), shown, strict=True):
            kept = torch.from_numpy((owner == identity) & (overlap.max(axis=0) > 0))
            proposals = self.proposals[kept.to(self.proposals.scores.device)]
            curves = {
                name: np.where(here, values, np.float32(np.nan)) for name, values in self.curves.items()
            }
            found[identity] = replace(self, proposals=proposals, curves=curves)
        return found


@dataclass(frozen=True, slots=True)
class _Piece:
    waveform: np.ndarray
    states: Tensor  # (160, C)


class WindowAnalyser:
    """Runs a network over views, one window at a time.

    A stream that the network has no branch for, or that the view lacks, is None and never zeros. The pieces
    of the recogniser that a window shares with the one before are not computed again.

    Parameters
    ----------
    network : nn.Module
        With ``inputs``, ``forward`` and ``proposals`` as of ``HierarchicalLocalizer``, in evaluation mode.
    device : torch.device or str
        Where it runs.
    """

    def __init__(self, network: nn.Module, *, device: torch.device | str = "cpu") -> None:
        self._network = network
        self._device = torch.device(device)
        self._audio_inputs = network.inputs.get("audio")
        self._visual_inputs = network.inputs.get("visual")
        encoder = getattr(network, "audio_encoder", None)
        shares = hasattr(encoder, "encode_pieces") and PIECES in (self._audio_inputs or ())
        self._encode_pieces = encoder.encode_pieces if shares else None
        self._pieces: dict[int | None, dict[int, _Piece]] = {}

    @property
    def hears(self) -> bool:
        """Whether the network has a branch for sound."""
        return self._audio_inputs is not None

    @property
    def sees(self) -> bool:
        """Whether the network has a branch for pictures."""
        return self._visual_inputs is not None

    def __call__(self, window: Window, view: View) -> WindowFindings | None:
        """Analyse a view; None where the network has no branch for what it holds."""
        n_total = window.network_frames
        audio = audio_mask = visual = visual_mask = None
        heard, seen = np.zeros_like(view.heard), np.zeros_like(view.seen)
        if view.waveform is not None and self._audio_inputs is not None:
            heard = view.heard
            audio_mask = self._mask(heard, n_total)
            audio = self._prepare_audio(window, view, audio_mask)
        if view.crops is not None and self._visual_inputs is not None:
            seen = view.seen
            visual_mask = self._mask(seen, n_total)
            filled = {name: fill_up(crop, n_total)[None] for name, crop in view.crops.items()}  # (1, T, H, W)
            crops = {name: torch.from_numpy(crop).to(self._device) for name, crop in filled.items()}
            visual = prepare(self._visual_inputs, crops=crops)
        if audio is None and visual is None:
            return None
        outputs = self._network(audio=audio, audio_mask=audio_mask, visual=visual, visual_mask=visual_mask)
        (proposals,) = self._network.proposals(outputs)
        score = float(outputs.recording_logit.float().sigmoid().nan_to_num(0.0)[0])
        lags = band = None
        if outputs.lag_weights is not None:
            lags = outputs.lag_weights[0].float().cpu().numpy()
            band = outputs.lag_evidence[0, :, : window.n_frames].float().cpu().numpy()
        sound = None if outputs.sound is None else outputs.sound[0].float().cpu().numpy()
        return WindowFindings(proposals, _curves(outputs, heard, seen), score, lags, band, sound)

    def _mask(self, present: np.ndarray, n_total: int) -> Tensor:
        """Real frames first, then the repetition, which is never real: bool (1, T)."""
        mask = torch.zeros(1, n_total, dtype=torch.bool)
        mask[0, : len(present)] = torch.from_numpy(present)
        return mask.to(self._device)

    def _prepare_audio(self, window: Window, view: View, mask: Tensor) -> tuple:
        filled = fill_up(view.waveform, window.network_frames * SAMPLES_PER_FRAME)
        waveform = torch.from_numpy(filled)[None].to(self._device)
        if self._encode_pieces is None:
            return prepare(self._audio_inputs, waveform=waveform, audio_mask=mask)
        others = tuple(name for name in self._audio_inputs if name != PIECES)
        made = dict(zip(others, prepare(others, waveform=waveform, audio_mask=mask), strict=True))
        made[PIECES] = self._encoded_pieces(window, view.channel, filled, mask)
        return tuple(made[name] for name in self._audio_inputs)

    def _encoded_pieces(
        self, window: Window, channel: int | None, waveform: np.ndarray, mask: Tensor
    ) -> EncodedPieces:
        """Encode the pieces that the window before did not hold, whole and with the same samples."""
        before, now = self._pieces.get(channel, {}), {}
        starts = range(0, window.network_frames - PIECE_FRAMES + 1, PIECE_HOP)
        states: dict[int, Tensor] = {}
        for start in starts:
            cut = waveform[start * SAMPLES_PER_FRAME : (start + PIECE_FRAMES) * SAMPLES_PER_FRAME]
            known = before.get(window.start + start)
            whole = bool(mask[0, start : start + PIECE_FRAMES].all())
            # The samples are compared, because a mix may weigh its channels otherwise than a window before.
            if whole and known is not None and np.array_equal(known.waveform, cut):
                states[start] = known.states
                now[window.start + start] = known
        new = [start for start in starts if start not in states]
        if new:
            samples = SAMPLES_PER_FRAME
            cuts = np.stack([waveform[s * samples : (s + PIECE_FRAMES) * samples] for s in new])
            masks = torch.cat([mask[:, s : s + PIECE_FRAMES] for s in new])
            (mel,) = prepare((PIECES,), waveform=torch.from_numpy(cuts).to(self._device))  # (N, 1, 80, 640)
            encoded = self._encode_pieces(mel[:, 0], masks)
            for row, start in enumerate(new):
                states[start] = encoded[row]
                if bool(masks[row].all()):
                    now[window.start + start] = _Piece(cuts[row], encoded[row])
        self._pieces[channel] = now
        return EncodedPieces(torch.stack([states[start] for start in starts])[None])


def _curves(outputs: object, heard: np.ndarray, seen: np.ndarray) -> dict[str, np.ndarray]:
    """Frame scores of the real frames, NaN where a stream is absent."""
    n_frames = len(heard)
    inside = outputs.inside_logits[0, :, :n_frames].float().sigmoid().cpu().numpy()
    curves = {
        "score_audio": np.where(heard, inside[0], np.nan),
        "score_visual": np.where(seen, inside[1], np.nan),
        "boundary": np.full(n_frames, np.nan),
    }
    if outputs.boundary_logits is not None:
        boundary = outputs.boundary_logits[0, :, :n_frames].float().sigmoid().cpu().numpy()
        masked = [np.where(here, row, np.nan) for here, row in zip((heard, seen), boundary, strict=True)]
        curves["boundary"] = np.fmax(*masked)
    if outputs.discrepancy is not None:
        discrepancy = outputs.discrepancy[0, :n_frames].float().cpu().numpy()
        curves["discrepancy"] = np.where(heard & seen, discrepancy, np.nan)
    return {name: values.astype(np.float32) for name, values in curves.items()}
