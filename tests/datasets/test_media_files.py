"""The recordings of data sets as files: which, in which order, where; nothing is opened."""

import json

import numpy as np
import pytest

from avloc.datasets.media_files import find_media
from avloc.errors import AnnotationError, ConfigError


@pytest.fixture
def lavdf(tmp_path):
    entries = [{"file": f"{s}/{n}.mp4", "n_fakes": 0, "split": s} for s in ("test", "dev") for n in (2, 1)]
    entries.append({"file": "test/3.mp4", "fake_periods": [[0, 1]], "modify_audio": True, "split": "test"})
    (tmp_path / "metadata.json").write_text(json.dumps(entries))
    return tmp_path


@pytest.fixture
def av1m(tmp_path):
    for split in ("train", "val"):
        entries = [{"file": f"id/{split}.mp4", "modify_type": "real"}]
        (tmp_path / f"{split}_metadata.json").write_text(json.dumps(entries))
    (tmp_path / "testA_files.txt").write_text("vox/b.mp4\nlrs3/a.mp4\n\n")
    return tmp_path


def test_a_split_of_a_named_set_in_order_of_the_ids(lavdf):
    found = find_media("lavdf", root=lavdf, split="test")
    assert (found.dataset, found.split) == ("lavdf", "test")
    assert found.ids == ("test/1.mp4", "test/2.mp4", "test/3.mp4")
    assert found.path_of("test/2.mp4") == lavdf / "test" / "2.mp4"
    assert find_media("lavdf", root=lavdf, split="subset").ids == ("test/1.mp4", "test/2.mp4")


def test_a_path_says_itself_what_it_is_and_the_media_may_lie_elsewhere(lavdf):
    for path in (lavdf, lavdf / "metadata.json"):
        found = find_media(str(path), root="media", split="dev")
        assert found.dataset == "lavdf" and str(found.path_of("dev/1.mp4")) == "media/dev/1.mp4"


def test_several_splits_are_asked_for(lavdf):
    with pytest.raises(AnnotationError, match=r"holds the splits \['dev', 'test'\]; name one with --split"):
        find_media("lavdf", root=lavdf)
    with pytest.raises(AnnotationError, match="no recording with split='val'"):
        find_media("lavdf", root=lavdf, split="val")


def test_a_list_without_truth_is_a_split_of_its_set(av1m):
    with pytest.raises(AnnotationError, match=r"the splits \['testA', 'train', 'val'\]; name one"):
        find_media("avdeepfake1m", root=av1m)
    assert find_media("avdeepfake1m", root=av1m, split="val").ids == ("id/val.mp4",)
    (av1m / "testA" / "vox").mkdir(parents=True)
    (av1m / "testA" / "vox" / "b.mp4").write_bytes(b"x")
    for arguments in (
        {"dataset": "avdeepfake1m", "root": av1m, "split": "testA"},
        {"dataset": "avdeepfake1m", "root": av1m / "testA_files.txt"},
        {"dataset": str(av1m / "testA_files.txt")},
        {"dataset": str(av1m / "testA_files.txt"), "root": av1m},
    ):
        found = find_media(**arguments)
        assert found.ids == ("lrs3/a.mp4", "vox/b.mp4") and found.split == "testA"
        assert found.path_of("vox/b.mp4") == av1m / "testA" / "vox" / "b.mp4"
        assert found.path_of("lrs3/a.mp4") == av1m / "lrs3" / "a.mp4"
    with pytest.raises(AnnotationError, match="no recording with split='testB'; leave the split out"):
        find_media(str(av1m / "testA_files.txt"), split="testB")


def test_the_only_split_that_has_a_file_needs_no_name(tmp_path):
    (tmp_path / "test_files.txt").write_text("a.mp4\n")
    assert find_media("avdeepfake1m", root=tmp_path).split == "test"
    (tmp_path / "segment_labels").mkdir()
    labels = np.array({"x": np.array(["0", "1"])}, dtype=object)
    np.save(tmp_path / "segment_labels" / "eval_seglab_0.16.npy", labels, allow_pickle=True)
    found = find_media("partialspoof", root=tmp_path)
    assert found.split == "eval" and found.path_of("x") == tmp_path / "eval" / "con_wav" / "x.wav"
    np.save(tmp_path / "segment_labels" / "dev_seglab_0.16.npy", labels, allow_pickle=True)
    with pytest.raises(AnnotationError, match=r"the splits \['dev', 'eval'\]"):
        find_media("partialspoof", root=tmp_path)


def test_recordings_that_are_missing_stand_in_nobodys_way(tmp_path):
    (tmp_path / "meta_data.csv").write_text("type,path,\nFakeVideo-FakeAudio,a.mp4,FakeAVCeleb/f\n")
    (tmp_path / "video_list.txt").write_text("v/a.mp4 1 0 25 1 1 2\nv/b.mp4 0 1 2 8\n")
    assert find_media("fakeavceleb", root=tmp_path).path_of("f/a.mp4") == tmp_path / "f" / "a.mp4"
    assert find_media("forgerynet", root=tmp_path).ids == ("v/a.mp4", "v/b.mp4")
    assert find_media(str(tmp_path / "video_list.txt")).dataset == "forgerynet"
    with pytest.raises(AnnotationError, match="no recording with split='test'; leave the split out"):
        find_media("fakeavceleb", root=tmp_path, split="test")


def test_a_manifest(tmp_path):
    rows = [{"path": f"{n}.wav", "split": s} for n, s in (("b", "dev"), ("a", "dev"), ("c", "test"))]
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = find_media(str(path), split="dev")
    assert found.ids == ("a.wav", "b.wav") and found.path_of("a.wav") == tmp_path / "a.wav"
    path.write_text(json.dumps(rows[0]) + "\n" + json.dumps(rows[0]) + "\n")
    with pytest.raises(AnnotationError, match="1 recordings stand twice"):
        find_media(str(path))


def test_what_is_neither_a_name_nor_a_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'lavdf'"):
        find_media("lavdff")
    with pytest.raises(ConfigError, match="say with --root where it lies"):
        find_media("lavdf")
    (tmp_path / "list.txt").write_text("\n")
    with pytest.raises(AnnotationError, match="names no recording"):
        find_media(str(tmp_path / "list.txt"))
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(AnnotationError, match="expected the annotation of a data set"):
        find_media(str(tmp_path / "x.json"))
