"""Timeouts of jobs whose driver has no clock."""

import math
import threading
import weakref
from concurrent.futures import Future

import pytest

import pausable
from core._support import Canary, pauses
from pausable import _timer


def timed_out(timeout_s):
    with pytest.raises(TimeoutError):
        list(pausable.map(lambda _: pausable.wait_for(Future(), timeout_s), [0]))


@pytest.mark.parametrize("timeout_s", [math.inf, 1e10, 1e300])
def test_an_endless_timeout_is_one_and_disturbs_no_other(timeout_s):
    with pausable.start(pausable.wait_for, Future(), timeout_s) as job:
        assert job.paused
        timed_out(0.001)


def test_an_endless_timeout_blocks_outside_a_job_until_the_future_is_done():
    future = Future()
    threading.Timer(0.001, future.set_result, ["done"]).start()
    assert pausable.wait_for(future, math.inf) == "done"


def test_a_wake_up_that_raises_is_logged_and_the_next_one_comes(caplog):
    raised = threading.Event()

    def fail():
        raised.set()
        raise LookupError("in the callback")

    _timer.call_later(0.0, fail)
    assert raised.wait(10)
    timed_out(0.001)
    assert "in the callback" in caplog.text


def test_a_timer_that_went_off_holds_nothing_while_the_next_one_is_awaited():
    canary, died = Canary(), threading.Event()
    weakref.finalize(canary, died.set)
    _timer.call_later(0.0, lambda canary=canary: None)
    del canary
    assert died.wait(10)


def test_timers_that_are_called_off_do_not_pile_up():
    def body(_):
        future = Future()
        threading.Thread(target=future.set_result, args=[None]).start()
        pausable.wait_for(future, timeout_s=3600)
        pauses(1)

    list(pausable.map(body, range(5 * _timer.TIDY_AT)))
    assert len(_timer._clock._queue) <= 3 * _timer.TIDY_AT
