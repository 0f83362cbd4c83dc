"""The public names of the package, and what importing it costs."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import avloc

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "mmengine", "scipy", "torchaudio", "librosa", "av", "numpy", "cv2", "numba", "rich"}


@pytest.mark.parametrize("name", avloc.__all__)
def test_every_public_name_is_there(name):
    assert getattr(avloc, name) is not None
    assert name in dir(avloc)


@pytest.mark.parametrize("name", ["metrics", "ops", "structures"])
def test_documented_packages_are_attributes(name):
    assert getattr(avloc, name).__name__ == f"avloc.{name}"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'avloc' has no attribute 'locate'"):
        _ = avloc.locate


def test_the_version_is_that_of_the_package():
    assert avloc.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def loaded_by(code: str) -> set[str]:
    """Heavy modules that a fresh interpreter has loaded after ``code``."""
    script = f"import sys\n{code}\nprint(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return HEAVY & set(done.stdout.split("\n")[-2].split())


@pytest.mark.parametrize(
    "code",
    [
        "import avloc; dir(avloc)",
        "import avloc; avloc.write_report, avloc.Prediction, avloc.UnreadableMediaError",
        "from avloc.cli.main import main; main(['--help'])",
        "from avloc.cli.main import main; main(['explain', 'truncated'])",
        "from avloc.cli.main import main; main(['localize', '--help'])",
    ],
)
def test_nothing_heavy_loads_before_it_is_needed(code):
    assert loaded_by(code) == set()
