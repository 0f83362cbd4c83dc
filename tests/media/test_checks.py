import math

import numpy as np
import pytest

from avloc.media import checks
from avloc.media.protocol import ProtocolError

TABLE = {"x": ("<f4", ("n", 4)), "y": ("|b1", ("n",))}


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (checks.whole(0, 9), [0, 9], [-1, 10, 1.0, True, "1", None]),
        (checks.number(0.0, 1.0), [0, 1.0], [-0.1, math.nan, math.inf, True, "0"]),
        (checks.maybe(checks.whole(0)), [None, 3], [-1, ""]),
        (checks.one_of("a", "b"), ["a"], ["c", ["a"], None]),
        (checks.some_of("a", "b"), [[], ["b", "a"]], ["a", ["a", "a"], [["a"]], {"a": 1}]),
        (checks.is_name, ["mp4", ""], ["x" * 257, "\ud800", "a\n", None]),
        (checks.is_notes, [[], ["x"]], ["x", [1], ["x"] * 9000]),
        (checks.is_ratio, [[1, 2], [-3, 1]], [[1, 0], [1, -1], [1], [1.0, 2], [1 << 200, 1], (1, 2)]),
    ],
)
def test_a_check_allows_what_it_names_and_nothing_else(check, good, bad):
    assert all(check(value) for value in good)
    assert not any(check(value) for value in bad)


def test_a_table_wants_its_keys_and_their_values():
    checks.check_table("row", {"a": 1}, {"a": checks.whole(0)})
    for values in ({}, {"a": 1, "b": 2}, {"a": -1}, [1], None):
        with pytest.raises(ProtocolError, match="row"):
            checks.check_table("row", values, {"a": checks.whole(0)})


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": np.zeros((3, 4), np.float32)},
        {"x": np.zeros((3, 4), np.float32), "y": np.zeros(3, bool), "z": np.zeros(3)},
        {"x": np.zeros((3, 4)), "y": np.zeros(3, bool)},
        {"x": np.zeros((3, 5), np.float32), "y": np.zeros(3, bool)},
        {"x": np.zeros((3, 4, 1), np.float32), "y": np.zeros(3, bool)},
        {"x": np.zeros((3, 4), np.float32), "y": np.zeros(2, bool)},
        {"x": np.zeros((0, 4), np.float32), "y": np.zeros(1, bool)},
    ],
)
def test_arrays_have_the_names_types_and_lengths_of_their_table(arrays):
    with pytest.raises(ProtocolError, match="block"):
        checks.check_arrays("block", arrays, TABLE)


def test_a_letter_stands_for_a_length():
    assert checks.check_arrays("b", {"x": np.zeros((0, 4), np.float32), "y": np.zeros(0, bool)}, TABLE) == {
        "n": 0
    }


def test_a_value_without_end_is_shown():
    endless: list = []
    for _ in range(100_000):
        endless = [endless]
    assert len(checks.show(endless)) <= 80 and checks.show("x" * 999).startswith("'xxx")
