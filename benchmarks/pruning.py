"""What cutting hidden channels costs before any further training, on development windows.

python benchmarks/pruning.py --init wide/weights.safetensors --media media/manifest.json \
    --media corpus/manifest.json --cache cache --out benchmarks/results/pruning.json

``--init`` are weights of the configuration ``fast`` as wide as the default ones (docs/training.md). Each row
narrows some of its layers as ``avloc train fast --init`` would (``avloc/training/pruning.py``), on the same
batches of training sound, and is measured on the development windows of a training.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from environment import environment, parameters_sha256

from avloc.config import load_config
from avloc.models.hierarchical import build_network
from avloc.models.weights.store import load_weights
from avloc.training.development import DevelopmentSet
from avloc.training.pruning import prune
from avloc.training.runner import start_from
from avloc.training.sources import PRUNING_BATCHES, build_source, extra_sound

AS_WIDE = {
    "model.audio_encoder.hidden": 1536,
    "model.audio_encoder.spectral_widths": (32, 48, 64),
    "model.pyramid.expansion": 2.0,
}
ROWS = {
    "as it was": {},
    "pyramid 384 to 48": {"model.pyramid.expansion": 0.25},
    "log spectra (32, 48, 64) to (8, 16, 32)": {"model.audio_encoder.spectral_widths": (8, 16, 32)},
    "recogniser 1536 to 1024": {"model.audio_encoder.hidden": 1024},
    "recogniser 1536 to 768": {"model.audio_encoder.hidden": 768},
    "recogniser 1536 to 384": {"model.audio_encoder.hidden": 384},
    "fast": {
        "model.audio_encoder.hidden": 768,
        "model.audio_encoder.spectral_widths": (8, 16, 32),
        "model.pyramid.expansion": 0.25,
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--init", required=True, metavar="FILE")
    parser.add_argument("--media", action="append", required=True, metavar="MANIFEST")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="JSON")
    arguments = parser.parse_args()
    cfg = load_config("fast")
    settings, media = cfg["train"], tuple(arguments.media)
    wide, _, _ = load_weights(arguments.init)
    inputs = wide.inputs
    source = build_source(settings, inputs, media=media, cache=arguments.cache, first=0)
    sound = list(extra_sound(source, PRUNING_BATCHES))
    development = DevelopmentSet.build(settings, cfg["decoding"], inputs, media=media, cache=arguments.cache)
    rows = {}
    for name, change in ROWS.items():
        network = build_network(load_config("fast", overrides=AS_WIDE | change)["model"])
        start_from(network, recogniser=None, init=arguments.init)
        network.load_state_dict(prune(wide, network.state_dict(), sound), strict=False)
        with torch.inference_mode():
            figures = development.measure(network.eval())
        n_parameters = sum(p.numel() for p in network.parameters())
        rows[name] = {"parameters": n_parameters, "float16_mb": round(2e-6 * n_parameters, 1), **figures}
        print(name, json.dumps(rows[name]), file=sys.stderr, flush=True)
    result = {"environment": environment(), "init_sha256": parameters_sha256(arguments.init)}
    result |= {"development_items": settings["development_items"], "rows": rows}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
