"""The card of a weights file: data, figures, operating thresholds, limits."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from avloc.errors import CheckpointError

PATHS = ("audio_wide", "audio_telephone", "audio_visual", "video_only")
UNMEASURED = "unmeasured"  # source of a threshold that no data stand behind
MAX_DEPTH = 12


@dataclass(frozen=True, slots=True)
class Card:
    """What a weights file says about itself.

    Parameters
    ----------
    name : str
        Name of the weights, such as ``"default"``.
    network : str
        Registered name of the network.
    version : str
        Version of the weights; a change of any number in them is a new version.
    thresholds : dict [keys PATHS, range [0, 1]]
        Operating threshold of each path: from this score on, a detection counts.
    threshold_sources : dict [keys PATHS]
        The path on whose data each threshold was measured, or ``"unmeasured"``. Where it is not the path
        itself, a result warns ``uncalibrated``.
    data : tuple of dict
        Data sets of the training: ``name``, ``licence`` and further plain values.
    starting_weights : tuple of dict
        Weights that the training began with: ``name``, ``licence`` and further plain values.
    domain : dict, optional [keys centre, scale, limit]
        Where the mean embeddings of genuine sound lie: numbers (C,), (C,) above 0, and the distance from
        which a recording is out of the domain. None: it was not measured, and no recording is.
    figures : dict
        Measured quality, nested: data set, condition, figure. Intervals stand beside the values.
    limits : tuple of str
        What the weights cannot do, in sentences.
    commands : tuple of str
        The commands that repeat the training.
    recordings : tuple of str
        Ids in their manifests of the recordings that the training drew from; empty where no list was kept.
    encoders : dict of str to dict [keys audio, visual]
        Weights that a network without encoders of its own reads: ``name`` under which they lie, ``network``,
        ``sha256`` of the file. Empty for a network that is whole.

    Raises
    ------
    CheckpointError
        If a field has another type, a path is missing or unknown, or a number is not finite.
    """

    name: str
    network: str
    version: str
    thresholds: dict[str, float]
    threshold_sources: dict[str, str]
    data: tuple[dict, ...] = ()
    starting_weights: tuple[dict, ...] = ()
    domain: dict | None = None
    figures: dict = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    recordings: tuple[str, ...] = ()
    encoders: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("name", "network", "version"):
            _check_text(getattr(self, name), name)
        _check_paths(self.thresholds, "thresholds")
        _check_paths(self.threshold_sources, "threshold_sources")
        for path in PATHS:
            threshold, source = self.thresholds[path], self.threshold_sources[path]
            if (
                isinstance(threshold, bool)
                or not isinstance(threshold, int | float)
                or not 0 <= threshold <= 1
            ):
                raise CheckpointError(f"card: thresholds.{path} must be in [0, 1], got {threshold!r}")
            if source not in (*PATHS, UNMEASURED):
                known = [*PATHS, UNMEASURED]
                raise CheckpointError(
                    f"card: threshold_sources.{path} must be one of {known}, got {source!r}"
                )
        for name in ("data", "starting_weights"):
            object.__setattr__(self, name, _checked_sources(getattr(self, name), name))
        for name in ("limits", "commands", "recordings"):
            value = getattr(self, name)
            if not isinstance(value, list | tuple):
                raise CheckpointError(f"card: {name} must be a list of texts, got {value!r}")
            for i, text in enumerate(value):
                _check_text(text, f"{name}[{i}]")
            object.__setattr__(self, name, tuple(value))
        if not isinstance(self.figures, Mapping):
            raise CheckpointError(f"card: figures must be a mapping, got {self.figures!r}")
        _check_plain(self.figures, "figures", depth=0)
        _check_domain(self.domain)
        _check_encoders(self.encoders)

    def is_calibrated(self, path: str) -> bool:
        """Whether the threshold of ``path`` was measured on data of that very path."""
        return self.threshold_sources[path] == path

    @classmethod
    def from_dict(cls, values: Mapping) -> "Card":
        """Make a card of plain values, such as JSON gives.

        Raises
        ------
        CheckpointError
            If a key is missing or unknown, or a value does not fit.
        """
        if not isinstance(values, Mapping):
            raise CheckpointError(f"card: must be a mapping, got {type(values).__name__}")
        known = [entry.name for entry in fields(cls)]
        unknown = sorted(str(key) for key in values if key not in known)
        if unknown:
            raise CheckpointError(f"card: unknown keys {unknown}; known are {known}")
        missing = [name for name in known[:5] if name not in values]
        if missing:
            raise CheckpointError(f"card: lacks the keys {missing}")
        return cls(**values)

    def to_dict(self) -> dict:
        """Return plain values for JSON; ``from_dict`` reads them back to an equal card."""
        plain = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}

    def recordings_text(self) -> str:
        """Say how long the list of recordings is; the ids are for programs."""
        if not self.recordings:
            return "no list of their ids was kept"
        return f"{len(self.recordings)} ids, listed by 'avloc weights card {self.name} --format json'"

    def as_text(self) -> str:
        """Write the card for people, in Markdown."""
        lines = [
            f"# {self.name} {self.version}",
            "",
            f"Network: {self.network}",
            "",
            "## Operating thresholds",
            "",
        ]
        for path in PATHS:
            source = self.threshold_sources[path]
            told = {path: "measured on its own data", UNMEASURED: "not measured; results warn `uncalibrated`"}
            origin = told.get(source, f"taken from {source}; results warn `uncalibrated`")
            lines.append(f"- {path}: {self.thresholds[path]:.3f} ({origin})")
        for title, sources in (("Data", self.data), ("Starting weights", self.starting_weights)):
            lines += ["", f"## {title}", ""]
            lines += [f"- {_source_text(source)}" for source in sources] or ["- none"]
        if self.encoders:
            lines += ["", "## Encoders that it reads", ""]
            lines += [f"- {stream}: {e['name']} ({e['network']})" for stream, e in self.encoders.items()]
        lines += ["", "## Recordings trained on", "", f"- {self.recordings_text()}"]
        lines += ["", "## Figures", ""]
        lines += list(_figure_lines(self.figures, indent=0)) or ["- none measured"]
        for title, texts in (("Limits", self.limits), ("Repeat the training", self.commands)):
            quote = "`" if title != "Limits" else ""
            lines += ["", f"## {title}", ""]
            lines += [f"- {quote}{text}{quote}" for text in texts] or ["- none stated"]
        return "\n".join(lines) + "\n"


def unmeasured_card(name: str, *, network: str = "HierarchicalLocalizer", version: str = "0") -> Card:
    """Make the card of weights that just left the training: thresholds of 0.5 that no data stand behind.

    Parameters
    ----------
    name : str
        Name of the weights.
    network : str
        Registered name of the network.
    version : str
        Version of the weights.
    """
    return Card(
        name=name,
        network=network,
        version=version,
        thresholds=dict.fromkeys(PATHS, 0.5),
        threshold_sources=dict.fromkeys(PATHS, UNMEASURED),
        limits=("nothing has been measured with these weights",),
    )


def _check_text(value: object, where: str) -> None:
    if not isinstance(value, str) or not value:
        raise CheckpointError(f"card: {where} must be a text that is not empty, got {value!r}")


def _check_paths(value: object, where: str) -> None:
    if not isinstance(value, Mapping):
        raise CheckpointError(f"card: {where} must be a mapping, got {value!r}")
    if set(value) != set(PATHS):
        raise CheckpointError(
            f"card: {where} must have the keys {list(PATHS)}, got {sorted(map(str, value))}"
        )


def _checked_sources(value: object, where: str) -> tuple[dict, ...]:
    if not isinstance(value, list | tuple):
        raise CheckpointError(f"card: {where} must be a list of mappings, got {value!r}")
    for i, source in enumerate(value):
        if not isinstance(source, Mapping):
            raise CheckpointError(f"card: {where}[{i}] must be a mapping, got {source!r}")
        for key in ("name", "licence"):
            _check_text(source.get(key), f"{where}[{i}].{key}")
        _check_plain(source, f"{where}[{i}]", depth=0)
    return tuple(dict(source) for source in value)


def _check_domain(value: object) -> None:
    if value is None:
        return
    if not isinstance(value, Mapping) or set(value) != {"centre", "scale", "limit"}:
        raise CheckpointError(f"card: domain must have the keys centre, scale and limit, got {value!r:.80}")
    _check_plain(value, "domain", depth=0)
    centre, scale, limit = value["centre"], value["scale"], value["limit"]
    if not (_are_numbers(centre) and _are_numbers(scale) and len(centre) == len(scale) > 0):
        raise CheckpointError("card: domain.centre and domain.scale must be lists of numbers of one length")
    if not (_are_numbers([limit]) and limit > 0 and min(scale) > 0):
        raise CheckpointError(f"card: domain.limit and domain.scale must be above 0, got the limit {limit!r}")


def _check_encoders(value: object) -> None:
    if not isinstance(value, Mapping) or not set(value) <= {"audio", "visual"}:
        raise CheckpointError(f"card: encoders must be a mapping of audio and visual, got {value!r:.80}")
    for stream, told in value.items():
        if not isinstance(told, Mapping) or set(told) != {"name", "network", "sha256"}:
            raise CheckpointError(f"card: encoders.{stream} must have the keys name, network and sha256")
        for key, text in told.items():
            _check_text(text, f"encoders.{stream}.{key}")


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and all(type(entry) in (int, float) for entry in value)


def _check_plain(value: object, where: str, *, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise CheckpointError(f"card: {where} is nested deeper than {MAX_DEPTH}")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise CheckpointError(f"card: the keys of {where} must be text, got {key!r}")
            _check_plain(inner, f"{where}.{key}", depth=depth + 1)
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            _check_plain(inner, f"{where}[{i}]", depth=depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise CheckpointError(f"card: {where} must be finite, got {value!r}")
    elif not (value is None or isinstance(value, str | bool | int | float)):
        raise CheckpointError(f"card: {where} must be text, a number, a list or a mapping, got {value!r}")


def _source_text(source: Mapping) -> str:
    rest = [f"{key} {value}" for key, value in source.items() if key not in ("name", "licence")]
    return ", ".join([f"{source['name']} ({source['licence']})", *rest])


def _figure_lines(figures: Mapping, *, indent: int) -> list[str]:
    lines = []
    for key, value in figures.items():
        if isinstance(value, Mapping):
            lines += [f"{' ' * indent}- {key}", *_figure_lines(value, indent=indent + 2)]
        else:
            lines.append(f"{' ' * indent}- {key}: {_number_text(value)}")
    return lines


def _number_text(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_number_text(inner) for inner in value) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
