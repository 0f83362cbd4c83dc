import threading
import time

import pytest

from avloc.cli.side_by_side import AHEAD, in_order


@pytest.mark.parametrize("n_threads", [1, 2, 5, 50])
def test_results_come_in_the_order_of_the_items(n_threads):
    def work(item):
        time.sleep(0.002 * (7 - item % 7))
        return item * item

    assert list(in_order(work, range(30), n_threads=n_threads)) == [(i, i * i) for i in range(30)]


def test_as_many_are_at_work_as_asked_for():
    meet = threading.Barrier(3, timeout=10)
    assert len(list(in_order(lambda item: meet.wait(), range(6), n_threads=3))) == 6


def test_one_thread_is_the_one_that_asks():
    ((_, ident),) = in_order(lambda item: threading.get_ident(), [0], n_threads=4)
    assert ident == threading.get_ident()


def test_what_is_raised_comes_at_its_place():
    def work(item):
        if item == 3:
            raise RuntimeError("three")
        return item

    taken = []
    with pytest.raises(RuntimeError, match="three"):
        for _, result in in_order(work, range(9), n_threads=2):
            taken.append(result)
    assert taken == [0, 1, 2]


def test_results_do_not_pile_up_and_nothing_begins_after_the_end():
    begun = []
    iterator = in_order(lambda item: begun.append(item), range(1000), n_threads=2)
    next(iterator)
    time.sleep(0.1)
    assert len(begun) <= 2 * AHEAD + 1
    iterator.close()
    time.sleep(0.05)
    n_begun = len(begun)
    time.sleep(0.05)
    assert len(begun) == n_begun < 20
