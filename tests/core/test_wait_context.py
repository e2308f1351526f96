"""The wait context against a naive list with marks: OpenSSL's, as specified."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import pausable
from core._support import finish

KEYS = st.sampled_from([None, "a", "b", 3, ("t",)])
FDS = st.integers(-1, 4)


class ListModel:
    """fd_lookup_st: newest first, each with an add-mark and a del-mark."""

    def __init__(self):
        self.entries = []

    def set(self, key, fd, data):
        self.entries.insert(0, {"key": key, "fd": fd, "data": data, "add": 1, "del": 0})

    def newest(self, key):
        for entry in self.entries:
            if entry["key"] == key and not entry["del"]:
                return entry
        return None

    def clear(self, key):
        entry = self.newest(key)
        if entry is None:
            return False
        if entry["add"]:
            self.entries.remove(entry)
        else:
            entry["del"] = 1
        return True

    def reset(self):
        self.entries = [{**entry, "add": 0} for entry in self.entries if not entry["del"]]

    def live(self):
        return [entry for entry in self.entries if not entry["del"]]

    def changed(self):
        return (
            [e["fd"] for e in self.entries if e["add"]],
            [e["fd"] for e in self.entries if e["del"]],
        )


class Agreement(RuleBasedStateMachine):
    """Any sequence of calls, by the application and inside a job, gives what the list gives."""

    def __init__(self):
        super().__init__()
        self.ctx = pausable.WaitContext()
        self.model = ListModel()
        self.pool = pausable.JobPool()
        self.job = None
        self.todo = []
        self.cleaned = []
        self.serial = 0

    def cleanup(self, ctx, key, fd, data):
        assert ctx is self.ctx
        self.cleaned.append((key, fd, data))

    def _set(self, key, fd):
        self.serial += 1
        self.ctx.set_wait_fd(key, fd, self.serial, self.cleanup)
        self.model.set(key, fd, self.serial)

    def _clear(self, key):
        if self.model.clear(key):
            self.ctx.clear_fd(key)
        else:
            with pytest.raises(KeyError):
                self.ctx.clear_fd(key)

    @rule(key=KEYS, fd=FDS)
    def set_fd(self, key, fd):
        self._set(key, fd)

    @rule(key=KEYS)
    def clear_fd(self, key):
        self._clear(key)

    @rule(key=KEYS, fd=FDS)
    def replace(self, key, fd):
        self._clear(key)
        self._set(key, fd)

    @rule(key=KEYS)
    def get_fd(self, key):
        entry = self.model.newest(key)
        assert (key in self.ctx) == (entry is not None)
        if entry is None:
            with pytest.raises(KeyError):
                self.ctx.get_fd(key)
        else:
            assert self.ctx.get_fd(key) == (entry["fd"], entry["data"])

    @rule(steps=st.lists(st.tuples(st.booleans(), KEYS, FDS), max_size=3), pauses=st.booleans())
    def run_a_job(self, steps, pauses):
        self.todo = [steps, pauses]
        if self.job is None:
            self.job = self.pool.start_in(self.ctx, self._body)
        else:
            self.model.reset()  # inside pause, before the job's code continues
            self.job.resume()
        if self.job.done():
            self.job.result()
            self.job = None

    def _body(self):
        while True:
            steps, pauses = self.todo
            for add, key, fd in steps:
                if add:
                    self._set(key, fd)
                else:
                    self._clear(key)
            with pausable.pause_blocked():
                pausable.pause()  # a blocked pause begins no window
            if not pauses:
                return
            assert pausable.pause()

    @invariant()
    def reads_agree(self):
        assert self.ctx.fds() == [entry["fd"] for entry in self.model.live()]
        for _ in range(2):  # reading resets nothing
            assert self.ctx.changed_fds() == self.model.changed()

    def teardown(self):
        if self.job is not None:
            self.todo = [[], False]
            self.model.reset()
            self.job.resume()
        self.pool.close()
        self.ctx.close()
        live = [(entry["key"], entry["fd"], entry["data"]) for entry in self.model.live()]
        assert self.cleaned == live


TestAgreement = Agreement.TestCase
TestAgreement.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)


def test_inside_the_job_right_after_a_pause_nothing_has_changed():
    ctx = pausable.WaitContext()
    seen = []

    def body():
        ctx.set_wait_fd("a", 5)
        pausable.pause()
        seen.append(ctx.changed_fds())

    job = pausable.thread_pool().start_in(ctx, body)
    ctx.set_wait_fd("b", 6)
    assert ctx.changed_fds() == ([6, 5], [])
    job.resume()
    assert seen == [([], [])]
    assert ctx.fds() == [6, 5]


def test_a_job_that_is_unwound_begins_no_window():
    ctx = pausable.WaitContext()
    ctx.set_wait_fd("a", 5)
    pausable.thread_pool().start_in(ctx, pausable.pause).close()
    assert ctx.changed_fds() == ([5], [])


def test_changes_of_the_last_stretch_are_seen_again_by_the_next_job():
    ctx = pausable.WaitContext()
    pool = pausable.thread_pool()
    pool.start_in(ctx, ctx.set_wait_fd, "a", 5)
    assert ctx.changed_fds() == ([5], [])
    job = pool.start_in(ctx, pausable.pause)
    assert ctx.changed_fds() == ([5], [])
    job.resume()
    assert ctx.changed_fds() == ([], [])


def test_cleanup_goes_newest_first_and_past_one_that_raises():
    log = []
    ctx = pausable.WaitContext()

    def cleanup(context, key, fd, data):
        log.append((context is ctx, key, fd, data, context.closed))
        if key == "b":
            raise OSError("first")
        if key == "a":
            raise ValueError("second")

    for number, key in enumerate("abc"):
        ctx.set_wait_fd(key, number, key * 2, cleanup)
    ctx.set_wait_fd("no cleanup", 9)
    with pytest.raises(OSError, match="first"):
        ctx.close()
    assert log == [
        (True, "c", 2, "cc", True),
        (True, "b", 1, "bb", True),
        (True, "a", 0, "aa", True),
    ]
    ctx.close()
    assert len(log) == 3


def test_cleared_entries_get_no_cleanup_even_when_undelivered():
    log = []
    ctx = pausable.WaitContext()
    ctx.set_wait_fd("a", 1, None, lambda *a: log.append(a))
    job = pausable.thread_pool().start_in(ctx, pausable.pause)
    job.resume()
    ctx.clear_fd("a")
    assert ctx.changed_fds() == ([], [1])
    ctx.close()
    assert log == []


def test_a_dropped_context_is_cleaned_up():
    log = []
    ctx = pausable.WaitContext()
    ctx.set_wait_fd("a", 1, None, lambda _ctx, key, *_: log.append(key))
    del ctx
    gc.collect()
    assert log == ["a"]


def test_every_use_of_a_closed_context_is_refused():
    with pausable.WaitContext() as ctx:
        ctx.set_wait_fd("a", 1)
    assert ctx.closed
    calls = [
        lambda: ctx.set_wait_fd("a", 1),
        lambda: ctx.get_fd("a"),
        lambda: ctx.clear_fd("a"),
        lambda: ctx.set_callback(None),
        ctx.waker,
        lambda: pausable.thread_pool().start_in(ctx, int),
    ]
    for call in calls:
        with pytest.raises(pausable.WaitContextClosed, match="closed"):
            call()
    assert (ctx.fds(), ctx.changed_fds(), "a" in ctx) == ([], ([], []), False)


def test_wrong_types_are_refused_and_change_nothing():
    ctx = pausable.WaitContext()
    for fd in ("3", 3.0, None):
        with pytest.raises(TypeError, match="fd has to be an int"):
            ctx.set_wait_fd("a", fd)
    with pytest.raises(TypeError):
        ctx.set_wait_fd([], 3)
    with pytest.raises(TypeError, match="callable"):
        ctx.set_callback(3)
    assert (ctx.fds(), ctx.changed_fds(), ctx.callback) == ([], ([], []), None)


def test_none_is_a_key_and_bad_descriptors_are_stored():
    ctx = pausable.WaitContext()
    ctx.set_wait_fd(None, -1, "first")
    ctx.set_wait_fd(None, -1, "second")
    assert ctx.fds() == [-1, -1]
    assert ctx.get_fd(None) == (-1, "second")
    ctx.clear_fd(None)
    assert ctx.get_fd(None) == (-1, "first")


def test_descriptors_are_never_touched():
    reader, writer = os.pipe()
    with pausable.WaitContext() as ctx:
        ctx.set_wait_fd("pipe", reader)
        os.write(writer, b"x")
    assert os.read(reader, 1) == b"x"
    os.close(reader)
    os.close(writer)


def test_status_is_a_mailbox_that_jobs_do_not_reset():
    ctx = pausable.WaitContext()
    assert ctx.status is pausable.Status.UNSUPPORTED
    ctx.status = 2
    finish(pausable.thread_pool().start_in(ctx, pausable.pause))
    assert ctx.status is pausable.Status.OK
    with pytest.raises(ValueError, match="7"):
        ctx.status = 7
    assert ctx.status is pausable.Status.OK


def test_the_core_never_calls_the_callback():
    log = []
    ctx = pausable.WaitContext()
    ctx.set_callback(lambda: log.append("called"))
    finish(pausable.thread_pool().start_in(ctx, pausable.pause))
    assert (log, callable(ctx.callback)) == ([], True)
    ctx.set_callback(None)
    assert ctx.callback is None


def test_a_context_serves_one_job_at_a_time():
    ctx = pausable.WaitContext()
    pool = pausable.thread_pool()
    job = pool.start_in(ctx, pausable.pause)
    with pytest.raises(pausable.JobStateError, match="one job at a time"):
        pool.start_in(ctx, int)
    finish(job)
    assert pool.start_in(ctx, int).result() == 0
    with pytest.raises(TypeError, match="WaitContext"):
        pool.start_in(None, int)


def test_a_context_is_free_again_after_a_start_that_was_refused_or_died():
    ctx = pausable.WaitContext()
    with pausable.JobPool(max_size=1) as pool:
        job = pool.start(pausable.pause)
        with pytest.raises(pausable.NoJobsAvailable):
            pool.start_in(ctx, int)
        finish(job)
        with pytest.raises(TypeError):
            pool.start_in(ctx, 3)
        with pytest.raises(KeyboardInterrupt):
            pool.start_in(ctx, _interrupt)
        assert pool.start_in(ctx, int).result() == 0


def _interrupt():
    raise KeyboardInterrupt


def test_a_job_shows_the_context_it_was_started_in_and_keeps_it():
    ctx = pausable.WaitContext()
    job = pausable.thread_pool().start_in(ctx, lambda: pausable.current_job().wait_ctx)
    assert job.result() is ctx
    assert job.wait_ctx is ctx


def test_a_jobs_own_context_is_the_same_inside_outside_and_after():
    seen = []

    def body():
        seen.append(pausable.current_job().wait_ctx)
        pausable.pause()

    job = pausable.start(body)
    seen.append(job.wait_ctx)
    finish(job)
    assert seen[0] is seen[1] is job.wait_ctx


def test_a_context_closed_under_a_paused_job_lets_it_end():
    ctx = pausable.WaitContext()
    job = pausable.thread_pool().start_in(ctx, pausable.pause)
    ctx.set_wait_fd("a", 1)
    ctx.close()
    assert finish(job) is True
