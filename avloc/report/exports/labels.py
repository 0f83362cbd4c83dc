"""Audacity labels: start, end and text on a line, separated by tabs; one file a recording.

Source: Audacity manual, "Importing and Exporting Labels". What was analysed and holds no segment gets labels
that say so, and so does what was not analysed: an empty track would read as "genuine".
"""

from avloc.structures import Detection, Prediction, Segment, Timeline

SHORTEST_GAP_S = 0.5  # that is told as not analysed


def labels(prediction: Prediction) -> str:
    """Give one line a segment in order of time, or what else there is to say; then what was not analysed.

    Parameters
    ----------
    prediction : Prediction
        Any status.

    Returns
    -------
    str
        Times in seconds with six decimals.
    """
    rows = [
        (d.segment.start, d.segment.end, _text(d))
        for d in sorted(prediction.detections, key=lambda d: (d.segment, -d.score))
    ]
    duration_s = prediction.analysed.duration_s or 0.0
    seen = Timeline(tuple(span.segment for span in prediction.spans if span.kind == "analysed"))
    if not rows:
        told = prediction.verdict or prediction.status
        text = ": ".join(filter(None, (told.replace("_", " "), " ".join(prediction.reasons))))
        spans = seen.support(max_gap_s=SHORTEST_GAP_S).segments
        rows = [(span.start, span.end, text) for span in spans] or [(0.0, duration_s, text)]
    if seen.segments:
        gaps = seen.support(max_gap_s=SHORTEST_GAP_S).gaps(Segment(0.0, duration_s)).segments
        rows += [(gap.start, gap.end, "not analysed") for gap in gaps if gap.duration >= SHORTEST_GAP_S]
    return "".join(f"{start:.6f}\t{end:.6f}\t{text}\n" for start, end, text in rows)


def _text(detection: Detection) -> str:
    named = {"channel": detection.channel, "face": detection.face}
    where = [f"{name} {number}" for name, number in named.items() if number is not None]
    return " ".join(("forged", detection.modality, f"{detection.score:.3f}", *where))
