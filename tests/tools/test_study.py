"""The whole study in miniature: every stage once, its table, that it goes on, and what it refuses."""

import importlib.util
import json
import random
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from avloc.config import load_config
from avloc.datasets.feature_set import open_features
from avloc.errors import ConfigError
from avloc.pipelines.loading import load_localizer
from avloc.studies.miniature import recordings

ROOT = Path(__file__).resolve().parents[2]
HEADS = {
    "avloc": {"model.pyramid.channels": 16, "model.pyramid.n_levels": 3, "model.discrepancy.channels": 8},
    "DiMoDif": {"model.width": 16, "model.n_heads": 2, "model.hidden": 16, "model.n_layers": 1},
    "AuViRe": {"model.width": 8},
}


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("study", ROOT / "tools" / "study.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["study"] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["study"]


@pytest.fixture
def tiny(tool, monkeypatch):
    """A plan of seconds, with one ablation."""
    plan = tool.Plan(
        {"train": 4, "dev": 4, "test": 4},
        epochs=1,
        ablations={"no discrepancy map": tool.ABLATIONS["no discrepancy map"]},
        bootstrap=5,
        remark="Smoke run: its figures mean nothing.",
        overrides=HEADS | {"avloc": HEADS["avloc"] | {"train.modality_dropout": 0.5}},
    )
    monkeypatch.setattr(tool, "PLANS", {"smoke": plan, "full": plan})
    monkeypatch.setattr(tool, "SECONDS", 2.0)
    monkeypatch.setattr(recordings, "LONGEST_S", 3.2)


@pytest.fixture
def media(tmp_path):
    """Six people, who all look the same."""
    for number in range(6):
        folder = tmp_path / "media" / str(number)
        folder.mkdir(parents=True)
        shutil.copy(ROOT / "demo" / "talking_head.mp4", folder)
    return tmp_path / "media"


@pytest.fixture(autouse=True)
def numbers_kept():
    """Training seeds all generators; tests after it must not notice."""
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 - it is what is guarded
    with torch.random.fork_rng(devices=[]):
        yield
    np.random.set_state(numpy_state)  # noqa: NPY002 - it is what is guarded
    random.setstate(python_state)


def test_a_study_from_recordings_to_a_table(tool, tiny, media, tmp_path, capsys, monkeypatch):
    work = tmp_path / "work"
    given = ["--media", str(media), "--work", str(work)]
    assert tool.main(given) == 0
    told = capsys.readouterr().out
    assert (
        "s  corpus test\n" in told
        and "s  train avloc-0\n" in told
        and "s  predict no-discrepancy-map-0\n" in told
    )
    table = told[told.index("Smoke run: its figures mean nothing.") :]
    rows = [line.split(" | ") for line in table.splitlines() if "`" in line]
    assert [row[0] for row in rows] == [
        f"| {name}" for name in ("avloc", "DiMoDif", "AuViRe", "avloc, no discrepancy map") for _ in (0, 1)
    ]
    assert [row[1] for row in rows] == ["`lavdf`", "`corrected`"] * 4
    assert all(row[-3:] == ["4", "2", "1 |"] for row in rows) and " [0." in table
    assert (
        "Recordings: 4 of 2 identities in train, 4 of 2 identities in dev, 4 of 2 identities in test" in table
    )

    by_split = {
        s: open_features(work / "features", "lavdf", root=work / "corpus", split=s) for s in tool.SPLITS
    }
    assert [len(features) for features in by_split.values()] == [4, 4, 4]
    who = tool.identity_of_files(work / "corpus" / "metadata.json")
    seen = [{who[r.recording_id] for r in features.references} for features in by_split.values()]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]
    for name in ("avloc-0", "DiMoDif-0", "AuViRe-0"):
        found = load_localizer(work / "train" / name / "weights.safetensors", min_score=0.0)
        prediction = found(work / "corpus" / "test" / "000000.mp4")
        assert prediction.status == "analysed"

    # Nothing is done again.
    monkeypatch.setattr(tool, "avloc", lambda words: pytest.fail(f"avloc {words} ran again"))
    assert tool.main(given) == 0
    assert capsys.readouterr().out == told

    # Another study does not take its stages for its own.
    assert tool.main([*given, "--full"]) == 2
    assert "name another --work" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (False, "expected a folder of genuine recordings"),
        (True, "holds no video"),
    ],
)
def test_a_folder_that_is_not_there_or_holds_nothing_is_refused(tool, tmp_path, capsys, there, message):
    media, work = tmp_path / "media", tmp_path / "work"
    if there:
        media.mkdir()
    assert tool.main(["--media", str(media), "--work", str(work)]) == 2
    assert message in capsys.readouterr().err and not work.exists()


def test_recordings_of_too_few_people_are_refused(tool, media, tmp_path, capsys):
    shutil.rmtree(media / "5")
    assert tool.main(["--media", str(media), "--work", str(tmp_path / "work")]) == 2
    assert "at least 6 identities" in capsys.readouterr().err
    assert not (tmp_path / "work" / "done").exists()


def test_a_command_that_fails_ends_the_study_and_the_next_run_begins_there(tool, tmp_path, monkeypatch):
    ran = []

    def fails(words):
        ran.append(words[0])
        return 2

    monkeypatch.setattr(tool, "avloc", fails)
    plan = tool.Plan({"train": 1, "dev": 1, "test": 1}, epochs=1)
    study = tool.Study(tmp_path, tmp_path / "work", plan, encoders="default", device="cpu")
    (tmp_path / "work" / "done").mkdir(parents=True)
    (tmp_path / "work" / "done" / "recordings.json").write_text(json.dumps({"seconds": 1.0}))
    for _ in range(2):
        with pytest.raises(ConfigError, match="avloc synth ended with exit code 2"):
            study.run()
    assert ran == ["synth", "synth"]


def test_the_full_study_has_three_seeds_of_the_networks_and_one_of_each_ablation(tool, tmp_path):
    study = tool.Study(tmp_path, tmp_path, tool.PLANS["full"], encoders="default", device="cpu")
    names = [arm.name for arm in study.arms()]
    assert names[:9] == [f"{name}-{seed}" for name in tool.NETWORKS for seed in (0, 1, 2)]
    assert names[9:] == [f"{name.replace(' ', '-')}-0" for name in tool.ABLATIONS]


def test_overrides_of_the_study_are_keys_of_the_configurations(tool):
    for overrides in tool.ABLATIONS.values():
        load_config("avloc_lavdf", overrides=overrides)
