"""What an import takes on trust: arguments that no entry of a published file tells, assumed or said."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields

from avloc.decoding.published import PublishedQuirks
from avloc.errors import ConfigError
from avloc.models.building import model_class
from avloc.registry import suggest

# By network: what stands in no shape, so that the value of the published configurations is taken.
ASSUMED = {
    "AvHubertEncoder": ("n_heads",),
    "WhisperEncoder": ("n_heads",),
    "DiMoDif": ("n_heads", "attention_window", "pyramid"),
    "AuViRe": ("pairs", "operation"),
}


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """Arguments of the network, and those of ``PublishedQuirks``, that the user says."""

    network: dict[str, object]
    quirks: dict[str, object]


def check_settings(
    config: Mapping, settings: Mapping[str, object], *, has_quirks: bool = False
) -> ImportSettings:
    """See that a network has each setting, and that its value is of the right kind.

    Parameters
    ----------
    config : Mapping
        The ``model`` key of a configuration, as it was read off a published file.
    settings : mapping of str to object
        Arguments of the network that take the place of those in ``config``, and quirks.
    has_quirks : bool
        Whether ``decoding.published`` of a configuration says something of the network.

    Returns
    -------
    ImportSettings
        A single word where a list is wanted is a list of it.

    Raises
    ------
    ConfigError
        For a setting that the network does not have, with the closest one, or a value of another kind.

    Examples
    --------
    >>> check_settings({"type": "AuViRe"}, {"pairs": "av", "truncates": True}, has_quirks=True)
    ImportSettings(network={'pairs': ['av']}, quirks={'truncates': True})
    """
    kind = config["type"]
    known = {
        name: config.get(name, parameter.default)
        for name, parameter in inspect.signature(model_class(kind)).parameters.items()
    }
    of_quirks = {entry.name: entry.default for entry in fields(PublishedQuirks)} if has_quirks else {}
    checked = {name: _checked(kind, name, value, known | of_quirks) for name, value in settings.items()}
    return ImportSettings(
        network={name: value for name, value in checked.items() if name in known},
        quirks={name: value for name, value in checked.items() if name in of_quirks},
    )


def limits_of_settings(config: Mapping, settings: ImportSettings) -> tuple[str, ...]:
    """Say for a card what was assumed about a network, and what the user said otherwise.

    ``config`` is that of ``check_settings``, ``settings`` what it gave.
    """
    untold = ASSUMED.get(config["type"], ())
    assumed = {name: config[name] for name in untold if name not in settings.network}
    said = {k: v for k, v in settings.network.items() if k in untold or config.get(k) != v} | settings.quirks
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
