"""Audacity labels: start, end and text on a line, separated by tabs; one file a recording.

Source: Audacity manual, "Importing and Exporting Labels". A recording without a segment gets one label that
says why, over all of it: an empty track would read as "genuine".
"""

from avloc.structures import Detection, Prediction


def labels(prediction: Prediction) -> str:
    """Give one line a segment in order of time, or one line that says why there is none.

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
    if not rows:
        told = prediction.verdict or prediction.status
        text = ": ".join(filter(None, (told.replace("_", " "), " ".join(prediction.reasons))))
        rows = [(0.0, prediction.analysed.duration_s or 0.0, text)]
    return "".join(f"{start:.6f}\t{end:.6f}\t{text}\n" for start, end, text in rows)


def _text(detection: Detection) -> str:
    named = {"channel": detection.channel, "face": detection.face}
    where = [f"{name} {number}" for name, number in named.items() if number is not None]
    return " ".join(("forged", detection.modality, f"{detection.score:.3f}", *where))
