"""What an import takes on trust: arguments that no entry of a published file tells, assumed or said."""

import inspect
from collections.abc import Mapping

from avloc.errors import ConfigError
from avloc.models.building import model_class
from avloc.registry import suggest

# By network: what stands in no shape, so that the value of the published configurations is taken.
ASSUMED = {
    "AvHubertEncoder": ("n_heads",),
    "DiMoDif": ("n_heads", "attention_window", "pyramid"),
    "AuViRe": ("pairs", "operation"),
}


def check_settings(config: Mapping, settings: Mapping[str, object]) -> dict[str, object]:
    """See that a network has each setting, and that its value is of the right kind.

    Parameters
    ----------
    config : Mapping
        The ``model`` key of a configuration, as it was read off a published file.
    settings : mapping of str to object
        Arguments of the network that take the place of those in ``config``.

    Returns
    -------
    dict
        The settings; a single word where a list is wanted is a list of it.

    Raises
    ------
    ConfigError
        For a setting that the network does not have, with the closest one, or a value of another kind.

    Examples
    --------
    >>> check_settings({"type": "AuViRe"}, {"pairs": "av", "width": 64})
    {'pairs': ['av'], 'width': 64}
    """
    kind = config["type"]
    known = {
        name: config.get(name, parameter.default)
        for name, parameter in inspect.signature(model_class(kind)).parameters.items()
    }
    return {name: _checked(kind, name, value, known) for name, value in settings.items()}


def limits_of_settings(config: Mapping, settings: Mapping[str, object]) -> tuple[str, ...]:
    """Say for a card what was assumed about a network, and what the user said otherwise.

    Parameters are those of ``check_settings``, ``settings`` as it gives them.
    """
    untold = ASSUMED.get(config["type"], ())
    assumed = {name: config[name] for name in untold if name not in settings}
    said = {k: v for k, v in settings.items() if k in untold or config.get(k) != v}
    limits = []
    if assumed:
        limits.append(
            f"assumed, as no entry of the file tells it: {_shown(assumed)}; 'avloc weights import --set' "
            "says otherwise"
        )
    if said:
        limits.append(f"said at the import: {_shown(said)}")
    return tuple(limits)


def _checked(kind: str, name: str, value: object, known: Mapping[str, object]) -> object:
    if name not in known:
        raise ConfigError(f"{kind} has no setting {name!r}; {suggest(name, known)}")
    example = known[name]
    if isinstance(example, bool):
        fits, expected = isinstance(value, bool), "true or false"
    elif isinstance(example, int):
        fits, expected = isinstance(value, int) and not isinstance(value, bool), "a whole number"
    elif isinstance(example, float):
        fits, expected = isinstance(value, int | float) and not isinstance(value, bool), "a number"
    elif isinstance(example, str):
        fits, expected = isinstance(value, str), "a word"
    else:
        value = [value] if isinstance(value, str) else value
        fits = isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)
        expected = "words with commas between them"
    if not fits:
        raise ConfigError(f"{kind}: the setting {name!r} must be {expected}, got {value!r}")
    return list(value) if isinstance(value, tuple) else value


def _shown(values: Mapping[str, object]) -> str:
    """Write settings as the command line spells them."""
    return ", ".join(f"{name}={_spelt(value)}" for name, value in values.items())


def _spelt(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
