"""The folder of a run over a whole data set: ``run.json``, which says what was run, and a file a shard.

Every shard is JSON lines, a row a recording, of ``avloc predict`` a result document, and belongs to one
process at a time, so that several machines fill one folder. A process that was killed leaves whole lines and
perhaps the beginning of one: that is cut off when the shard is opened again, and what has its line is not
done again.
"""

import contextlib
import json
import logging
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol, Self, TypeVar

from avloc.errors import AnnotationError, ConfigError
from avloc.report.files import write_first
from avloc.structures.differences import differences

try:
    import fcntl
except ModuleNotFoundError:  # on Windows, where nothing keeps two processes from one shard
    fcntl = None

logger = logging.getLogger(__name__)

RUN_FILE = "run.json"
SCHEMA = "avloc.run/1"
COUNTS = ("n_recordings", "n_shards")  # of run.json, which readers of the folder need
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``number``, from 1 on, of ``n``.

    Raises
    ------
    ValueError
        If ``number`` is not from 1 to ``n``.

    Examples
    --------
    >>> Shard.parse("2/3").of("abcdefgh"), Shard(2, 3).size(8), Shard(2, 12).name
    ('beh', 3, 'shard-02-of-12.jsonl')
    """

    number: int
    n: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.n:
            raise ValueError(f"a shard is i/n with i from 1 to n, got {self.number}/{self.n}")

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read ``i/n``; ValueError for anything else."""
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if found is None:
            raise ValueError(f"a shard is i/n with i from 1 to n, such as 2/8; got {text!r}")
        return cls(int(found[1]), int(found[2]))

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"shard-{self.number:0{len(str(self.n))}}-of-{self.n}.jsonl"

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Take its items: every ``n``-th, so that neighbours, which are alike, go to different shards."""
        return items[self.number - 1 :: self.n]

    def size(self, n_items: int) -> int:
        """Count its items."""
        return len(range(self.number - 1, n_items, self.n))


class HasId(Protocol):
    """A row of a shard, whatever else it holds."""

    id: str


class Row(NamedTuple):
    """What a result document in a shard says of its recording."""

    id: str
    status: str
    verdict: str | None
    reasons: tuple[str, ...]


def agree(folder: Path, run: Mapping[str, Any], *, schema: str = SCHEMA) -> None:
    """Note in a folder what is run, or see that it is what was noted there before.

    Parameters
    ----------
    folder : Path
        There already.
    run : mapping
        Plain values: all that must be the same for all shards, ``n_recordings`` and ``n_shards`` among it.
    schema : str
        What rows the shards hold.

    Raises
    ------
    ConfigError
        If the folder is of another run, with every value that differs.
    AnnotationError
        If what was noted cannot be read.
    OSError
        If it cannot be written.
    """
    path = folder / RUN_FILE
    told = {"schema": schema, **run}
    if not path.exists():
        write_first(path, json.dumps(told, indent=2, sort_keys=True, allow_nan=False) + "\n")
    # Read back also by who wrote it: another process may have been quicker.
    if words := differences(read_run(folder, schema=schema), told):
        raise ConfigError(f"{str(path)!r} is of another run: {words}; name another folder")


def read_run(folder: Path, *, schema: str = SCHEMA) -> dict[str, Any] | None:
    """Read what a folder was run with; None if it is no folder of a run.

    ``schema`` is what rows its shards should hold.

    Raises
    ------
    AnnotationError
        If it is there and is not as ``agree`` writes it.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        return None
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        is_known = run["schema"] == schema and all(type(run[key]) is int for key in COUNTS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AnnotationError(f"{str(path)!r}: expected what avloc noted of a run, got {error!r}") from error
    if not is_known:
        raise AnnotationError(f"{str(path)!r}: expected the schema {schema!r}, got {run['schema']!r}")
    return run


def shards_of(run: Mapping[str, Any]) -> list[Shard]:
    """List the shards of a run, as ``read_run`` gives it."""
    return [Shard(number, run["n_shards"]) for number in range(1, run["n_shards"] + 1)]


class ShardFile:
    """The file of a shard, opened to go on with it; a context manager.

    Parameters
    ----------
    path : Path
        Made where it is not there.
    ids : collection of str
        All recordings of the shard.
    read : callable
        Gives the row of a line of bytes, None if it is none.
    may_repeat : bool
        A recording may stand again; what was written last counts.

    Attributes
    ----------
    stream : text stream
        What is written goes to the end.
    rows : list of Row, or of what ``read`` gives
        What was there when it was opened.

    Raises
    ------
    ConfigError
        If another process has it open.
    AnnotationError
        If a line is no row, or of a recording that is no part of the shard, or its second.
    OSError
        If it cannot be written.
    """

    def __init__(
        self,
        path: Path,
        ids: Collection[str],
        *,
        read: Callable[[bytes], HasId | None] | None = None,
        may_repeat: bool = False,
    ) -> None:
        self.stream: IO[str] = path.open("a", encoding="utf-8", newline="")
        try:
            self._lock(path)
            self.rows = list(_repaired_rows(path, read or _row))
            _check(path, self.rows, frozenset(ids), may_repeat=may_repeat)
        except BaseException:
            self.stream.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # of a full disk; whoever wrote has been told
            self.stream.close()

    def _lock(self, path: Path) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self.stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"{str(path)!r}: another process writes this shard; let it finish") from error
        except OSError as error:  # a network folder without locks is no reason to stop
            logger.warning("%r cannot be locked (%s); see that nobody else writes it", str(path), error)


def _repaired_rows(path: Path, read: Callable[[bytes], HasId | None]) -> Iterator[HasId]:
    """Give the rows of a shard, and cut off a last line that is not whole."""
    with path.open("rb") as stream:
        end = 0
        for number, line in enumerate(stream, start=1):
            row = read(line) if line.endswith(b"\n") else None
            if row is None:
                if stream.read(1):
                    raise AnnotationError(
                        f"{str(path)!r}, line {number}: expected the row of a recording; remove the line, "
                        "and its recording is analysed again"
                    )
                logger.warning("%r: line %d was not finished and is cut off", str(path), number)
                os.truncate(path, end)
                return
            end += len(line)
            yield row


def _row(line: bytes) -> Row | None:
    try:
        document = json.loads(line)
        return Row(
            document["input"]["id"], document["status"], document["verdict"], tuple(document["reasons"])
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _check(path: Path, rows: Sequence[HasId], ids: frozenset[str], *, may_repeat: bool) -> None:
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        if row.id not in ids or (row.id in seen and not may_repeat):
            problem = "stands twice" if row.id in seen else "is no recording of this shard"
            raise AnnotationError(f"{str(path)!r}, line {number}: {row.id!r} {problem}; remove the line")
        seen.add(row.id)
