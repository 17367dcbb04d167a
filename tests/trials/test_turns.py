"""The others wait for process 0 as long as it lives."""

import pytest
from torch import distributed

from easiness.trials import turns
from easiness.trials.turns import Turns


class Clock:
    """Time that passes when somebody sleeps, and the store of a process 0 that calls and dies at its times."""

    def __init__(self, calls_at, dies_at):
        self.now, self.calls_at, self.dies_at = 0.0, calls_at, dies_at

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def check(self, keys):
        assert keys == ["turn 0"]
        return self.now >= self.calls_at

    def get(self, key):
        return str(min(self.now, self.dies_at) // 10).encode()


def test_a_process_waits_as_long_as_the_first_one_lives(monkeypatch):
    clock = Clock(calls_at=7200, dies_at=7200)
    monkeypatch.setattr(turns, "time", clock)
    Turns(clock).wait()
    assert 7200 <= clock.now < 7201


def test_a_process_gives_up_a_first_one_that_is_silent(monkeypatch):
    clock = Clock(calls_at=7200, dies_at=1000)
    monkeypatch.setattr(turns, "time", clock)
    with pytest.raises(RuntimeError, match="process 0 has given no sign for 5 minutes; finished epochs are kept"):
        Turns(clock).wait()
    assert 1300 <= clock.now < 1700


def test_turns_come_one_by_one_and_signs_by_themselves():
    store = distributed.HashStore()
    first, second = Turns(store), Turns(store)
    with first.beating():
        assert store.get("beat") == b"0"
        for turn in range(2):
            assert not store.check([f"turn {turn}"])
            first.call()
        for _ in range(2):
            second.wait()
    assert not store.check(["turn 2"])
