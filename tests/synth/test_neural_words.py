"""Words spoken again: in the place they were spoken for, and as loud as what they replace."""

import numpy as np
import pytest

from avloc.errors import AnnotationError
from avloc.synth.compose import GENUINE, compose, draw_family, draw_item, forge_sound, lacking
from avloc.synth.edits import WORDS_SHARE, draw_edits
from avloc.synth.families import AUDIO_FAMILIES
from avloc.synth.host import Host, Material
from avloc.synth.matching import rms
from avloc.synth.neural_words import MOST_WORDS, neural_words

SLACK = 0.04 * 16000  # the jitter of a word boundary, and how far an end moves


def _materials(pool, n: int):
    rng = np.random.default_rng(5)
    for k in range(n):
        index = sorted(pool.spoken_again)[k % len(pool.spoken_again)]
        host = Host.cut(pool, index, int(rng.integers(0, 8000)), pool.n_samples(index))
        material = neural_words(rng, host, 0, 1)
        if material is not None:
            yield host, material


def test_words_take_the_place_that_they_were_spoken_for(pool):
    seen = set()
    for host, material in _materials(pool, 40):
        words = material.source.replaces.words
        assert material.source.replaces.entry == host.entry.id
        said = material.parameters["words"].split()
        k = [word for *_, word in words].index(said[0])
        run = words[k : k + len(said)]
        assert [word for *_, word in run] == said and len(said) <= MOST_WORDS
        wanted = [run[0][0] * 16000 - host.start, run[-1][1] * 16000 - host.start]
        np.testing.assert_allclose(material.span, wanted, atol=SLACK)
        assert abs(material.n_inside - (run[-1][3] - run[0][2]) * 16000) < 2 * SLACK
        assert abs(material.parameters["source_start_s"] - run[0][2]) * 16000 < SLACK
        seen.add(len(said))
    assert len(seen) > 2


def test_words_are_about_as_loud_as_those_that_they_replace(pool):
    steps = [
        20 * np.log10(rms(material.samples[160:-160]) / rms(host.samples[slice(*material.span)]))
        for host, material in _materials(pool, 40)
    ]
    # A drawn gain of 1 dB, and less than full matching where a word is 6 dB over or under the average.
    assert len(steps) > 20 and np.abs(np.median(steps)) < 3 and np.abs(steps).max() < 12


def test_what_follows_moves_by_what_the_words_are_longer(pool):
    rng = np.random.default_rng(2)
    index = min(pool.spoken_again)
    gained = set()
    for _ in range(12):
        host = Host.cut(pool, index, 0, pool.n_samples(index))
        edits, materials = draw_edits(rng, host, neural_words, 16000 * 30)
        forged = forge_sound(rng, host, "neural_words", 16000 * 30)
        for edit, material in zip(edits, materials, strict=True):
            assert (edit.start, edit.end) == material.span
        if forged is not None:
            gained.add(len(forged.samples) - len(host.samples))
            tail = len(forged.samples) - forged.spans[-1][1] - 200
            np.testing.assert_array_equal(forged.samples[-tail:], host.samples[-tail:])
    assert len(gained) > 3


def test_a_genuine_item_of_the_family_has_a_host_that_it_could_have_forged(pool):
    hosts = {pool.entries[i].id for i in pool.spoken_again}
    rng = np.random.default_rng(0)
    for family in (GENUINE, "neural_words"):
        item = compose(rng, pool, family=family, host_like="neural_words")
        assert item.attributes["host"] in hosts


def test_without_such_words_the_family_is_left_out_and_refused_by_name(pool, monkeypatch):
    assert lacking(pool) == {}
    monkeypatch.setattr(pool, "spoken_again", {})
    assert set(lacking(pool)) == {"neural_words"}
    rng = np.random.default_rng(0)
    mixture = {"neural_words": 1.0, "self_blend": 0.1}
    items = [draw_item(rng, pool, mixture=mixture, genuine_share=0.0) for _ in range(4)]
    assert {item.family for item in items} == {"self_blend"}
    with pytest.raises(
        AnnotationError, match="'neural_words' needs words of recordings that were spoken again"
    ):
        compose(rng, pool, family="neural_words")
    with pytest.raises(AnnotationError, match="no family can be drawn .* neural_words needs words"):
        draw_family(rng, {"neural_words": 1.0}, without=lacking(pool))


def test_a_share_of_all_spans_are_whole_words_where_their_times_are_known(pool):
    rng = np.random.default_rng(1)
    whole, spans = 0, 0

    def copied(rng, host, first, last):
        return Material(host.around(first, last, 160), host.entry, True)

    for _ in range(150):
        host = Host.cut(pool, 0, 0, pool.n_samples(0))
        words = host.words()
        for edit in draw_edits(rng, host, copied, 10**6)[0]:
            starts = min(abs(edit.start - start) for start, _, _ in words)
            ends = min(abs(edit.end - end) for _, end, _ in words)
            whole += starts < 400 and ends < 400
            spans += 1
    untimed = Host.cut(pool, 9, 0, pool.n_samples(9))
    assert not untimed.words() and WORDS_SHARE - 0.1 < whole / spans < WORDS_SHARE + 0.25


def test_an_edited_host_knows_no_times_of_its_words(pool):
    host = Host.cut(pool, 0, 0, pool.n_samples(0))
    assert host.words() and not host.edited(host.samples[1000:]).words()


def test_nothing_that_moves_the_sound_is_put_under_a_picture():
    from avloc.synth.compose_picture import PICTURE_FAMILIES

    assert "neural_words" in AUDIO_FAMILIES and "neural_words" not in PICTURE_FAMILIES
