"""Load, complete, check and write a configuration: three plain mappings with registered names."""

import ast
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from avloc.config.syntax import KEYS, ConfigFile, check_same_keys, config_folder
from avloc.errors import ConfigError
from avloc.registry import check_keywords, find_registered, suggest, with_names

Config = dict[str, dict]


def load_config(name: str, *, overrides: Mapping[str, object] | Iterable[str] = ()) -> Config:
    """Read, check and complete a configuration.

    Parameters
    ----------
    name : str
        Name of a file of ``avloc.configs`` (``"default"``), or a path that ends in ``.py``.
    overrides : mapping or iterable of str
        ``{"train.iterations": 100}`` or ``["train.iterations=100"]``. A path must exist in the configuration.
        Text is read as a Python literal unless the value that it replaces is text.

    Returns
    -------
    dict [keys ``model``, ``decoding``, ``train``]
        Plain values; classes stand as their registered names, tuples as lists.

    Raises
    ------
    ConfigError
        If the file is missing or holds anything but values and classes, a key is unknown (with the closest
        match), a class is not registered or does not take a keyword, or an override has another type than
        what it replaces.

    Examples
    --------
    >>> load_config("default", overrides=["train.batch_size=4"])["train"]["batch_size"]
    4
    """
    path = _find(name)
    values = ConfigFile(path, level=0).read()
    config = {key: values.get(key, {}) for key in KEYS}
    for key_path, value in _pairs(overrides):
        _override(config, key_path, value)
    _check_types(config, "")
    return config


def dump_config(config: Mapping) -> str:
    """Write a configuration as JSON with sorted keys, the form in which a weights file stores it.

    Raises
    ------
    ConfigError
        If a value is not plain or a class is not registered.
    """
    return json.dumps(with_names(config), sort_keys=True, indent=2, allow_nan=False) + "\n"


def _find(name: str) -> Path:
    if name.endswith(".py"):
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"{name!r}: there is no such configuration file")
        return path
    folder = config_folder()
    known = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    if name not in known:
        hint = suggest(name, known)
        raise ConfigError(f"no configuration is called {name!r}; {hint}; a path ends in '.py'")
    return folder / f"{name}.py"


def _pairs(overrides: Mapping[str, object] | Iterable[str]) -> list[tuple[str, object]]:
    if isinstance(overrides, Mapping):
        return list(overrides.items())
    pairs = []
    for text in overrides:
        key_path, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"an override reads 'model.head.channels=64', got {text!r}")
        pairs.append((key_path.strip(), value.strip()))
    return pairs


def _override(config: Config, key_path: str, value: object) -> None:
    *parents, last = key_path.split(".")
    place: object = config
    for depth, key in enumerate([*parents, last]):
        above = ".".join(key_path.split(".")[:depth])
        if not isinstance(place, dict):
            raise ConfigError(f"no key {key_path!r}: {above!r} is {place!r} and has no keys")
        if key not in place:
            raise ConfigError(
                f"no key {key_path!r}: {above or 'the top level'!r} lacks it; {suggest(key, place)}"
            )
        parent, place = place, place[key]
    if isinstance(value, str) and not isinstance(place, str):
        value = _literal(value, key_path)
    value = with_names(value, where=key_path)
    if not _fits(place, value):
        raise ConfigError(f"{key_path!r} is {place!r}; {value!r} is of another type")
    check_same_keys(place, value, key_path)
    parent[last] = value


def _literal(text: str, key_path: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ConfigError(f"{key_path!r} needs a number, a list, True or the like, got {text!r}") from error


def _fits(old: object, new: object) -> bool:
    if old is None or (new is None and isinstance(old, dict)):
        return True
    if isinstance(old, bool) or isinstance(new, bool):
        return isinstance(old, bool) and isinstance(new, bool)
    if isinstance(old, float):
        return isinstance(new, int | float)
    return type(old) is type(new)


def _check_types(value: object, where: str) -> None:
    """Look every ``type`` up, and compare the keywords beside it with what its constructor takes."""
    if isinstance(value, list):
        for i, inner in enumerate(value):
            _check_types(inner, f"{where}[{i}]")
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        _check_types(inner, f"{where}.{key}".lstrip("."))
    if "type" in value:
        cls = find_registered(value["type"], where=f"{where}.type")
        if not hasattr(cls, "from_config"):  # otherwise the class reads the mapping itself
            check_keywords(cls, value.keys() - {"type"}, where=where)
