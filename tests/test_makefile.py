"""The two commands of the README: what they install, and that a second run installs nothing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Stands for every Python: notes what it is asked, and makes an environment that holds itself.
FAKE_PYTHON = """#!/bin/sh
echo "$*" >> "$LOG"
if [ "$1 $2" = "-m venv" ]; then
  mkdir -p "$3/bin"
  for name in python avloc ruff; do cp "$0" "$3/bin/$name"; done
fi
"""


@pytest.fixture
def make(tmp_path):
    """Run make in a copy of the checkout's outline, with a Python that installs nothing."""
    if shutil.which("make") is None:
        pytest.skip("needs make")
    (tmp_path / "csrc").mkdir()
    (tmp_path / "avloc").mkdir()
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "csrc/a.cpp", "avloc/a.py"):
        (tmp_path / name).write_text("")
    shutil.copy(ROOT / "Makefile", tmp_path)
    python = tmp_path / "fake"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)

    def run(*targets: str) -> list[str]:
        log = tmp_path / "log"
        log.write_text("")
        command = ["make", f"PYTHON={python}", *targets]
        env = {"PATH": "/usr/bin:/bin", "LOG": str(log)}
        subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True)
        asked = [line for line in log.read_text().splitlines() if "version_info" not in line]
        return [
            line.replace("-m pip --disable-pip-version-check install --quiet", "pip install")
            for line in asked
        ]

    run.folder = tmp_path
    return run


DEMO = [
    "localize demo/talking_head.mp4 --format json --output .venv/demo.json",
    "tools/show_demo.py .venv/demo.json demo/truth.json",
]


def test_demo_makes_the_environment_installs_avloc_and_runs(make):
    assert make("demo") == ["-m venv .venv", "pip install .", *DEMO]
    assert make("demo") == DEMO, "a second run installs nothing"


def test_test_makes_the_environment_and_runs_the_tests(make):
    assert make("test") == ["-m venv .venv", "pip install -e .[test]", "-m pytest -n 2"]
    assert make("test") == ["-m pytest -n 2"], "a second run installs nothing"


def test_the_demo_uses_the_editable_install_of_the_tests(make):
    make("test")
    assert make("demo") == DEMO
    assert make("test") == ["-m pytest -n 2"]


def test_the_tests_replace_the_plain_install_of_the_demo(make):
    make("demo")
    assert make("test") == ["pip install -e .[test]", "-m pytest -n 2"]


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (["study", "MEDIA=my talks"], "tools/study.py --media my talks --work work/study"),
        (["study-full", "MEDIA=talks", "WORK=w"], "tools/study.py --media talks --work w --full"),
    ],
)
def test_a_study_is_of_the_folder_that_is_named(make, given, asked):
    assert make(*given) == ["-m venv .venv", "pip install .", asked]


def test_a_study_without_a_folder_says_what_to_name(make):
    with pytest.raises(subprocess.CalledProcessError) as refused:
        make("study")
    assert b"make study MEDIA=folder" in refused.value.stderr


@pytest.mark.parametrize(
    ("changed", "installs"), [("csrc/a.cpp", "pip install ."), ("avloc/a.py", "pip install .")]
)
def test_a_changed_source_is_installed_again(make, changed, installs):
    make("demo")
    (make.folder / ".venv" / "installed").touch()
    stamp = (make.folder / ".venv" / "installed").stat().st_mtime
    os.utime(make.folder / changed, (stamp + 5, stamp + 5))
    assert make("demo") == [installs, *DEMO]
