"""Files that appear complete or not at all, and file names made from what users call their recordings."""

import contextlib
import errno
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import IO

MAX_NAME = 120  # characters before the suffix; file systems end at 255 bytes


class AtomicFile:
    """A text file that takes its name when ``publish`` is called; until then an older file stays in place.

    The new file keeps the older one's permissions. A path that exists and is no regular file, such as
    ``/dev/stdout``, is written as it is.

    Parameters
    ----------
    path : Path
        The final name; a link is followed.

    Raises
    ------
    OSError
        If the folder, or the older file, cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._target = Path(os.path.realpath(path))
        self._part: Path | None = None
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            self.stream: IO[str] = path.open("w", encoding="utf-8", newline="")
            return
        mode = _mode_of(self._target)
        self._part = self._target.with_name(f".avloc-{os.getpid()}-{os.urandom(4).hex()}.part")
        self.stream = self._part.open("x", encoding="utf-8", newline="")
        if mode is not None:
            os.fchmod(self.stream.fileno(), mode)

    def publish(self) -> None:
        """Complete the file and give it its name."""
        self.stream.flush()
        if self._part is None:
            self.stream.close()
            return
        os.fsync(self.stream.fileno())
        self.stream.close()
        os.replace(self._part, self._target)
        self._part = None

    def discard(self) -> None:
        """Remove what was not published; does nothing after ``publish``."""
        with contextlib.suppress(OSError):  # what could not be flushed is thrown away anyway
            self.stream.close()
        if self._part is not None:
            self._part.unlink(missing_ok=True)
            self._part = None


def _mode_of(path: Path) -> int | None:
    """Permissions of a file that will be replaced, or None if there is none.

    To replace it takes a right on the folder only: a file that is protected must be asked for itself.
    """
    if not path.exists():
        return None
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return stat.S_IMODE(path.stat().st_mode)


def make_writable(folder: Path) -> None:
    """Make a folder where there is none and try to write there: hours may pass before the first result."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def identity(path: str | Path | int) -> tuple[int, int] | None:
    """Device and inode of a regular file, the same for all links to it; None if there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def write_whole(path: Path, text: str) -> None:
    """Write a text as an ``AtomicFile``."""
    file = AtomicFile(path)
    try:
        file.stream.write(text)
        file.publish()
    finally:
        file.discard()


def write_first(path: Path, text: str) -> None:
    """Write a text as a whole where no file of the name is there: of several who try the first has written.

    On a file system without links, of those who try at the same moment, one may read half of it.
    """
    part = path.with_name(f".avloc-{os.getpid()}-{os.urandom(4).hex()}.part")
    try:
        write_whole(part, text)
        try:
            os.link(part, path)
        except FileExistsError:
            return
        except OSError:  # there are no links here
            with contextlib.suppress(FileExistsError), path.open("x", encoding="utf-8", newline="") as stream:
                stream.write(text)
    finally:
        part.unlink(missing_ok=True)


def unique_name(recording_id: str, suffix: str, taken: set[str]) -> str:
    """Make a file name of a recording's id that cannot leave its folder, and note it in ``taken``.

    Parameters
    ----------
    recording_id : str
        Anything, such as a path with quotes and line ends.
    suffix : str
        Such as ``".json"``.
    taken : set of str
        Names of this run in lower case; the new one is added.

    Returns
    -------
    str
        Letters, digits, dots, dashes and underscores; distinct from all names before, ignoring case.

    Examples
    --------
    >>> names = set()
    >>> unique_name("../a b.wav", ".json", names), unique_name("../A_b.wav", ".json", names)
    ('a_b.wav.json', 'A_b.wav-2.json')
    """
    safe = (
        re.sub(r"[^A-Za-z0-9._-]+", "_", recording_id).lstrip("._-")[-MAX_NAME:].lstrip("._-") or "recording"
    )
    name, number = safe + suffix, 1
    while name.lower() in taken:
        number += 1
        name = f"{safe}-{number}{suffix}"
    taken.add(name.lower())
    return name
