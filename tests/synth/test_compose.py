"""Items: exact truth, the same bytes for the same seed, and nothing easy that tells the classes apart."""

import pickle

import numpy as np
import pytest
from scipy.stats import rankdata

from avloc.datasets.speech_pool import SpeechPool
from avloc.synth.compose import FAMILIES, GENUINE, MIXTURE, WORD_EDIT, compose, draw_item
from avloc.synth.families import AUDIO_FAMILIES
from avloc.synth.own_sound import GATE
from avloc.synth.splice import MARGIN
from avloc.synth.whole import WHOLE_GENERATED


def _host_of(pool: SpeechPool, item) -> np.ndarray:
    index = next(i for i, e in enumerate(pool.entries) if e.id == item.attributes["host"])
    return pool.read(index, round(item.attributes["host_start_s"] * 16000))


@pytest.mark.parametrize("family", sorted(AUDIO_FAMILIES))
def test_outside_the_segments_the_item_is_its_host_and_inside_it_is_not(pool, family):
    rng = np.random.default_rng(3)
    slope = GATE if family == "self_blend" else MARGIN
    for _ in range(4):
        item = compose(rng, pool, family=family)
        host, waveform = _host_of(pool, item), item.waveform[0]
        spans = [(round(s.start * 16000), round(s.end * 16000)) for s in item.audio.segments]
        assert spans and item.family == family
        before = waveform[: spans[0][0] - slope]
        np.testing.assert_array_equal(before, host[: len(before)])
        for k, (_, end) in enumerate(spans):
            following = spans[k + 1][0] if k + 1 < len(spans) else len(waveform)
            piece = waveform[end + slope : following - (slope if k + 1 < len(spans) else 0)]
            assert len(piece) == 0 or _occurs(host, piece), "what follows a segment must be the host again"
        for start, end in spans:
            assert not _occurs(host, waveform[start + slope : end - slope])


def _occurs(host: np.ndarray, piece: np.ndarray) -> bool:
    """``piece`` is an exact part of ``host``."""
    head = piece[:64]
    windows = np.lib.stride_tricks.sliding_window_view(host, len(head))
    places = np.flatnonzero((windows == head).all(axis=1))
    return any(np.array_equal(host[p : p + len(piece)], piece) for p in places)


def test_a_genuine_item_is_an_untouched_part_of_a_recording(pool):
    item = compose(np.random.default_rng(1), pool, family=GENUINE)
    host = _host_of(pool, item)
    np.testing.assert_array_equal(item.waveform[0], host[: item.waveform.shape[1]])
    assert not item.audio.segments and not item.visual.segments


def test_resynthesis_and_twins_keep_the_words_at_their_times(pool):
    rng = np.random.default_rng(8)
    for family in ("vocoder_griffin_lim", "vocoder_source_filter", "neural_pair", "formant_shift"):
        item = compose(rng, pool, family=family)
        host, waveform = _host_of(pool, item), item.waveform[0]
        last = round(item.audio.segments[-1].end * 16000) + MARGIN
        np.testing.assert_array_equal(waveform[last:], host[last : len(waveform)])


def test_items_of_whole_recordings_have_no_round_lengths(pool):
    """A length of whole seconds would say that nothing was put in."""
    rng, rest = np.random.default_rng(1), []
    for _ in range(40):
        item = compose(rng, pool, family=GENUINE)
        index = next(i for i, e in enumerate(pool.entries) if e.id == item.attributes["host"])
        left = pool.n_samples(index) - item.waveform.shape[1]
        rest += [left] if item.attributes["host_start_s"] == 0 and left < 640 else []
    assert len(rest) > 10 and len(set(rest)) > 0.8 * len(rest)


def test_the_same_seed_gives_the_same_item(pool):
    for seed in range(12):
        first, second = (draw_item(np.random.default_rng(seed), pool) for _ in range(2))
        np.testing.assert_array_equal(first.waveform, second.waveform)
        assert first.audio == second.audio and first.attributes == second.attributes


def test_an_item_does_not_depend_on_the_items_before_it(pool):
    used = [draw_item(np.random.default_rng(seed), pool) for seed in range(20)]
    fresh = pickle.loads(pickle.dumps(pool))
    for seed in (19, 7, 13):
        np.testing.assert_array_equal(
            draw_item(np.random.default_rng(seed), fresh).waveform, used[seed].waveform
        )


def test_segments_lie_inside_apart_and_have_lengths_of_speech(pool):
    rng = np.random.default_rng(2)
    for _ in range(40):
        item = draw_item(rng, pool, genuine_share=0.0)
        segments = item.audio.segments
        earliest = 0.0 if item.family == WORD_EDIT else 0.05  # its truth reaches beyond its joints
        assert segments[0].start >= earliest and segments[-1].end <= item.duration
        assert all(0.1 < s.duration <= 5.3 for s in segments)
        if item.family != WORD_EDIT:  # its joints lie as the words do
            assert all(b.start - a.end > 0.1 for a, b in zip(segments[:-1], segments[1:], strict=True))


def test_inserted_speech_is_of_another_identity_or_the_same_as_the_family_says(pool):
    rng = np.random.default_rng(4)
    for family, same in (("insert_other", False), ("insert_same", True)):
        for _ in range(10):
            item = compose(rng, pool, family=family)
            for segment in item.attributes["segments"]:
                assert (segment["identity"] == item.attributes["identity"]) is same


def test_duration_is_bounded_and_no_value_lies_between_those_of_16_bits(pool):
    rng = np.random.default_rng(6)
    for _ in range(30):
        item = draw_item(rng, pool, duration_s=6.0)
        assert item.duration <= 6.0
        steps = item.waveform * 32768
        np.testing.assert_array_equal(steps, np.round(steps))


def _auc(scores: np.ndarray, positive: np.ndarray) -> float:
    ranks, n = rankdata(scores), positive.sum()
    return (ranks[positive].sum() - n * (n + 1) / 2) / (n * (len(positive) - n))


def easy_cues(waveform: np.ndarray) -> list[float]:
    frames = np.sqrt((waveform[: len(waveform) // 160 * 160].reshape(-1, 160) ** 2).mean(axis=1))
    spectrum = np.abs(np.fft.rfft(waveform, 1 << 18)) ** 2
    hertz = np.linspace(0, 8000, len(spectrum))
    return [
        len(waveform),
        frames.mean(),
        np.abs(waveform).max(),
        (waveform == 0).mean(),
        abs(waveform.mean()),
        frames[:20].mean(),
        frames[-20:].mean(),
        np.percentile(frames, 5),
        frames.min(),
        spectrum[hertz < 60].sum() / spectrum.sum(),
        spectrum[hertz > 6500].sum() / spectrum.sum(),
        np.abs(np.diff(waveform)).max() / waveform.std(),
    ]


CUES = [
    "duration",
    "loudness",
    "peak",
    "zeros",
    "offset",
    "start",
    "end",
    "floor",
    "quietest",
    "rumble",
    "treble",
    "steps",
]


def _assert_no_shortcut(
    pool: SpeechPool, n_items: int, seed: int, *, most: float = 0.1, **options: object
) -> None:
    rng = np.random.default_rng(seed)
    items = [draw_item(rng, pool, **options) for _ in range(n_items)]
    forged = np.array([item.family != GENUINE for item in items])
    cues = np.array([easy_cues(item.waveform[0]) for item in items])
    areas = {name: _auc(cues[:, k], forged) for k, name in enumerate(CUES)}
    # The standard error of an area over 260 items is 0.037, over 520 0.026.
    assert all(abs(area - 0.5) < most for area in areas.values()), areas
    assert 0.28 < 1 - forged.mean() < 0.48


def test_no_easy_cue_tells_forged_items_from_genuine_ones(pool):
    _assert_no_shortcut(pool, 520, seed=20)


@pytest.mark.dataset
def test_no_easy_cue_tells_the_classes_apart_on_real_recordings(real_pool):
    _assert_no_shortcut(real_pool, 300, seed=21)


@pytest.mark.dataset
def test_no_easy_cue_tells_whole_recordings_that_were_generated(real_pool):
    # Synthesizers pause less than people do, and recordings hold digital silence that no fitted voice has.
    _assert_no_shortcut(real_pool, 260, seed=22, most=0.2, mixture={WHOLE_GENERATED: 1.0})


def test_every_family_of_the_mixture_exists():
    assert set(MIXTURE) == set(FAMILIES) - {WHOLE_GENERATED}


def test_an_unknown_family_is_refused(pool):
    with pytest.raises(ValueError, match="family must be"):
        compose(np.random.default_rng(0), pool, family="swap")
