"""TalkingFaces: sound, crops and presence of a clip on one clock, decoded once."""

import json
from fractions import Fraction

import cv2
import numpy as np
import pytest

from avloc.datasets.talking_faces import TalkingFaces
from avloc.errors import AnnotationError
from avloc.media.encode import write_video
from avloc.media.whole import read_audio, read_frames


@pytest.mark.dataset
def test_a_real_clip_has_a_face_and_sound_of_the_same_length(shared_corpus, tmp_path):
    rows = json.loads((shared_corpus / "manifest.json").read_text())["entries"]
    clip = next(r for r in rows if r["kind"] == "genuine_talking_face" and r["use"] == "dev")
    clip = clip | {"file": str(shared_corpus / clip["file"])}
    (tmp_path / "manifest.json").write_text(json.dumps({"entries": [clip]}))
    faces = TalkingFaces.build([tmp_path / "manifest.json"], use="dev", cache=tmp_path)
    loaded = faces[0]
    assert len(faces) == 1 and loaded.n_frames == pytest.approx(clip["duration_s"] * 25, abs=3)
    assert len(loaded.samples) == loaded.n_frames * 640 == len(loaded.crops["mouth96_box"]) * 640
    assert loaded.present.mean() > 0.9 and loaded.crops["mouth96_box"][loaded.present].std() > 5
    assert np.isfinite(loaded.boxes[loaded.present]).all() and np.abs(loaded.samples).max() > 0.01
    cached = next((tmp_path / "faces").glob("*.npz")).stat().st_mtime_ns
    TalkingFaces.build([tmp_path / "manifest.json"], use="dev", cache=tmp_path)
    assert next((tmp_path / "faces").glob("*.npz")).stat().st_mtime_ns == cached


@pytest.mark.dataset
def test_nothing_of_another_use_or_licence_is_opened(shared_media, tmp_path):
    rows = json.loads((shared_media / "manifest.json").read_text())["entries"]
    clip = next(
        r for r in rows if r["kind"] == "genuine_talking_face" and r["use"] == "dev" and not r["weights_ok"]
    )
    (tmp_path / "manifest.json").write_text(json.dumps({"entries": [clip]}))
    for options in ({"use": "dev"}, {"use": "train", "weights_only": False}):
        with pytest.raises(AnnotationError, match="no talking face"):
            TalkingFaces.build([tmp_path / "manifest.json"], cache=tmp_path, **options)


@pytest.mark.dataset
def test_of_several_faces_the_largest_is_kept(shared_corpus, tmp_path):
    rows = json.loads((shared_corpus / "manifest.json").read_text())["entries"]
    clip = next(r for r in rows if r["kind"] == "genuine_talking_face" and r["use"] == "dev")
    (frames, rate), sound = (
        read_frames(shared_corpus / clip["file"]),
        read_audio(shared_corpus / clip["file"]),
    )
    half = np.stack([cv2.resize(frame, (180, 144), interpolation=cv2.INTER_AREA) for frame in frames])
    half = np.pad(half, ((0, 0), (72, 72), (0, 0), (0, 0)), constant_values=128)
    for left, beside in ((0, [frames, half]), (180, [half, frames])):
        path = tmp_path / f"{left}.mp4"
        write_video(path, np.concatenate(beside, axis=2), Fraction(rate), sound, 16_000)
        entry = clip | {"id": path.name, "file": str(path), "sha256": f"{left:064x}"[::-1]}
        (tmp_path / "manifest.json").write_text(json.dumps({"entries": [entry]}))
        loaded = TalkingFaces.build([tmp_path / "manifest.json"], use="dev", cache=tmp_path)[0]
        assert loaded.present.all() and (loaded.boxes[:, 2] > 100).all()
        centre = loaded.boxes[:, 0] + loaded.boxes[:, 2] / 2
        assert ((left < centre) & (centre < left + 360)).all()


@pytest.mark.dataset
def test_crops_of_the_face_are_cut_and_kept_beside_a_cache_of_mouths(shared_corpus, tmp_path):
    rows = json.loads((shared_corpus / "manifest.json").read_text())["entries"]
    clip = next(r for r in rows if r["kind"] == "genuine_talking_face" and r["use"] == "dev")
    clip = clip | {"file": str(shared_corpus / clip["file"])}
    (tmp_path / "manifest.json").write_text(json.dumps({"entries": [clip]}))
    options = {"use": "dev", "cache": tmp_path}
    alone = TalkingFaces.build([tmp_path / "manifest.json"], **options)[0]
    both = TalkingFaces.build([tmp_path / "manifest.json"], crops=("mouth96_box", "face112"), **options)[0]
    assert set(alone.crops) == {"mouth96_box"} and set(both.crops) == {"mouth96_box", "face112"}
    np.testing.assert_array_equal(alone.crops["mouth96_box"], both.crops["mouth96_box"])
    face = both.crops["face112"]
    assert face.shape == (both.n_frames, 112, 112) and face[both.present].std() > 5
    assert len(list((tmp_path / "faces").glob("*.npz"))) == 2
