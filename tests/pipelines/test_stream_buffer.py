import numpy as np

from avloc.pipelines.stream_buffer import StreamBuffer


def test_a_buffer_gives_zeros_where_nothing_was_added():
    buffer = StreamBuffer()
    assert buffer.take(0, 3) is None
    buffer.append(2, np.array([5, 6]))
    buffer.append(7, np.array([8]))
    assert buffer.take(1, 9).tolist() == [0, 5, 6, 0, 0, 0, 8, 0] and buffer.end == 8
    buffer.drop_before(4)
    assert buffer.take(1, 9).tolist() == [0, 0, 0, 0, 0, 0, 8, 0] and buffer.n_held == 1
