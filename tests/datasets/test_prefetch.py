import threading
import time

import pytest

from easiness.datasets import prefetch
from easiness.datasets.prefetch import StalledError, map_ahead


def living_threads():
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("ahead", [1, 2, 9])
@pytest.mark.parametrize("count", [0, 1, 7, 30])
def test_results_come_in_order(workers, ahead, count):
    def work(number):
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(map_ahead(range(count), work, workers=workers, ahead=ahead)) == [n * n for n in range(count)]
    assert not living_threads()


def test_items_are_taken_only_a_few_ahead():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    results = map_ahead(items(), str, workers=2, ahead=4)
    assert next(results) == "0"
    assert len(taken) == 4
    assert next(results) == "1"
    assert len(taken) == 5
    results.close()
    assert not living_threads()


def test_an_error_comes_in_the_place_of_its_result():
    def work(number):
        if number == 3:
            raise KeyError("three")
        return number

    results = map_ahead(range(9), work, workers=3, ahead=6)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="three"):
        next(results)
    assert not living_threads()


def test_an_error_of_the_items_themselves_ends_the_living_threads():
    def items():
        yield 1
        raise OSError("the list broke off")

    with pytest.raises(OSError, match="the list broke off"):
        list(map_ahead(items(), str, workers=2, ahead=3))
    assert not living_threads()


def test_a_worker_that_is_stuck_ends_the_wait_and_is_named(monkeypatch):
    monkeypatch.setattr(prefetch, "STALLED_AFTER_S", 0.3)
    release = threading.Event()

    def work(number):
        if number == 5:
            release.wait(30)
        return number

    results = map_ahead(range(9), work, workers=2, ahead=4, describe=lambda number: f"decoding number {number}")
    with pytest.raises(StalledError, match=r"decoding number 5 takes more than 0\.3 seconds"):
        list(results)
    release.set()
    for thread in living_threads():
        thread.join(10)
    assert not living_threads()


def test_slow_items_that_wait_for_a_worker_are_not_stalled(monkeypatch):
    monkeypatch.setattr(prefetch, "STALLED_AFTER_S", 1.0)
    results = map_ahead(range(8), lambda _: time.sleep(0.3), workers=1, ahead=8)
    assert len(list(results)) == 8
