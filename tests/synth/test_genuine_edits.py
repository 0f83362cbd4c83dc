"""Genuine edits: no segment, drawn alike for both classes, cut in pauses, aligned where nothing is cut."""

from collections import Counter

import numpy as np
import pytest

from avloc.synth.compose import FAMILIES, GENUINE, compose, draw_item, forge_sound
from avloc.synth.genuine_edits import (
    CUTS,
    GENUINE_EDITS,
    MASTERING,
    UNCUT,
    cut_host,
    draw_genuine_edits,
    named,
)
from avloc.synth.host import Host
from avloc.synth.mastering import denoise, music_bed
from avloc.synth.spans import frame_envelope


def _drawn(share: float, n: int, **options) -> list[tuple[str, ...]]:
    rng = np.random.default_rng(0)
    return [draw_genuine_edits(rng, share, **options) for _ in range(n)]


def test_edits_are_drawn_with_the_given_share_and_no_two_cuts_at_once():
    drawn = _drawn(0.4, 2000, family="insert_other", picture=True)
    assert abs(np.mean([bool(names) for names in drawn]) - 0.4) < 0.04  # three standard errors
    assert set().union(*drawn) == set(GENUINE_EDITS) - {"second_speaker"}
    assert all(len(set(names) & set(CUTS)) <= 1 for names in drawn)
    assert not any(_drawn(0.0, 50, family="insert_other", picture=True))


def test_sound_alone_has_no_b_roll_and_families_with_recording_times_no_cut():
    alone = set().union(*_drawn(1.0, 300, family="insert_other", picture=False))
    assert alone == set(GENUINE_EDITS) - {"b_roll"}
    for family in ("neural_pair", "word_edit"):
        assert not set(CUTS) & set().union(*_drawn(1.0, 300, family=family, picture=True))


@pytest.mark.parametrize("edit", [name for name in GENUINE_EDITS if name != "b_roll"])
def test_a_genuine_edit_is_no_forgery_and_names_itself(pool, edit):
    rng, changed = np.random.default_rng(2), 0
    for _ in range(6):
        item = compose(rng, pool, family=GENUINE, genuine_edits=(edit,))
        assert not item.audio.segments and not item.visual.segments and item.family == GENUINE
        changed += named(item.attributes["genuine_edits"]) == [edit]
    assert changed >= 4


def test_a_second_speaker_takes_turns_in_pauses_and_no_more_time(pool):
    rng, heard = np.random.default_rng(3), 0
    for index in range(len(pool.entries)):
        host = Host.cut(pool, index, 0, pool.n_samples(index))
        talk, arrangement, done = cut_host(rng, host, ("second_speaker",))
        if not done:
            continue
        heard += 1
        assert arrangement is None and len(talk.samples) == len(host.samples)
        other = next(e for e in pool.entries if e.id == done[0]["into"])
        assert other.identity != host.entry.identity and other.generator is None
        joints = np.round(np.array(done[0]["joints_s"]) * 16000).astype(int)
        first = joints[0]
        np.testing.assert_array_equal(talk.samples[: first - 2000], host.samples[: first - 2000])
        assert np.median(frame_envelope(talk.samples[first - 480 : first])) < 2 * host.sound.threshold
    assert heard >= 2


@pytest.mark.parametrize("edit", sorted(MASTERING))
def test_mastering_moves_nothing_in_time_and_changes_the_sound(pool, edit):
    plain = compose(np.random.default_rng(4), pool, family=GENUINE)
    made = compose(np.random.default_rng(4), pool, family=GENUINE, genuine_edits=(edit,))
    a, b = plain.waveform[0], made.waveform[0]
    assert a.shape == b.shape and (a != b).mean() > 0.5
    size = 1 << 18
    lag = int(np.fft.irfft(np.conj(np.fft.rfft(a, size)) * np.fft.rfft(b, size)).argmax())
    assert min(lag, size - lag) <= 2
    np.testing.assert_array_equal(b * 32768, np.round(b * 32768))
    assert np.abs(b).max() <= 1


def test_denoising_turns_the_pauses_down_more_than_the_speech(pool):
    samples = pool.read(0)
    made, _ = denoise(np.random.default_rng(0), samples)
    frames, after = frame_envelope(samples), frame_envelope(made)
    quiet, loud = frames < np.percentile(frames, 15), frames > np.percentile(frames, 80)
    assert (after[quiet] / frames[quiet]).mean() < 0.7 < 0.8 < (after[loud] / frames[loud]).mean()


def test_music_lies_under_the_speech_by_what_it_says(pool):
    for seed in range(4):
        samples = pool.read(1)
        made, parameters = music_bed(np.random.default_rng(seed), samples)
        bed = np.sqrt(((made - samples) ** 2).mean())
        level = float(pool.statistics.level[1])
        assert 20 * np.log10(level / bed) == pytest.approx(parameters["below_db"], abs=0.1)


def test_a_jump_cut_leaves_out_what_lies_between_two_pauses(pool):
    rng, made = np.random.default_rng(3), 0
    for _ in range(12):
        host = Host.cut(pool, int(rng.choice(pool.natural)), 0, 64000)
        cut, arrangement, done = cut_host(rng, host, ("jump_cut",))
        if arrangement is None:
            assert cut is host and not done
            continue
        made += 1
        (_, first), (last, end) = arrangement.pieces
        assert end == len(host.samples) and 3200 <= last - first <= 48000
        for place in (first, last):
            assert host.envelope[place // 160] <= max(host.sound.threshold, np.percentile(host.envelope, 10))
        np.testing.assert_array_equal(cut.samples[: first - 160], host.samples[: first - 160])
        np.testing.assert_array_equal(cut.samples[first + 160 :], host.samples[last + 160 :])
    assert made >= 6


def test_a_cross_fade_leads_into_another_take_of_the_same_speaker(pool):
    rng, takes = np.random.default_rng(3), 0
    for _ in range(8):
        host = Host.cut(pool, int(rng.choice(pool.natural)), 0, 64000)
        cut, _, done = cut_host(rng, host, ("cross_fade",))
        if not done or "into" not in done[0]:
            continue
        takes += 1
        other = next(i for i, e in enumerate(pool.entries) if e.id == done[0]["into"])
        assert pool.entries[other].identity == host.entry.identity and other != host.index
        assert (
            len(cut.samples) == len(host.samples) and cut.made_of == (host.index, other) and cut.index == -1
        )
        joint = round(done[0]["joints_s"][0] * 16000)
        np.testing.assert_array_equal(cut.samples[: joint - 4001], host.samples[: joint - 4001])
        assert (cut.samples[joint + 4001 :] != host.samples[joint + 4001 :]).mean() > 0.5
    assert takes >= 4


def test_forged_items_carry_the_same_edits_as_genuine_ones(pool):
    rng, counts = np.random.default_rng(7), {True: Counter(), False: Counter()}
    mixture = dict.fromkeys(("insert_other", "self_blend", "word_edit"), 1.0)
    for _ in range(200):
        item = draw_item(rng, pool, mixture=mixture, genuine_share=0.5, edit_share=0.6, duration_s=2.5)
        made = named(item.attributes["genuine_edits"])
        counts[item.family == GENUINE].update({"items": 1, "edited": bool(made), **Counter(made)})
    shares = {name: [c[name] / c["items"] for c in counts.values()] for name in ("edited", *MASTERING)}
    # The standard error of a difference of two shares of 100 items is at most 0.07.
    assert all(abs(a - b) < 0.2 for a, b in shares.values()), shares
    assert counts[False]["jump_cut"] and counts[True]["jump_cut"]


@pytest.mark.parametrize("family", [f for f in FAMILIES if f not in UNCUT])
def test_what_is_forged_after_a_cut_has_its_truth_in_the_time_of_the_result(pool, family):
    rng = np.random.default_rng(11)
    for _ in range(3):
        host = Host.cut(pool, int(rng.choice(pool.natural[:9])), 0, 64000)
        cut, _, _ = cut_host(rng, host, ("jump_cut",))
        forged = forge_sound(rng, cut, family, 400000)
        if forged is None:
            continue
        first = forged.spans[0][0] - 800
        np.testing.assert_array_equal(forged.samples[:first], cut.samples[:first])
        tail = len(forged.samples) - forged.spans[-1][1] - 800
        if tail > 0:
            np.testing.assert_array_equal(forged.samples[-tail:], cut.samples[-tail:])
