"""Loads the compiled kernels, or puts the reference in their place, and says which of the two is active.

The libraries, one for the CPU and one for CUDA, are files beside this module, built by ``setup.py``. That for
the CPU is absent only where the build was told to skip it (``AVLOC_BUILD_EXTENSION=0``), that for CUDA where
torch or the toolkit had none: then the reference runs, with one log line. A library that is there and does
not load is an `ExtensionError`, never a quiet fallback.
"""

import logging
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import torch

from avloc.errors import ExtensionError
from avloc.ops import reference

logger = logging.getLogger(__name__)

NAMESPACE = "avloc"

# The same schemas stand in csrc/ops_cpu; csrc/ops_cuda implements them.
SCHEMAS = {
    "segment_nms": "(Tensor segments, Tensor scores, float iou_threshold, *, Tensor? splits) -> Tensor",
    "soft_segment_nms": (
        "(Tensor segments, Tensor scores, *, str method, float sigma, float iou_threshold, "
        "float iou_at_0s, float iou_at_1s, float min_score, int? max_segments, Tensor? splits) "
        "-> (Tensor, Tensor)"
    ),
    "vote_segments": (
        "(Tensor kept, Tensor segments, Tensor scores, *, float iou_threshold, Tensor? splits) -> Tensor"
    ),
    "score_segments": "(Tensor frame_scores, Tensor segments) -> Tensor",
    "score_segments_backward": "(Tensor grad, Tensor frame_scores, Tensor segments) -> Tensor",
    "segment_iou": "(Tensor a, Tensor b) -> Tensor",
    "segment_iou_backward": "(Tensor grad, Tensor a, Tensor b) -> Tensor",
    "band_correlation": "(Tensor audio, Tensor visual, int max_lag) -> Tensor",
    "band_correlation_backward": (
        "(Tensor grad, Tensor audio, Tensor visual, int max_lag) -> (Tensor, Tensor)"
    ),
}


def find_library(folder: Path, device: str = "cpu") -> Path | None:
    """Return the library for a type of device in ``folder``, or None when it was not built."""
    candidates = (folder / f"_kernels_{device}{suffix}" for suffix in EXTENSION_SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


ADVICE = (
    "reinstall avloc, or install it with AVLOC_BUILD_EXTENSION=0 to run without compiled kernels, or with "
    "AVLOC_BUILD_CUDA=0 without those for CUDA"
)


def load_library(path: Path) -> None:
    """Load a compiled library.

    Raises
    ------
    ExtensionError
        If it does not load.
    """
    try:
        torch.ops.load_library(path)
    except (OSError, RuntimeError) as error:
        raise ExtensionError(f"compiled library {str(path)!r} does not load: {error}; {ADVICE}") from error


def check_library(path: Path) -> None:
    """Check that the library for the CPU, which was loaded, defines the operations of this version.

    Raises
    ------
    ExtensionError
        If it was built from other sources than these Python files.
    """
    for name, schema in SCHEMAS.items():
        expected = f"{NAMESPACE}::{name}{schema}"
        try:
            found = str(getattr(torch.ops.avloc, name).default._schema)
        except AttributeError:
            found = "nothing"
        if found != expected:
            message = (
                f"compiled library {str(path)!r} is of another version: expected {expected!r}, got {found!r}"
            )
            raise ExtensionError(f"{message}; {ADVICE}")


def load(folder: Path) -> dict[str, str]:
    """Make every operation callable under ``torch.ops.avloc``; return what runs by type of device."""
    path = find_library(folder)
    if path is not None:
        load_library(path)
        check_library(path)
    else:
        logger.info("compiled kernels were not built; the reference operations run in their place")
        for name, schema in SCHEMAS.items():
            _registrations.define(f"{name}{schema}")
    # The compiled kernels answer on the CPU; the reference answers on every device that has no kernel of its
    # own.
    for name in SCHEMAS:
        _registrations.impl(name, getattr(reference, name), "CompositeExplicitAutograd")
    return {
        "cpu": "cpu" if path is not None else "reference",
        "cuda": "cuda" if torch.version.cuda and load_cuda(folder) else "reference",
    }


def load_cuda(folder: Path) -> bool:
    """Load the kernels for CUDA and return whether they were built."""
    path = find_library(folder, "cuda")
    if path is not None:
        load_library(path)
    else:
        logger.info("CUDA kernels were not built; the reference operations run on a CUDA device")
    return path is not None


_registrations = torch.library.Library(NAMESPACE, "FRAGMENT")
_active = load(Path(__file__).parent)


def kernels(device: str = "cpu") -> str:
    """Return what runs on a type of device: its name (compiled kernels) or ``"reference"`` (plain torch).

    Parameters
    ----------
    device : {"cpu", "cuda"}
        As ``torch.device.type``.

    Examples
    --------
    >>> kernels() in ("cpu", "reference")
    True
    """
    return _active[device]
