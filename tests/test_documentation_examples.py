"""Every example of the README runs: Python as it stands, shell commands in process, make targets exist."""

import re
import shlex
import wave
from pathlib import Path

import numpy as np
import pytest

from avloc.cli.main import main
from avloc.report.schema import json_schema
from avloc.structures import Reason

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKE_TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
    return [shlex.split(line, comments=True) for line in lines]


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
    for name in ("call.wav", "clip.mp4"):  # content decides, not the name
        with wave.open(str(tmp_path / name), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(samples.tobytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_examples():
    assert len(blocks("python")) >= 3 and len(commands()) >= 8


@pytest.mark.parametrize("code", blocks("python"), ids=range(len(blocks("python"))))
def test_a_python_example_runs(code, network, examples):
    exec(compile(code, "README.md", "exec"), {"__name__": "example"})


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_a_shell_example_runs(command, request, examples, capsys):
    if command[0] == "make":
        assert set(command[1:]) <= MAKE_TARGETS
    elif command[0] == "pip":
        assert command == ["pip", "install", "."] and (ROOT / "pyproject.toml").exists()
    else:
        assert command[0] == "avloc"
        if command[1] == "localize":
            request.getfixturevalue("network")
        assert main(command[1:]) == 0, capsys.readouterr().err


def test_every_option_and_code_that_the_readme_names_exists(capsys):
    for option in set(re.findall(r"`(--[a-z-]+)", README)) - {"--help"}:
        main(["localize", "--help"])
        assert re.search(rf"{option}\b", capsys.readouterr().out), option
    listed = re.search(r"one closed list: (.*?) and others", README, re.DOTALL)[1]
    assert set(re.findall(r"`([a-z_]+)`", listed)) <= set(Reason)


def test_every_key_of_the_result_document_is_in_the_readme():
    for key in json_schema()["required"]:
        assert f"`{key}`" in README or key == "custody", key
