"""DiMoDif and AuViRe, and what follows them, against their fixtures."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from avloc.decoding.published import RATE_HZ, decode_levels, decode_tiles, suppress
from avloc.models.auvire import AuViRe
from avloc.models.dimodif import DiMoDif, blocked_pairs
from avloc.models.weights.torch_file import load_strictly
from avloc.studies.parity import recipes
from avloc.studies.parity.comparison import Comparison, compare
from avloc.studies.parity.fixtures import Fixture

DIMODIF_DEFAULT = "max abs <= 5e-5"
AUVIRE_DEFAULT = "max abs <= 1e-4"
SUPPRESSION_DEFAULT = "1e-5 absolute"


def run_dimodif(fixture: Fixture) -> Iterator[Comparison]:
    """Compare the mask, logits, offsets and tokens of DiMoDif."""
    config = fixture.description["config"]
    network = DiMoDif(
        task=config["task"],
        max_length=config["max_length"],
        width=config["d_model"],
        n_heads=config["nhead"],
        hidden=config["d_hid"],
        n_layers=config["nlayers"],
        attention_window=config["win_size"],
        pyramid=config["feature_pyramid"],
    )
    _load(fixture, network)
    yield _parameters(fixture, network)
    if "attention_open_total" in fixture.description:
        yield _mask(fixture, config)
    for case, visual, audio in _inputs(fixture):
        outputs = network(visual, audio)
        found = {"logits": outputs.logits}
        if config["task"] == "dfd":
            found["cls_tokens"] = torch.stack(outputs.tokens, dim=1)
        else:
            found["offsets"] = outputs.offsets
            found |= {f"level{i}": tokens for i, tokens in enumerate(outputs.tokens)}
        if not config["feature_pyramid"]:  # the public code then has no axis of levels
            found["level_last"] = outputs.tokens[-1]
            for name in found.keys() & {"logits", "offsets", "cls_tokens"}:
                found[name] = found[name][:, 0]
        for output in case["outputs"]:
            yield compare(fixture, case, output, found[output].numpy(), default=DIMODIF_DEFAULT)


def run_auvire(fixture: Fixture) -> Iterator[Comparison]:
    """Compare reconstructions, dissimilarity and the levels of AuViRe."""
    config = fixture.description["config"]
    sizes, levels = config["reconstruction"], config["encoder"]
    if sizes["pre"] != sizes["post"] or sizes["downsample"] != sizes["upsample"]:
        raise fixture.refusal("config: a reconstruction has as many blocks behind as before its middle")
    network = AuViRe(
        max_length=config["max_length"],
        width=config["d_model"],
        kernel=config["win_size"],
        n_outer=sizes["pre"],
        n_halvings=sizes["downsample"],
        n_retain=levels["retain"],
        n_downsample=levels["downsample"],
        pyramid=config["fpn"],
        pairs=config["pairs"],
        operation=config["operation"],
    )
    _load(fixture, network)
    yield _parameters(fixture, network)
    for case, visual, audio in _inputs(fixture):
        outputs = network(visual, audio)
        found = {"dissimilarity": outputs.dissimilarity}
        names = {"a": "reconstruction_from_audio", "v": "reconstruction_from_video"}
        found |= {names[read]: made for read, made in outputs.reconstructions.items()}
        for name in ("logits", "offsets", "features"):
            found |= {f"{name}{i}": level for i, level in enumerate(getattr(outputs, name))}
        for output in case["outputs"]:
            yield compare(fixture, case, output, found[output].numpy(), default=AUVIRE_DEFAULT)


def run_soft_nms(fixture: Fixture) -> Iterator[Comparison]:
    """Compare the suppression of both networks."""
    for case in fixture.cases:
        given = torch.from_numpy(fixture.array(case["inputs"]["array"]))
        yield compare(fixture, case, "kept", _kept(given, case, "kept"), default=SUPPRESSION_DEFAULT)


def run_decode(fixture: Fixture) -> Iterator[Comparison]:
    """Compare segments before and after the suppression."""
    for case in fixture.cases:
        inputs = case["inputs"]
        if "level_factor" in inputs:
            levels = [torch.from_numpy(fixture.array(name)) for name in inputs["levels"]]
            decoded = decode_levels(
                [level[..., 0] for level in levels],
                [level[..., 1:] for level in levels],
                factors=inputs["level_factor"],
                ends=inputs["max_length"],
            )
        else:
            output = torch.from_numpy(fixture.array(inputs["array"]))  # (B, L, 2 T, 3)
            decoded = decode_tiles(output[..., 0], output[..., 1:], ends=inputs["max_length"])[..., :3]
        yield compare(fixture, case, "decoded", decoded.numpy(), default=SUPPRESSION_DEFAULT)
        yield compare(fixture, case, "kept", _kept(decoded, case, "kept"), default=SUPPRESSION_DEFAULT)


def _kept(rows: Tensor, case: dict, output: str) -> np.ndarray:
    """Suppress each window of (B, N, 3), times in frames; the public code gives (0, 3) where none is kept."""
    to_frames = torch.tensor([1.0, RATE_HZ, RATE_HZ])
    whole = torch.stack([suppress(window)[1] * to_frames for window in rows]).numpy()
    return whole[0] if case["outputs"][output]["shape"] == [0, 3] else whole


def _load(fixture: Fixture, network: nn.Module) -> None:
    load_strictly(network.eval(), fixture.state(), source=str(fixture.path))


def _inputs(fixture: Fixture) -> Iterator[tuple[dict, Tensor, Tensor]]:
    """Give every case with the embeddings (B, 768, T) of picture and sound."""
    for case in fixture.cases:
        inputs = case["inputs"]
        pair = recipes.embeddings(inputs["seed"], inputs["B"], inputs["T"], inputs["valid_steps"])
        visual, audio = (torch.from_numpy(x).transpose(1, 2) for x in pair)
        yield case, visual, audio


def _parameters(fixture: Fixture, network: nn.Module) -> Comparison:
    n_found = sum(p.numel() for p in network.parameters())
    error = abs(n_found - fixture.description["parameters_total"])
    return Comparison(fixture.name, "", "number of parameters", float(error), 0.0)


def _mask(fixture: Fixture, config: dict) -> Comparison:
    """Compare which tokens may attend to which."""
    blocked = blocked_pairs(config["max_length"], config["win_size"], n_before=int(config["task"] == "dfd"))
    n_tokens = fixture.description["tokens"]
    n_wrong = abs(int((~blocked).sum()) - fixture.description["attention_open_total"])
    for row, columns in fixture.description["attention_open_columns"].items():
        expected = torch.zeros(n_tokens, dtype=torch.bool)
        expected[slice(None) if columns == "all" else columns] = True
        n_wrong += int((expected != ~blocked[int(row)]).sum())
    return Comparison(fixture.name, "", "open pairs of tokens", float(n_wrong), 0.0)
