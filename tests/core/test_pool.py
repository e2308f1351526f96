"""The pool: limits, reuse, accounting."""

from __future__ import annotations

import gc
import inspect
import sys
import warnings

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import pausable
from core._support import finish, in_thread, on_greenlet, pauses

limits = st.one_of(st.none(), st.integers(1, 4))


def deep(fn, levels):
    return fn() if levels == 0 else deep(fn, levels - 1)


class Accounting(RuleBasedStateMachine):
    """Sizes after any history are those of a model that only counts."""

    def __init__(self):
        super().__init__()
        self.pool = None

    @precondition(lambda self: self.pool is None)
    @rule(max_size=limits, init_size=st.integers(0, 3))
    def make(self, max_size, init_size):
        if max_size is not None and init_size > max_size:
            with pytest.raises(ValueError, match="init_size"):
                pausable.JobPool(max_size, init_size)
            init_size = 0
        self.pool = pausable.JobPool(max_size, init_size)
        self.max, self.idle, self.lost = max_size, init_size, 0
        self.jobs = []  # (job, transient)

    def size(self):
        return self.idle + len(self.jobs) + self.lost

    def reaped(self):
        """A look at the pool's stock unwinds lost jobs; their fibres become idle."""
        self.idle += self.lost
        self.lost = 0

    @precondition(lambda self: self.pool is not None)
    @rule(count=st.integers(0, 2), is_deep=st.booleans(), lose=st.booleans())
    def start(self, count, is_deep, lose):
        levels = sys.getrecursionlimit() // 4 if is_deep else 0
        if self.lost or not self.idle:
            self.reaped()
        fresh = not self.idle
        if fresh and self.max is not None and self.size() >= self.max:
            with pytest.raises(pausable.NoJobsAvailable, match=f"max_size={self.max}"):
                self.pool.start(pauses, count)
            return
        job = deep(lambda: self.pool.start(pauses, count), levels)
        transient = fresh and is_deep and on_greenlet()
        if not fresh:
            self.idle -= 1
        if count:
            self.jobs.append((job, transient))
            if lose and not transient:
                self.jobs.pop()
                self.lost += 1
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    del job
        elif not transient:
            self.idle += 1

    @precondition(lambda self: self.pool is not None and self.jobs)
    @rule(pick=st.integers(0, 9), cancel=st.booleans())
    def go_on(self, pick, cancel):
        job, transient = self.jobs[pick % len(self.jobs)]
        if cancel:
            job.close()
        else:
            job.resume()
        if job.done():
            self.jobs.remove((job, transient))
            self.idle += not transient

    @precondition(lambda self: self.pool is not None)
    @rule(count=st.integers(0, 4))
    def reserve(self, count):
        self.reaped()
        self.pool.reserve(count)
        room = 99 if self.max is None else self.max - self.size()
        self.idle += max(0, min(count - self.idle, room))

    @precondition(lambda self: self.pool is not None)
    @rule(keep=st.integers(0, 3))
    def shrink(self, keep):
        self.reaped()
        assert self.pool.shrink(keep) == max(0, self.idle - keep)
        self.idle = min(self.idle, keep)

    @precondition(lambda self: self.pool is not None and self.jobs)
    @rule()
    def refuse_to_close(self):
        self.reaped()
        with pytest.raises(pausable.JobsOutstanding) as info:
            self.pool.close()
        assert set(info.value.jobs) == {job for job, _ in self.jobs}

    @invariant()
    def figures_agree(self):
        if self.pool is not None:
            paused = len(self.jobs) + self.lost
            expected = (self.size(), self.idle, paused, 0, self.max)
            assert tuple(self.pool.stats())[:5] == expected
            assert set(self.pool.jobs()) == {job for job, _ in self.jobs}

    def teardown(self):
        if self.pool is not None:
            self.pool.close(cancel=True)
            assert tuple(self.pool.stats())[:4] == (0, 0, 0, 0)
            assert all(job.cancelled() for job, _ in self.jobs)


TestAccounting = Accounting.TestCase
TestAccounting.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_full_pool_refuses_and_recovers():
    with pausable.JobPool(max_size=2) as pool:
        first, second = pool.start(pauses, 1), pool.start(pauses, 1)
        for _ in range(3):
            with pytest.raises(pausable.NoJobsAvailable, match="all 2 jobs"):
                pool.start(int)
        first.resume()
        assert pool.start(int).result() == 0
        third = pool.start(pauses, 1)
        with pytest.raises(pausable.NoJobsAvailable):
            pool.start(int)
        finish(second)
        finish(third)
        assert pool.stats()[:5] == (2, 2, 0, 0, 2)


def test_a_job_at_the_limit_cannot_start_another_and_says_so():
    with pausable.JobPool(max_size=1) as pool:

        def body():
            with pytest.raises(pausable.NoJobsAvailable):
                pool.start(int)
            return pool.stats().running

        assert pool.start(body).result() == 1


def test_the_fibre_used_last_is_used_first():
    pool = pausable.thread_pool()
    jobs = [pool.start(pauses, 1) for _ in range(3)]
    fibres = [job._fibre for job in jobs]
    for job in jobs:
        job.resume()
    again = [pool.start(pauses, 1) for _ in range(3)]
    assert [job._fibre for job in again] == fibres[::-1]
    for job in again:
        finish(job)


def test_close_refuses_while_jobs_are_under_way_and_names_them():
    pool = pausable.JobPool()
    jobs = [pool.start(pauses, 1) for _ in range(12)]
    jobs[3].name = "the third"
    with pytest.raises(pausable.JobsOutstanding, match=r"12 jobs.*and 2 more") as info:
        pool.close()
    assert set(info.value.jobs) == set(jobs)
    assert finish(jobs[3]) is None
    pool.close(cancel=True)
    assert [job.cancelled() for job in jobs].count(True) == 11


def test_a_closed_pool_starts_nothing_and_closes_again():
    pool = pausable.JobPool(init_size=1)
    pool.close()
    pool.close()
    with pytest.raises(pausable.JobStateError, match="closed"):
        pool.start(int)


def test_a_running_job_cannot_close_its_own_pool():
    pool = pausable.JobPool()

    def body():
        for cancel in (False, True):
            with pytest.raises(pausable.JobsOutstanding):
                pool.close(cancel=cancel)
        return "went on"

    assert pool.start(body).result() == "went on"
    assert pool.start(int).result() == 0
    pool.close()


def test_leaving_a_with_block_refuses_but_an_exception_cancels():
    with pytest.raises(pausable.JobsOutstanding), pausable.JobPool() as pool:
        job = pool.start(pauses, 1)
    assert job.paused
    with pytest.raises(KeyError), pool:
        raise KeyError
    assert job.cancelled()


@pytest.mark.parametrize(
    ("kwargs", "kind"),
    [
        ({"max_size": 0}, ValueError),
        ({"max_size": -1}, ValueError),
        ({"max_size": 1.5}, TypeError),
        ({"max_size": True}, TypeError),
        ({"init_size": -1}, ValueError),
        ({"init_size": None}, TypeError),
        ({"max_size": 1, "init_size": 2}, ValueError),
    ],
)
def test_bad_sizes_are_refused_by_name(kwargs, kind):
    for make in (pausable.JobPool, pausable.init_thread):
        with pytest.raises(kind, match="|".join(kwargs)):
            make(**kwargs)


def test_init_thread_gives_the_thread_a_limit_and_cleanup_takes_it_back():
    pool = pausable.init_thread(max_size=1, init_size=1)
    assert pausable.thread_pool() is pool
    job = pausable.start(pauses, 1)
    with pytest.raises(pausable.NoJobsAvailable):
        pausable.start(int)
    for refused in (pausable.init_thread, pausable.cleanup_thread):
        with pytest.raises(pausable.JobsOutstanding):
            refused()
    assert pausable.thread_pool() is pool
    pausable.cleanup_thread(cancel=True)
    assert job.cancelled()
    pausable.cleanup_thread()
    assert pausable.thread_pool() is not pool
    assert pausable.thread_pool().max_size is None


def test_each_thread_has_a_pool_of_its_own():
    assert in_thread(pausable.thread_pool) is not pausable.thread_pool()


def test_a_pool_refuses_other_threads_by_name():
    pool = pausable.JobPool(init_size=1)
    calls = [
        lambda: pool.start(int),
        lambda: pool.start_in(pausable.WaitContext(), int),
        pool.shrink,
        lambda: pool.reserve(2),
        pool.close,
        lambda: pool.close(cancel=True),
    ]
    for call in calls:
        with pytest.raises(pausable.WrongThread, match=r"MainThread.*'helper'"):
            in_thread(call)
    assert pool.stats()[:4] == (1, 1, 0, 0)
    assert pool.start(int).result() == 0
    pool.close()


def told(*args, **kwargs):
    return args, kwargs


def test_start_hands_on_every_argument_as_it_is():
    with pausable.JobPool() as pool:
        ctx = pausable.WaitContext()
        for start in (pool.start, lambda *args, **kwargs: pool.start_in(ctx, *args, **kwargs)):
            assert start(told).result() == ((), {})
            assert start(told, 1, (2,)).result() == ((1, (2,)), {})
            kwargs = {"self": 1, "fn": 2, "pool": 3, "wait_ctx": 4}
            assert start(told, **kwargs).result() == ((), kwargs)
            assert start(told, 5, x=6).result() == ((5,), {"x": 6})
            paused = start(lambda *args, **kwargs: pausable.pause() and (args, kwargs), [7], y=[8])
            gc.collect()
            assert finish(paused) == (([7],), {"y": [8]})


def test_start_without_a_function_is_refused_by_name():
    pool = pausable.JobPool()
    with pytest.raises(TypeError, match=r"JobPool.start\(\) missing 1 required .*: 'fn'"):
        pool.start()
    with pytest.raises(TypeError, match=r"JobPool.start_in\(\) missing 1 required .*: 'fn'"):
        pool.start_in(pausable.WaitContext())
    with pytest.raises(TypeError, match=r"JobPool.start_in\(\) missing 2 .*'wait_ctx' and 'fn'"):
        pool.start_in()
    for wrong in (3, None):
        with pytest.raises(TypeError, match="fn has to be callable"):
            pool.start(wrong)
    assert (pool.start(int).result(), pool.stats()[:4]) == (0, (1, 1, 0, 0))
    pool.close()


def test_a_start_looks_at_the_thread_then_the_context_then_the_pool():
    pool = pausable.JobPool()
    used = pausable.WaitContext()
    job = pool.start_in(used, pausable.pause)
    with pytest.raises(pausable.WrongThread):
        in_thread(lambda: pool.start_in(used, 3))
    with pytest.raises(pausable.JobStateError, match="one job at a time"):
        pool.start_in(used, 3)
    finish(job)
    pool.close()
    closed = pausable.WaitContext()
    closed.close()
    with pytest.raises(pausable.WaitContextClosed):
        pool.start_in(closed, int)
    with pytest.raises(TypeError, match="fn has to be callable"):
        pool.start_in(used, 3)
    with pytest.raises(pausable.JobStateError, match="the pool was closed"):
        pool.start_in(used, int)


def test_a_subclass_may_have_a_start_of_its_own():
    class Counting(pausable.JobPool):
        started = 0

        def start(self, fn, /, *args, **kwargs):
            self.started += 1
            return super().start(fn, *args, **kwargs)

    with Counting() as pool:
        assert pool.start(told, 1, x=2).result() == ((1,), {"x": 2})
        assert pool.started == 1
    with pytest.raises((TypeError, AttributeError), match="object"):
        pausable.JobPool.start(object(), int)


def test_contexts_of_a_subclass_are_told_of_each_window_and_end():
    class Told(pausable.WaitContext):
        def _reset(self):
            log.append("window")
            super()._reset()

        def _job_ended(self):
            log.append("end")
            super()._job_ended()

    log = []
    ctx = Told()
    finish(pausable.thread_pool().start_in(ctx, pauses, 2))
    assert log == ["window", "window", "end"]
    assert pausable.thread_pool().start_in(ctx, int).result() == 0


def recursion(n=0):
    try:
        return recursion(n + 1)
    except RecursionError:
        return n


@pytest.mark.hazard("H18", "H20")
def test_a_fibre_made_deep_in_the_stack_does_not_stay_short_of_room():
    with pausable.JobPool() as pool:
        limit = sys.getrecursionlimit()
        deep_job = deep(lambda: pool.start(pauses, 1), limit // 2)
        assert pool.stats()[:3] == (1, 0, 1)
        finish(deep_job)
        assert not on_greenlet() or pool.stats()[:3] == (0, 0, 0)
        assert pool.start(recursion).result() > limit * 2 / 3


@pytest.mark.hazard("H18", "H20")
def test_fibres_reserved_deep_in_the_stack_do_not_stay_shallow_of_room():
    with pausable.JobPool() as pool:
        limit = sys.getrecursionlimit()
        deep(lambda: pool.reserve(2), limit // 2)
        for _ in range(3):
            result = pool.start(recursion).result()
        assert result > limit * 2 / 3


@pytest.mark.hazard("H20")
def test_deep_starts_in_a_full_pool_give_their_room_back():
    with pausable.JobPool(max_size=1) as pool:
        for _ in range(5):
            deep(lambda: pool.start(int), sys.getrecursionlimit() // 2)
        assert pool.start(int).result() == 0


def test_when_free_calls_back_at_once_or_at_an_end_first_come_first_served():
    log = []
    with pausable.JobPool(max_size=1) as pool:
        pool.when_free(lambda: log.append("at once"))
        job = pool.start(pauses, 1)
        first, second, third = (lambda n=n: log.append(n) for n in (1, 2, 3))
        turns = [pool.when_free(callback) for callback in (first, second, third)]
        pool.stop_waiting(turns[1])
        assert log == ["at once"]
        job.resume()
        assert log == ["at once", 1]
        pool.start(int)
        assert log == ["at once", 1, 3]
        pool.start(int)
        assert type(pool.idle) is list


def test_a_lost_job_frees_its_room_for_whoever_waits():
    log = []
    with pausable.JobPool(max_size=1) as pool:
        job = pool.start(pauses, 1)
        pool.when_free(lambda: log.append("free"))
        with pytest.warns(ResourceWarning):
            del job
        gc.collect()
        assert log == ["free"]
        assert pool.start(int).result() == 0


def test_a_transient_end_frees_its_room_for_whoever_waits():
    log = []
    with pausable.JobPool(max_size=1) as pool:
        job = deep(lambda: pool.start(pauses, 1), sys.getrecursionlimit() // 2)
        pool.when_free(lambda: log.append("free"))
        job.resume()
        assert log == ["free"]


def test_figures_and_text_agree():
    with pausable.JobPool(max_size=3, init_size=2) as pool:
        job = pool.start(pauses, 1)
        assert repr(pool) == "<JobPool paused=1 idle=1 max_size=3>"
        assert pool.jobs() == [job]
        finish(job)


@pytest.mark.hazard("H18", "H20")
def test_a_fibre_made_deep_by_nested_jobs_is_not_used_for_shallow_ones():
    def nest(levels):
        return pausable.start(nest, levels - 1).result() if levels else None

    def recurse(levels):
        return recurse(levels - 1) if levels else "deep enough"

    nest(60)
    limit = sys.getrecursionlimit()
    here = len(inspect.stack(0))
    jobs = [pausable.start(pausable.pause) for _ in range(60)]  # take every idle fibre
    for job in jobs:
        job.close()
    levels = int((limit - here) * 0.6)
    held = []
    for _ in range(60):
        job = pausable.start(lambda: (recurse(levels), pausable.pause()))
        held.append(job)
    assert all(job.paused for job in held)
    for job in held:
        job.close()


def test_figures_tell_what_the_stacks_of_paused_jobs_take():
    with pausable.JobPool() as pool:
        assert pool.stats()[5:] == (0, 0)
        jobs = [pool.start(pauses, 1) for _ in range(10)]
        stats = pool.stats()
        assert stats.resident_bytes >= 10 * 300
        assert stats.mapped_bytes == 0 if on_greenlet() else stats.mapped_bytes >= 10 << 19
        for job in jobs:
            finish(job)
        pool.shrink()
        assert pool.stats()[5:] == (0, 0)
