import os
import signal
import threading

import pytest

from easiness.tracking import interruptions
from easiness.tracking.interruptions import is_stopping, signals_held


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def stopped(call):
    with pytest.raises(KeyboardInterrupt):
        call()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_waits_until_the_call_is_over():
    done = []

    @signals_held()
    def call():
        interrupt()
        done.append("the call")

    stopped(call)
    assert done == ["the call"]


def test_a_second_signal_acts_at_once():
    @signals_held()
    def call():
        interrupt()
        interrupt()
        raise AssertionError("the call went on")

    stopped(call)


def test_a_call_that_takes_too_long_is_left(monkeypatch):
    monkeypatch.setattr(interruptions, "_HELD_S", 0.01)

    @signals_held()
    def call():
        interrupt()
        threading.Event().wait(60)
        raise AssertionError("the call went on")

    stopped(call)


def test_calls_within_a_call_wait_for_the_outer_one():
    done = []

    @signals_held()
    def call():
        signals_held()(interrupt)()
        done.append("the outer call")

    stopped(call)
    assert done == ["the outer call"]


def test_an_error_and_a_signal_are_a_signal():
    @signals_held()
    def call():
        interrupt()
        raise OSError

    stopped(call)


def test_a_process_that_a_signal_ends_is_known_while_it_closes():
    seen = []

    def call():
        try:
            raise KeyboardInterrupt
        finally:
            try:
                raise OSError
            except OSError:
                seen.append(is_stopping())

    assert not is_stopping()
    stopped(call)
    assert seen == [True]
    assert not is_stopping()


def test_other_threads_are_left_alone():
    seen = []
    held = signals_held()(lambda: seen.append(signal.getsignal(signal.SIGINT)))
    thread = threading.Thread(target=held)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
