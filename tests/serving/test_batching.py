"""Micro-batching: who goes together, who is refused, who is dropped, and who gets an error."""

import threading
import time
from concurrent.futures import CancelledError, wait
from contextlib import ExitStack

import numpy as np
import pytest

from pipeline.records import Box, Detection, Quad, Reading, Recognition
from pipeline.serving.batching import Batcher, QueueFullError, StoppedError


def picture(number):
    return np.full((1, 1, 3), number, np.uint8)


def numbered(number, score=0.9):
    """A recognition whose text says which picture it is of."""
    box = Box(0, 0, 2, 1)
    return Recognition(Detection(box, Quad.of_box(box), score), Reading(str(number), 0.9))


class Recognizer:
    """Gives every picture two plates, of scores 0.9 and 0.3; stands still while `gate` is closed."""

    def __init__(self):
        self.calls, self.scores = [], []
        self.gate, self.entered = threading.Event(), threading.Semaphore(0)
        self.gate.set()

    def __call__(self, images, min_score):
        numbers = [int(image[0, 0, 0]) for image in images]
        self.calls.append(numbers)
        self.scores.append(min_score)
        self.entered.release()
        assert self.gate.wait(10)
        if 13 in numbers:
            raise RuntimeError("unlucky")
        return [[one for one in (numbered(n), numbered(n, 0.3)) if one.detection.score >= min_score] for n in numbers]


@pytest.fixture
def recognizer():
    return Recognizer()


@pytest.fixture
def start(recognizer):
    """Makes batchers that are closed when the test ends."""
    made = []

    def one(**settings):
        batcher = Batcher(recognizer, **{"batch": 4, "linger": 0.0, "patience": 1e9, **settings})
        batcher.start()
        made.append(batcher)
        return batcher

    yield one
    recognizer.gate.set()
    for batcher in made:
        batcher.close()


def texts(future):
    return [one.reading.text for one in future.result(10)]


def hold(recognizer, batcher, stack):
    """Puts picture 0 in work, and keeps it there until the gate opens."""
    recognizer.gate.clear()
    place = stack.enter_context(batcher.admit(1))
    future = place.submit(picture(0), 0.4)
    assert recognizer.entered.acquire(timeout=10)
    return future


@pytest.fixture
def stack(recognizer):
    with ExitStack() as stack:
        yield stack
        recognizer.gate.set()


def roomy(batcher):
    """As many pictures as `most` may be pending, as after a batch that took no time."""
    batcher._seconds = 1e-6
    return batcher


def test_those_that_wait_go_together_in_order_and_no_more_than_a_batch(recognizer, start, stack):
    batcher = roomy(start(batch=3))
    first = hold(recognizer, batcher, stack)
    place = stack.enter_context(batcher.admit(5))
    futures = [place.submit(picture(number), 0.4) for number in range(1, 6)]
    assert batcher.pending == 6
    recognizer.gate.set()
    assert [texts(future) for future in [first, *futures]] == [[str(number)] for number in range(6)]
    assert recognizer.calls == [[0], [1, 2, 3], [4, 5]]
    assert batcher.pending == 0


def test_the_first_lingers_for_one_that_is_admitted_and_for_nobody_else(recognizer, start):
    batcher = start(linger=5.0)
    with batcher.admit(1) as place:
        started = time.perf_counter()
        place.submit(picture(1), 0.4).result(10)
        assert time.perf_counter() - started < 2
    with batcher.admit(2) as place:
        first = place.submit(picture(1), 0.4)
        time.sleep(0.05)
        second = place.submit(picture(2), 0.4)
        wait([first, second], 10)
    assert recognizer.calls == [[1], [1, 2]]


def test_each_request_has_its_own_min_score(recognizer, start, stack):
    batcher = roomy(start())
    hold(recognizer, batcher, stack)
    place = stack.enter_context(batcher.admit(3))
    futures = [place.submit(picture(1), score) for score in (0.4, 0.2, 0.95)]
    recognizer.gate.set()
    assert [len(future.result(10)) for future in futures] == [1, 2, 0]
    assert recognizer.scores[1] == 0.2


def test_a_full_queue_refuses_and_says_when_to_come_back(recognizer, start, stack):
    batcher = start(patience=8.0)
    batcher._seconds = 2.0  # so four pictures can be worked off in time
    hold(recognizer, batcher, stack)
    stack.enter_context(batcher.admit(2))
    batcher.check()
    with pytest.raises(QueueFullError, match="try again in 6 s"):
        batcher.check(2)
    with pytest.raises(QueueFullError), batcher.admit(2):
        pass
    assert batcher.pending == 3


def test_capacity_follows_what_a_picture_takes(start):
    batcher = start(patience=1.0, most=64)
    for seconds, capacity in ((0.0, 1), (0.1, 10), (0.4, 2), (5.0, 1), (0.001, 64)):
        batcher._seconds = seconds
        assert batcher.capacity == capacity


def test_an_idle_batcher_takes_more_than_its_queue_holds(recognizer, start):
    batcher = start(patience=0.0)
    with batcher.admit(5) as place:
        futures = [place.submit(picture(number), 0.4) for number in range(5)]
        assert [texts(future) for future in futures] == [[str(number)] for number in range(5)]
        with pytest.raises(ValueError, match="admitted"):
            place.submit(picture(9), 0.4)


def test_what_is_left_is_dropped_before_work(recognizer, start, stack):
    batcher = roomy(start(batch=1))
    hold(recognizer, batcher, stack)
    with batcher.admit(3) as place:
        gone = [place.submit(picture(number), 0.4) for number in (1, 2)]
    assert all(future.cancelled() for future in gone)
    assert batcher.pending == 1
    place = stack.enter_context(batcher.admit(1))
    kept = place.submit(picture(3), 0.4)
    recognizer.gate.set()
    assert texts(kept) == ["3"]
    assert recognizer.calls == [[0], [3]]


def test_a_future_that_was_cancelled_is_not_worked_on(recognizer, start, stack):
    batcher = roomy(start())
    hold(recognizer, batcher, stack)
    place = stack.enter_context(batcher.admit(2))
    gone, kept = place.submit(picture(1), 0.4), place.submit(picture(2), 0.4)
    assert gone.cancel()
    recognizer.gate.set()
    assert texts(kept) == ["2"]
    with pytest.raises(CancelledError):
        gone.result(1)
    assert recognizer.calls == [[0], [2]]
    assert batcher.pending == 0


def test_a_place_left_too_early_takes_no_more(start):
    batcher = start()
    with batcher.admit(2) as place:
        pass
    with pytest.raises(ValueError, match="admitted"):
        place.submit(picture(1), 0.4)
    assert batcher.pending == 0


def test_an_exception_reaches_only_its_own_picture(recognizer, start, stack):
    batcher = roomy(start())
    hold(recognizer, batcher, stack)
    place = stack.enter_context(batcher.admit(3))
    futures = [place.submit(picture(number), 0.4) for number in (1, 13, 2)]
    recognizer.gate.set()
    assert texts(futures[0]) == ["1"]
    assert texts(futures[2]) == ["2"]
    with pytest.raises(RuntimeError, match="unlucky"):
        futures[1].result(10)
    assert batcher.pending == 0
    with batcher.admit(1) as again:  # and the thread lives on
        assert texts(again.submit(picture(4), 0.4)) == ["4"]


def test_answers_that_are_too_few_are_an_error():
    batcher = Batcher(lambda images, min_score: [])
    batcher.start()
    try:
        with batcher.admit(1) as place, pytest.raises(RuntimeError, match="0 answers to 1"):
            place.submit(picture(1), 0.4).result(10)
    finally:
        batcher.close()


def test_close_ends_the_batch_in_work_and_stops_the_rest(recognizer, start, stack):
    batcher = roomy(start(batch=1))
    running = hold(recognizer, batcher, stack)
    place = stack.enter_context(batcher.admit(2))
    waiting = place.submit(picture(1), 0.4)
    closing = threading.Thread(target=batcher.close)
    closing.start()
    with pytest.raises(StoppedError):
        waiting.result(10)
    recognizer.gate.set()
    closing.join(10)
    assert not closing.is_alive()
    assert texts(running) == ["0"]
    with pytest.raises(StoppedError):
        place.submit(picture(2), 0.4)
    with pytest.raises(StoppedError), batcher.admit(1):
        pass
    batcher.close()
    assert recognizer.calls == [[0]]


@pytest.mark.parametrize(("each", "whole", "batch", "capacity"), [(0.1, 0.0, 1, 2), (0.0, 0.1, 4, 8)])
def test_warm_up_keeps_batches_only_where_they_pay(monkeypatch, each, whole, batch, capacity):
    now = 0.0

    def recognize(images, min_score):
        nonlocal now
        now += whole + each * len(images)
        return [[] for _ in images]

    monkeypatch.setattr("pipeline.serving.batching.time.perf_counter", lambda: now)
    batcher = Batcher(recognize, batch=4)
    assert f"in batches of {batch}, and {capacity} pictures may" in batcher.warm_up(picture(0), 0.1)
    assert batcher.capacity == capacity
    batcher.close()


@pytest.mark.parametrize(("each", "pictures"), [(0.001, 2 + 3 * 5), (0.1, 2 + 2 * 5), (100, 2 + 5)])
def test_warm_up_ends_soon_on_a_slow_machine(monkeypatch, each, pictures):
    now, seen = 0.0, []

    def recognize(images, min_score):
        nonlocal now
        now += each * len(images)
        seen.extend(images)
        return [[] for _ in images]

    monkeypatch.setattr("pipeline.serving.batching.time.perf_counter", lambda: now)
    batcher = Batcher(recognize, batch=4)
    batcher.warm_up(picture(0), 0.1)
    assert len(seen) == pictures
    assert batcher.capacity == 2
    batcher.close()


def test_patience_is_twice_what_pictures_take_without_load(recognizer, start, stack, monkeypatch):
    now = 0.0
    monkeypatch.setattr("pipeline.serving.batching.time.perf_counter", lambda: now)
    batcher = start(patience=None)
    assert (batcher.patience, batcher.capacity) == (0.0, 1)

    def one(seconds, meanwhile):
        nonlocal now
        recognizer.gate.clear()
        with batcher.admit(1) as place:
            future = place.submit(picture(1), 0.4)
            assert recognizer.entered.acquire(timeout=10)
            meanwhile()
            now += seconds
            recognizer.gate.set()
            texts(future)

    def refuse():
        with pytest.raises(QueueFullError):
            batcher.check(9)

    one(0.1, lambda: None)
    assert batcher.patience == pytest.approx(0.2)
    one(0.5, refuse)  # under load, which says nothing of what it would have taken without
    assert batcher.patience == pytest.approx(0.2)
    for _ in range(32):
        one(0.3, lambda: None)
    assert batcher.patience == pytest.approx(0.6)


def test_sizes_are_reported():
    sizes = []
    batcher = Batcher(lambda images, min_score: [[] for _ in images], on_batch=sizes.append)
    batcher.start()
    with batcher.admit(1) as place:
        place.submit(picture(0), 0.4).result(10)
    batcher.close()
    assert sizes == [1]
