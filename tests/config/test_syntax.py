"""What a configuration file may hold, and that nothing in it runs."""

from pathlib import Path

import pytest

from avloc.config.syntax import ConfigFile
from avloc.errors import ConfigError

BASE = """
from avloc.models.encoders.compact import CompactVisualEncoder

model = dict(visual_encoder=dict(type=CompactVisualEncoder, width=8), head=dict(n_head_layers=2))
"""


def _read(folder: Path, text: str) -> dict:
    (folder / "base").mkdir(exist_ok=True)
    (folder / "base" / "model.py").write_text(BASE)
    (folder / "mine.py").write_text(text)
    return ConfigFile(folder / "mine.py", level=0).read()


WITH_BASE = """from mmengine.config import read_base

with read_base():
    from .base.model import model
"""


def test_values_are_read_as_plain_data(tmp_path):
    got = _read(
        tmp_path, '"""Mine."""\ntrain = dict(a=1, b=-2.5, c="x", d=(1, [2]), e=None, f=True, g={"h": 3})\n'
    )
    assert got == {"train": {"a": 1, "b": -2.5, "c": "x", "d": [1, [2]], "e": None, "f": True, "g": {"h": 3}}}


def test_a_class_becomes_its_registered_name(tmp_path):
    assert _read(tmp_path, WITH_BASE)["model"]["visual_encoder"] == {
        "type": "CompactVisualEncoder",
        "width": 8,
    }


def test_update_replaces_a_key_as_python_would(tmp_path):
    got = _read(tmp_path, WITH_BASE + "\nmodel.update(head=dict(n_head_layers=3))\n")
    assert got["model"]["head"] == {"n_head_layers": 3}
    assert got["model"]["visual_encoder"]["width"] == 8


def test_update_may_absent_a_branch_and_take_a_literal(tmp_path):
    assert (
        _read(tmp_path, WITH_BASE + '\nmodel.update({"visual_encoder": None})\n')["model"]["visual_encoder"]
        is None
    )


def test_a_base_of_the_package_is_found_from_anywhere(tmp_path):
    text = WITH_BASE.replace(".base.model", "avloc.configs.base.model")
    assert _read(tmp_path, text)["model"]["type"] == "HierarchicalLocalizer"


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "print('x')",
        "def f(): pass",
        "class A: pass",
        "for i in range(3): pass",
        "if True: model = dict()",
        "model['head'] = 3",
        "model, train = dict(), dict()",
        "model = train = dict()",
        "del model",
        "assert True",
        "model |= dict()",
        "with open('x') as f: pass",
        "with read_base() as b: pass",
        "lambda: 0",
        "model.clear()",
    ],
)
def test_statements_that_are_not_data_are_refused_with_their_line(line, tmp_path):
    with pytest.raises(ConfigError, match=r"mine\.py', line (2|3)"):
        _read(tmp_path, f"\n{line}\n")


@pytest.mark.parametrize(
    "value",
    [
        "__import__('os').system('touch ran')",
        "open('x')",
        "[i for i in (1, 2)]",
        "1 + 1",
        "f'{1}'",
        "b'x'",
        "...",
        "1j",
        "unknown",
        "os.environ['HOME']",
        "dict(**{'a': 1})",
        "dict([('a', 1)])",
        "{1: 2}",
        "{**{'a': 1}}",
        "1e999",
        "-1e999",
        "'/home/somebody/data'",
        "'~/data'",
        "'C:/data'",
        "-'a'",
        "not True",
    ],
)
def test_expressions_that_are_not_data_are_refused(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="train.a"):
        _read(tmp_path, f"train = dict(a={value})\n")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle = dict()", "unknown key 'modle'.*did you mean 'model'"),
        ("model = 3", r"'model' must be a dict\(\.\.\.\), got 3"),
        ("model.update(a=1)", "updated before it is imported"),
        ("from os import system", r"classes are imported from \['avloc'.*got 'os'"),
        ("from .secret import x", "classes are imported from"),
        ("from avloc.nowhere import x", "there is no module 'avloc.nowhere'"),
        (
            "from avloc.models.heads import PointHead",
            "'PointHead' of 'avloc.models.heads' is not a registered class",
        ),
        ("from avloc.models.hierarchical import *", r"'\*' of 'avloc.models.hierarchical' is not"),
        (
            WITH_BASE.replace("model import model", "model import mdoel"),
            "has no 'mdoel'; did you mean 'model'",
        ),
        (WITH_BASE.replace("model import model", "model import *"), r"has no '\*'"),
        (
            WITH_BASE.replace(".base", "..base"),
            r"a base lies beside the file or in avloc.configs, got '\.\.base.model'",
        ),
        (WITH_BASE.replace("model import", "other import"), r"base/other\.py': cannot be read"),
        (WITH_BASE + "    x = 1\n", "and nothing else"),
        (WITH_BASE + "model.update(haed=dict())", "unknown key 'model.haed'; did you mean 'head'"),
        (
            WITH_BASE + "model.update(head=dict(n_haed_layers=1))",
            "'model.head.n_haed_layers'; did you mean 'n_head",
        ),
        (WITH_BASE + "model.update({'head': 1}, {'head': 2})", "takes keywords, or one literal"),
        ("model = dict(", r"line 1: is not Python"),
        ("\0", "is no"),
        ("train = dict(a=" + "[" * 2000 + "]" * 2000 + ")", r"mine\.py'"),
        ("#" * 300_000, "at most 200000 bytes"),
    ],
)
def test_mistakes_are_named(text, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        _read(tmp_path, text)


def test_a_base_has_no_base(tmp_path):
    _read(tmp_path, WITH_BASE)
    (tmp_path / "base" / "other.py").write_text(WITH_BASE)
    with pytest.raises(ConfigError, match="two levels"):
        _read(tmp_path, WITH_BASE.replace("model import", "other import"))
