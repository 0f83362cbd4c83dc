"""Second implementations: exact truth, a name in the manifest, and out of reach of the training."""

import inspect
import json
import subprocess
import sys

import numpy as np
import pytest

from avloc.synth.compose import compose, draw_item
from avloc.synth.compose_picture import compose_picture, draw_picture_item
from avloc.synth.families import AUDIO_FAMILIES, SOUND_FAMILIES
from avloc.synth.held_back import HELD_BACK_FAMILIES
from avloc.synth.own_sound import GATE
from avloc.synth.recordings import HELD_BACK, Recipe, implementations_of, make_items, write_recordings
from avloc.synth.splice import MARGIN, at_zero_crossings, nearest_rise


def _host_of(pool, item) -> np.ndarray:
    index = next(i for i, e in enumerate(pool.entries) if e.id == item.attributes["host"])
    return pool.read(index, round(item.attributes["host_start_s"] * 16000))


def _slope_of(family: str) -> int:
    return GATE if family == "self_blend" else MARGIN


def test_every_family_of_resynthesis_and_editing_has_a_second_implementation():
    # A neural vocoder makes twins, a neural synthesizer words: generators and voices are held back by use.
    assert set(AUDIO_FAMILIES) - set(HELD_BACK_FAMILIES) == {"neural_pair", "neural_words"}
    for family, (second,) in HELD_BACK_FAMILIES.items():
        assert not any(
            second.name == made.name or second.make is made.make for made in AUDIO_FAMILIES[family]
        )


@pytest.mark.parametrize("family", sorted(HELD_BACK_FAMILIES))
def test_the_truth_of_a_second_implementation_is_exact(pool, family):
    rng, slope = np.random.default_rng(5), _slope_of(family)
    for _ in range(3):
        item = compose(rng, pool, family=family, implementations=HELD_BACK_FAMILIES)
        assert item.attributes["implementation"] == HELD_BACK_FAMILIES[family][0].name
        host, waveform = _host_of(pool, item), item.waveform[0]
        spans = [(round(s.start * 16000), round(s.end * 16000)) for s in item.audio.segments]
        before, after = waveform[: spans[0][0] - slope], waveform[spans[-1][1] + slope :]
        np.testing.assert_array_equal(before, host[: len(before)])
        places = np.lib.stride_tricks.sliding_window_view(host, 64)
        assert len(after) < 64 or (places == after[:64]).all(axis=1).any()
        for start, end in spans:
            inside = waveform[start + slope : end - slope]
            if len(inside) >= 64:
                assert not (places == inside[len(inside) // 2 - 32 : len(inside) // 2 + 32]).all(1).any()


@pytest.mark.parametrize("family", sorted(set(HELD_BACK_FAMILIES) - {"insert_other", "insert_same"}))
def test_the_level_of_what_is_put_in_is_that_of_the_host(pool, family):
    """As exact as the training's implementations are; else loudness would tell the two apart."""
    rng, differences = np.random.default_rng(6), []
    for _ in range(12):
        item = compose(rng, pool, family=family, implementations=HELD_BACK_FAMILIES)
        waveform = item.waveform[0]
        for segment in item.audio.segments:
            inside = waveform[round(segment.start * 16000) : round(segment.end * 16000)]
            differences.append(20 * np.log10(inside.std() / waveform.std()))
    # Syllables of the made-up speech differ by 14 dB among themselves.
    assert -7 < np.median(differences) < 7


def test_an_insertion_is_joined_where_both_rise_through_zero():
    host = np.sin(2 * np.pi * np.arange(4000) / 100 + 0.3).astype(np.float32)
    material = np.sin(2 * np.pi * np.arange(1000) / 80 + 1.0).astype(np.float32)
    edit = at_zero_crossings(host, 1000, 2000, material)
    assert edit.fades == (0, 0) and edit.margin == 0
    assert abs(edit.start - 1000) <= MARGIN and abs(edit.end - 2000) <= MARGIN
    for samples, place in ((host, edit.start), (host, edit.end)):
        assert samples[place - 1] < 0 <= samples[place]
    assert edit.material[0] >= 0 and edit.material[-1] < 0.08  # one step of the sine before it rises
    assert nearest_rise(np.ones(1000, dtype=np.float32), 500) == 500


@pytest.mark.parametrize("family", ["vocoder_griffin_lim", "self_blend", "time_stretch"])
def test_sound_under_a_picture_has_second_implementations_too(faces, pool, family):
    chosen = implementations_of(HELD_BACK, picture=True)
    rng = np.random.default_rng(2)
    item = compose_picture(rng, faces, pool, family=family, implementations=chosen)
    assert item.attributes["implementation"] == HELD_BACK_FAMILIES[family][0].name and item.audio.segments
    assert set(chosen) == set(HELD_BACK_FAMILIES) & set(SOUND_FAMILIES)


def test_the_manifest_names_the_implementation(pool, tmp_path):
    families = ("vocoder_griffin_lim", "insert_other")
    recipe = Recipe("train", families, 6, seed=4, genuine_share=0.3, duration_s=4.0)
    for which, names in (
        ("training", ["griffin_lim", "cross_fade"]),
        (HELD_BACK, ["rtisi", "zero_crossing"]),
    ):
        chosen = Recipe(
            **{name: getattr(recipe, name) for name in recipe.__slots__} | {"implementations": which}
        )
        manifest = write_recordings(tmp_path / which, chosen, pool)
        rows = [json.loads(line) for line in manifest.read_text().splitlines()]
        expected = {**dict(zip(families, names, strict=True)), "genuine": None}
        assert all(row["implementation"] == expected[row["family"]] for row in rows)
        assert {row["family"] for row in rows} == set(expected)
        assert json.loads((tmp_path / which / "synth.json").read_text())["recipe"]["implementations"] == which


def test_a_family_without_a_second_implementation_is_refused(pool):
    recipe = Recipe("train", ("word_edit",), 1, implementations=HELD_BACK)
    with pytest.raises(ValueError, match="not \\['word_edit'\\]"):
        next(make_items(recipe, pool))


def test_nothing_that_training_imports_imports_the_second_implementations():
    modules = ("runner", "sources", "batches", "development", "hooks", "objective", "assignment", "crops")
    code = (
        f"import {', '.join(f'avloc.training.{name}' for name in modules)}; import sys; "
        "print(sorted(m for m in sys.modules if m in ('avloc.synth.held_back', 'avloc.synth.recordings')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_training_draws_with_has_no_choice_of_implementations(pool, faces):
    for draw in (draw_item, draw_picture_item):
        assert "implementations" not in inspect.signature(draw).parameters
    second = {made.name for ways in HELD_BACK_FAMILIES.values() for made in ways}
    trained = {made.name for ways in (*AUDIO_FAMILIES.values(), *SOUND_FAMILIES.values()) for made in ways}
    assert not second & trained
    drawn = {
        draw_item(np.random.default_rng(seed), pool, genuine_share=0.0).attributes["implementation"]
        for seed in range(40)
    }
    assert drawn <= trained | {"word_edit"} and len(drawn) > 5
    # A mixture can only weigh families, whatever a configuration says.
    with pytest.raises(ValueError, match="family must be"):
        draw_item(np.random.default_rng(0), pool, mixture={"rtisi": 1.0})
