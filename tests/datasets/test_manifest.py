"""The generic manifest: times, streams, and errors that name file and line."""

import pytest

from avloc.datasets.base import Dataset
from avloc.datasets.manifest import ManifestDataset, write_manifest
from avloc.errors import AnnotationError
from avloc.structures import Segment


def _dataset(folder, *rows, **options):
    write_manifest(folder / "manifest.jsonl", [{"path": f"{k}.wav"} | row for k, row in enumerate(rows)])
    return ManifestDataset(root=folder, **options)


def test_modality_says_which_stream_the_segments_belong_to(tmp_path):
    spans = [[1.0, 2.0]]
    dataset = _dataset(
        tmp_path,
        {"segments": spans, "modality": "audio", "duration_s": 5},
        {"segments": spans, "modality": "both"},
        {"segments": spans},
        {"segments": [], "modality": None},
    )
    audio, both, unknown, genuine = dataset.references()
    assert audio.audio.segments == (Segment(1.0, 2.0),) and not audio.visual.segments and audio.duration == 5
    assert both.visual.segments == both.audio.segments == (Segment(1.0, 2.0),)
    assert unknown.audio is None and unknown.visual is None and unknown.segments
    assert genuine.segments == () and not genuine.audio.segments
    assert isinstance(dataset, Dataset) and len(dataset) == 4


def test_segments_by_stream_go_before_modality(tmp_path):
    row = {"segments": [[0, 1], [2, 3]], "modality": "both"}
    row |= {"audio_segments": [[0, 1]], "visual_segments": [[2, 3]]}
    (reference,) = _dataset(tmp_path, row).references()
    assert reference.audio.segments == (Segment(0.0, 1.0),)
    assert reference.visual.segments == (Segment(2.0, 3.0),)


def test_a_split_selects_and_an_unknown_one_is_refused(tmp_path):
    assert len(_dataset(tmp_path, {"split": "dev"}, {"split": "test"}, split="dev")) == 1
    with pytest.raises(AnnotationError, match=r"there are \['dev', 'test'\]"):
        ManifestDataset(root=tmp_path, split="train")


@pytest.mark.parametrize(
    "row, message",
    [
        ({"segments": [[2.0, 1.0]]}, "segments must be"),
        ({"segments": [1.0]}, "segments must be"),
        ({"modality": "smell"}, "modality must be one of"),
        ({"duration_s": "long"}, "duration_s must be"),
    ],
)
def test_a_wrong_row_is_named_with_its_key(tmp_path, row, message):
    with pytest.raises(AnnotationError, match=f"manifest.jsonl', '0.wav': {message}"):
        _dataset(tmp_path, row)


def test_a_line_that_is_no_json_is_named(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"path": "a.wav"}\n\n{"path": \n')
    with pytest.raises(AnnotationError, match="line 3: not JSON"):
        ManifestDataset(root=path)
    path.write_text("[]\n")
    with pytest.raises(AnnotationError, match="line 1: expected an object"):
        ManifestDataset(root=path)
    with pytest.raises(AnnotationError, match=r"none\.jsonl"):
        ManifestDataset(root=tmp_path / "none.jsonl")
