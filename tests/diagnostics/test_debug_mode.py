"""Debug mode as a whole: who is watched, and what each job keeps."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import threading
import warnings

import pytest
import trio

import pausable
from core._support import finish, in_child, in_thread, pauses, python


def created(row):
    return [frame["function"] for frame in row["created"]]


def rows():
    return json.loads(pausable.dump("json"))["jobs"]


def test_it_is_off_until_it_is_set_and_after():
    assert not pausable.get_debug()
    pausable.set_debug(True)
    assert pausable.get_debug()
    pausable.set_debug(False)
    assert not pausable.get_debug()


def test_only_jobs_started_meanwhile_are_watched_and_those_to_the_end():
    before = pausable.start(pauses, 1)
    pausable.set_debug(True)
    within = pausable.start(pauses, 1)
    pausable.set_debug(False)
    after = pausable.start(pauses, 1)
    assert [row["created"] is not None for row in rows()] == [False, True, False]
    for job in (before, within, after):
        finish(job)


def test_it_applies_to_all_threads(debug):
    def body():
        job = pausable.start(pauses, 1)
        row = rows()[0]
        finish(job)
        return row

    assert "body" in created(in_thread(body))


def test_where_a_job_was_started_is_in_the_dump(debug):
    job = pausable.JobPool().start(pauses, 1)
    assert created(rows()[0])[-1] == "test_where_a_job_was_started_is_in_the_dump"
    text = pausable.dump()
    finish(job)
    assert "  was started at\n" in text
    assert "job = pausable.JobPool().start(pauses, 1)" in text


def test_jobs_that_were_started_at_the_same_place_say_so_once(debug):
    jobs = [pausable.start(pauses, 1) for _ in range(3)]
    text = pausable.dump()
    assert text.count("  was started at\n") == 1
    assert text.count(f"  was started where {jobs[0].name} was\n") == 2
    for job in jobs:
        finish(job)


def test_where_a_lost_job_was_started_is_in_the_warning(debug):
    def starter():
        pausable.start(pauses, 1)

    with pytest.warns(ResourceWarning, match=r"paused at\n(.|\n)*started at\n(.|\n)*in starter"):
        starter()
    pausable.start(int)


def test_where_a_job_was_started_is_in_errors_about_it(debug, caplog):
    stop = []

    def body():
        while not stop:
            try:
                pausable.pause()
            except pausable.JobCancelled:
                pass

    def starter():
        return pausable.start(body)

    job = starter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(pausable.CancelSwallowed, match=r"started at\n(.|\n)*in starter"):
            job.close()
    assert "in starter" in str(caught[0].message)
    job.print_stack(file := __import__("io").StringIO())
    assert "in starter" in file.getvalue()
    stop.append(1)
    finish(job)


def test_a_full_life_has_the_same_outcome_as_without(debug):
    def body():
        assert pausable.pause()
        inner = pausable.start(pauses, 2, "inner")
        return finish(inner)

    assert finish(pausable.start(body)) == "inner"
    job = pausable.start(pauses, 1)
    assert job.cancel()
    with pytest.raises(ZeroDivisionError):
        pausable.start(lambda: 1 / 0).result()


def test_methods_and_partials_are_called_as_ever(debug):
    from functools import partial

    class Adder:
        def add(self, *args, **kwargs):
            return (args, kwargs)

        def __call__(self, *args, **kwargs):
            return (args, kwargs)

    part = partial(partial(Adder().add, 1, k=1, z=0), 2, k=2)
    assert pausable.start(part, 3, x=3).result() == ((1, 2, 3), {"k": 2, "z": 0, "x": 3})
    assert pausable.start(Adder(), 1, x=3).result() == ((1,), {"x": 3})
    assert pausable.start(Adder().add).result() == ((), {})


def test_a_pause_outside_of_jobs_is_warned_of_once_for_each_place(debug):
    def place():
        return pausable.pause()

    with pytest.warns(pausable.PauseOutsideJobWarning, match="where it does nothing; start") as got:
        assert [place(), place(), pausable.pause()] == [False] * 3
    assert [warning.filename for warning in got] == [__file__, __file__]
    pausable.set_debug(True, slow_segment_s=3600)  # forgets what it has reported
    with pytest.warns(pausable.PauseOutsideJobWarning):
        place()


@pytest.mark.parametrize("run", [asyncio.run, lambda coroutine: trio.run(lambda: coroutine)])
def test_a_wait_that_blocks_a_loop_is_warned_of(debug, run):
    async def main():
        with pytest.warns(pausable.BlockedLoopWarning, match="await pausable.run"):
            assert pausable.wait_for(WhenAwaited(3)) == 3
        return await pausable.run(lambda: pausable.wait_for(WhenAwaited(4)))

    assert run(main()) == 4
    assert pausable.wait_for(WhenAwaited(5)) == 5


class WhenAwaited(concurrent.futures.Future):
    """Completed by another thread, but not before somebody waits for it."""

    def __init__(self, value):
        super().__init__()
        self._value = value

    def add_done_callback(self, callback):
        super().add_done_callback(callback)
        threading.Thread(target=self.set_result, args=(self._value,)).start()


def test_a_blocked_pause_in_a_job_is_not_outside(debug):
    def body():
        with pausable.pause_blocked():
            return pausable.pause()

    assert pausable.start(body).result() is False


def test_outside_of_debug_mode_a_pause_outside_of_jobs_is_silent():
    pausable.set_debug(True)
    pausable.set_debug(False)
    assert pausable.pause() is False


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(ValueError, match="slow_segment_s has to be a number of seconds above 0"):
        pausable.set_debug(True, slow_segment_s=limit)
    assert not pausable.get_debug()


@pytest.mark.parametrize(("value", "is_on"), [("1", True), ("0", False), ("", False)])
def test_the_environment_sets_it(monkeypatch, value, is_on):
    monkeypatch.setenv("PAUSABLE_DEBUG", value)
    program = """
import pausable, json
print(pausable.get_debug())
def body():
    pausable.pause()
job = pausable.start(body)
[row] = json.loads(pausable.dump("json"))["jobs"]
print(row["created"] is not None)
"""
    assert python(program) == (f"{is_on}\n{is_on}\n", "")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_goes_on_in_debug_mode(debug):
    pytest.importorskip("fcntl")  # no fork without it
    job = pausable.start(pauses, 1)

    def child():
        assert finish(pausable.start(pauses, 1, "mine")) == "mine"
        assert in_thread(lambda: finish(pausable.start(pauses, 1, 5))) == 5

    assert in_child(child) == "ok"
    finish(job)
