"""Golden cases that public evaluators answered.

``corrected`` equals the ActivityNet-style float64 evaluators (ActionFormer, OpenTAD) where the two
definitions meet. They differ, and are not compared, in

- ``05_extra_video_in_predictions``: the peers count a recording that the references do not know as false
  positives, avloc refuses or drops it;
- ``16_zero_length_label``: the peers divide 0 by 0 there, and one of their hits is that NaN; avloc has IoU 0;
- hits at IoU exactly equal to a threshold (inclusive there, strict here): none of the other cases has one;
- scores that tie, which the peers order by an unstable reversed sort: thresholds where the order inside a tie
  changes the curve are compared to within the steps that it can move.

``anet`` is held to the same evaluators, its recall included; ``lavdf`` and ``av1m`` to the float32 ones, at
the N that each protocol reports.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from avloc.metrics import PROTOCOLS, SegmentTable, average_recall, evaluate, match

CASES = [
    "01_perfect",
    "03_one_video_empty",
    "05_extra_video_in_predictions",
    "07_mostly_real",
    "10_two_labels_one_prediction_pair",
    "16_zero_length_label",
    "17_overlapping_labels",
    "25_sorted_reference",
    "26_unsorted",
    "28_greedy_order",
    "30_over_100_proposals",
    "36_random_71",
]
OTHER_DEFINITION = {"05_extra_video_in_predictions", "16_zero_length_label"}
pytestmark = pytest.mark.dataset


def load(parity_dir, case):
    content = json.loads((parity_dir / "metrics" / f"{case}.json").read_text())
    references = SegmentTable.from_spans({v["file"]: v["fake_periods"] for v in content["videos"]})
    return SegmentTable.from_rows(content["predictions"]), references, content["expected"]


def order_inside_a_tie_matters(proposals, references, thresholds):
    """For each threshold, whether rows of one score are hits and misses both."""
    matches = match(proposals.select(references.ids), references, iou_thresholds=thresholds)
    mixed = np.zeros(len(thresholds), dtype=bool)
    for score in np.unique(matches.scores):
        rows = matches.hits[:, matches.scores == score]
        mixed |= rows.any(axis=1) & ~rows.all(axis=1)
    return mixed


@pytest.mark.parametrize("peer", ["actionformer", "opentad", "ummaformer"])
@pytest.mark.parametrize("case", [case for case in CASES if case not in OTHER_DEFINITION])
def test_corrected_equals_the_float64_evaluators(parity_dir, case, peer):
    proposals, references, expected = load(parity_dir, case)
    answer = {float(t): value for t, value in expected[peer]["map"].items()}
    found = evaluate(proposals, references, iou_thresholds=list(answer))
    mixed = order_inside_a_tie_matters(proposals, references, list(answer))
    for (threshold, value), in_doubt in zip(answer.items(), mixed, strict=True):
        # 1e-9 is the fixtures' own suggestion; 1e-3: one place among some hundred rows, one of 47 references
        tolerance = 1e-3 if in_doubt else 1e-9
        assert found[f"AP@{threshold:g}"] == pytest.approx(value, abs=tolerance), threshold


@pytest.mark.parametrize("peer", ["actionformer", "opentad", "ummaformer"])
@pytest.mark.parametrize("case", [case for case in CASES if case not in OTHER_DEFINITION])
def test_anet_equals_the_evaluators_of_activitynet(parity_dir, case, peer):
    proposals, references, expected = load(parity_dir, case)
    found = evaluate(proposals, references, protocol="anet")
    answers = {f"AP@{float(t):g}": v for t, v in expected[peer]["map"].items()}
    mixed = order_inside_a_tie_matters(proposals, references, [float(t) for t in expected[peer]["map"]])
    tolerances = dict(zip(answers, np.where(mixed, 1e-3, 1e-9), strict=True))  # as above
    # opentad's keys are "AR@10", ummaformer's "10"; actionformer has no recall at an average number
    recalls = {
        f"AR@{n.removeprefix('AR@')}": v for n, v in expected[peer].get("ar", {}).items() if n != "AUC"
    }
    for name, value in (answers | recalls).items():
        assert found[name] == pytest.approx(value, abs=tolerances.get(name, 1e-9)), name
    assert recalls or peer == "actionformer" or "ar_error" in expected[peer]


@pytest.mark.parametrize("peer", ["ummaformer", "opentad"])
@pytest.mark.parametrize("case", ["05_extra_video_in_predictions"])
def test_recordings_that_nobody_labelled_do_not_move_the_recall_of_anet(parity_dir, case, peer):
    proposals, references, expected = load(parity_dir, case)
    found = evaluate(proposals, references, protocol="anet", skip_invalid=True)
    for name, value in expected[peer]["ar"].items():
        if name != "AUC":
            assert found[f"AR@{name.removeprefix('AR@')}"] == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("as_frames", [False, True])
@pytest.mark.parametrize(("protocol", "peer"), [("lavdf", "lavdf"), ("av1m", "avdeepfake1m")])
@pytest.mark.parametrize("case", CASES)
def test_the_float32_protocols_equal_their_evaluators(parity_dir, case, protocol, peer, as_frames):
    proposals, references, expected = load(parity_dir, case)
    if as_frames:  # as LAV-DF's evaluator got them
        proposals = replace(proposals, starts=proposals.starts * 25, ends=proposals.ends * 25).from_frames(25)
    found = evaluate(proposals, references, protocol=protocol, skip_invalid=True)
    answers = {f"AP@{float(t):g}": v for t, v in expected[peer].get("ap", {}).items()}
    answers |= {f"AR@{n}": v for n, v in expected[peer].get("ar", {}).items()}
    compared = [name for name in answers if name in found]
    for name in compared:
        # 2e-6 is the fixtures' tolerance: order of float32 sums
        assert found[name] == pytest.approx(answers[name], abs=2e-6), name
    raised = "ap_error" in expected[peer]
    assert raised or len(compared) >= (3 if protocol == "lavdf" else 4)


@pytest.mark.parametrize("case", CASES)
def test_recall_at_few_proposals_equals_lavdf_where_it_can_answer(parity_dir, case):
    proposals, references, expected = load(parity_dir, case)
    rules = PROTOCOLS["lavdf"]
    matches = match(
        proposals.select(references.ids),
        references,
        iou_thresholds=rules.recall_iou_thresholds,
        assignment=rules.recall_assignment,
        hit=rules.hit,
        union=rules.union,
        arithmetic=rules.arithmetic,
        order=rules.order,
    )
    for n, value in expected["lavdf"].get("ar_feasible_n", {}).items():
        assert average_recall(matches, int(n)) == pytest.approx(value, abs=2e-6)


def test_a_perfect_answer_is_one_where_published_evaluators_say_two_thirds(parity_dir):
    proposals, references, expected = load(parity_dir, "01_perfect")
    assert evaluate(proposals, references)["AP@0.5"] == 1.0
    assert expected["lavdf"]["ap"]["0.5"] == pytest.approx(2 / 3)
