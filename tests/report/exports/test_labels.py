from dataclasses import replace

from avloc.report.exports.labels import labels
from avloc.structures import (
    Analysed,
    Detection,
    Modality,
    Prediction,
    Reason,
    Recording,
    Segment,
    Span,
    Status,
    Verdict,
)

RECORDING = Recording("a", "a", None, None, None, None, None)


def test_segments_are_lines_in_order_of_time():
    found = Prediction(
        RECORDING,
        Status.ANALYSED,
        Verdict.FORGED_SEGMENTS_FOUND,
        detections=(
            Detection(Segment(3.0, 4.5), 0.9, Modality.AUDIO, channel=1),
            Detection(Segment(1.0, 2.0), 0.8125, Modality.BOTH, face=0),
        ),
    )
    assert (
        labels(found)
        == "1.000000\t2.000000\tforged both 0.812 face 0\n3.000000\t4.500000\tforged audio 0.900 channel 1\n"
    )


def test_a_recording_without_a_segment_never_reads_as_an_empty_track():
    nothing = Prediction(RECORDING, Status.ANALYSED, Verdict.NONE_FOUND, analysed=Analysed(duration_s=9.0))
    assert labels(nothing) == "0.000000\t9.000000\tnone found\n"
    failed = Prediction(RECORDING, Status.ERROR, reasons=(Reason.NOT_FOUND,))
    assert labels(failed) == "0.000000\t0.000000\terror: not_found\n"
    unsure = Prediction(
        RECORDING, Status.ANALYSED, Verdict.INCONCLUSIVE, reasons=(Reason.NO_SPEECH, Reason.MUSIC)
    )
    assert labels(unsure) == "0.000000\t0.000000\tinconclusive: no_speech music\n"


def test_what_was_not_analysed_is_never_nothing_found():
    spans = tuple(Span("analysed", Segment(a, b)) for a, b in ((10.0, 20.0), (20.2, 60.0)))
    part = Prediction(
        RECORDING, Status.ANALYSED, Verdict.NONE_FOUND, spans=spans, analysed=Analysed(duration_s=100.0)
    )
    assert labels(part).splitlines() == [
        "10.000000\t60.000000\tnone found",
        "0.000000\t10.000000\tnot analysed",
        "60.000000\t100.000000\tnot analysed",
    ]
    found = replace(part, detections=(Detection(Segment(12.0, 13.0), 0.9, Modality.AUDIO),))
    assert labels(found).splitlines()[1:] == labels(part).splitlines()[1:]
