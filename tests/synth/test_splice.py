"""Assembling: truth to the sample, fades that stay within their margins."""

import numpy as np
import pytest

from avloc.synth.splice import MARGIN, Edit, assemble


def _edit(start: int, end: int, length: int, value: float, fades: tuple[int, int] = (64, 64)) -> Edit:
    return Edit(start, end, np.full(length + 2 * MARGIN, value, dtype=np.float32), fades)


def test_material_lies_where_the_spans_say_also_after_an_insertion():
    host = np.zeros(4000, dtype=np.float32)
    edits = [_edit(500, 500, 300, 1.0), _edit(1500, 2000, 500, 2.0)]
    out, spans = assemble(host, edits, 4000)
    assert spans == [(500, 800), (1800, 2300)] and len(out) == 4000
    assert (out[532:768] == 1.0).all() and (out[1832:2268] == 2.0).all()
    assert not out[:468].any() and not out[832:1768].any() and not out[2332:].any()


def test_an_edge_is_the_middle_of_its_fade():
    out, spans = assemble(np.zeros(2000, dtype=np.float32), [_edit(700, 1100, 400, 1.0, (320, 2))], 2000)
    first, last = spans[0]
    assert out[first - 1] < 0.5 < out[first] and out[last - 1] > 0.5 > out[last]


def test_the_end_is_cut_and_so_is_a_segment_that_reaches_it():
    out, spans = assemble(np.zeros(1000, dtype=np.float32), [_edit(700, 700, 600, 1.0)], 1000)
    assert spans == [(700, 1000)] and len(out) == 1000


@pytest.mark.parametrize("start, end", [(10, 500), (500, 990), (600, 500)])
def test_edits_at_the_ends_are_refused(start, end):
    with pytest.raises(ValueError, match="overlaps another or an end"):
        assemble(np.zeros(1000, dtype=np.float32), [_edit(start, end, 100, 1.0)], 900)


def test_a_result_that_would_be_too_short_is_refused():
    with pytest.raises(ValueError, match="shorten the recording to 700"):
        assemble(np.zeros(1000, dtype=np.float32), [_edit(300, 700, 100, 1.0)], 1000)
