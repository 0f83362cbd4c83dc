"""Written sets: the same recipe, the same bytes; a manifest that the data set reads back."""

import json

import numpy as np
import pytest

from avloc.datasets.manifest import ManifestDataset
from avloc.media.whole import read_audio
from avloc.synth.recordings import Recipe, make_items, write_recordings

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
    write_recordings(tmp_path / "quiet", RECIPE, pool, degrade=lambda rng, w: w * 0.5, extension=".wav")
    clean, quiet = (ManifestDataset(root=tmp_path / name) for name in ("clean", "quiet"))
    assert [r.segments for r in clean.references()] == [r.segments for r in quiet.references()]
    rows = (tmp_path / "quiet" / "manifest.jsonl").read_text().splitlines()
    assert all(json.loads(row)["path"].endswith(".wav") for row in rows)


def test_a_folder_that_holds_something_is_refused(pool, tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(ValueError, match="not empty"):
        write_recordings(tmp_path, RECIPE, pool)
