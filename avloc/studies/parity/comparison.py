"""How far an output is from the published one, and how far it may be."""

import fnmatch
import math
import re
from dataclasses import dataclass

import numpy as np

from avloc.studies.parity.fixtures import Fixture

TERM = re.compile(r"(\d+(?:\.\d+)?(?:e-?\d+)?)\s*(\*\s*std)?")
EXACT = "exact"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The largest error of one output of one case.

    ``error`` and ``allowed`` are absolute, or relative where the fixture says so. An error that is not
    finite (another shape, a NaN on one side only) is never allowed.
    """

    fixture: str
    case: str
    output: str
    error: float
    allowed: float

    @property
    def passes(self) -> bool:
        """Whether the error is within the tolerance."""
        return math.isfinite(self.error) and self.error <= self.allowed


def allowed_error(text: str, *, std: float = 1.0) -> float:
    """Read a tolerance of the fixtures.

    Parameters
    ----------
    text : str
        Such as ``"max abs <= 1e-4 * std + 1e-4"``, ``"1e-5 relative"`` or ``"exact"``. A remark in brackets
        is not read.
    std : float
        Standard deviation of the whole published output.

    Examples
    --------
    >>> allowed_error("max abs <= 1e-3 * std of the tensor", std=2.0), allowed_error("exact")
    (0.002, 0.0)
    """
    if text == EXACT:
        return 0.0
    bound = text.rsplit("<=", 1)[-1].split("(")[0]
    terms = TERM.findall(bound)
    if not terms:
        raise ValueError(f"expected a tolerance with a number, got {text!r}")
    return sum(float(number) * (std if scaled else 1.0) for number, scaled in terms)


def tolerance_of(fixture: Fixture, output: str, default: str) -> str:
    """Give the tolerance that a fixture states for an output, or ``default`` where it states none."""
    stated = fixture.description.get("tolerance", default)
    if isinstance(stated, str):
        return stated
    if output in stated:
        return stated[output]
    return next((text for pattern, text in stated.items() if fnmatch.fnmatch(output, pattern)), default)


def largest_error(got: np.ndarray, expected: np.ndarray, *, relative: bool = False) -> float:
    """Give the largest difference of two arrays; infinity where the shapes or the NaNs differ.

    Examples
    --------
    >>> largest_error(np.array([1.0, np.nan]), np.array([1.5, np.nan]))
    0.5
    >>> largest_error(np.zeros(2), np.zeros(3))
    inf
    """
    got, expected = np.asarray(got, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if got.shape != expected.shape or not np.array_equal(np.isnan(got), np.isnan(expected)):
        return math.inf
    with np.errstate(invalid="ignore"):  # equal infinities
        difference = np.where(got == expected, 0.0, np.abs(got - expected))
    difference = difference[~np.isnan(expected)]
    if relative:
        scale = np.abs(expected[~np.isnan(expected)])
        difference = difference / np.maximum(scale, np.finfo(np.float32).tiny)
    return float(difference.max(initial=0.0))


def compare(fixture: Fixture, case: dict, output: str, got: np.ndarray, *, default: str) -> Comparison:
    """Compare an output with the stored part of the published one.

    Parameters
    ----------
    fixture, case : Fixture, dict
        Where it is described.
    output : str
        Key of ``case["outputs"]``.
    got : np.ndarray
        The whole output.
    default : str
        Tolerance where the fixture states none for this output.
    """
    described = case["outputs"][output]
    expected = fixture.array(described["array"])
    stride = described.get("flat_stride", 1)
    got = np.asarray(got)
    if "shape" in described and list(got.shape) != described["shape"]:
        error = math.inf
    else:
        error = largest_error(got.reshape(-1)[::stride], expected.reshape(-1))
    allowed = allowed_error(tolerance_of(fixture, output, default), std=described.get("std", 1.0))
    return Comparison(fixture.name, case["id"], output, error, allowed)


def compare_flat(fixture: Fixture, case: dict, output: str, got: np.ndarray) -> Comparison:
    """Compare mean and standard deviation of a whole output with the published, relative to the spread."""
    described = case["outputs"][output]
    scale = max(described["std"], np.finfo(np.float32).tiny)
    whole = np.asarray(got, dtype=np.float64)
    error = max(abs(whole.mean() - described["mean"]), abs(whole.std() - described["std"])) / scale
    allowed = allowed_error(tolerance_of(fixture, "flat", "1e-4 relative"))
    return Comparison(fixture.name, case["id"], f"{output} (mean, std)", float(error), allowed)


def compare_values(
    fixture: Fixture, case: dict, output: str, got: np.ndarray, expected: np.ndarray, *, tolerance: str
) -> Comparison:
    """Compare numbers that stand in the fixture's text."""
    error = largest_error(got, expected, relative="relative" in tolerance)
    return Comparison(fixture.name, case["id"], output, error, allowed_error(tolerance))
