"""Hooks: called at each turn of a job, in order, and nobody is the worse for it."""

from __future__ import annotations

import contextvars
import gc
import sys
import threading
import traceback
import weakref

import greenlet
import pytest

import pausable
from core._support import Canary, finish, in_child, in_thread, pauses
from pausable import _watch

var = contextvars.ContextVar("var", default="DEFAULT")


class Log:
    """Hooks that note what they are called for, with the job's name and state."""

    def __init__(self, log=None):
        self.log = [] if log is None else log

    def _note(self, turn, job):
        self.log.append((turn, job.name, "done" if job.done() else "under way"))

    def on_start(self, job):
        self._note("start", job)

    def on_pause(self, job):
        self._note("pause", job)

    def on_resume(self, job):
        self._note("resume", job)

    def on_finish(self, job):
        self._note("finish", job)

    def turns(self):
        return [turn for turn, _, _ in self.log]


def test_each_turn_is_told_in_order_between_what_the_job_does(hooked):
    hooks = hooked(Log())

    def body():
        hooks.log.append("body begins")
        pausable.pause()
        hooks.log.append("body ends")
        return 1

    job = pausable.start(body)
    hooks.log.append("started")
    job.add_done_callback(lambda job: hooks.log.append("done-callback"))
    job.resume()
    assert hooks.log == [
        ("start", job.name, "under way"),
        "body begins",
        ("pause", job.name, "under way"),
        "started",
        ("resume", job.name, "under way"),
        "body ends",
        ("finish", job.name, "done"),
        "done-callback",
    ]
    assert job.result() == 1


def test_the_outcome_is_known_at_the_finish(hooked):
    class Outcome:
        def __init__(self):
            self.seen = []

        def on_finish(self, job):
            self.seen.append(job.exception() or job.result())

    hooks = hooked(Outcome())
    pausable.start(int, "7")
    job = pausable.start(int, "seven")
    assert hooks.seen == [7, job.exception()]


def test_only_jobs_started_while_the_hooks_are_there_call_them_but_those_to_the_end():
    hooks = Log()
    before = pausable.start(pauses, 1)
    pausable.add_hooks(hooks)
    within = pausable.start(pauses, 1)
    pausable.remove_hooks(hooks)
    after = pausable.start(pauses, 1)
    for job in (before, within, after):
        finish(job)
    assert {name for _, name, _ in hooks.log} == {within.name}
    assert hooks.turns() == ["start", "pause", "resume", "finish"]


def test_hooks_apply_to_pools_of_all_threads_old_and_new(hooked):
    hooks, go, ready = Log(), threading.Event(), threading.Event()
    names = []

    def body():
        old = pausable.JobPool(init_size=2)
        finish(old.start(pauses, 1))
        ready.set()
        go.wait()
        for pool in (old, pausable.JobPool(), pausable.thread_pool()):
            job = pool.start(pauses, 1)
            names.append(job.name)
            finish(job)
        old.close()

    thread = threading.Thread(target=body)
    thread.start()
    ready.wait()
    hooked(hooks)
    go.set()
    thread.join()
    assert [name for turn, name, _ in hooks.log if turn == "start"] == names
    assert [name for turn, name, _ in hooks.log if turn == "finish"] == names


def test_the_pool_is_on_its_fast_path_again_when_the_hooks_are_gone():
    hooks = Log()
    pool = pausable.thread_pool()
    pool.reserve(3)
    fibres = set(pool.idle)
    pausable.add_hooks(hooks)
    finish(pool.start(pauses, 1))
    assert type(pool.idle) is not list
    assert pool.stats()[:2] == (3, 3)
    pausable.remove_hooks(hooks)
    finish(pool.start(pauses, 1))
    assert type(pool.idle) is list
    assert set(pool.idle) == fibres


def test_a_full_pool_refuses_and_recovers_with_hooks(hooked):
    hooked(Log())
    with pausable.JobPool(max_size=1) as pool:
        job = pool.start(pauses, 1)
        with pytest.raises(pausable.NoJobsAvailable):
            pool.start(int)
        called = []
        pool.when_free(lambda: called.append("free"))
        finish(job)
        assert called == ["free"]
        assert pool.start(int).result() == 0


def test_hooks_run_in_the_job_in_its_context_and_its_thread(hooked):
    seen = []

    class Context:
        def on_start(self, job):
            var.set("set by on_start")
            seen.append(pausable.current_job() is job)

        def on_finish(self, job):
            seen.append(threading.current_thread().name)

    hooked(Context())
    job = in_thread(lambda: pausable.start(var.get))
    assert job.result() == "set by on_start"
    assert seen == [True, "helper"]


def test_a_hook_cannot_pause_the_job(hooked):
    seen = []

    class Pausing:
        def on_start(self, job):
            seen.append(pausable.pause())

        on_pause = on_resume = on_start

    hooked(Pausing())
    job = pausable.start(pauses, 1, "fine")
    assert finish(job) == "fine"
    assert seen == [False, False, False]


@pytest.mark.parametrize("turn", ["on_start", "on_pause", "on_resume", "on_finish"])
@pytest.mark.parametrize("error", [SystemExit, pausable.JobCancelled])
def test_a_hook_ends_neither_the_program_nor_the_job(hooked, caplog, turn, error):
    def raises(self, job):
        raise error(turn)

    hooked(type("Bad", (), {turn: raises})())
    log = []
    job = pausable.start(pauses, 1, "value")
    job.add_done_callback(log.append)
    assert finish(job) == "value"
    assert log == [job]
    assert f"{error.__name__}: {turn}" in caplog.text


def test_a_ctrl_c_in_a_hook_goes_on_after_the_done_callbacks(hooked):
    class Interrupted:
        def on_finish(self, job):
            raise KeyboardInterrupt

    hooked(Interrupted())
    log = []
    job = pausable.start(pauses, 1, "value")
    job.add_done_callback(log.append)
    with pytest.raises(KeyboardInterrupt):
        job.resume()
    assert log == [job]
    assert job.result() == "value"


def test_what_a_hook_raises_is_logged_and_the_others_are_called(hooked, caplog):
    class Failing(Log):
        def _note(self, turn, job):
            raise ValueError(turn)

    hooked(Failing())
    hooks = hooked(Log())
    assert finish(pausable.start(pauses, 1, "fine")) == "fine"
    assert hooks.turns() == ["start", "pause", "resume", "finish"]
    assert [str(record.exc_info[1]) for record in caplog.records] == hooks.turns()
    assert "Log.on_start" in caplog.records[0].message


def test_several_hooks_are_called_in_the_order_they_were_added(hooked):
    log = []

    class Named:
        def __init__(self, name):
            self.name = name

        def on_pause(self, job):
            log.append(self.name)

    for name in "abc":
        hooked(Named(name))
    finish(pausable.start(pauses, 1))
    assert log == ["a", "b", "c"]


def test_a_cancelled_job_resumes_and_finishes(hooked):
    hooks = hooked(Log())
    job = pausable.start(pauses, 1)
    assert job.cancel()
    assert hooks.turns() == ["start", "pause", "resume", "finish"]


def test_a_pause_that_is_blocked_is_no_pause(hooked):
    hooks = hooked(Log())

    def body():
        with pausable.pause_blocked():
            assert not pausable.pause()
        assert pausable.pause()

    finish(pausable.start(body))
    assert hooks.turns() == ["start", "pause", "resume", "finish"]


def test_nested_jobs_tell_their_turns_each(hooked):
    hooks = hooked(Log())

    def outer():
        inner = pausable.start(pauses, 1)
        inner.name = "inner"
        pausable.pause()
        finish(inner)

    job = pausable.start(outer)
    finish(job)
    inner = [turn for turn, name, _ in hooks.log if name != job.name]
    assert inner == ["start", "pause", "resume", "finish"]
    assert hooks.turns() == [
        "start", "start", "pause", "pause", "resume", "resume", "finish", "finish",
    ]  # fmt: skip


@pytest.mark.greenlet_only
def test_a_pause_in_a_foreign_greenlet_is_told_too(hooked):
    hooks = hooked(Log())
    finish(pausable.start(lambda: greenlet.greenlet(pausable.pause).switch()))
    assert hooks.turns() == ["start", "pause", "resume", "finish"]


def test_a_lost_job_is_noticed_and_its_next_handle_has_its_name(hooked):
    hooks = hooked(Log())
    jobs = [pausable.start(pauses, 1)]
    name = jobs[0].name
    with pytest.warns(ResourceWarning, match="keep its handle"):
        jobs.clear()
    pausable.start(int)
    assert [entry[:2] for entry in hooks.log if entry[1] == name] == [
        ("start", name),
        ("pause", name),
        ("resume", name),
        ("finish", name),
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_is_kept_of_a_job_that_has_ended(hooked, count):
    hooked(Log())
    gc.collect()
    gc.disable()
    try:
        canary = Canary()
        job = pausable.start(lambda canary: pauses(count), canary)
        while not job.done():
            job.resume()
        dead = [weakref.ref(canary), weakref.ref(job)]
        del canary, job
        assert [ref() for ref in dead] == [None, None]
    finally:
        gc.enable()
    assert all(fibre.watch is None for fibre in pausable.thread_pool().idle)


def test_the_traceback_and_the_stack_of_a_watched_job_are_its_own(hooked):
    hooked(Log())

    def body():
        pausable.pause()
        raise ValueError("mine")

    job = pausable.start(body)
    assert [frame.name for frame in job.stack()] == ["body"]
    job.resume()
    for _ in range(2):
        with pytest.raises(ValueError, match="mine") as caught:
            job.result()
        names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert names[-1] == "body"
        assert "run" not in names


def test_an_interrupt_in_a_hook_is_the_jobs(hooked):
    class Interrupted:
        def on_start(self, job):
            raise KeyboardInterrupt

    hooked(Interrupted())
    with pytest.raises(KeyboardInterrupt):
        pausable.start(int)
    assert pausable.thread_pool().stats()[:3] == (1, 1, 0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork here")
def test_hooks_apply_in_a_forked_child(hooked):
    hooks = hooked(Log())
    pausable.start(int)

    def child():
        hooks.log.clear()
        finish(pausable.start(pauses, 1))
        assert hooks.turns() == ["start", "pause", "resume", "finish"]

    assert in_child(child) == "ok"


@pytest.mark.parametrize(
    ("hooks", "error", "message"),
    [
        (object(), TypeError, "has to have one of on_start, on_pause, on_resume, on_finish"),
        (type("Bad", (), {"on_pause": 3})(), TypeError, "on_pause of .* has to be a method, not 3"),
    ],
)
def test_what_has_no_hooks_is_refused(hooks, error, message):
    with pytest.raises(error, match=message):
        pausable.add_hooks(hooks)


def test_adding_twice_and_removing_what_is_not_there_are_refused():
    hooks = Log()
    with pytest.raises(ValueError, match="was not added"):
        pausable.remove_hooks(hooks)
    pausable.add_hooks(hooks)
    with pytest.raises(ValueError, match="was added before"):
        pausable.add_hooks(hooks)
    pausable.remove_hooks(hooks)


# -- tracing belongs to the job (H11) --------------------------------------------------------------


@pytest.mark.parametrize(
    ("get", "put"), [(sys.gettrace, sys.settrace), (sys.getprofile, sys.setprofile)]
)
def test_a_trace_function_set_in_a_job_is_the_jobs_while_it_is_paused(hooked, get, put):
    def tracer(frame, event, arg):
        return None

    hooked(Log())
    before = get()

    def body():
        put(tracer)
        pausable.pause()
        seen = get()
        put(before)
        return seen

    job = pausable.start(body)
    assert get() is before
    other = pausable.start(get)
    assert other.result() is before
    assert finish(job) is tracer
    assert get() is before


def test_a_trace_function_sees_the_jobs_lines_after_a_pause_and_no_others(hooked):
    hooked(Log())
    lines, before = [], sys.gettrace()

    def tracer(frame, event, arg):
        if frame.f_code in {inner.__code__, foreign.__code__} and event == "line":
            lines.append((frame.f_code.co_name, frame.f_lineno - frame.f_code.co_firstlineno))
        return tracer

    def foreign():
        return 1

    def inner():
        one = 1
        pausable.pause()
        two = 2
        return one + two

    def body():
        sys.settrace(tracer)
        try:
            return inner()
        finally:
            sys.settrace(before)

    job = pausable.start(body)
    foreign()
    assert finish(job) == 3
    assert lines == [("inner", 1), ("inner", 2), ("inner", 3), ("inner", 4)]


def test_a_jobs_wish_for_no_tracing_is_its_own_too(hooked):
    hooked(Log())
    before = sys.gettrace()

    def tracer(frame, event, arg):
        return None

    def body():
        sys.settrace(None)
        pausable.pause()
        return sys.gettrace()

    sys.settrace(tracer)
    try:
        job = pausable.start(body)
        assert sys.gettrace() is tracer
        assert finish(job) is None
    finally:
        sys.settrace(before)


def test_a_watch_that_cannot_be_made_leaves_the_pool_whole(hooked, monkeypatch):
    hooked(Log())
    pausable.start(int)

    def fail():
        raise MemoryError

    monkeypatch.setattr(_watch.wanted, "probe", fail)
    with pytest.raises(MemoryError):
        pausable.start(int)
    assert pausable.thread_pool().stats()[:2] == (1, 1)
