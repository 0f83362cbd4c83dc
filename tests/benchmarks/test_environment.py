"""The header of benchmark results."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import environment


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("/home/someone/sets/wide", "sets/wide"),
        ("sets/wide", "sets/wide"),
        ("--bootstrap", "--bootstrap"),
        ("/a", "/a"),
    ],
)
def test_a_result_does_not_tell_where_files_lay(monkeypatch, argument, shown):
    monkeypatch.setattr(sys, "argv", ["bench.py", argument])
    assert environment.environment()["command"] == f"python bench.py {shown}"
