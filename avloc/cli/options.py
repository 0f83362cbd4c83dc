"""Options that several verbs share, and types of values that click lacks."""

import contextlib
import dataclasses
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from avloc.report.files import make_writable
from avloc.structures import RawFormat

SIDES = {"left": 0, "right": 1}


class Unit(click.ParamType):
    """A number from 0 to 1; NaN is none."""

    name = "0..1"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the number."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0.0 <= number <= 1.0:
            self.fail(f"expected a number from 0 to 1, got {value!r}", param, ctx)
        return number


class Time(click.ParamType):
    """Seconds, or hours, minutes and seconds: ``83.5``, ``1:23.5`` and ``0:01:23.5`` are one time."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the time in seconds."""
        number = math.nan
        parts = str(value).split(":")
        if all(re.fullmatch(r"[0-9]+", part) for part in parts[:-1]) and len(parts) <= 3:
            with contextlib.suppress(ValueError):
                number = float(parts[-1]) + sum(
                    60 * int(p) * 60**k for k, p in enumerate(reversed(parts[:-1]))
                )
        if not (math.isfinite(number) and number >= 0 and (len(parts) == 1 or float(parts[-1]) < 60)):
            self.fail(f"expected seconds or H:MM:SS, got {value!r}", param, ctx)
        return number


class InputFormat(click.ParamType):
    """How sound without a header is read, such as ``mulaw,8000,2``."""

    name = "CODEC,RATE[,CHANNELS]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> RawFormat:
        """Read the format."""
        try:
            return RawFormat.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Device(click.ParamType):
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``, turned into what this machine has."""

    name = "auto|cpu|cuda[:N]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Find the device."""
        from avloc.pipelines.settings import resolve_device

        try:
            return resolve_device(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def read_limits(pairs: tuple[str, ...]) -> Any:
    """Read ``NAME=VALUE`` pairs into ``Limits``, or None without any."""
    if not pairs:
        return None
    from avloc.media.supervisor import Limits

    types = {field.name: field.type for field in dataclasses.fields(Limits)}
    values = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in types:
            raise click.UsageError(f"--limit knows {', '.join(types)}; got {name!r}")
        kind, expected = (int, "a whole number") if types[name] in (int, "int") else (float, "a number")
        try:
            values[name] = kind(text)
        except ValueError:
            values[name] = math.nan
        if not (math.isfinite(values[name]) and values[name] > 0):
            raise click.UsageError(f"--limit {name} needs {expected} above 0, got {text!r}")
    return Limits(**values)


def read_encoders(text: str) -> dict[str, str]:
    """Read ``audio=name,visual=name``; ``none`` and nothing are no pairs."""
    return {} if text in ("", "none") else read_pairs("--encoders", text.split(","))


def read_pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    """Read ``key=value`` texts; a key that stands twice is refused, as is what is no pair."""
    pairs: dict[str, str] = {}
    for text in texts:
        key, _, value = text.partition("=")
        if not (key and value):
            raise click.UsageError(f"{option} takes key=value pairs, got {text!r}")
        if key in pairs:
            raise click.UsageError(f"{option} says {key!r} twice, {pairs[key]!r} and {value!r}; say it once")
        pairs[key] = value
    return pairs


def read_channels(values: tuple[str, ...]) -> dict[str, Any]:
    """Read what was said of channels: which are analysed, as ``channels``, and their names, as ``roles``.

    Examples
    --------
    >>> read_channels(("each", "left=agent,right=customer"))
    {'channels': 'each', 'roles': {0: 'agent', 1: 'customer'}}
    """
    channels: str | int | None = None
    roles: dict[int, str] = {}
    for value in values:
        names = [part.partition("=") for part in value.split(",")]
        if all(separator for _, separator, _ in names):
            for side, _, role in names:
                number = SIDES.get(side, int(side) if side.isdecimal() else None)
                fits = bool(role) and role.isprintable() and role not in roles.values()
                if number is None or number in roles or not fits:
                    expected = (
                        "--channels gives each channel a name of its own, as left=NAME,right=NAME or 0=NAME"
                    )
                    raise click.UsageError(f"{expected}; got {value!r}")
                roles[number] = role
        elif channels is not None:
            raise click.UsageError(f"--channels chooses once, got {channels!r} and {value!r}")
        elif value not in ("each", "mix") and not value.isdecimal():
            raise click.UsageError(
                f"--channels takes each, mix, a number from 0 on, or left=NAME,right=NAME; got {value!r}"
            )
        else:
            channels = int(value) if value.isdecimal() else value
    return {"channels": channels, "roles": roles}


def make_folder(name: str, folder: str | Path) -> Path:
    """Make a folder and try to write there before any work is done; ``name`` is what the user calls it."""
    if folder == "":  # as a Path it would be the working folder
        raise click.UsageError(f"{name} is empty; name a folder")
    try:
        make_writable(Path(folder))
    except OSError as error:
        raise click.UsageError(
            f"{name} {str(folder)!r} cannot be written: {error.strerror or error}; name another folder"
        ) from error
    return Path(folder)


def input_format(command: Callable) -> Callable:
    """Add ``--input-format``."""
    told = "How to read sound that has no header, such as mulaw,8000,2."
    return click.option("--input-format", type=InputFormat(), help=told)(command)


def verbosity(command: Callable) -> Callable:
    """Add ``--quiet`` and ``-v``."""
    quiet = click.option("--quiet", is_flag=True, help="No progress, no summary, errors only.")
    verbose = click.option("-v", "--verbose", count=True, help="Log to stderr; -vv logs more.")
    return quiet(verbose(command))
