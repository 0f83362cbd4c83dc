"""Evaluate a configuration file on its syntax tree: Python to read, data to evaluate, nothing that runs.

A file in ``configs/`` is Python with real imports, so that an editor finds the class behind a name. Here it
is only parsed: imports of registered classes and of bases, literals, ``dict(...)`` and ``.update(...)`` are
evaluated, and anything else is refused with file and line.
"""

import ast
import importlib
import importlib.resources
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

from avloc.errors import ConfigError
from avloc.registry import registered_name, suggest, with_names

KEYS = ("model", "decoding", "train")
PLUGINS = "avloc.plugins"  # entry point group whose packages may be imported from besides avloc
CONFIGS = "avloc.configs"
MAX_BYTES = 200_000


def config_folder() -> Path:
    """Return where the files of ``avloc.configs`` lie."""
    try:
        return Path(str(importlib.resources.files(CONFIGS)))
    except ModuleNotFoundError:  # run from a checkout that is not installed
        return Path(__file__).resolve().parents[2] / "configs"


class ConfigFile:
    """One configuration file, evaluated on its syntax tree."""

    def __init__(self, path: Path, *, level: int) -> None:
        self.path = path
        self.level = level
        self.values: dict[str, dict] = {}
        self.classes: dict[str, str] = {}  # name in the file -> registered name

    def _fail(self, node: ast.AST, message: str) -> ConfigError:
        return ConfigError(f"{str(self.path)!r}, line {getattr(node, 'lineno', 1)}: {message}")

    def read(self) -> dict[str, dict]:
        """Evaluate every statement and return the top-level mappings."""
        shown = repr(str(self.path))
        try:
            if self.path.stat().st_size > MAX_BYTES:
                raise ConfigError(f"{shown}: a configuration has at most {MAX_BYTES} bytes")
            for statement in ast.parse(self.path.read_text(encoding="utf-8")).body:
                self._statement(statement)
        except OSError as error:
            raise ConfigError(f"{shown}: cannot be read: {error.strerror or error}") from error
        except SyntaxError as error:
            raise ConfigError(f"{shown}, line {error.lineno}: is not Python: {error.msg}") from error
        except (ValueError, RecursionError, MemoryError) as error:
            raise ConfigError(f"{shown}: is no configuration: {error or 'nested too deep'}") from error
        return self.values

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                return  # the docstring
            case ast.ImportFrom():
                self._import_class(node)
            case ast.With(
                items=[ast.withitem(context_expr=ast.Call(func=ast.Name(id="read_base"), args=[]))]
            ):
                for inner in node.body:
                    self._import_base(inner)
            case ast.Assign(targets=[ast.Name(id=key)]):
                self._check_top_level(node, key)
                value = self._value(node.value, key)
                if not isinstance(value, dict):
                    raise self._fail(node, f"{key!r} must be a dict(...), got {value!r}")
                self.values[key] = value
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=key), attr="update"))):
                self._check_top_level(node, key)
                self._update(node.value, key)
            case _:
                allowed = "imports from avloc, read_base, dict(...) and .update(...)"
                got = ast.unparse(node).splitlines()[0][:60]
                raise self._fail(node, f"a configuration holds {allowed}, nothing that runs; got {got!r}")

    def _check_top_level(self, node: ast.AST, key: str) -> None:
        if key not in KEYS:
            raise self._fail(node, f"unknown key {key!r}; the keys are {list(KEYS)}; {suggest(key, KEYS)}")

    def _import_class(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if module == "mmengine.config" and [alias.name for alias in node.names] == ["read_base"]:
            return
        plugins = {point.value.split(":")[0].split(".")[0] for point in entry_points(group=PLUGINS)}
        if node.level or module.split(".")[0] not in {"avloc"} | plugins:
            allowed = sorted({"avloc"} | plugins)
            raise self._fail(node, f"classes are imported from {allowed}, got {'.' * node.level}{module!r}")
        try:
            loaded = importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise self._fail(node, f"there is no module {error.name!r}") from error
        for alias in node.names:
            name = registered_name(getattr(loaded, alias.name, None))
            if name is None:
                raise self._fail(node, f"{alias.name!r} of {module!r} is not a registered class")
            self.classes[alias.asname or alias.name] = name

    def _import_base(self, node: ast.stmt) -> None:
        if self.level:
            raise self._fail(node, "a base has no base of its own: configurations have two levels")
        if not isinstance(node, ast.ImportFrom) or any(alias.asname for alias in node.names):
            raise self._fail(node, "with read_base() holds 'from .base.name import key' and nothing else")
        module = node.module or ""
        absolute = not node.level and module.startswith(f"{CONFIGS}.")
        if not absolute and node.level != 1:
            got = "." * node.level + module
            raise self._fail(node, f"a base lies beside the file or in {CONFIGS}, got {got!r}")
        parts = module.removeprefix(f"{CONFIGS}.").split(".") if absolute else module.split(".")
        path = (config_folder() if absolute else self.path.parent).joinpath(*parts).with_suffix(".py")
        base = ConfigFile(path, level=self.level + 1).read()
        for alias in node.names:
            if alias.name not in base:
                raise self._fail(node, f"{str(path)!r} has no {alias.name!r}; {suggest(alias.name, base)}")
            self.values[alias.name] = base[alias.name]

    def _update(self, call: ast.Call, key: str) -> None:
        if key not in self.values:
            raise self._fail(call, f"{key!r} is updated before it is imported from a base or assigned")
        given = self._dict_call(call, key)
        for name, value in given.items():
            if name not in self.values[key]:
                raise self._fail(call, f"unknown key '{key}.{name}'; {suggest(name, self.values[key])}")
            check_same_keys(self.values[key][name], value, f"{key}.{name}")
        self.values[key].update(given)

    def _dict_call(self, node: ast.Call, where: str) -> dict:
        given: dict = {}
        for argument in node.args:
            if len(node.args) > 1 or not isinstance(argument, ast.Dict):
                raise self._fail(argument, f"{where!r} takes keywords, or one literal {{...}}")
            given |= self._value(argument, where)
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self._fail(node, f"{where!r} is written out; ** is not allowed")
            given[keyword.arg] = self._value(keyword.value, f"{where}.{keyword.arg}")
        return given

    def _value(self, node: ast.expr, where: str) -> object:
        match node:
            case ast.Constant(value=str() | int() | float() | None as value):
                if isinstance(value, str) and _is_path_of_a_disk(value):
                    raise self._fail(
                        node, f"{where!r} is a path of one machine, {value!r}; give it when you run"
                    )
                return with_names(value, where=where)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return with_names(-value, where=where)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return [self._value(element, f"{where}[{i}]") for i, element in enumerate(elements)]
            case ast.Dict(keys=keys, values=values):
                if not all(isinstance(key, ast.Constant) and isinstance(key.value, str) for key in keys):
                    raise self._fail(node, f"the keys of {where!r} must be text")
                pairs = zip((key.value for key in keys), values, strict=True)
                return {key: self._value(value, f"{where}.{key}") for key, value in pairs}
            case ast.Call(func=ast.Name(id="dict")):
                return self._dict_call(node, where)
            case ast.Name(id=name) if name in self.classes:
                return self.classes[name]
            case _:
                shown = ast.unparse(node)[:60]
                expected = "a literal, dict(...) or an imported class"
                raise self._fail(node, f"{where!r} must be {expected}, got {shown!r}")


def _is_path_of_a_disk(text: str) -> bool:
    return text.startswith(("/", "~", "\\")) or text[1:3] in (":\\", ":/")


def check_same_keys(old: object, new: object, where: str) -> None:
    """Refuse keys that the replaced mapping does not have, unless the new one is of another type."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return
    if "type" in new:
        return  # its class says which keywords it takes; checked when the whole is there
    for key, value in new.items():
        if key not in old:
            raise ConfigError(f"unknown key '{where}.{key}'; {suggest(key, old)}")
        check_same_keys(old[key], value, f"{where}.{key}")
