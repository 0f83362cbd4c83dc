"""Items that a synthesizer spoke from end to end, and genuine ones beside which they must not stand out."""

import numpy as np
import pytest

from avloc.errors import AnnotationError
from avloc.synth.compose import GENUINE, compose
from avloc.synth.genuine_edits import CUTS, draw_genuine_edits
from avloc.synth.whole import WHOLE_GENERATED


def test_all_of_the_item_is_one_segment_of_generated_speech(pool):
    rng = np.random.default_rng(0)
    generated = {pool.entries[i].id for i in pool.generated}
    for _ in range(8):
        item = compose(rng, pool, family=WHOLE_GENERATED)
        (segment,) = item.audio.segments
        assert segment.start == 0 and segment.end == pytest.approx(item.waveform.shape[1] / 16000)
        assert item.attributes["segments"][0]["source"] in generated
        assert item.attributes["implementation"] == WHOLE_GENERATED
        host = next(e for e in pool.entries if e.id == item.attributes["host"])
        assert host.id not in generated


def test_its_level_is_that_of_its_host(pool):
    rng, differences = np.random.default_rng(1), []
    for _ in range(12):
        item = compose(rng, pool, family=WHOLE_GENERATED)
        index = next(i for i, e in enumerate(pool.entries) if e.id == item.attributes["host"])
        host = pool.read(index, round(item.attributes["host_start_s"] * 16000))[: item.waveform.shape[1]]
        levels = [10 * np.log10(np.mean(np.square(x)) + 1e-9) for x in (item.waveform[0], host)]
        differences.append(levels[0] - levels[1])
    assert abs(np.median(differences)) < 3


def test_genuine_items_beside_them_are_as_short_and_untouched(pool):
    lengths = {}
    for family in (WHOLE_GENERATED, GENUINE):
        rng = np.random.default_rng(2)
        items = [compose(rng, pool, family=family, host_like=WHOLE_GENERATED) for _ in range(30)]
        lengths[family] = np.mean([item.waveform.shape[1] for item in items])
    assert lengths[GENUINE] == pytest.approx(lengths[WHOLE_GENERATED], rel=0.25)
    host = next(i for i, e in enumerate(pool.entries) if e.id == items[-1].attributes["host"])
    begin = round(items[-1].attributes["host_start_s"] * 16000)
    np.testing.assert_array_equal(
        items[-1].waveform[0], pool.read(host, begin, begin + items[-1].waveform.shape[1])
    )
    assert not items[-1].audio.segments


def test_no_cut_is_drawn_that_would_be_spoken_over():
    drawn = [
        name
        for seed in range(60)
        for name in draw_genuine_edits(
            np.random.default_rng(seed), 1.0, family=WHOLE_GENERATED, picture=False
        )
    ]
    assert drawn and not set(drawn) & set(CUTS)


def test_without_generated_speech_it_is_refused(pool, monkeypatch):
    monkeypatch.setattr(pool, "generated", np.array([], dtype=np.int64))
    with pytest.raises(AnnotationError, match="needs generated speech"):
        compose(np.random.default_rng(0), pool, family=WHOLE_GENERATED)
