"""Debug mode tells which job holds its thread for too long, and where."""

from __future__ import annotations

import sys
import time
import warnings

import pytest

import pausable
from core._support import finish, in_child, pauses

pytestmark = pytest.mark.hazard("H22")

DEADLINE_S = 60.0  # for what must come, on a slow machine


@pytest.fixture(autouse=True)
def off_afterwards():
    yield
    pausable.set_debug(False)


@pytest.fixture
def caught():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


@pytest.fixture
def alone():
    """Let no other thread run unless this one waits."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(DEADLINE_S)
    yield
    sys.setswitchinterval(before)


def busy_until(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not condition() and time.monotonic() < deadline:
        pass


def busy_for(duration_s):
    until = time.monotonic() + duration_s
    busy_until(lambda: time.monotonic() > until)


def test_a_slow_job_is_reported_while_it_is_stuck_with_its_stack(caught):
    pausable.set_debug(True, slow_segment_s=0.01)
    job = pausable.start(busy_until, lambda: caught)
    [warning] = caught
    assert warning.category is pausable.SlowSegmentWarning
    assert f"job {job.name!r} has held its thread for 0." in str(warning.message)
    assert "It is stuck at\n" in str(warning.message)
    assert "in busy_until" in str(warning.message)
    assert warning.filename == __file__


def test_a_resumed_job_is_watched_too_and_a_paused_one_is_not(caught):
    pausable.set_debug(True, slow_segment_s=0.01)

    def body():
        pausable.pause()
        busy_until(lambda: caught)

    job = pausable.start(body)
    caught.clear()  # whatever a slow machine made of the start
    busy_for(0.03)
    assert caught == []
    job.resume()
    assert len(caught) == 1
    assert "in body" in str(caught[0].message)


@pytest.mark.usefixtures("alone")
def test_what_nobody_could_see_is_reported_at_the_next_pause_or_end(caught):
    pausable.set_debug(True, slow_segment_s=0.01)

    def body():
        busy_for(0.02)
        pausable.pause()
        busy_for(0.02)

    job = pausable.start(body)
    assert "Nobody could look where it was stuck" in str(caught[0].message)
    assert "in body" in str(caught[0].message)
    job.resume()
    assert len(caught) == 2


@pytest.mark.usefixtures("alone")
def test_who_drives_a_slow_job_is_not_slow(caught):
    pausable.set_debug(True, slow_segment_s=0.5)

    def inner():
        busy_for(0.3)
        pausable.start(busy_for, 0.51)
        pausable.pause()

    job = pausable.start(lambda: finish(pausable.start(inner)))
    finish(job)
    assert [str(warning.message).split("-")[0] for warning in caught] == ["job 'busy_for"]


@pytest.mark.usefixtures("alone")
def test_each_place_is_reported_once(caught):
    pausable.set_debug(True, slow_segment_s=0.01)

    def body():
        for _ in range(3):
            busy_for(0.02)
            pausable.pause()

    finish(pausable.start(body))
    assert len([each for each in caught if each.lineno == body.__code__.co_firstlineno + 3]) == 1


@pytest.mark.usefixtures("alone")
def test_where_warnings_are_errors_it_is_logged_and_the_job_goes_on(caplog):
    pausable.set_debug(True, slow_segment_s=0.01)
    job = pausable.start(busy_for, 0.02)
    assert job.result() is None
    [record] = caplog.records
    assert record.message.startswith("SlowSegmentWarning: job")


def test_a_job_that_ends_with_an_exception_leaves_no_segment(caught):
    from pausable._debug import _segments

    pausable.set_debug(True)
    with pytest.raises(KeyboardInterrupt):
        pausable.start(interrupted)
    finish(pausable.start(pauses, 1))
    assert _segments._watchdog.running == {}


def interrupted():
    raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_a_watchdog_of_its_own():
    pytest.importorskip("fcntl")  # no fork without it
    pausable.set_debug(True, slow_segment_s=0.01)
    pausable.start(int)

    def child():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            pausable.start(busy_until, lambda: caught)
            assert "It is stuck at\n" in str(caught[0].message)

    assert in_child(child) == "ok"
