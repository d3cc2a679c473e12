"""Work in threads: the order of items, errors at their turn, and never many items in the air."""

import threading
import time

import pytest

from pipeline.serving.ordered import AHEAD, in_order


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 3, 40])
def test_results_are_in_order_of_the_items(workers, count):
    def slow_at_first(item):
        time.sleep(0.002 if item % 3 == 0 else 0)
        return item * item

    assert list(in_order(slow_at_first, range(count), workers)) == [item * item for item in range(count)]


def test_several_are_worked_on_at_once():
    both = threading.Barrier(2, timeout=10)  # passes only when two workers wait at it
    assert list(in_order(lambda item: both.wait() >= 0, range(4), 2)) == [True] * 4


def test_an_endless_source_is_taken_as_results_are():
    taken = []

    def source():
        item = 0
        while True:
            taken.append(item)
            yield item
            item += 1

    results = in_order(lambda item: item, source(), 3)
    assert [next(results) for _ in range(10)] == list(range(10))
    assert len(taken) <= 10 + 3 * AHEAD + 1
    results.close()


def test_an_error_comes_at_its_turn():
    results = in_order(lambda item: 1 // item, [1, 0, 1], 2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_what_has_not_begun_is_called_off_with_the_results():
    begun, go_on = [], threading.Event()

    def work(item):
        begun.append(item)
        assert item == 0 or go_on.wait(10)

    results = in_order(work, range(40), 2)
    assert next(results) is None
    threading.Timer(0.05, go_on.set).start()
    results.close()
    assert len(begun) <= 1 + 2, "the first, and what each of the two workers had in hand"
