"""The result document: the published example, the way there and back, and the published description."""

import dataclasses
import functools
import json
import random
from fractions import Fraction

import jsonschema
import pytest

from avloc.errors import SchemaError
from avloc.report.schema import canonical, from_dict, json_schema, to_dict, to_json
from avloc.structures import (
    Analysed,
    AudioInfo,
    Channel,
    Curve,
    Detection,
    Face,
    Modality,
    Prediction,
    Provenance,
    Reason,
    Recording,
    Segment,
    Span,
    Status,
    Sync,
    Timing,
    Verdict,
    VideoInfo,
)

EXAMPLE = json.loads(
    """
{"schema": "avloc.result/1",
 "status": "analysed", "verdict": "forged_segments_found", "reasons": [], "warnings": ["variable_rate"],
 "message": null, "score": 0.958113, "llr": null, "threshold": 0.62,
 "segments": [{"start_s": 3.28, "end_s": 4.6, "score": 0.941203, "llr": null, "modality": "audio",
               "channel": null, "face": 0, "start_interval_s": null, "end_interval_s": null, "evidence": []}],
 "curves": [],
 "spans": [{"kind": "face", "code": null, "start_s": 0.0, "end_s": 11.2, "channel": null, "face": 0},
           {"kind": "speech", "code": null, "start_s": 0.4, "end_s": 9.5, "channel": null, "face": null}],
 "channels": [{"index": 0, "role": "ch0", "path": "audio_visual", "relation": "distinct",
               "bandwidth_hz": 7600, "snr_db": 31.0, "clipping": 0.0, "threshold": 0.62, "score": 0.958113,
               "coverage": 1.0},
              {"index": 1, "role": "ch1", "path": null, "relation": "identical", "bandwidth_hz": 7600,
               "snr_db": 31.0, "clipping": 0.0, "threshold": null, "score": null, "coverage": null}],
 "faces": [{"id": 0, "start_s": 0.0, "end_s": 11.2, "box": [212, 80, 148, 148]}],
 "sync": {"offset_s": 0.0, "drift_ppm": null},
 "analysed": {"duration_s": 11.52, "audio_s": 11.52, "speech_s": 9.1, "video_s": 11.52, "face_s": 11.2,
              "coverage": {"audio": 1.0, "visual": 0.972222}},
 "input": {"id": "clip.mp4", "name": "clip.mp4", "sha256": "9f86…", "bytes": 812345,
           "container": "mov,mp4", "start_s": 0.0, "extra": null,
           "streams": [{"index": 0, "kind": "video", "codec": "h264", "frame_rate": "25/1", "width": 640,
                        "height": 360, "start_s": 0.0, "duration_s": 11.52, "variable_rate": true,
                        "used": true},
                       {"index": 1, "kind": "audio", "codec": "aac", "sample_rate": 44100, "channels": 2,
                        "start_s": 0.0, "duration_s": 11.52, "used": true}]},
 "model": {"name": "default", "sha256": "…", "network": "hierarchical", "calibration": null},
 "custody": null,
 "tool": {"name": "avloc", "version": "0.1.0", "kernels": "cpu"},
 "timing": {"wall_s": 1.9, "real_time_factor": 0.17, "device": "cpu"}}
"""
)


def unopened(status: Status, *reasons: Reason) -> Prediction:
    recording = Recording(
        id="a.mp4",
        path="a.mp4",
        sha256=None,
        n_bytes=None,
        container=None,
        start=None,
        duration=None,
    )
    return Prediction(recording=recording, status=status, reasons=reasons, message="why")


def random_prediction(seed: int) -> Prediction:
    """Analysed prediction with every optional part present or absent by chance."""
    rng = random.Random(seed)

    def maybe(value):
        return value if rng.random() < 0.6 else None

    def number(top=1.0):
        return round(rng.uniform(0, top), 6)

    def segment():
        start = number(100)
        return Segment(start, round(start + 0.01 + number(9), 6))

    detections = [
        Detection(
            segment(),
            number(),
            rng.choice(list(Modality)),
            channel=maybe(1),
            face=maybe(0),
            llr=maybe(-number(4)),
            start_interval=maybe((1.0, 1.5)),
            end_interval=maybe((2.0, 2.25)),
            evidence=rng.choice([(), ({"kind": "splice", "at_s": 1.5},)]),
        )
        for _ in range(rng.randrange(4))
    ]
    streams = (
        VideoInfo(
            0, "h264", maybe(Fraction(30000, 1001)), 640, 360, number(), maybe(number(60)), maybe(True), True
        ),
        AudioInfo(1, "aac", 44100, 2, number(), maybe(number(60)), True),
    )
    duration = number(60)
    recording = Recording(
        id="folder/clip.mp4",
        path="clip.mp4",
        sha256="ab" * 32,
        n_bytes=812345,
        container="mov,mp4",
        start=-number(),
        duration=duration,
        streams=streams[: rng.randrange(3)],
        extra=maybe({"case": "17"}),
    )
    return Prediction(
        recording=recording,
        status=Status.ANALYSED,
        verdict=rng.choice(list(Verdict)),
        reasons=(Reason.NO_FACE,)[: rng.randrange(2)],
        warnings=tuple(rng.sample(list(Reason), rng.randrange(3))),
        message=maybe("three frames were unreadable"),
        score=number(),
        llr=maybe(number(4)),
        threshold=maybe(number()),
        detections=tuple(detections),
        curves=(Curve("score_audio", 0.0, Fraction(25), (None, 0.5, 0.25), channel=maybe(0)),),
        spans=(Span("speech", segment()), Span("event", segment(), code="music", channel=maybe(1))),
        channels=(
            Channel(0, "ch0", maybe("audio_wide"), "distinct", 7600.5, maybe(-3.5), 0.0, 0.5, 0.5, 1.0),
        ),
        faces=(Face(0, segment(), (212, 80, 148, 148)),),
        sync=Sync(maybe(-number()), maybe(12.5)),
        analysed=Analysed(
            duration, maybe(9.5), maybe(9.0), maybe(9.5), maybe(3.0), maybe(1.0), maybe(0.315789)
        ),
        provenance=Provenance(
            "default", "cd" * 32, "hierarchical", "0.1.0", "cpu", "cpu", maybe("telephone")
        ),
        timing=Timing(number(9), maybe(number())),
        proposals=maybe(((0.5, 1.0, 2.0), (0.25, 1.5, 2.5))),
    )


@functools.cache
def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    return jsonschema.Draft202012Validator(json_schema())


def test_the_published_example_is_read_and_written_again_to_the_byte():
    assert to_json(from_dict(EXAMPLE)) == canonical(EXAMPLE)


def test_the_published_example_reads_as_the_values_it_shows():
    prediction = from_dict(EXAMPLE)
    assert prediction.verdict is Verdict.FORGED_SEGMENTS_FOUND
    assert prediction.detections[0].segment == Segment(3.28, 4.6)
    assert prediction.recording.video.frame_rate == Fraction(25)
    assert prediction.recording.audio.n_channels == 2
    assert prediction.analysed.coverage_visual == 0.972222
    assert prediction.provenance.device == "cpu"


def test_the_published_example_satisfies_the_schema():
    validator().validate(EXAMPLE)


@pytest.mark.parametrize("seed", range(30))
def test_a_prediction_comes_back_from_its_document_and_the_document_is_valid(seed):
    prediction = random_prediction(seed)
    document = json.loads(to_json(prediction))
    assert from_dict(document) == prediction
    validator().validate(document)


@pytest.mark.parametrize(
    "prediction",
    [
        unopened(Status.ERROR, Reason.NOT_FOUND),
        unopened(Status.NOT_ANALYSABLE, Reason.EMPTY),
    ],
    ids=["error", "not analysable"],
)
def test_a_failed_recording_has_every_key_of_an_analysed_one(prediction):
    document = to_dict(prediction)

    def keys(value):
        return {key: keys(entry) for key, entry in value.items()} if isinstance(value, dict) else None

    expected = keys(EXAMPLE)
    expected["timing"] = None  # no analysis, no time
    assert keys(document) == expected
    assert document["score"] is None and document["verdict"] is None and document["segments"] == []
    validator().validate(document)
    assert from_dict(document) == prediction


def test_reproducible_drops_timing_and_nothing_else():
    prediction = random_prediction(3)
    whole, reproducible = to_dict(prediction), to_dict(prediction, reproducible=True)
    assert whole.keys() - reproducible.keys() == {"timing"}
    assert reproducible == {key: value for key, value in whole.items() if key != "timing"}
    slower = dataclasses.replace(prediction, timing=Timing(999.0, 9.0))
    assert to_json(slower, reproducible=True) == to_json(prediction, reproducible=True)
    validator().validate(reproducible)
    assert from_dict(reproducible).timing is None


def test_numbers_have_six_decimals_and_no_minus_zero():
    sync = Sync(offset_s=-1e-9, drift_ppm=1 / 3)
    document = to_dict(dataclasses.replace(random_prediction(1), sync=sync, score=2 / 3))
    assert document["score"] == 0.666667
    assert canonical(document["sync"]) == '{"drift_ppm":0.333333,"offset_s":0.0}'


def test_a_segment_shorter_than_the_written_resolution_can_still_be_read():
    detection = Detection(Segment(1.0, 1.0000001), 0.5, Modality.AUDIO)
    document = to_dict(dataclasses.replace(random_prediction(1), detections=(detection,)))
    assert from_dict(document).detections[0].segment == Segment(1.0, 1.000001)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="finite"):
        to_dict(dataclasses.replace(random_prediction(1), score=value))


def test_the_document_names_the_file_and_not_its_folder():
    recording = dataclasses.replace(
        unopened(Status.ERROR, Reason.NOT_FOUND).recording, path="/home/x/secret/a.mp4"
    )
    text = to_json(dataclasses.replace(unopened(Status.ERROR, Reason.NOT_FOUND), recording=recording))
    assert "secret" not in text and '"name":"a.mp4"' in text


def test_a_name_that_is_not_text_still_gives_valid_unicode():
    name = b"caf\xe9.wav".decode("utf-8", "surrogateescape")
    prediction = unopened(Status.ERROR, Reason.NOT_FOUND)
    recording = dataclasses.replace(prediction.recording, id=name, path=name)
    document = json.loads(to_json(dataclasses.replace(prediction, recording=recording)))
    assert document["input"]["id"].encode("utf-8") == rb"caf\udce9.wav"


@pytest.mark.parametrize("given", ["avloc.result/2", "avloc.result/10.3"])
def test_a_newer_major_version_is_refused(given):
    with pytest.raises(SchemaError, match="newer avloc"):
        from_dict(EXAMPLE | {"schema": given})


@pytest.mark.parametrize("given", [None, "", "avloc.result", "avloc.result/x", "other/1", 1])
def test_a_document_without_a_known_schema_is_refused(given):
    with pytest.raises(SchemaError, match="expected a document"):
        from_dict(EXAMPLE | {"schema": given})


def test_a_later_minor_version_is_read_and_its_new_keys_ignored():
    newer = EXAMPLE | {"schema": "avloc.result/1.4", "mood": "fine"}
    assert from_dict(newer) == from_dict(EXAMPLE)


def test_a_missing_key_and_an_impossible_value_are_named():
    with pytest.raises(SchemaError, match="'segments'"):
        from_dict({key: value for key, value in EXAMPLE.items() if key != "segments"})
    with pytest.raises(SchemaError, match="authentic"):
        from_dict(EXAMPLE | {"verdict": "authentic"})


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "authentic"},
        {"status": "done"},
        {"warnings": ["rainy"]},
        {"score": 1.5},
        {"mood": "fine"},
        {"status": "error"},
        {"verdict": None},
        {"spans": [{**EXAMPLE["spans"][0], "kind": "mood"}]},
        {"channels": [{**EXAMPLE["channels"][0], "relation": "friends"}]},
        {"segments": [{**EXAMPLE["segments"][0], "modality": "smell"}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_schema_refuses_what_the_contract_does_not_know(change):
    assert not validator().is_valid(EXAMPLE | change)


@pytest.mark.parametrize("key", sorted(EXAMPLE.keys() - {"timing"}))
def test_the_schema_asks_for_every_key(key):
    assert not validator().is_valid({name: value for name, value in EXAMPLE.items() if name != key})
