import threading
import time

import pytest

from avloc.pipelines.read_ahead import read_ahead


def readers():
    return [t for t in threading.enumerate() if t.name == "avloc-read-ahead"]


def test_blocks_come_in_their_order():
    assert list(read_ahead(range(100), depth=3)) == list(range(100))
    assert list(read_ahead([])) == [] and readers() == []


def test_the_source_goes_on_while_a_block_is_used_but_not_too_far():
    given = []

    def source():
        for number in range(20):
            given.append(number)
            yield number

    blocks = read_ahead(source(), depth=4)
    assert next(blocks) == 0
    deadline = time.monotonic() + 5
    while len(given) < 6 and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.02)
    assert len(given) == 6  # one in use, four that wait, one that has no room
    assert list(blocks) == list(range(1, 20))


def test_an_error_of_the_source_comes_after_its_blocks():
    def source():
        yield 1
        raise OSError("the child died")

    blocks = read_ahead(source())
    assert next(blocks) == 1
    with pytest.raises(OSError, match="the child died"):
        next(blocks)
    assert readers() == []


def test_closing_closes_the_source_in_its_own_thread():
    closed_by = []

    def source():
        try:
            yield from range(1000)
        finally:
            closed_by.append(threading.current_thread().name)

    blocks = read_ahead(source(), depth=2)
    next(blocks)
    blocks.close()
    assert closed_by == ["avloc-read-ahead"] and readers() == []


def test_what_cannot_be_iterated_is_told():
    with pytest.raises(TypeError, match="not iterable"):
        next(read_ahead(7))


def test_a_source_that_waits_is_stopped_when_nobody_reads_on():
    gone = threading.Event()

    def source():
        yield 1
        gone.wait(60)
        raise OSError("the child was ended")

    blocks = read_ahead(source(), stop=gone.set)
    next(blocks)
    blocks.close()
    assert gone.is_set() and readers() == []


def test_a_source_that_ended_is_not_stopped():
    stops = []
    assert list(read_ahead(range(3), stop=lambda: stops.append(1))) == [0, 1, 2] and stops == []
