"""The restricted unpickler: a checkpoint as fairseq saves it is read, a hostile one runs nothing."""

import argparse
import collections
import enum
import io
import os
import pickle
import subprocess
import sys
import types
import typing
import zipfile
from pathlib import Path

import pytest
import torch

from avloc.errors import CheckpointError
from avloc.models.encoders.av_hubert import AvHubertEncoder
from avloc.models.weights.av_hubert import read_av_hubert
from avloc.models.weights.fairseq import read_fairseq
from avloc.models.weights.torch_file import load_strictly

SMALL = dict(stem_width=4, width=32, n_heads=2, n_layers=1, hidden=48)


@pytest.fixture
def fairseq_classes(monkeypatch):
    """Classes under the names that a real checkpoint holds, as long as the file is written."""
    made = {}

    def module_and_parents(name: str) -> types.ModuleType:
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            part = ".".join(parts[:depth])
            monkeypatch.setitem(sys.modules, part, sys.modules.get(part) or types.ModuleType(part))
        return sys.modules[name]

    for module, names in {
        "fairseq.data.dictionary": ("Dictionary",),
        "fairseq.tasks.masking": ("Masking",),
        "omegaconf.dictconfig": ("DictConfig",),
        "omegaconf.base": ("ContainerMetadata",),
        "avhubert.hubert_pretraining": ("AVHubertPretrainingConfig",),
    }.items():
        package = module_and_parents(module)
        for name in names:
            cls = type(name, (), {"__module__": module})
            setattr(package, name, cls)
            made[name] = cls
    package = module_and_parents("fairseq.dataclass.constants")
    package.DDP = enum.Enum("DDP", {"C10D": "c10d"}, module=package.__name__)
    made["DDP"] = package.DDP
    return made


def with_versions(state: dict) -> collections.OrderedDict:
    """A state dict as ``nn.Module.state_dict`` gives it, with an attribute of its own."""
    model = collections.OrderedDict(state)
    model._metadata = collections.OrderedDict({"": {"version": 1}})
    return model


def published(classes: dict, state: dict) -> dict:
    """What fairseq saves: arguments, configuration, task and statistics beside the model."""
    config, task, metadata = classes["DictConfig"](), classes["Dictionary"](), classes["ContainerMetadata"]()
    metadata.__dict__.update(element_type=typing.Any, object_type=dict, key_type=str)
    config.__dict__.update(_metadata=metadata, _content={"ddp": classes["DDP"].C10D})
    task.__dict__.update(symbols=["a", "b"], indices={"a": 0}, counts=collections.defaultdict(int, a=1))
    return {
        "args": argparse.Namespace(arch="av_hubert", lr=[0.002]),
        "cfg": {"model": classes["AVHubertPretrainingConfig"](), "common": config},
        "model": with_versions(state),
        "criterion": None,
        "optimizer_history": [{"num_updates": 400, "lr_scheduler_state": {"best": torch.tensor(2.0)}}],
        "task_state": {"dictionaries": [task], "masking": classes["Masking"]},
        "extra_state": {"metrics": collections.OrderedDict(), "epoch": 3},
        "last_optimizer_state": {"state": {0: {"exp_avg": torch.zeros(4)}}},
    }


def test_a_published_checkpoint_is_read_and_torch_alone_refuses_it(tmp_path, fairseq_classes):
    encoder = AvHubertEncoder(**SMALL)
    extra = {
        "mask_emb": torch.zeros(104),
        "final_proj.bias": torch.ones(3),
        "label_embs_concat": torch.ones(9, 2),
    }
    state = {
        key: torch.nn.Parameter(value) if value.is_floating_point() else value
        for key, value in encoder.state_dict().items()
    }
    path = tmp_path / "base.pt"
    torch.save(published(fairseq_classes, state | extra), path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    found = read_av_hubert(path)
    assert found.keys() == encoder.state_dict().keys()
    other = AvHubertEncoder(**SMALL)
    load_strictly(other, found, source=str(path))
    assert all(torch.equal(value, encoder.state_dict()[key]) for key, value in other.state_dict().items())


def test_views_and_other_types_are_read_as_torch_reads_them(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    model = {
        "half": base.half(),
        "turned": base.T[1:4],
        "counter": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "double": base.double()[::2],
    }
    torch.save({"model": model}, tmp_path / "x.pt")
    found = read_fairseq(tmp_path / "x.pt")
    for key, value in model.items():
        assert torch.equal(found[key], value.to(found[key].dtype)), key
    assert found["half"].dtype == torch.float32 and found["counter"].dtype == torch.int64


class _Runs:
    """Pickles to a call that leaves a file."""

    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


HOSTILE = {
    "os.system": lambda mark: _Runs(os.system, f"touch {mark}"),
    "posix": lambda mark: _Runs(os.mkdir, str(mark)),
    "builtins.eval": lambda mark: _Runs(eval, f"open({str(mark)!r}, 'w')"),
    "builtins.exec": lambda mark: _Runs(exec, f"open({str(mark)!r}, 'w')"),
    "builtins.getattr": lambda mark: _Runs(getattr, str, "join"),
    "subprocess.Popen": lambda mark: _Runs(subprocess.Popen, ["touch", str(mark)]),
    "pathlib": lambda mark: _Runs(Path.touch, mark),
    "torch.load": lambda mark: _Runs(torch.load, str(mark)),
    "builtins.open": lambda mark: _Runs(open, str(mark), "w"),
}


@pytest.mark.parametrize("place", ["beside", "inside", "as key"])
@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_file_with_code_is_refused_and_runs_nothing(name, place, tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "x.pt"
    payload = HOSTILE[name](mark)
    content = {"model": {"a": torch.zeros(1)}}
    if place == "inside":
        content["model"]["b"] = payload
    else:
        content["cfg" if place == "beside" else (1, payload)] = payload
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="refused, and nothing in it was run: it names"):
        read_fairseq(path)
    assert not mark.exists()


def written(path: Path, pickled: bytes, storages: dict[str, bytes] | None = None) -> Path:
    """An archive as torch.save lays it out, with any pickle inside."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for key, raw in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", raw)
    return path


@pytest.mark.parametrize(
    "opcodes",
    [
        b"cfairseq.tasks\nos.system\n(S'touch MARK'\ntR.",  # a name below an inert module stays inert
        b"\x80\x04\x8c\x07fairseq\x8c\x09os.system\x93\x8c\x0atouch MARK\x85R.",
        b"(S'touch MARK'\niomegaconf\nsystem\n.",
        b"cfairseq\nx\n(S'a'\ntR}S'__reduce__'\ncfairseq\ny\nsb.",
    ],
)
def test_placeholders_do_nothing_whatever_is_done_with_them(opcodes, tmp_path):
    mark = tmp_path / "mark"
    path = written(tmp_path / "x.pt", opcodes.replace(b"MARK", str(mark).encode()[:4]))
    with pytest.raises(CheckpointError):
        read_fairseq(path)
    assert not mark.exists() and "fairseq" not in sys.modules and "omegaconf" not in sys.modules


@pytest.mark.parametrize(
    ("opcodes", "name"),
    [
        (b"cos\nsystem\n(S'x'\ntR.", "os.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.", "os.system"),
        (b"(S'x'\nios\nsystem\n.", "os.system"),
        (b"cfairseqx.y\nz\n.", "fairseqx.y.z"),  # not below the module fairseq
        (b"cbuiltins\n__import__\n.", "builtins.__import__"),
        (b"c__builtin__\neval\n.", "builtins.eval"),
        (b"ctorch\nload\n.", "torch.load"),
        (b"ctorch._utils\n_rebuild_wrapper_subclass\n.", "_rebuild_wrapper_subclass"),
    ],
)
def test_every_way_to_name_a_function_is_refused_by_its_name(opcodes, name, tmp_path):
    with pytest.raises(CheckpointError, match=name):
        read_fairseq(written(tmp_path / "x.pt", opcodes))


def _persistent(dtype: str, key: str = "0") -> bytes:
    return b"(S'storage'\nctorch\n" + dtype.encode() + b"\nS'" + key.encode() + b"'\nS'cpu'\nI4\ntQ"


def _tensor(offset: int, size: bytes, stride: bytes, dtype: str = "FloatStorage", key: str = "0") -> bytes:
    laid = b"ctorch._utils\n_rebuild_tensor_v2\n(" + _persistent(dtype, key)
    laid += b"I%d\n" % offset + size + stride + b"I00\n}tR"
    return b"}S'model'\n}S'a'\n" + laid + b"ss."


REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
LAID = REBUILD + b"(" + _persistent("FloatStorage") + b"I0\n(I2\nt(I1\ntI00\n}tR"


@pytest.mark.parametrize(
    ("kept", "state"),
    [
        (REBUILD, b"(N}S'__defaults__'\n(I1\ntst"),
        (REBUILD, b"}S'evil'\nI1\ns"),
        (b"ctorch._utils\n_rebuild_parameter\n", b"}S'evil'\nI1\ns"),
        (LAID, b"(N}S'offset'\nI-1000\nst"),
        (_persistent("FloatStorage"), b"(N}S'key'\nS'../x'\nst"),
    ],
)
def test_nothing_that_a_checkpoint_gets_hold_of_can_be_changed(kept, state, tmp_path):
    with pytest.raises(CheckpointError, match="nothing in it was run: it would change"):
        read_fairseq(written(tmp_path / "x.pt", kept + state + b"b."))


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (_tensor(0, b"(I5\nt", b"(I1\nt"), "reaches number 4 of 4"),
        (_tensor(0, b"(I2\nt", b"(I-1\nt"), "negative"),
        (_tensor(-1, b"(I2\nt", b"(I1\nt"), "negative"),
        (_tensor(0, b"(I1000000\nt", b"(I0\nt"), "claims 4000000 bytes"),
        (_tensor(0, b"(I2\nt", b"(I1\nI1\nt"), "not laid out"),
        (_tensor(0, b"(I2\nt", b"(I1\nt", key="../x"), "the key '../x'"),
        (_tensor(0, b"(I2\nt", b"(I1\nt", key="9"), "KeyError"),
        (b"}S'model'\n}S'a'\nI1\nss.", "'a', which is no tensor"),
        (b"}S'model'\n}s.", "no mapping of tensors"),
        (b"}.", "no mapping of tensors"),
        (b"I1\n.", "no mapping of tensors"),
        (b"garbage", "refused|can be read"),
        (b"", "refused|can be read"),
        (b"S'x'\nQ.", "not described as torch.save does"),
    ],
)
def test_what_no_checkpoint_holds_is_refused(pickled, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        read_fairseq(written(tmp_path / "x.pt", pickled, {"0": bytes(16)}))


def test_the_hand_made_archive_is_read_where_it_is_right(tmp_path):
    raw = torch.tensor([1.0, 2.0, 3.0, 4.0]).numpy().tobytes()
    found = read_fairseq(written(tmp_path / "x.pt", _tensor(1, b"(I2\nt", b"(I2\nt"), {"0": raw}))
    assert found["a"].tolist() == [2.0, 4.0]


def test_numbers_that_are_not_finite_and_files_that_are_no_archive_are_refused(tmp_path):
    torch.save({"model": {"a": torch.tensor([float("nan")])}}, tmp_path / "nan.pt")
    with pytest.raises(CheckpointError, match="'a' holds NaN or infinity"):
        read_fairseq(tmp_path / "nan.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(CheckpointError, match="is not a zip archive"):
        read_fairseq(tmp_path / "text.pt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_fairseq(tmp_path / "none.pt")


def test_a_packed_archive_is_refused_before_it_grows(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"0" * 10**6)
    with pytest.raises(CheckpointError, match="is compressed"):
        read_fairseq(tmp_path / "x.pt")


def test_two_pickles_in_one_archive_are_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/data.pkl", b"}.")
        archive.writestr("b/data.pkl", b"}.")
    (tmp_path / "x.pt").write_bytes(buffer.getvalue())
    with pytest.raises(CheckpointError, match="2 entries"):
        read_fairseq(tmp_path / "x.pt")


def test_a_checkpoint_of_something_else_is_named(tmp_path):
    torch.save({"model": {"conv.weight": torch.zeros(2)}}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="holds no encoder of AV-HuBERT; its keys begin .'conv.weight'"):
        read_av_hubert(tmp_path / "x.pt")
