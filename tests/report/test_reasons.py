"""Reasons in words."""

import pytest

from avloc.report.reasons import EXPLANATIONS, explain
from avloc.structures import Reason


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_explained_in_whole_sentences(reason):
    explanation = explain(reason)
    for text in (explanation.meaning, explanation.advice):
        assert text[0].isupper() or text.startswith("avloc")
        assert text.endswith(".") and "\n" not in text


def test_no_two_reasons_share_an_explanation():
    assert len({entry.meaning for entry in EXPLANATIONS.values()}) == len(Reason)


def test_an_unknown_code_is_refused():
    with pytest.raises(ValueError, match="rainy"):
        explain("rainy")


def test_no_explanation_calls_a_recording_authentic_or_fake():
    words = " ".join(f"{entry.meaning} {entry.advice}" for entry in EXPLANATIONS.values()).lower()
    assert "authentic" not in words and "fake" not in words
