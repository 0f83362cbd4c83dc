"""The audit finds shortcuts that were planted, none where there is none, and none in what synth makes."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest

from avloc.corruptions.audio import wide
from avloc.errors import AnnotationError
from avloc.metrics.recording import auc
from avloc.synth.audit import HIGHEST_AUC, Finding, audit, audit_folder
from avloc.synth.probes import PROBES, cross_validate
from avloc.synth.recordings import Recipe, make_items, write_recordings

RNG_SEED = 3


def _recordings(n: int) -> Iterator[tuple[np.ndarray, bool, str]]:
    """Noise bursts of random length and level, their class by chance."""
    rng = np.random.default_rng(RNG_SEED)
    for k in range(n):
        bursts = np.repeat(10 ** rng.uniform(-3, -0.5, int(rng.integers(12, 30))), 1600)
        sound = bursts * rng.standard_normal(len(bursts)) * 0.3
        yield (
            (np.round(sound.clip(-1, 1) * 32768) / 32768).astype(np.float32),
            rng.random() < 0.5,
            f"g{k % 40}",
        )


def _leading_silence(sound: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros(1600, dtype=np.float32), sound[1600:]])


def _coded(sound: np.ndarray) -> np.ndarray:
    spectrum = np.fft.rfft(sound)
    spectrum[int(0.8 * len(spectrum)) :] = 0
    return np.fft.irfft(spectrum, len(sound)).astype(np.float32)


PLANTED = {
    "first 200 ms": _leading_silence,
    "silence": lambda s: np.where(np.abs(s) < 2e-4, 0, s),
    "loudness": lambda s: 0.3 * s,
    "duration": lambda s: s[: 12 * 1600],
    "codec traces": _coded,
    "padding": lambda s: np.concatenate([s[:-400], np.repeat(s[-401], 400)]),
}


def _audit(n: int, plant=None, share: float = 1.0):
    rng = np.random.default_rng(1)
    sounds, truth, groups = zip(*_recordings(n), strict=True)
    if plant is not None:
        sounds = [plant(s) if t and rng.random() < share else s for s, t in zip(sounds, truth, strict=True)]
    return audit(sounds, truth, groups)


def test_every_probe_has_a_planted_shortcut():
    assert set(PLANTED) == set(PROBES)


@pytest.mark.parametrize("probe", sorted(PLANTED))
def test_a_planted_shortcut_is_found_by_its_probe(probe):
    found = {f.probe: f for f in _audit(160, PLANTED[probe], share=0.7).findings}
    assert found[probe].is_shortcut and found[probe].auc > 0.7


def test_where_nothing_was_planted_nothing_is_found():
    found = _audit(240)
    assert found.shortcuts == () and found.n_recordings == 240 and found.n_groups == 40
    assert all(f.low <= f.auc <= f.high for f in found.findings)


def test_a_probe_is_never_asked_about_a_voice_that_it_was_fitted_on():
    """Each voice is told by a number of its own and has a class of its own: only knowing the voice helps."""
    rng = np.random.default_rng(0)
    voice = np.repeat(np.arange(10), 20)
    truth = rng.random(200) < np.where(voice % 2, 0.95, 0.05)
    features = (voice[:, None] == np.arange(10)) + 0.01 * rng.standard_normal((200, 10))

    def area(groups: np.ndarray) -> float:
        return auc(cross_validate(features, truth, groups, seed=0, n_folds=5, n_rounds=4), truth)

    assert area(voice.astype(str)) < 0.6 < 0.8 < area(np.arange(200).astype(str))


def test_an_area_counts_as_a_shortcut_only_if_chance_does_not_explain_it():
    assert Finding("a", 0.58, 0.51, 0.65).is_shortcut
    assert not Finding("a", 0.58, 0.49, 0.67).is_shortcut
    assert not Finding("a", HIGHEST_AUC, 0.52, 0.58).is_shortcut
    assert not Finding("a", 0.40, 0.33, 0.47).is_shortcut


def test_too_few_recordings_are_refused():
    with pytest.raises(AnnotationError, match="needs 10 forged and 10 genuine"):
        _audit(12)
    sounds, truth, _ = zip(*_recordings(60), strict=True)
    with pytest.raises(AnnotationError, match="of 1;"):
        audit(sounds, truth, ["one"] * 60)


def test_what_synth_makes_has_no_shortcut_and_the_audit_of_it_would_see_one(pool, tmp_path):
    families = ("insert_other", "insert_same", "pitch_shift", "self_blend", "time_stretch", "word_edit")
    recipe = Recipe("train", families, 120, seed=5, genuine_share=0.45, duration_s=4.0)
    write_recordings(tmp_path, recipe, pool, extension=".wav", degrade=partial(wide, pool=pool))
    found = audit_folder(tmp_path)
    assert found.n_recordings == 120 and found.n_groups == 4
    assert found.shortcuts == (), found.findings
    items = list(make_items(recipe, pool))
    truth, voices = [bool(i.audio.segments) for i in items], [i.attributes["identity"] for i in items]
    quieter = (i.waveform[0] * (0.3 if i.audio.segments else 1.0) for i in items)
    assert "loudness" in audit(quieter, truth, voices).shortcuts
