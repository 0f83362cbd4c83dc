"""``avloc info``: versions, kernels, devices and weights."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from avloc import __version__
from avloc.errors import CheckpointError
from avloc.report.schema import canonical

PACKAGES = (
    "torch",
    "torchaudio",
    "numpy",
    "scipy",
    "av",
    "soundfile",
    "opencv-python",
    "silero-vad",
    "mmengine",
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--weights", metavar="NAME|PATH", help="Which network. Default: default.")
def info(as_json: bool, weights: str | None) -> None:
    """Show versions, kernels, devices, and what the card of the weights says."""
    facts = {
        "avloc": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "kernels": _kernels(),
        "devices": _devices(),
        "weights": _weights(weights),
    }
    if not as_json and facts["weights"].get("recordings"):  # the ids are for programs
        facts["weights"] |= {"recordings": f"{len(facts['weights']['recordings'])} ids"}
    click.echo(canonical(facts) if as_json else "\n".join(_lines(facts, "")))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _kernels() -> str:
    import torch

    from avloc.ops import kernels

    return kernels("cuda" if torch.cuda.is_available() else "cpu")


def _devices() -> list[str]:
    import torch

    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return ["cpu", *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(n_devices))]


def _weights(name: str | None) -> dict[str, Any]:
    """Summarise the card; that the default is not installed is a fact to show, other weights must load."""
    from avloc.models.weights.locate import find_weights
    from avloc.models.weights.store import load_weights

    try:
        path = find_weights("default" if name is None else name)
    except CheckpointError as error:
        if name is not None:
            raise
        return {"name": "default", "error": str(error)}
    _, card, sha256 = load_weights(path)  # all of it: a header alone would also be that of a damaged file
    return {**card.to_dict(), "sha256": sha256}


def _lines(value: dict[str, Any], indent: str) -> list[str]:
    """Nested values as indented lines; a list of numbers on one line, of anything else on one line each."""
    lines = []
    for key, entry in value.items():
        if isinstance(entry, dict) and entry and "value" not in entry:
            lines += [f"{indent}{key}", *_lines(entry, indent + "  ")]
        elif isinstance(entry, list | tuple) and not all(isinstance(item, float | int) for item in entry):
            lines += [f"{indent}{key}", *(f"{indent}  {_line(item)}" for item in entry)]
        else:
            lines.append(f"{indent}{key:<18} {_line(entry)}")
    return lines


def _line(entry: Any) -> str:
    if isinstance(entry, dict) and "value" in entry:  # a figure and its interval
        rest = {key: value for key, value in entry.items() if key != "value"}
        return f"{_line(entry['value'])} ({_line(rest)})" if rest else _line(entry["value"])
    if isinstance(entry, dict):
        return ", ".join(f"{key} {_line(value)}" for key, value in entry.items()) or "-"
    if isinstance(entry, list | tuple):
        return " to ".join(map(str, entry)) if len(entry) == 2 else ", ".join(map(str, entry)) or "-"
    return "-" if entry is None else str(entry)
