"""Features of a split with their truth: which run is read, in what order, and what is said of the rest."""

import json
from pathlib import Path

import numpy as np
import pytest

from avloc.datasets.feature_set import open_features, open_saved_features
from avloc.datasets.media_files import find_media
from avloc.errors import AnnotationError, ConfigError
from avloc.features.cache import SCHEMA, FeatureCache, FeatureRow
from avloc.report.shards import agree

NAMES = ("train/b.mp4", "train/a.mp4", "train/c.mp4", "train/d.mp4")
ENCODERS = {"audio": {"name": "sound"}, "visual": {"name": "lips"}}


@pytest.fixture
def root(tmp_path) -> Path:
    entries = [
        {
            "file": n,
            "split": "train",
            "n_fakes": 1,
            "fake_periods": [[0.2, 0.4]],
            "modify_audio": True,
            "duration": 1.0,
        }
        for n in NAMES
    ] + [{"file": "dev/x.mp4", "split": "dev", "n_fakes": 0, "duration": 1.0}]
    (tmp_path / "metadata.json").write_text(json.dumps(entries))
    return tmp_path


def write(root: Path, run: str, features: dict, shard: str = "shard-1-of-1.jsonl", **told) -> None:
    """Write a run by hand: arrays (visual, audio) by id, or the reason why there are none."""
    media = find_media("lavdf", root=root, split="train")
    folder = root / "out" / "runs" / run
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "dataset": "lavdf",
        "split": "train",
        "recordings_sha256": media.sha256,
        "n_recordings": 4,
        "n_shards": 1,
        "encoders": ENCODERS,
        "settings": {"dtype": "float16"},
    } | told
    agree(folder, told, schema=SCHEMA)
    cache = FeatureCache(root / "out")
    for id, arrays in features.items():
        row = FeatureRow(id, "error", ("not_found",))
        if not isinstance(arrays, str):
            named = {
                s: (a, f"{run} {id} {s} {a.sum()}") for s, a in zip(("visual", "audio"), arrays, strict=True)
            }
            cache.write({key: (array, len(array), ()) for array, key in named.values()})
            row = FeatureRow(id, "analysed", features={s: cache.find(k) for s, (_, k) in named.items()})
        with (folder / shard).open("a") as stream:
            stream.write(row.to_line())


def rows(n: int, value: float) -> np.ndarray:
    return np.full((n, 3), value, np.float16)


def test_recordings_come_in_the_order_of_the_annotation_with_their_truth(root):
    write(
        root,
        "r",
        {
            "train/a.mp4": (rows(5, 1), rows(4, 2)),
            "train/b.mp4": (rows(0, 0), rows(6, 3)),
            "train/c.mp4": "no",
        },
    )
    features = open_features(root / "out", "lavdf", root=root, split="train")
    assert [r.recording_id for r in features.references] == ["train/b.mp4", "train/a.mp4"]
    assert features.missing == {"train/c.mp4": "not_found", "train/d.mp4": "was not extracted yet"}
    first, second = features
    assert first.visual is None and first.audio.shape == (3, 6)
    assert second.visual.shape == second.audio.shape == (3, 4) and second.visual.dtype == np.float32
    assert (second.visual == 1).all() and (second.audio == 2).all()
    assert second.reference.audio.segments[0].start == 0.2 and not second.reference.visual.segments


def test_what_was_written_last_of_a_recording_counts(root):
    write(root, "r", {"train/a.mp4": "no", "train/b.mp4": (rows(2, 1), rows(2, 1))})
    write(root, "r", {"train/a.mp4": (rows(2, 5), rows(2, 5)), "train/b.mp4": "no"})
    features = open_features(root / "out", "lavdf", root=root, split="train")
    assert [(i.reference.recording_id, i.audio[0, 0]) for i in features] == [("train/a.mp4", 5)]
    write(
        root, "shared otherwise", {"train/a.mp4": "no", "train/c.mp4": (rows(2, 6), rows(2, 6))}, n_shards=2
    )
    features = open_features(root / "out", "lavdf", root=root, split="train")
    assert [i.audio[0, 0] for i in features] == [5, 6]


def test_features_whose_shard_is_gone_are_missing_before_anything_is_read(root):
    write(root, "r", {id: (rows(2, i), rows(2, i + 9)) for i, id in enumerate(NAMES[:2])})
    cache = FeatureCache(root / "out")
    shard = cache.find("r train/a.mp4 audio 60.0").shard
    (root / "out" / "features" / shard).unlink()
    features = open_features(root / "out", "lavdf", root=root, split="train")
    assert [item.reference.recording_id for item in features] == ["train/b.mp4"]
    assert "gone; the same avloc extract makes them again" in features.missing["train/a.mp4"]


def test_features_of_several_encoders_are_told_apart_by_name(root):
    both = {"train/a.mp4": (rows(2, 1), rows(2, 1))}
    write(root, "r", both)
    write(
        root,
        "s",
        {"train/a.mp4": (rows(2, 4), rows(2, 4))},
        encoders={**ENCODERS, "audio": {"name": "other"}},
    )
    with pytest.raises(
        ConfigError, match="that differ in encoders: r .*'other'.*; choose with encoders or run"
    ):
        open_features(root / "out", "lavdf", root=root, split="train")
    (item,) = open_features(root / "out", "lavdf", root=root, split="train", encoders={"audio": "other"})
    assert item.audio[0, 0] == 4
    (item,) = open_features(root / "out", "lavdf", root=root, split="train", run="r")
    assert item.audio[0, 0] == 1


def test_features_of_other_recordings_are_none(root):
    write(root, "r", {"train/a.mp4": (rows(2, 1), rows(2, 1))}, recordings_sha256="00")
    with pytest.raises(ConfigError, match="holds no such features of these recordings .*are none; make"):
        open_features(root / "out", "lavdf", root=root, split="train")
    with pytest.raises(ConfigError, match="holds no such features"):
        open_features(root / "nowhere", "lavdf", root=root, split="train")


def test_a_list_without_truth_is_refused(root):
    (root / "list.txt").write_text("a.mp4\n")
    with pytest.raises(ConfigError, match="list of names without truth; name the annotation"):
        open_features(root / "out", str(root / "list.txt"))


def test_features_of_the_authors_scripts_go_through_the_same_door(root):
    (root / "saved" / "train").mkdir(parents=True)
    saved = np.ones((5, 768), np.float32)
    np.savez(root / "saved" / "train" / "a.npz", video_features=saved, audio_features=saved[:4])
    features = open_saved_features(root / "saved", "lavdf", root=root, split="train")
    (item,) = features
    assert item.reference.recording_id == "train/a.mp4" and item.visual.shape == item.audio.shape == (768, 4)
    assert set(features.missing) == set(NAMES) - {"train/a.mp4"}
    with pytest.raises(AnnotationError, match=r"expected saved features such as .*a\.npz"):
        open_saved_features(root / "none", "lavdf", root=root, split="train")
