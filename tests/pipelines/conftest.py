"""A network whose answers are known, and a decoder of made blocks: what the pipeline does is then exact."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn

from avloc.decoding.proposals import decode_points
from avloc.decoding.select import Selection
from avloc.media.decode import AudioBlock, FaceFrames, VideoBlock
from avloc.media.protocol import CROP_SHAPES
from avloc.models.hierarchical import LocalizerOutputs
from avloc.models.weights.card import Card
from avloc.pipelines import localize
from avloc.pipelines.localize import Localizer
from avloc.pipelines.settings import Settings
from avloc.structures import AudioInfo, Recording, VideoInfo

RATE = 25
LOUD = 6.0  # logit of a frame that stands out


class LoudnessNetwork(nn.Module):
    """Calls loud frames and bright mouths forged: shift-equivariant, one exact proposal a run of frames.

    ``calls`` keeps the masks of every window. The lag is always three frames, and how well a mouth goes with
    the sound there is a function of its brightness (T,): ``agreement``, 0.6 unless a test sets another.
    ``levels`` are the mean levels that it gives as the embedding of the sound.
    """

    inputs = {"audio": ("log_mel",), "visual": ("mouth96_box",)}

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[dict] = []
        self.levels: list[float] = []
        self.agreement = lambda brightness: torch.full_like(brightness, 0.6)

    def forward(self, *, audio=None, audio_mask=None, visual=None, visual_mask=None):
        mask = audio_mask if visual_mask is None else visual_mask
        if audio is not None and visual is not None:
            mask = audio_mask | visual_mask
        n_frames = mask.shape[1]
        self.calls.append({"audio_mask": audio_mask, "visual_mask": visual_mask, "n_frames": n_frames})
        loud = torch.zeros(2, n_frames, dtype=torch.bool)
        if audio is not None:
            level = audio[0][0, 0].mean(dim=0).reshape(n_frames, 4)[:, 1:].mean(dim=1)
            real = level[audio_mask[0]]
            if real.max() - real.min() > 2.4:  # a burst of ``noise`` stands out by 2.65
                loud[0] = (level > real.max() - 1.3) & audio_mask[0]
        if visual is not None:
            loud[1] = (visual[0][0].mean(dim=(1, 2)) > 1.0) & visual_mask[0]
        heard = None if audio is None else level[audio_mask[0]].mean()[None]
        self.levels += [] if heard is None else [float(heard)]
        evidence = None
        if audio is not None and visual is not None:
            evidence = torch.zeros(1, 31, n_frames)
            evidence[0, 15 + 3] = self.agreement(visual[0][0].mean(dim=(1, 2))) * visual_mask[0]
        return self._outputs(loud, mask, evidence, heard)

    def _outputs(self, loud, mask, evidence, level):
        n_frames = mask.shape[1]
        scores, distances = torch.full((1, n_frames), -9.0), torch.ones(1, 2, n_frames)
        modality = torch.full((1, 2, n_frames), -3.0)
        for start, end in runs(loud.any(dim=0)):
            centre = (start + end) // 2
            scores[0, centre] = LOUD
            distances[0, :, centre] = torch.tensor([centre + 0.5 - start, end - centre - 0.5])
            modality[0, :, centre] = torch.where(loud[:, start:end].any(dim=1), 3.0, -3.0)
        inside = torch.where(loud, LOUD, -LOUD)[None]
        return LocalizerOutputs(
            score_logits=(scores,),
            distances=(distances,),
            modality_logits=(modality,),
            point_masks=(mask,),
            inside_logits=inside,
            boundary_logits=torch.full((1, 2, n_frames), -5.0),
            recording_logit=torch.tensor([LOUD if loud.any() else -LOUD]),
            discrepancy=torch.full((1, n_frames), 0.25) if evidence is not None else None,
            lag_weights=torch.eye(31)[None, 15 + 3] if evidence is not None else None,
            lag_evidence=evidence,
            sound=None if level is None else level[None],
        )

    def proposals(self, outputs):
        return decode_points(
            score_logits=outputs.score_logits,
            distances=outputs.distances,
            modality_logits=outputs.modality_logits,
            point_masks=outputs.point_masks,
        )


def runs(flags):
    steps = np.diff(np.concatenate(([0], flags.numpy().astype(int), [0])))
    return list(zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True))


@dataclass
class MadeMedia:
    """Sound (C, n) at 16 kHz and brightness of the mouth for each grid frame (NaN: no face).

    ``others`` are further faces by id: their brightness, as long as ``mouth``. The mouths do not move in the
    first ``still`` frames.
    """

    samples: np.ndarray | None = None
    mouth: np.ndarray | None = None
    present: np.ndarray | None = None
    face: np.ndarray | None = None
    cuts: tuple[int, ...] = ()
    still: int = 0
    others: dict[int, np.ndarray] = field(default_factory=dict)
    box: tuple[float, float, float, float] = (100.0, 50.0, 200.0, 200.0)
    block_s: float = 1.0
    warnings: tuple = ()
    told_s: float | None = None
    events: list = field(default_factory=list)

    def recording(self, name="made.mp4"):
        streams = []
        if self.mouth is not None:
            length = len(self.mouth) / RATE
            streams.append(VideoInfo(0, "h264", None, 640, 360, 0.0, self.told_s or length, False, True))
        if self.samples is not None:
            length = self.samples.shape[1] / 16000
            told = self.told_s or length
            streams.append(AudioInfo(1, "aac", 16000, len(self.samples), 0.0, told, True))
        duration = max((s.duration for s in streams), default=None)
        return Recording(name, name, "00", 1, "mov", 0.0, duration, tuple(streams))

    def blocks(self, first=0, last=None, crops=("mouth96_box",)):
        """Blocks of both streams in the order of time, of the frames [first, last), with these crops."""
        step = round(self.block_s * RATE)
        found = []
        if self.samples is not None:
            n_samples = self.samples.shape[1]
            present = np.ones(n_samples, bool) if self.present is None else self.present
            end = n_samples if last is None else min(n_samples, last * 640)
            for start in range(first * 640, end, step * 640):
                cut = slice(start, min(end, start + step * 640))
                found.append((start / 16000, AudioBlock(start, self.samples[:, cut], present[cut])))
        if self.mouth is not None:
            end = len(self.mouth) if last is None else min(len(self.mouth), last)
            for start in range(first, end, step):
                cut = self.mouth[start : min(end, start + step)]
                found.append((start / RATE, self._video_block(start, cut, crops)))
        return [block for _, block in sorted(found, key=lambda pair: pair[0])]

    def _video_block(self, start, brightness, crops):
        n = len(brightness)
        ids = np.zeros(n, int) if self.face is None else self.face[start : start + n]
        faces = []
        shown = {int(identity): np.where(ids == identity, brightness, np.nan) for identity in np.unique(ids)}
        shown |= {identity: values[start : start + n] for identity, values in self.others.items()}
        for identity, brightness in sorted(shown.items()):
            present = ~np.isnan(brightness)
            # A checkerboard that changes keeps the face from being static.
            frames = np.arange(start, start + n)
            flicker = np.where(frames < self.still, 0, frames % 2 * 4)[:, None, None]
            gray = np.where(present[:, None, None], np.nan_to_num(brightness)[:, None, None] + flicker, 0)
            cut = {name: np.tile(gray.astype(np.uint8), (1, *CROP_SHAPES[name])) for name in crops}
            boxes = np.where(present[:, None], np.array(self.box), np.nan).astype(np.float32)
            faces.append(FaceFrames(identity, boxes, present, cut))
        return VideoBlock(
            start, np.arange(start, start + n), tuple(faces), np.isin(np.arange(start, start + n), self.cuts)
        )


class MadeDecoder:
    """Stands for ``Decoder``: gives the blocks of the media that ``media`` holds."""

    media: MadeMedia

    def __init__(self, recording, **options):
        self.warnings, self.notes, self.drift_ppm = self.media.warnings, (), None
        self.frames, self.crops = options.get("frames", (0, None)), options["crops"]

    def __iter__(self):
        return iter(self.media.blocks(*self.frames, self.crops))

    def kill(self):
        """End nothing: there is no child."""


def noise(duration_s, *bursts, seed=0, channels=1):
    """Quiet noise (C, n) with loud spans (start, end) in seconds."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 1e-3, (channels, round(duration_s * 16000))).astype(np.float32)
    for start, end in bursts:
        samples[:, round(start * 16000) : round(end * 16000)] *= 200
    return samples


def card_of(**changes):
    values = {
        "name": "made",
        "network": "LoudnessNetwork",
        "version": "1",
        "thresholds": {
            "audio_wide": 0.5,
            "audio_telephone": 0.6,
            "audio_visual": 0.55,
            "video_only": 0.45,
        },
        "threshold_sources": {
            "audio_wide": "audio_wide",
            "audio_telephone": "audio_wide",
            "audio_visual": "audio_visual",
            "video_only": "unmeasured",
        },
    }
    return Card(**(values | changes))


@pytest.fixture
def network():
    return LoudnessNetwork()


@pytest.fixture
def localizer_of(network):
    """Make a Localizer of the made network."""

    def make(*, selection=None, network=network, threads=1, card=None, **settings):
        return Localizer(
            network,
            card or card_of(),
            weights_sha256="ab" * 32,
            selection=selection or Selection(),
            settings=Settings(**settings),
            threads=threads,
        )

    return make


@pytest.fixture
def localize_made(monkeypatch, localizer_of):
    """Localize made media, without a file and without a child process."""

    def run(media, **options):
        monkeypatch.setattr(localize, "Decoder", type("Decoder", (MadeDecoder,), {"media": media}))
        return localizer_of(**options)(media.recording())

    return run


@pytest.fixture
def make_media():
    return MadeMedia


@pytest.fixture
def make_noise():
    return noise


@pytest.fixture
def make_card():
    return card_of
