"""The four tables of classes that outsiders may add to, and the only way from a specification to an object.

mmengine's ``Registry`` serves as a table and nothing more. Its own ``build`` and ``get`` fall back on
importing whatever a dotted string names and calling it, so a configuration that came with a weights file
could run any function of the machine. :func:`build` looks names up in the closed table instead.
"""

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping

from avloc.errors import ConfigError

try:
    from mmengine.registry import Registry
except ModuleNotFoundError:  # on a machine that only trains; a table is all that is needed of it

    class Registry:
        """Classes by their names: as much of mmengine's ``Registry`` as avloc uses."""

        def __init__(self, name: str, *, scope: str) -> None:
            self.name, self.scope = name, scope
            self.module_dict: dict[str, type] = {}

        def register_module(self) -> Callable[[type], type]:
            """Give the decorator that enters a class under its own name."""

            def enter(cls: type) -> type:
                self.module_dict[cls.__name__] = cls
                return cls

            return enter


ENCODERS = Registry("encoder", scope="avloc")
NETWORKS = Registry("network", scope="avloc")
DATASETS = Registry("dataset", scope="avloc")
METRICS = Registry("metric", scope="avloc")

REGISTRIES = (ENCODERS, NETWORKS, DATASETS, METRICS)

Spec = Mapping[str, object] | type | str | None


def suggest(word: str, known: Iterable[str]) -> str:
    """Return the second half of a message about an unknown word: the closest match, else all that is known.

    Examples
    --------
    >>> suggest("chanels", ["channels", "width"])
    "did you mean 'channels'?"
    >>> suggest("zzz", ["width", "channels"])
    "known are ['channels', 'width']"
    """
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known are {known}"


def look_up(registry: Registry, name: str | type) -> type:
    """Find a registered class by its name or by itself.

    Parameters
    ----------
    registry : Registry
        One of ``ENCODERS``, ``NETWORKS``, ``DATASETS``, ``METRICS``.
    name : str or type
        The registered name, or a class that is in ``registry``.

    Returns
    -------
    type
        The class (or, in ``METRICS``, the function).

    Raises
    ------
    ConfigError
        If ``registry`` does not hold it. Nothing is imported in search of it.
    """
    table: dict[str, type] = registry.module_dict
    if isinstance(name, str):
        if name not in table:
            raise ConfigError(f"no {registry.name} is registered as {name!r}; {suggest(name, table)}")
        return table[name]
    if not any(name is known for known in table.values()):
        shown = getattr(name, "__qualname__", repr(name))
        raise ConfigError(f"{shown} is not a registered {registry.name}; known are {sorted(table)}")
    return name


def registered_name(value: object) -> str | None:
    """Return the name under which a class stands in any of the four tables; None if in none."""
    for registry in REGISTRIES:
        for name, known in registry.module_dict.items():
            if known is value:
                return name
    return None


def find_registered(name: object, *, where: str) -> type:
    """Return the class of that name from whichever table has it; ConfigError if none has."""
    known = {known: cls for registry in REGISTRIES for known, cls in registry.module_dict.items()}
    if not isinstance(name, str) or name not in known:
        raise ConfigError(f"{where!r} is {name!r}, which is not registered; {suggest(str(name), known)}")
    return known[name]


def with_names(value: object, *, where: str = "") -> object:
    """Copy a configuration for JSON: registered classes become their names, tuples become lists.

    Parameters
    ----------
    value : object
        Mappings with text keys, lists, tuples, text, numbers, booleans, None and registered classes, nested.
    where : str
        Key path of ``value``, for messages.

    Returns
    -------
    object
        The copy: dict, list, str, int, float, bool or None.

    Raises
    ------
    ConfigError
        If a class is not registered, or a value is of another type or not finite.
    """
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ConfigError(f"{where or 'the configuration'}: a key must be text, got {key!r}")
        return {key: with_names(inner, where=f"{where}.{key}".lstrip(".")) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [with_names(inner, where=f"{where}[{i}]") for i, inner in enumerate(value)]
    if callable(value):
        name = registered_name(value)
        if name is not None:
            return name
        raise ConfigError(f"{where}: {getattr(value, '__qualname__', value)} is not registered")
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise ConfigError(
        f"{where}: a configuration holds text, finite numbers, lists and mappings, got {value!r}"
    )


def check_keywords(cls: type, keywords: Iterable[str], *, where: str) -> None:
    """Refuse keywords that the constructor of ``cls`` does not take, and say which it lacks.

    Raises
    ------
    ConfigError
        With ``where`` (a key path such as ``"model.audio_encoder"``) and the closest match.
    """
    parameters = inspect.signature(cls).parameters
    keywords = set(keywords)
    for keyword in sorted(keywords):
        if keyword not in parameters:
            raise ConfigError(f"{where}: {cls.__name__} takes no {keyword!r}; {suggest(keyword, parameters)}")
    needed = {name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty}
    missing = sorted(needed - keywords)
    if missing:
        raise ConfigError(f"{where}: {cls.__name__} needs {missing}, which the configuration does not give")


def build(registry: Registry, spec: Spec) -> object | None:
    """Make the object that a specification describes.

    Parameters
    ----------
    registry : Registry
        The closed table in which ``spec`` is looked up.
    spec : mapping, type, str or None
        ``{"type": name or class, keyword: value, ...}``; a class or a name alone stands for its default
        arguments; None stands for an absent part.

    Returns
    -------
    object or None
        An instance of the registered class; None for None.

    Raises
    ------
    ConfigError
        If the type is not registered, or a keyword is not one of its constructor's.

    Examples
    --------
    >>> table = Registry("shape", scope="avloc")
    >>> @table.register_module()
    ... class Box:
    ...     def __init__(self, *, width: int = 1) -> None:
    ...         self.width = width
    >>> build(table, {"type": "Box", "width": 3}).width
    3
    >>> build(table, None) is None
    True
    """
    if spec is None:
        return None
    if isinstance(spec, Mapping):
        if "type" not in spec:
            raise ConfigError(
                f"a {registry.name} needs the key 'type', got the keys {sorted(map(str, spec))}"
            )
        cls = look_up(registry, spec["type"])
        keywords = {str(key): value for key, value in spec.items() if key != "type"}
    elif isinstance(spec, str | type):
        cls, keywords = look_up(registry, spec), {}
    else:
        raise ConfigError(
            f"a {registry.name} is a mapping with 'type', a class, a name or None, got {spec!r}"
        )
    check_keywords(cls, keywords, where=f"{registry.name} {cls.__name__!r}")
    return cls(**keywords)
