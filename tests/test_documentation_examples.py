"""Every example of the README and the pages runs: Python as it stands, shell commands in process.

The commands of training are not run: they take hours and a corpus.
"""

import json
import re
import shlex
import wave
from pathlib import Path

import numpy as np
import pytest

from avloc.cli.main import main
from avloc.datasets.named import data_sets
from avloc.media.landmarks import read_landmarks
from avloc.metrics import PROTOCOLS
from avloc.report.reasons import EXPLANATIONS
from avloc.report.schema import json_schema
from avloc.report.shards import agree
from avloc.structures import Reason
from avloc.structures.landmarks import MAX_MISSING

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    page.name: page.read_text(encoding="utf-8")
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
}
README, RESULTS = PAGES["README.md"], PAGES["results.md"]
MAKE_TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def blocks(language: str) -> list[str]:
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    pages = sorted(
        PAGES.keys() - {"training.md", "networks.md"}
    )  # of networks: tests/cli/test_networks_page.py
    return [block for name in pages for block in fence.findall(PAGES[name])]


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
    return [shlex.split(line, comments=True) for line in dict.fromkeys(lines)]


@pytest.fixture(scope="module")
def network():
    """Load the default weights once."""
    from avloc.pipelines.loading import load_localizer

    return load_localizer("default")


@pytest.fixture
def examples(tmp_path, monkeypatch):
    """Make the recordings that the examples name, in the working folder."""
    rng = np.random.default_rng(0)
    samples = (3000 * rng.standard_normal(2 * 16000)).astype("<i2")
    (tmp_path / "calls").mkdir()
    names = ("call.wav", "clip.mp4", "calls/a.wav", "calls/b.wav", "-odd-name.wav")  # content decides
    for name in names:
        with wave.open(str(tmp_path / name), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(samples.tobytes())
    (tmp_path / "call.raw").write_bytes(rng.integers(0, 256, 16000, dtype=np.uint8).tobytes())
    (tmp_path / "list.csv").write_text("id,path,team\n4711,calls/a.wav,red\n4712,calls/b.wav,blue\n")
    make_predictions(tmp_path)
    make_data_sets(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_predictions(folder):
    """Write the references, predictions and list that the page of evaluation names."""
    kinds = ("real", "audio_modified", "both_modified")
    entries = [
        {
            "file": f"id{i}/00001/{i}.mp4",
            "split": "val",
            "modify_type": kinds[i % 3],
            "audio_model": "vits" if i % 3 else None,
            "fake_segments": [[1.0, 1.5 + i / 10]] if i % 3 else [],
            "video_frames": 250,
        }
        for i in range(12)
    ]
    rows = {e["file"]: [[0.9, 1.0, 1.6 + i / 10], [0.1, 5, 6]] for i, e in enumerate(entries)}
    others = {name: [[0.8, 3.0, 4.0]] for name in rows}
    for name, content in {"val_metadata": entries, "predictions": rows, "other": others}.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    (folder / "test_files.txt").write_text("".join(f"{name}\n" for name in rows))


def make_data_sets(folder):
    """Write LAV-DF with one recording, and link the challenge's names to another."""
    clip = folder / "clip.mp4"
    names = (folder / "test_files.txt").read_text().splitlines()
    for path in ("LAV-DF/test/1.mp4", *(f"AV-Deepfake1M/test/{name}" for name in names)):
        (folder / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / path).hardlink_to(clip)
    entry = {"file": "test/1.mp4", "n_fakes": 0, "fake_periods": [], "split": "test", "duration": 2.0}
    (folder / "data" / "LAV-DF" / "metadata.json").write_text(json.dumps([entry]))


def make_runs(folder):
    """Write what ``avloc predict`` leaves of these data sets."""
    names = (folder / "test_files.txt").read_text().splitlines()
    for run, ids in (("lavdf", ["test/1.mp4"]), ("av1m", names)):
        out = folder / "runs" / run
        out.mkdir(parents=True)
        agree(out, {"n_recordings": len(ids), "n_shards": 1, "split": "test"})
        rows = [
            {"schema": "avloc.result/1", "input": {"id": i}, "score": 0.1, "segments": []}
            for i in sorted(ids)
        ]
        (out / "shard-1-of-1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_there_are_examples():
    assert len(blocks("python")) >= 3 and len(commands()) >= 8


@pytest.mark.parametrize("code", blocks("python"), ids=range(len(blocks("python"))))
def test_a_python_example_runs(code, network, examples):
    exec(compile(code, "README.md", "exec"), {"__name__": "example"})


def test_the_example_of_landmarks_writes_a_file_that_is_read(examples):
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGES["tracks.md"], re.MULTILINE | re.DOTALL)
    exec(compile(code, "tracks.md", "exec"), {"__name__": "example"})
    track = read_landmarks("clip.npz")
    assert len(track.frame) == 230 and track.stretches().tolist() == [[0, 100], [100, 230]]
    assert f"Up to {MAX_MISSING} such frames" in PAGES["tracks.md"]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_a_shell_example_runs(command, request, examples, capsys):
    if command[0] == "make":
        assert set(command[1:]) <= MAKE_TARGETS
    elif command[0] == "pip":
        assert command == ["pip", "install", "."] and (ROOT / "pyproject.toml").exists()
    else:
        assert command[0] == "avloc"
        if command[1] in ("evaluate", "submit"):
            make_runs(examples)
        if command[1] in ("localize", "predict"):
            request.getfixturevalue("network")
        assert main(command[1:]) == 0, capsys.readouterr().err


def test_every_option_of_localize_is_on_the_page_of_the_command_line(capsys):
    main(["localize", "--help"])
    options = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {
        "--help",
        "--verbose",
        "--recursive",
    }
    assert {option for option in options if option not in PAGES["command_line.md"]} == set()


def test_every_option_that_a_page_names_exists(capsys):
    main(["localize", "--help"])
    known = capsys.readouterr().out
    for name in ("README.md", "command_line.md", "results.md"):
        for option in set(re.findall(r"`(--[a-z-]+)", PAGES[name])) - {"--help"}:
            assert re.search(rf"{option}\b", known), (name, option)


@pytest.mark.parametrize("verb", ["predict", "evaluate", "submit"])
def test_every_option_of_scoring_is_on_its_page(verb, capsys):
    main([verb, "--help"])
    known = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    assert {o for o in known - {"--help", "--quiet", "--verbose"} if o not in PAGES["evaluation.md"]} == set()


def test_every_option_that_the_page_of_evaluation_names_exists(capsys):
    known = ""
    for verb in ("predict", "evaluate", "submit", "localize"):
        main([verb, "--help"])
        known += capsys.readouterr().out
    for option in set(re.findall(r"(--[a-z][a-z-]+)", PAGES["evaluation.md"])):
        assert re.search(rf"{option}\b", known), option


def test_every_protocol_and_data_set_is_on_the_page_of_evaluation():
    for name in (*PROTOCOLS, *data_sets()):
        assert f"`{name}`" in PAGES["evaluation.md"], name


def test_every_code_is_explained_in_the_words_of_explain():
    for reason, told in EXPLANATIONS.items():
        assert f"| `{reason}` | {told.meaning} | {told.advice} |" in RESULTS
    listed = re.search(r"one closed list:\s(.*?) and others", README, re.DOTALL)[1]
    assert set(re.findall(r"`([a-z_]+)`", listed)) <= set(Reason)


def test_every_key_of_the_result_document_is_on_its_page():
    for key in json_schema()["required"]:
        assert f"`{key}`" in RESULTS or key == "custody", key


def test_every_page_is_linked_from_the_readme():
    assert {name for name in PAGES if f"(docs/{name})" not in README} == {"README.md"}
