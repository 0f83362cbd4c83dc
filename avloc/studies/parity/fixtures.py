"""Fixture: the description of a network or a transform, and what the authors' implementation answered."""

import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avloc.errors import AnnotationError
from avloc.studies.parity.recipes import KINDS, UNUSED, make_weight

STREAM_TOLERANCE = 1e-6  # of the first values: another stream of numbers makes every comparison meaningless


@dataclass(frozen=True, slots=True)
class Fixture:
    """One file of the parity fixtures with the arrays beside it.

    Parameters
    ----------
    path : Path
        The ``.json``.
    description : dict
        Its content, with ``name`` and ``cases``.
    arrays : mapping of str to np.ndarray
        What the ``.npz`` holds.
    """

    path: Path
    description: dict
    arrays: Mapping[str, np.ndarray]

    @property
    def name(self) -> str:
        """Name inside the file, such as ``"auto_avsr_audio"``."""
        return self.description["name"]

    @property
    def cases(self) -> list[dict]:
        """Cases with ``id``, ``inputs`` and expected values."""
        return self.description["cases"]

    def array(self, name: str) -> np.ndarray:
        """Give one array; AnnotationError if the file lacks it."""
        if name not in self.arrays:
            raise self.refusal(f"{name!r} is not in the .npz beside it")
        return self.arrays[name]

    def state(self) -> dict[str, Tensor]:
        """Make the state dict, entries without influence on the outputs left out.

        Raises
        ------
        AnnotationError
            If an entry has a kind that is not known, or the first values are not those of the fixture.
        """
        state = {}
        for key, shape, _, kind in self.description["state_dict"]:
            if kind == UNUSED:
                continue
            if kind not in KINDS:
                raise self.refusal(f"state_dict: {key!r} has the kind {kind!r}, known are {KINDS}")
            state[key] = torch.from_numpy(make_weight(key, shape, kind))
        for key, check in self.description.get("weight_checks", {}).items():
            first = state[key].flatten()[: len(check["first"])].numpy() if key in state else np.zeros(0)
            if len(first) != len(check["first"]) or not np.allclose(
                first, check["first"], atol=STREAM_TOLERANCE, rtol=0
            ):
                raise self.refusal(
                    f"weight_checks: {key!r} begins with {first.tolist()}, not {check['first']}"
                )
        return state

    def refusal(self, message: str) -> AnnotationError:
        """Make an error that names the file."""
        return AnnotationError(f"{str(self.path)!r}: {message}")


def read_fixture(path: str | os.PathLike[str]) -> Fixture:
    """Read a fixture; the ``.npz`` of the same name lies beside it.

    Parameters
    ----------
    path : str or os.PathLike
        The ``.json``.

    Raises
    ------
    AnnotationError
        If one of the two files cannot be read, or is no fixture.
    """
    path = Path(path)
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AnnotationError(f"{str(path)!r}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{str(path)!r}: is no JSON: {error}") from error
    if not isinstance(description, dict) or not isinstance(description.get("name"), str):
        raise AnnotationError(f"{str(path)!r}: a fixture is a mapping with a 'name', and 'cases'")
    if not isinstance(description.get("cases"), list):
        raise AnnotationError(f"{str(path)!r}: 'cases' must be a list")
    beside = path.with_suffix(".npz")
    try:
        with np.load(beside, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        why = getattr(error, "strerror", None) or error
        raise AnnotationError(f"{str(beside)!r}: expected the arrays of {path.name}: {why}") from error
    return Fixture(path, description, arrays)
