"""What a user of ``Localizer`` may choose."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from avloc.structures import RawFormat


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user may choose; None leaves it to the card.

    ``threshold`` decides the verdict, ``min_score`` only what is listed, ``all_proposals``, at least 1, how
    many proposals from before suppression are added. ``curves`` and ``frames`` add the scores of every frame
    to the document and as a table. ``channels`` is ``"each"``, ``"mix"`` or the number of the only one that
    is analysed; without it sound is analysed by channel, and mixed where there is a picture. ``roles`` names
    channels by number. ``start_s`` and ``end_s`` are the ends of the only part that is analysed.
    ``input_format`` says how files without a header are read.
    """

    threshold: float | None = None
    min_score: float | None = None
    curves: bool = False
    all_proposals: int | None = None
    frames: bool = False
    channels: str | int | None = None
    roles: Mapping[int, str] = field(default_factory=dict)
    start_s: float | None = None
    end_s: float | None = None
    input_format: RawFormat | None = None

    def __post_init__(self) -> None:
        for name in ("threshold", "min_score"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], got {value!r}")
        check_count("all_proposals", self.all_proposals)
        if not 0.0 <= (self.start_s or 0.0) < (math.inf if self.end_s is None else self.end_s):
            raise ValueError(f"the part needs 0 <= start_s < end_s, got {self.start_s!r} and {self.end_s!r}")
        is_number = isinstance(self.channels, int) and not isinstance(self.channels, bool)
        if self.channels not in (None, "each", "mix") and not (is_number and self.channels >= 0):
            raise ValueError(f"channels must be each, mix or a number from 0 on, got {self.channels!r}")

    @property
    def is_part(self) -> bool:
        """Whether less than the whole recording is analysed."""
        return self.start_s is not None or self.end_s is not None


def check_count(name: str, value: int | None) -> None:
    """Refuse with a ValueError what is neither None nor a whole number from 1 on."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError(f"{name} must be a whole number of at least 1, or None, got {value!r}")


def resolve_device(name: str) -> str:
    """Turn the name of a device into one that this machine has.

    Parameters
    ----------
    name : str
        ``"cpu"``, ``"cuda"``, ``"cuda:N"``, or ``"auto"``: the first CUDA device if any, else the CPU.

    Returns
    -------
    str
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Raises
    ------
    ValueError
        If the name has none of these forms, or there is no such device here.
    """
    if not isinstance(name, str) or not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", name):
        raise ValueError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}")
    if name == "cpu":
        return name
    import torch  # only here: the command line asks for a device before it loads a network

    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if n_devices else "cpu"
    if int(name.partition(":")[2] or 0) >= n_devices:
        raise ValueError(f"there is no device {name!r} here: {n_devices} CUDA devices found; use cpu or auto")
    return name
