"""Written sets: the same recipe, the same bytes; a manifest that the data set reads back."""

import json

import numpy as np
import pytest

from avloc.datasets.manifest import ManifestDataset
from avloc.datasets.talking_faces import TalkingFaces
from avloc.media.whole import read_audio, read_frames
from avloc.synth.recordings import Recipe, make_items, picture_of, write_recordings

RECIPE = Recipe(
    use="train",
    families=("insert_other", "vocoder_griffin_lim"),
    n_items=6,
    seed=4,
    genuine_share=0.3,
    duration_s=4.0,
)


def test_the_same_recipe_gives_the_same_bytes(pool, tmp_path):
    for name in ("a", "b"):
        write_recordings(tmp_path / name, RECIPE, pool)
    files = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert len(files) == 8
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_manifest_reads_back_as_the_truth_of_the_items(pool, tmp_path):
    manifest = write_recordings(tmp_path / "set", RECIPE, pool)
    dataset = ManifestDataset(root=manifest, split="train")
    for item, reference in zip(make_items(RECIPE, pool), dataset.references(), strict=True):
        assert reference.audio == item.audio and reference.segments == item.audio.segments
        assert not reference.visual.segments and reference.duration == pytest.approx(item.duration)
        assert reference.attributes["family"] == item.family
    first = next(make_items(RECIPE, pool))
    stored = read_audio(tmp_path / "set" / dataset.references()[0].recording_id)
    np.testing.assert_array_equal(stored, first.waveform)


def test_a_degradation_changes_every_recording_and_no_truth(pool, tmp_path):
    write_recordings(tmp_path / "clean", RECIPE, pool)
    write_recordings(
        tmp_path / "quiet", RECIPE, pool, degrade=lambda rng, w: (w * 0.5, {"gain": 0.5}), extension=".wav"
    )
    clean, quiet = (ManifestDataset(root=tmp_path / name) for name in ("clean", "quiet"))
    assert [r.segments for r in clean.references()] == [r.segments for r in quiet.references()]
    rows = (tmp_path / "quiet" / "manifest.jsonl").read_text().splitlines()
    assert all(json.loads(row)["path"].endswith(".wav") for row in rows)


def test_a_folder_that_holds_something_is_refused(pool, tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(ValueError, match="not empty"):
        write_recordings(tmp_path, RECIPE, pool)


@pytest.fixture(scope="module")
def real_faces(shared_corpus, tmp_path_factory) -> TalkingFaces:
    """Four real clips whose words have times."""
    folder = tmp_path_factory.mktemp("faces")
    rows = json.loads((shared_corpus / "manifest.json").read_text())["entries"]
    timed = [r for r in rows if r["kind"] == "genuine_talking_face" and r.get("word_segments")]
    chosen = [r | {"file": str(shared_corpus / r["file"])} for r in timed[:4]]
    (folder / "manifest.json").write_text(json.dumps({"entries": chosen}))
    return TalkingFaces.build([folder / "manifest.json"], use="train", cache=folder)


@pytest.mark.dataset
def test_recordings_with_a_picture_show_what_their_items_say(real_faces, pool, tmp_path):
    families = ("word_edit", "mouth_freeze", "mouth_self_blend", "lag_shift", "self_blend", "mouth_reverse")
    recipe = Recipe("train", families, 6, seed=5, genuine_share=0.3, edit_share=0.8)
    write_recordings(tmp_path / "set", recipe, pool, faces=real_faces)
    references = ManifestDataset(root=tmp_path / "set").references()
    seen, clips = set(), [read_frames(entry.path)[0] for entry in real_faces.entries]
    for item, reference in zip(make_items(recipe, pool, real_faces), references, strict=True):
        frames, _ = read_frames(tmp_path / "set" / reference.recording_id)
        assert len(frames) == len(item.picture.frames) and reference.visual == item.visual
        assert abs(item.waveform.shape[1] - 640 * len(frames)) < 640
        made = picture_of(item, real_faces)
        assert np.abs(made.astype(int) - frames).mean() < 6  # what the coder of the picture leaves
        source = clips[item.picture.clip]
        untouched = np.ones(len(frames), dtype=bool)
        if item.picture.weight is not None:
            untouched[item.picture.weight > 0] = False
        if item.picture.mouth_edit is not None:
            untouched[item.picture.mouth_edit.first : item.picture.mouth_edit.last] = False
        if item.picture.covered is not None:
            untouched[slice(*item.picture.covered)] = False
        np.testing.assert_array_equal(made[untouched], source[item.picture.frames[untouched]])
        seen |= {item.family, *(edit["edit"] for edit in item.attributes["genuine_edits"])}
    assert {"word_edit", "mouth_freeze", "jump_cut", "b_roll", "genuine"} <= seen
