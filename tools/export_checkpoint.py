"""Write the averaged weights of a training checkpoint, for a run that was stopped before its last iteration.

python tools/export_checkpoint.py default WORK/iter_1000.pth OUT.safetensors
"""

import sys

import torch

from avloc.config import load_config
from avloc.models.hierarchical import build_network
from avloc.models.weights.card import unmeasured_card
from avloc.models.weights.store import save_weights


def main(config: str, checkpoint: str, out: str) -> None:
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    cfg = load_config(config)
    network = build_network(cfg["model"])
    network.load_state_dict(
        {k.removeprefix("network."): v for k, v in state.items() if k.startswith("network.")}
    )
    print(save_weights(out, network.eval(), config=cfg, card=unmeasured_card(config)))


if __name__ == "__main__":
    main(*sys.argv[1:])
