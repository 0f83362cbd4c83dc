"""The layering table of docs/architecture.md is true, and modules and functions stay readable."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FREE = {"numpy", "scipy", "numba", "einops", "safetensors", "torch"}
FREE_INSIDE_FUNCTIONS = {"matplotlib"}
WITHOUT_TORCH = {"errors", "structures", "registry", "config", "metrics", "report"}
HEAVY = ("torch", "mmengine", "scipy.signal", "torchaudio", "librosa")

MAX_MODULE_LINES = 300
LONG_MODULES: dict[str, str] = {}  # path -> reason
MAX_FUNCTION_LINES = 60  # without the docstring
LONG_FUNCTIONS: dict[str, str] = {  # path::name -> reason
    "avloc/cli/localize.py::localize": "one parameter and one decorator an option",
}


@dataclass(frozen=True)
class Row:
    """What one package may import; a file name restricts an entry to that file."""

    packages: dict[str, str | None]
    owned: tuple[str, ...]
    everything: bool


@dataclass(frozen=True)
class Import:
    module: str  # absolute and dotted, such as "avloc.models.heads"
    line: int
    inside_function: bool


def read_table(text: str) -> dict[str, Row]:
    """Parse the rows that follow the heading of the table."""
    body = text.split("| package | may import from avloc | owns the dependency |")[1]
    rows = {}
    for line in body.strip().splitlines()[1:]:
        if not line.startswith("|"):
            break
        package, allowed, owned = (cell.strip() for cell in line.strip("|").split("|"))
        entries = re.findall(r"`([^`]+)`(?: \(only `([^`]+)`\))?", allowed)
        rows[package.strip("`")] = Row(
            packages={name: only or None for name, only in entries},
            owned=tuple(re.findall(r"`([^`]+)`", owned)),
            everything=allowed == "everything",
        )
    return rows


def sources() -> list[tuple[str, Path, Path]]:
    """List (package, file, path below its top) of everything that is installed."""
    found = []
    for top, folder in (("avloc", ROOT / "avloc"), ("configs", ROOT / "configs")):
        for path in sorted(folder.rglob("*.py")):
            below = path.relative_to(folder)
            package = "configs" if top == "configs" else below.parts[0].removesuffix(".py")
            found.append((package, path, path.relative_to(ROOT)))
    return found


def imports_of(tree: ast.Module, path: Path) -> Iterator[Import]:
    """Give every import of a file, relative ones resolved, names imported from a package as modules too."""
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    parts = path.with_suffix("").parts
    own = ("avloc", *parts) if parts[0] == "configs" else parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, id(node) in inside)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                module = ".".join([*own[: -node.level], *([module] if module else [])])
            if module == "avloc":  # from avloc import ops
                for alias in node.names:
                    yield Import(f"avloc.{alias.name}", node.lineno, id(node) in inside)
            else:
                yield Import(module, node.lineno, id(node) in inside)


def violations(package: str, path: Path, tree: ast.Module, table: dict[str, Row]) -> Iterator[str]:
    """Say every import of a file that the table does not allow."""
    if package not in table:
        yield f"{path}: the package {package!r} has no row in docs/architecture.md"
        return
    row = table[package]
    owned = {name for other in table.values() for name in other.owned}
    for found in imports_of(tree, path):
        where = f"{path}:{found.line}: {package!r} imports {found.module!r}"
        top = found.module.split(".")[0]
        if top == "avloc":
            target = found.module.split(".")[1] if "." in found.module else "__init__"
            if target == package or row.everything or target.startswith("__version"):
                continue
            if target not in row.packages:
                yield f"{where}; its row allows {sorted(row.packages)}"
            elif row.packages[target] not in (None, path.name):
                yield f"{where}; only {row.packages[target]!r} may"
        elif top == "torch" and package in WITHOUT_TORCH:
            yield f"{where}; this package works without torch"
        elif top in FREE_INSIDE_FUNCTIONS:
            if not found.inside_function:
                yield f"{where} at the top; it is imported inside functions"
        elif top in FREE or (top in sys.stdlib_module_names and top not in owned):
            continue
        elif not any(found.module == name or found.module.startswith(f"{name}.") for name in row.owned):
            yield f"{where}, which its row does not own"


TABLE = read_table((ROOT / "docs" / "architecture.md").read_text())
SOURCES = sources()


@pytest.mark.parametrize(("package", "path", "name"), SOURCES, ids=[str(name) for _, _, name in SOURCES])
def test_a_module_imports_only_what_its_row_allows(package, path, name):
    found = list(violations(package, name, ast.parse(path.read_text()), TABLE))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("package", "path", "code", "message"),
    [
        ("structures", "avloc/structures/x.py", "import torch", "works without torch"),
        (
            "structures",
            "avloc/structures/x.py",
            "from avloc.media.probe import y",
            "its row allows ['errors']",
        ),
        (
            "structures",
            "avloc/structures/x.py",
            "def f():\n    from avloc import ops",
            "its row allows ['errors']",
        ),
        ("structures", "avloc/structures/x.py", "from ..ops import y", "imports 'avloc.ops'"),
        ("media", "avloc/media/probe.py", "from avloc.features import face", "only 'worker.py' may"),
        ("ops", "avloc/ops/x.py", "import av", "does not own"),
        ("models", "avloc/models/x.py", "from mmengine.config import Config", "does not own"),
        ("registry", "avloc/registry.py", "import mmengine", "does not own"),
        ("report", "avloc/report/x.py", "import matplotlib.pyplot", "inside functions"),
        ("report", "avloc/report/x.py", "import sqlite3", "does not own"),
        ("cli", "avloc/cli/x.py", "import requests", "does not own"),
        ("utils", "avloc/utils/x.py", "", "has no row"),
    ],
)
def test_a_violation_is_found(package, path, code, message):
    found = list(violations(package, Path(path), ast.parse(code), TABLE))
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("package", "path", "code"),
    [
        ("media", "avloc/media/worker.py", "from avloc.features import face"),
        ("cli", "avloc/cli/x.py", "import click\nfrom avloc.scan import ledger\nimport json"),
        ("registry", "avloc/registry.py", "from mmengine.registry import Registry"),
        ("report", "avloc/report/x.py", "def f():\n    import matplotlib.pyplot"),
        ("models", "avloc/models/x.py", "from .heads import y\nimport torch.nn.functional"),
        ("configs", "configs/default.py", "from .base.model import model\nfrom avloc.models.heads import y"),
    ],
)
def test_what_the_table_allows_is_no_violation(package, path, code):
    assert not list(violations(package, Path(path), ast.parse(code), TABLE))


def test_the_table_has_no_circle():
    done: set[str] = set()
    # A restricted entry is one file that runs apart (the worker's process), so it makes no circle.
    open_rows = {
        package: {name for name, only in row.packages.items() if only is None}
        for package, row in TABLE.items()
        if not row.everything and package != "__main__"
    }
    while open_rows:
        ready = [package for package, needs in open_rows.items() if needs <= done]
        assert ready, f"these packages import each other in a circle: {sorted(open_rows)}"
        for package in ready:
            done.add(package)
            del open_rows[package]


@pytest.mark.parametrize(("package", "path", "name"), SOURCES, ids=[str(name) for _, _, name in SOURCES])
def test_modules_and_functions_stay_short(package, path, name):
    text = path.read_text()
    if str(name) not in LONG_MODULES:
        assert text.count("\n") <= MAX_MODULE_LINES, f"{name} has more than {MAX_MODULE_LINES} lines"
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and f"{name}::{node.name}" not in LONG_FUNCTIONS
        ):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            docstring = first.end_lineno - first.lineno + 1 if documented else 0
            n_lines = node.end_lineno - node.lineno + 1 - docstring
            assert n_lines <= MAX_FUNCTION_LINES, (
                f"{name}::{node.name} has {n_lines} lines, {MAX_FUNCTION_LINES} at most"
            )


def test_exceptions_to_the_limits_are_still_needed():
    for name, reason in LONG_MODULES.items():
        assert (ROOT / name).read_text().count("\n") > MAX_MODULE_LINES, f"{name} is short again"
        assert reason
    for entry, reason in LONG_FUNCTIONS.items():
        path, _, function = entry.partition("::")
        assert f"def {function}(" in (ROOT / path).read_text(), f"{entry} is gone"
        assert reason


def test_no_package_is_a_drawer_for_everything():
    names = {path.stem for _, path, _ in SOURCES} | {path.parent.name for _, path, _ in SOURCES}
    assert not names & {"utils", "common", "helpers", "misc"}


def _loaded_after(code: str) -> set[str]:
    """Run ``code`` in a fresh interpreter and say which of the heavy modules it has loaded."""
    told = f"""
import sys
try:
    {code}
except SystemExit:
    pass
print("LOADED", *[name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    last = [line for line in done.stdout.splitlines() if line.startswith("LOADED")]
    return set(last[-1].split()[1:])


@pytest.mark.parametrize("code", ["import avloc", "from avloc.cli.main import main; main(['--help'])"])
def test_nothing_heavy_is_loaded_before_it_is_needed(code):
    assert _loaded_after(code) == set()


def test_packages_that_promise_it_load_without_torch():
    assert "torch" not in _loaded_after(
        f"import {', '.join(f'avloc.{name}' for name in sorted(WITHOUT_TORCH))}"
    )


def test_the_check_of_loaded_modules_sees_one():
    assert _loaded_after("import mmengine.registry") == {"mmengine"}
