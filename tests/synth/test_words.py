"""Word edits: the host's words in another order, the joints where the truth says, and nothing else moved."""

from collections import Counter

import numpy as np
import pytest

from avloc.errors import AnnotationError
from avloc.synth.compose import WORD_EDIT, compose, draw_item
from avloc.synth.host import Host
from avloc.synth.words import JOIN_S, RESERVE_S, edit_words

REACH = round(JOIN_S * 16000)


def _edits(pool, n: int, **options):
    rng = np.random.default_rng(7)
    for k in range(n):
        index = int(pool.timed[k % len(pool.timed)])
        start = int(rng.integers(0, 8000))
        host = Host.cut(pool, index, start, pool.n_samples(index) - int(RESERVE_S * 16000))
        edited = edit_words(rng, host, **options)
        if edited is not None:
            yield host, *edited


def test_each_operation_does_what_its_name_says(pool):
    seen = Counter()
    for host, arrangement, _, parameters in _edits(pool, 60):
        pieces, operation = arrangement.pieces, parameters["operation"]
        steps = [b[0] - a[1] for a, b in zip(pieces[:-1], pieces[1:], strict=True)]
        assert arrangement.n_samples == len(host.samples) and pieces[0][0] == 0
        if operation == "delete":
            assert len(steps) == 1 and 0 < steps[0] <= RESERVE_S * 16000
        elif operation == "repeat":
            assert len(steps) == 1 and steps[0] < 0
        else:  # over the second word, back before the first, on after the second
            first, second = (p[1] - p[0] for p in (pieces[2], pieces[1]))
            assert steps == [first, -first - second, second]
        seen[operation] += 1
    assert set(seen) == {"delete", "repeat", "reorder"}


def test_the_joints_lie_at_word_boundaries_of_running_speech(pool):
    for host, arrangement, _, parameters in _edits(pool, 40):
        times = [(s * 16000 - host.start, e * 16000 - host.start) for s, e, _ in host.entry.words]
        boundaries = np.array([t for pair in times for t in pair])
        for _, last in arrangement.pieces[:-1]:
            assert np.abs(boundaries - last).min() < 0.04 * 16000
        assert parameters["words"][0].startswith("word")


def test_the_truth_is_a_tenth_of_a_second_around_each_joint(pool):
    for host, arrangement, spans, _ in _edits(pool, 40):
        marked = np.zeros(len(host.samples), dtype=bool)
        for joint in arrangement.joints:
            marked[max(joint - REACH, 0) : joint + REACH] = True
        told = np.zeros_like(marked)
        for first, last in spans:
            assert 0 <= first < last <= len(host.samples)
            told[first:last] = True
        np.testing.assert_array_equal(told, marked)
        assert all(b[0] > a[1] for a, b in zip(spans[:-1], spans[1:], strict=True))


def test_away_from_its_joints_the_item_is_its_host(pool):
    rng = np.random.default_rng(1)
    for _ in range(12):
        item = compose(rng, pool, family=WORD_EDIT)
        index = next(i for i, e in enumerate(pool.entries) if e.id == item.attributes["host"])
        start, n = round(item.attributes["host_start_s"] * 16000), item.waveform.shape[1]
        host = pool.read(index, start, start + n + int(RESERVE_S * 16000))
        first = round(item.audio.segments[0].start * 16000)
        np.testing.assert_array_equal(item.waveform[0, :first], host[:first])
        last = round(item.audio.segments[-1].end * 16000)
        rest = item.waveform[0, last:]
        if len(rest) > 200:
            heads = np.lib.stride_tricks.sliding_window_view(host[: len(host) - len(rest) + 64], 64)
            places = np.flatnonzero((heads == rest[:64]).all(axis=1))
            assert any(np.array_equal(host[p : p + len(rest)], rest) for p in places)


def test_with_a_picture_every_piece_moves_by_whole_frames(pool):
    for _, arrangement, _, _ in _edits(pool, 40, grid=640):
        frames = arrangement.frames()
        starts = np.array([0, *arrangement.joints])
        for k, (first, _) in enumerate(arrangement.pieces):
            assert (first - starts[k]) % 640 == 0
            inside = np.flatnonzero(np.searchsorted(starts, np.arange(len(frames)) * 640, "right") - 1 == k)
            assert (frames[inside] * 640 == inside * 640 + first - starts[k]).all()


def test_a_pool_without_word_times_refuses_the_family_and_draws_others(pool, monkeypatch):
    monkeypatch.setattr(pool, "timed", np.zeros(0, dtype=np.int64))
    with pytest.raises(AnnotationError, match="words have times"):
        compose(np.random.default_rng(0), pool, family=WORD_EDIT)
    with pytest.raises(AnnotationError, match="no family can be drawn"):
        draw_item(np.random.default_rng(0), pool, mixture={WORD_EDIT: 1.0})
    mixture = {WORD_EDIT: 9.0, "self_blend": 1.0}
    rng = np.random.default_rng(0)
    assert {draw_item(rng, pool, mixture=mixture, genuine_share=0.0).family for _ in range(4)} == {
        "self_blend"
    }
