"""Show what avloc found in the demo recording beside what was really forged; a miss is shown as a miss."""

import json
import sys
from pathlib import Path

from avloc.report.schema import from_dict
from avloc.report.tables import text_block
from avloc.structures import Prediction, Segment

GOOD_IOU = 0.5


def iou(a: Segment, b: Segment) -> float:
    """Length of the intersection over length of the union."""
    shared = a & b
    overlap = shared.duration if shared else 0.0
    return overlap / (a.duration + b.duration - overlap)


def compare(prediction: Prediction, truth: list[Segment]) -> list[str]:
    """One line for each forged segment and for each false detection."""
    lines = []
    found = [detection.segment for detection in prediction.detections]
    for segment in truth:
        best = max(found, key=lambda other: iou(segment, other), default=None)
        overlap = 0.0 if best is None else iou(segment, best)
        if overlap >= GOOD_IOU:
            what = f"found as {best.start:.2f} to {best.end:.2f} s (overlap {overlap:.2f})"
        elif overlap > 0:
            what = f"found only in part, as {best.start:.2f} to {best.end:.2f} s (overlap {overlap:.2f})"
        else:
            what = "MISSED"
        lines.append(f"forged from {segment.start:.2f} to {segment.end:.2f} s: {what}")
    for other in found:
        if all(iou(other, segment) == 0 for segment in truth):
            lines.append(f"FALSE ALARM from {other.start:.2f} to {other.end:.2f} s: nothing was forged there")
    return lines


def main(result_path: str, truth_path: str) -> None:
    prediction = from_dict(json.loads(Path(result_path).read_text(encoding="utf-8")))
    truth = json.loads(Path(truth_path).read_text(encoding="utf-8"))
    segments = [Segment(row["start_s"], row["end_s"]) for row in truth["segments"]]
    print(text_block(prediction), end="")
    print("The truth of this recording, beside what was found:")
    print("\n".join(f"  {line}" for line in compare(prediction, segments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
