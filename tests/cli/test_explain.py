"""``avloc explain``."""

import pytest

from avloc.structures import Reason


@pytest.mark.parametrize("reason", list(Reason))
def test_every_code_is_explained(run, reason):
    code, out, err = run("explain", reason)
    assert (code, err) == (0, "") and out.startswith(f"{reason}\n  ")


def test_without_a_code_all_are_listed(run):
    code, out, _ = run("explain")
    assert code == 0
    assert [line for line in out.splitlines() if line and line[0] != " "] == [
        str(reason) for reason in Reason
    ]


def test_a_code_may_be_written_with_dashes_and_capitals(run):
    assert run("explain", "No-Face").out.startswith("no_face\n")


def test_a_misspelt_code_exits_with_2_and_the_closest_match(run):
    code, out, err = run("explain", "tuncated")
    assert code == 2 and out == "" and "'tuncated'; did you mean truncated" in err


def test_a_word_like_no_code_points_to_the_list(run):
    assert "'avloc explain' lists all codes" in run("explain", "zzzz").err
