"""DiMoDif: discrepancies between what is said and what is seen, in one sequence of both (arXiv 2411.10193).

Module names are those of the published checkpoints. Embeddings of a speech recogniser for lips and of one for
sound stand one behind the other in one sequence; each frame attends to its neighbourhood in both.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avloc.models.temporal import FloatConv1d, fit_length
from avloc.registry import NETWORKS

FEATURE_CHANNELS = 768  # of the Auto-AVSR encoders
TASKS = ("tfl", "dfd")  # temporal forgery localization, deepfake detection
SPREAD = 0.1  # of the initial embeddings and projections


@dataclass(frozen=True, slots=True)
class DiMoDifOutputs:
    """What DiMoDif says of a batch.

    Localization: ``logits`` (B, L, 2 T) and ``offsets`` (B, L, 2 T, 2) frames to the left and the right end,
    a level a layer, the picture's T frames before the sound's; ``tokens`` L tensors (B, 2 T, d). Detection:
    ``logits`` (B, L, 2), picture and sound; ``offsets`` None; ``tokens`` L tensors (B, d).
    """

    logits: Tensor
    offsets: Tensor | None
    tokens: tuple[Tensor, ...]


@NETWORKS.register_module()
class DiMoDif(nn.Module):
    """DiMoDif over embeddings; the encoders that make them are not part of it.

    Parameters
    ----------
    task : {"tfl", "dfd"}
        Localize forged segments, or tell whether each modality was forged.
    max_length : int [frames]
        Length of the window; 600 (24 s) in every published checkpoint.
    width, n_heads, hidden, n_layers : int
        Of the transformer: 256, 8, 512, 5 to localize and 64, 4, 64, 5 (FakeAVCeleb 3) to detect.
    attention_window : int [frames, odd, or 0]
        A frame attends to this many around itself in both modalities; 0: to all.
    pyramid : bool
        Every layer is a level; without it the last alone.
    dropout : float [0, 1)
        0.5 in the published training.
    mask_padding : bool
        Frames behind the end of a recording are attended to by none. False as in the public code, whose
        weights learnt with padding that counts.
    feature_channels : int
        Channels of the embeddings, those of both streams.
    """

    def __init__(
        self,
        *,
        task: str = "tfl",
        max_length: int = 600,
        width: int = 256,
        n_heads: int = 8,
        hidden: int = 512,
        n_layers: int = 5,
        attention_window: int = 15,
        pyramid: bool = True,
        dropout: float = 0.5,
        mask_padding: bool = False,
        feature_channels: int = FEATURE_CHANNELS,
    ) -> None:
        super().__init__()
        if task not in TASKS:
            raise ValueError(f"task must be one of {TASKS}, got {task!r}")
        self.task, self.max_length, self.pyramid, self.mask_padding = task, max_length, pyramid, mask_padding
        self.n_heads, self.feature_channels = n_heads, feature_channels
        detects = task == "dfd"
        n_tokens = 2 * max_length + (2 if detects else 1)
        if detects:
            self.cls = nn.Embedding(1, width)
        self.sep = nn.Embedding(1, width)
        self.seq_encoder = nn.Embedding(2, width)  # picture, sound
        self.pos_encoder = nn.Embedding(n_tokens, width)
        self.projection = nn.Sequential(
            nn.Conv1d(feature_channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(width, width, 3, padding=1),
            nn.ReLU(),
        )
        layers = [
            nn.TransformerEncoderLayer(width, n_heads, hidden, dropout=dropout, batch_first=True)
            for _ in range(n_layers)
        ]
        self.transformer_encoder = nn.ModuleDict({"layers": nn.ModuleList(layers)})
        if detects:
            self.classification = _token_head(width)
        else:
            self.classification = _frame_head(width, 2 * max_length, n_outputs=1)
            self.regression = _frame_head(width, 2 * max_length, n_outputs=2)
        blocked = blocked_pairs(max_length, attention_window, n_before=int(detects))
        self.register_buffer("_blocked", blocked, persistent=False)
        self._initialise()

    @classmethod
    def from_config(cls, cfg: Mapping) -> "DiMoDif":
        """Build from the ``model`` key of a configuration."""
        return cls(**{key: value for key, value in cfg.items() if key != "type"})

    def forward(self, visual: Tensor, audio: Tensor, *, n_valid: Tensor | None = None) -> DiMoDifOutputs:
        """Score a batch of windows.

        Parameters
        ----------
        visual, audio : Tensor [shape=(B, feature_channels, T), 25 Hz]
            Embeddings; what is longer than ``max_length`` is cut, what is shorter filled up with zeros.
        n_valid : Tensor [shape=(B,), frames], optional
            Real frames of each row; read where ``mask_padding`` is set.
        """
        visual, audio = (fit_length(x, self.max_length) for x in (visual, audio))
        x = self._sequence(visual, audio)
        mask, levels = self._mask(x, n_valid), []
        for layer in self.transformer_encoder["layers"]:
            x = layer(x, src_mask=mask)
            levels.append(x)
        levels = levels if self.pyramid else levels[-1:]
        if self.task == "dfd":
            tokens = tuple(level[:, 0] for level in levels)  # (B, d)
            logits = torch.stack([self.classification(token) for token in tokens], dim=1)
            return DiMoDifOutputs(logits, None, tokens)
        tokens = tuple(
            torch.cat((x[:, : self.max_length], x[:, self.max_length + 1 :]), dim=1) for x in levels
        )
        folded = torch.stack(tokens, dim=1).flatten(0, 1).transpose(1, 2)  # (B L, d, 2 T)
        logits = self.classification(folded)[:, 0].unflatten(0, (-1, len(tokens)))
        offsets = self.regression(folded).relu().transpose(1, 2).unflatten(0, (-1, len(tokens)))
        return DiMoDifOutputs(logits, offsets, tokens)

    def _sequence(self, visual: Tensor, audio: Tensor) -> Tensor:
        """Put picture, separator and sound into one sequence (B, S, d), with what tells and places them."""
        n_rows = visual.shape[0]
        seen, heard = (self.projection(x).transpose(1, 2) for x in (visual, audio))  # (B, T, d)
        seen, heard = seen + self.seq_encoder.weight[0], heard + self.seq_encoder.weight[1]
        parts = [seen, self.sep.weight.expand(n_rows, 1, -1), heard]
        if self.task == "dfd":
            parts.insert(0, self.cls.weight.expand(n_rows, 1, -1))
        return torch.cat(parts, dim=1) + self.pos_encoder.weight

    def _mask(self, x: Tensor, n_valid: Tensor | None) -> Tensor | None:
        """Give what attention may not see: of pairs, and where padding is masked, of rows and heads too."""
        if not self.mask_padding or n_valid is None:
            return self._blocked
        behind = torch.arange(self.max_length, device=x.device) >= n_valid[:, None]
        never = torch.zeros_like(behind[:, :1])
        parts = [behind, never, behind]
        padded = torch.cat([never, *parts] if self.task == "dfd" else parts, dim=1)[:, None]  # (B, 1, S)
        hidden = padded.expand(-1, x.shape[1], -1) if self._blocked is None else padded | self._blocked
        # As the layers add it, so that they share one: each would make its own, 3 GB of 64 rows.
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        added = torch.zeros(hidden.shape, dtype=dtype, device=x.device).masked_fill_(hidden, -torch.inf)
        return added.repeat_interleave(self.n_heads, dim=0)  # (B heads, S, S)

    def _initialise(self) -> None:
        embeddings = [self.sep, self.seq_encoder, self.pos_encoder]
        embeddings += [self.cls] if self.task == "dfd" else []
        tensors = [embedding.weight for embedding in embeddings]
        for convolution in (self.projection[0], self.projection[2]):
            tensors += [convolution.weight, convolution.bias]
        for tensor in tensors:
            nn.init.uniform_(tensor, -SPREAD, SPREAD)


def blocked_pairs(max_length: int, attention_window: int, *, n_before: int) -> Tensor | None:
    """Say which token may not attend to which: bool (S, S), True where blocked; None where all are open.

    Parameters
    ----------
    max_length : int [frames]
        T: the sequence is ``n_before`` tokens, T frames, a separator, T frames.
    attention_window : int [frames]
        Frames of either modality within half of it are open; 0: all.
    n_before : int
        Tokens before the first frame; they and the separator are open to and for all.
    """
    if not attention_window:
        return None
    frame = torch.arange(max_length)
    place = torch.cat((torch.full((n_before,), -1), frame, torch.tensor([-1]), frame))
    far = (place[:, None] - place).abs() > attention_window // 2
    return far & (place[:, None] >= 0) & (place >= 0)


def _frame_head(width: int, length: int, *, n_outputs: int) -> nn.Sequential:
    """Convolutions over both modalities at once: they run across the seam, and the norm spans all frames."""
    return nn.Sequential(
        nn.Conv1d(width, width, 3, padding=1),
        nn.LayerNorm((width, length)),
        nn.ReLU(),
        nn.Conv1d(width, width, 3, padding=1),
        nn.LayerNorm((width, length)),
        nn.ReLU(),
        FloatConv1d(width, n_outputs, 3, padding=1),
    )


def _token_head(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, width),
        nn.LayerNorm(width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.LayerNorm(width),
        nn.ReLU(),
        nn.Linear(width, 2),
    )
