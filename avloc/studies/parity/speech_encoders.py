"""Auto-AVSR's and AV-HuBERT's encoders against their fixtures."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from avloc.models.building import build_model
from avloc.models.encoders.av_hubert import AvHubertEncoder
from avloc.models.weights.auto_avsr import describe_auto_avsr, to_own_names
from avloc.models.weights.torch_file import load_strictly
from avloc.studies.parity import recipes
from avloc.studies.parity.comparison import Comparison, compare, compare_flat
from avloc.studies.parity.fixtures import Fixture

DEFAULT = "max abs <= 1e-3 * std"  # of tensors before the first block, which are not of order 1


class Recorder:
    """Keeps what modules of a network gave last, by the names of outputs."""

    def __init__(self, network: nn.Module, modules: dict[str, str]) -> None:
        self.found: dict[str, Tensor] = {}
        for output, path in modules.items():
            network.get_submodule(path).register_forward_hook(self._keep(output))

    def _keep(self, output: str):  # noqa: ANN202 - the signature of a hook
        def hook(module: nn.Module, arguments: tuple, result: Tensor) -> None:
            self.found[output] = result

        return hook


def run_auto_avsr(fixture: Fixture) -> Iterator[Comparison]:
    """Compare front-end, projection, blocks and closing norm of either encoder in either naming."""
    state = to_own_names(fixture.state())
    encoder = build_model(describe_auto_avsr(state)).eval()
    load_strictly(encoder, state, source=str(fixture.path))
    encoder.padding_leaks = True  # the public code does not mask the convolutions
    blocks = {f"block{i}": f"encoders.{i}" for i in range(len(encoder.encoders))}
    recorder = Recorder(encoder, {"frontend": "frontend", "proj": "embed", "final": "after_norm", **blocks})
    for case in fixture.cases:
        inputs = case["inputs"]
        if inputs["recipe"] == "video":
            x = recipes.video(inputs["seed"], inputs["B"], inputs["T"])
            n_frames = inputs["T"]
        else:
            x = recipes.waveform(inputs["seed"], inputs["B"], inputs["N"])
            n_frames = inputs["N"] // 640
        valid = torch.tensor(inputs.get("valid_steps", [n_frames] * inputs["B"]))
        encoder((torch.from_numpy(x),), torch.arange(n_frames) < valid[:, None])
        yield from _compare_all(fixture, case, recorder)


def run_av_hubert(fixture: Fixture) -> Iterator[Comparison]:
    """Compare front-end, projections, fusion, positions, layers and closing norm."""
    encoder = AvHubertEncoder().eval()
    load_strictly(encoder, fixture.state(), source=str(fixture.path))
    modules = {
        "video_frontend": "feature_extractor_video.resnet",
        "audio_proj": "feature_extractor_audio",
        "video_proj": "feature_extractor_video",
        "fused": "post_extract_proj",
        "pos_conv": "encoder.pos_conv.0",
        "final": "encoder.layer_norm",
    } | {f"layer{i}": f"encoder.layers.{i}" for i in range(len(encoder.encoder.layers))}
    recorder = Recorder(encoder, modules)
    for case in fixture.cases:
        inputs = case["inputs"]
        size = (inputs["seed"], inputs["B"], inputs["T"])
        heard, seen = (name in inputs["modalities"] for name in ("audio", "video"))
        encoder.encode(
            torch.from_numpy(recipes.filter_banks(*size)) if heard else None,
            torch.from_numpy(recipes.video(*size)) if seen else None,
        )
        recorder.found["pos_conv"] = recorder.found["pos_conv"].transpose(1, 2)
        yield from _compare_all(fixture, case, recorder)


def _compare_all(fixture: Fixture, case: dict, recorder: Recorder) -> Iterator[Comparison]:
    for output in case["outputs"]:
        got = recorder.found[output].numpy()
        yield compare(fixture, case, output, got, default=DEFAULT)
        if "flat" in fixture.description["tolerance"]:
            yield compare_flat(fixture, case, output, got)
