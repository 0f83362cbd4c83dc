"""Waiting for pipes ends in time."""

import os
import threading
import time

import pytest

from avloc.media.pipes import is_readable, write_within


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_what_is_written_in_time_arrives_whole(pipe):
    data, got = os.urandom(1 << 20), bytearray()

    def read() -> None:
        while len(got) < len(data):
            got.extend(os.read(pipe[0], 1 << 16))

    reader = threading.Thread(target=read)
    reader.start()
    assert write_within(pipe[1], data, time.monotonic() + 60.0)
    reader.join()
    assert bytes(got) == data


def test_a_reader_that_takes_nothing_is_not_waited_for(pipe):
    assert not write_within(pipe[1], bytes(1 << 21), time.monotonic() + 0.1)


def test_a_pipe_is_readable_when_there_is_something(pipe):
    assert not is_readable(pipe[0], 0.0)
    os.write(pipe[1], b"x")
    assert is_readable(pipe[0], 0.0)
