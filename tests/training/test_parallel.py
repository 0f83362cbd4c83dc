"""Several processes: the same weights as one, written once; what they cannot do is refused."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from avloc.errors import ConfigError
from avloc.training.optimization import make_optimizer
from avloc.training.parallel import gathered, is_main, n_processes, rank, refuse_several, together

ROOT = Path(__file__).resolve().parents[2]
# Each process trains on its part of five batches with another number of rows, the last of them of one row.
PROGRAM = """
import json, sys, torch
from torch.utils.data import Dataset
from pathlib import Path
from avloc.datasets.feature_set import FeatureSet
from avloc.models.dimodif import DiMoDif
from avloc.structures import Reference, Segment
from avloc.training.engine import run_loop
from avloc.training.optimization import Plateau
from avloc.training.parallel import gathered, n_processes, rank, together
from avloc.training.published_development import FeatureDevelopment
from avloc.training.published_features import FeatureBatches, PublishedExamples
from avloc.training.published_objective import PublishedObjective
from avloc.decoding.published import PublishedQuirks
import numpy as np

torch.set_num_threads(1)
folder = Path(sys.argv[1])
spans = [(Segment(0.2, 0.4),) if i % 2 else () for i in range(7)]
references = [Reference(str(i), span) for i, span in enumerate(spans)]
def load(i):
    values = np.random.default_rng(i).standard_normal((2, 768, 16), dtype=np.float32)
    return values[0], values[1]
examples = PublishedExamples(
    FeatureSet(references, {str(i): lambda i=i: load(i) for i in range(7)}, {}), n_frames=16, tiles=True
)
settings = {"iterations": 6, "evaluate_every": 3, "checkpoint_every": 3, "log_every": 1, "clip_norm": None}
settings |= {"averaging": False, "learning_rate": 1e-3, "weight_decay": 0.0, "betas": [0.9, 0.999]}
settings |= {"workers": 0, "seed": 0}
with together(torch.device("cpu")) as device:
    torch.manual_seed(rank())  # the weights of the first process are those of all
    network = DiMoDif(max_length=16, width=8, n_heads=2, hidden=8, n_layers=1, dropout=0.0)
    source = FeatureBatches(
        examples, indices=range(7), batch_size=3, epochs=2, seed=0, rank=rank(), n_ranks=n_processes()
    )
    schedule = Plateau(
        iterations=6, monitor=["AP@0.5"], patience=7, rate_factor=0.1, stop_after=10, told={}
    )
    development = FeatureDevelopment(examples, "lavdf", PublishedQuirks(), 2, 0)
    objective = PublishedObjective(network, alpha=0.98)
    run_loop(objective, source, settings, schedule, folder, development, None, device, plain=False)
    bests = gathered(schedule.best)
assert len(set(bests)) == 1, bests
"""


def launch(program: Path, folder: Path, n: int) -> None:
    """Start a program as torchrun does."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    common = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(n),
        "OMP_NUM_THREADS": "1",
    }
    common |= {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    started = [
        subprocess.Popen(
            [sys.executable, str(program), str(folder)],
            env=os.environ | common | {"RANK": str(i), "LOCAL_RANK": str(i)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(n)
    ]
    try:
        told = [process.communicate(timeout=240)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0] * n, "\n".join(told)[-4000:]


@pytest.mark.slow
def test_two_processes_train_what_one_does(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    for n in (1, 2):
        (tmp_path / str(n)).mkdir()
        launch(program, tmp_path / str(n), n)
    one, two = (torch.load(tmp_path / n / "iter_6.pth", weights_only=True) for n in ("1", "2"))
    for key, value in one["state_dict"].items():
        # Six updates of 1e-3. Sums of rows have another order, and Adam makes steps of what should be zero.
        torch.testing.assert_close(two["state_dict"][key], value, rtol=1e-3, atol=1e-4)
    for name in ("development.jsonl", "losses.jsonl"):
        rows = [[json.loads(line) for line in (tmp_path / n / name).read_text().splitlines()] for n in "12"]
        assert [row["iteration"] for row in rows[0]] == [row["iteration"] for row in rows[1]]
    assert rows[1][0]["iteration"] == 1 and len(rows[1]) == 6  # each line once
    assert (tmp_path / "1" / "families.json").read_text() == (tmp_path / "2" / "families.json").read_text()


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
