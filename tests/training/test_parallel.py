"""One process among several: who it is, and what is refused. Two train in ``test_published_runner``."""

import pytest
import torch
from torch import nn

from avloc.errors import ConfigError
from avloc.training.optimization import make_optimizer
from avloc.training.parallel import gathered, is_main, n_processes, rank, refuse_several, together


def test_alone_there_is_one_process():
    with together(torch.device("cpu")) as device:
        assert device == torch.device("cpu")
        assert (n_processes(), rank(), is_main(), gathered("x")) == (1, 0, True, ["x"])
    refuse_several("never")


def test_what_one_process_does_is_refused_for_several(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="started 3 processes, but it is one; start without"):
        refuse_several("it is one")


def test_a_gpu_of_all_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    for name in ("cuda:0", "cuda"):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        with (
            pytest.raises(ConfigError, match=f"a GPU number 1, got --device {name} and 1 GPUs"),
            together(torch.device(name)),
        ):
            pass


def test_decay_of_nothing_is_adam():
    torch_network, ours = nn.Linear(3, 1), nn.Linear(3, 1)
    ours.load_state_dict(torch_network.state_dict())
    settings = {"learning_rate": 0.01, "weight_decay": 0.0, "betas": [0.9, 0.999]}
    pairs = [
        (torch_network, torch.optim.Adam(torch_network.parameters(), lr=0.01)),
        (ours, make_optimizer(ours, settings)),
    ]
    x = torch.linspace(-1, 1, 12).reshape(4, 3)
    for _ in range(3):
        for network, optimizer in pairs:
            optimizer.zero_grad()
            network(x).square().sum().backward()
            optimizer.step()
    assert torch.equal(ours.weight, torch_network.weight)
