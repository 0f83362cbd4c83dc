"""Where weights files lie: inside the package, among the user's data, or at a path."""

import importlib.resources
import os
import re
import sys
from pathlib import Path

from avloc.errors import CheckpointError
from avloc.registry import suggest

SUFFIX = ".safetensors"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def find_weights(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the file behind a name or a path; CheckpointError, saying what to do, if there is none."""
    given = os.fspath(name_or_path)
    # os.path.isfile, because it says False, not OSError, to a name too long or with a NUL.
    if (
        not isinstance(name_or_path, str)
        or given.endswith(SUFFIX)
        or os.sep in given
        or os.path.isfile(given)
    ):
        if not os.path.isfile(given):
            raise CheckpointError(f"{given!r}: there is no such weights file")
        return Path(given)
    packaged = Path(str(importlib.resources.files("avloc.models.weights"))) / "data"
    folders = (packaged, user_folder() / "weights")
    if NAME.fullmatch(given):
        for folder in folders:
            if os.path.isfile(folder / f"{given}{SUFFIX}"):
                return folder / f"{given}{SUFFIX}"
    if given == "default":
        raise CheckpointError(
            f"the default weights are not in {str(packaged)!r}; install avloc from a wheel that has them, "
            "make them with 'avloc train default', or name a file with --weights PATH"
        )
    known = sorted({path.stem for folder in folders if folder.is_dir() for path in folder.glob(f"*{SUFFIX}")})
    hint = suggest(given, known) if known else "none are there yet"
    where = str(folders[1])
    raise CheckpointError(f"no weights are called {given!r} in {where!r}; {hint}; a path ends in {SUFFIX!r}")


def user_folder() -> Path:
    """Return ``$AVLOC_HOME``, or avloc's place among the user's data on this platform."""
    if os.environ.get("AVLOC_HOME"):
        return Path(os.environ["AVLOC_HOME"]).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "avloc"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "avloc"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "avloc"
