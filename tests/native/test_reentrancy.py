"""Code that runs in the middle of what the core does, and what the core holds."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref

import pytest

import pausable
from core._support import Canary
from native._support import needs_native, run
from pausable._job import launch

pytestmark = needs_native


def test_a_callback_for_a_dropped_job_cannot_reach_it_by_its_pool():
    program = """
        import pausable, weakref
        for turn in range(100):
            job = pausable.start(pausable.pause)
            seen = []
            ref = weakref.ref(job, lambda _: seen.extend(pausable.jobs()))
            del job
            assert seen == []
            three = [pausable.start(pausable.pause) for _ in range(3)]
            assert len({id(each) for each in three}) == 3
            assert all(each.resume() for each in three)
        print(pausable.thread_pool())
    """
    assert run(program) == (0, "<JobPool paused=0 idle=3 max_size=None>\n", "")


def test_a_handle_that_a_finalizer_brings_back_stays_that_of_its_job():
    program = """
        import gc, pausable
        class Keeper:
            def __del__(self):
                kept.append(self.job)
        def body(value):
            pausable.pause()
            return value
        kept = []
        keeper = Keeper()
        keeper.job, keeper.itself = pausable.start(body, "first"), keeper
        del keeper
        gc.collect()
        first, second = kept[0], pausable.start(body, "second")
        print(first.cancelled() or (first.resume() and first.result() == "first"))
        print(second.resume(), second.result())
    """
    assert run(program) == (0, "True\nTrue second\n", "")


def test_a_job_that_is_started_when_its_threads_pool_dies_has_another():
    program = """
        import pausable, threading, weakref
        def late():
            out.append(pausable.start(int, "7").result())
        def work():
            weakref.finalize(pausable.thread_pool(), late)
        out = []
        for _ in range(50):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        print(out == [7] * 50)
    """
    assert run(program) == (0, "True\n", "")


def test_a_ctrl_c_at_a_failed_jobs_end_leaves_nothing_of_it_in_its_fibre():
    program = """
        import sys, types, pausable
        from pausable import _job
        def trace(frame, event, _arg):
            if frame.f_code is _job._keep_own_traceback.__code__:
                sys.settrace(None)
                raise KeyboardInterrupt("at the end")
        def fails():
            pausable.pause()
            raise ValueError
        ended = []
        pausable.add_hooks(types.SimpleNamespace(on_finish=lambda job: None))  # hides a frame
        job = pausable.start(fails)
        wait_ctx = job.wait_ctx
        job.add_done_callback(ended.append)
        sys.settrace(trace)
        try:
            job.resume()
        except KeyboardInterrupt as exc:
            print(exc, ended == [job], repr(job.exception()))
        after = pausable.start(pausable.pause)
        print(after.wait_ctx is not wait_ctx, after.resume(), ended == [job])
    """
    assert run(program) == (0, "at the end True ValueError()\nTrue True True\n", "")


@pytest.mark.native_only
def test_an_idle_stack_keeps_nothing_of_the_job_that_it_had():
    var = contextvars.ContextVar("var")
    dead = []

    def noted(canary):
        dead.append(weakref.ref(canary))
        return canary

    def body(_given):
        var.set(noted(Canary()))
        pausable.pause()

    def starter():
        var.set(noted(Canary()))
        job = pausable.start(body, noted(Canary()))
        fibre = job._fibre
        job.resume()
        return fibre

    fibre = contextvars.copy_context().run(starter)
    fields = "job value exc resumer context gr_context driver wait_ctx snapshot"
    assert {name: getattr(fibre, name) for name in fields.split()} == dict.fromkeys(fields.split())
    assert [ref() for ref in dead] == [None] * 3


@pytest.mark.native_only
def test_an_idle_stack_keeps_nothing_of_the_driver_that_it_had():
    seen = []

    def body():
        fibre = pausable.current_job()._fibre
        seen.append((fibre, fibre.driver))
        pausable.pause()

    asyncio.run(pausable.run(body))
    [(fibre, driver)] = seen
    assert driver is not None
    assert fibre.driver is None


@pytest.mark.native_only
def test_a_start_that_fails_leaves_its_stack_idle_and_empty():
    class Fails:
        context = contextvars.copy_context()

        @property
        def outermost(self):
            raise LookupError

    with pausable.JobPool(max_size=1, init_size=1) as pool:
        [fibre] = pool.idle
        with pytest.raises(LookupError):
            launch(pool, None, Fails(), int, (), None)
        assert (pool.idle, fibre.driver, fibre.job, fibre.context) == ([fibre], None, None, None)
        assert pool.start(int, "3").result() == 3


@pytest.mark.native_only
def test_what_ended_jobs_and_forgotten_pools_hold_is_found_by_the_collector():
    class Failure(Exception):
        pass

    def returns_itself(jobs):
        return jobs

    def raises_itself(jobs):
        failure = Failure()
        failure.jobs = jobs
        raise failure

    dead = []
    for body in (returns_itself, raises_itself):
        jobs = []
        jobs.append(pausable.start(body, jobs))
        dead.append(weakref.ref(jobs[0]))
    pool = pausable.JobPool(init_size=2)
    pool.start(int)
    dead.append(weakref.ref(pool))
    del jobs, pool
    gc.collect()
    assert [ref() for ref in dead] == [None] * 3


@pytest.mark.native_only
def test_any_number_of_arguments_reaches_the_call_and_is_let_go_of():
    class Argument:
        pass

    def body(*args, **named):
        return args, sorted(named)

    for positional in range(20):
        for named in range(10):
            args = [Argument() for _ in range(positional)]
            names = {f"name{n}": Argument() for n in range(named)}
            dead = [weakref.ref(each) for each in [*args, *names.values()]]
            got = pausable.start(body, *args, **names).result()
            assert got == (tuple(args), sorted(names))
            del args, names, got
            assert not any(ref() for ref in dead)


@pytest.mark.native_only
def test_a_context_that_a_token_holds_is_no_later_jobs():
    var = contextvars.ContextVar("var", default="default")
    token = pausable.start(var.set, "first").result()
    assert var.get() == "first"
    assert pausable.start(var.get).result() == "first"
    with pytest.raises(ValueError, match="different Context"):
        pausable.start(var.reset, token).result()


@pytest.mark.parametrize("backend", ["native", "greenlet"])
def test_a_job_that_ends_while_debug_mode_warns_of_its_resume_is_not_resumed_again(backend):
    program = """
        import pausable, warnings
        def show(message, *_):
            print(type(message).__name__, job.resume())
        warnings.simplefilter("always")
        warnings.showwarning = show
        def outer():
            try:
                job.resume()
            except pausable.JobStateError as exc:
                return str(exc)[:46]
        job = pausable.start(lambda: sorted([1], key=lambda _: pausable.pause()))
        print(pausable.start(outer).result())
        print(job.result(), pausable.thread_pool())
    """
    assert run(program, backend, PAUSABLE_DEBUG="1") == (
        0,
        "NativeFrameWarning True\ncannot resume job '<lambda>-1': it has ended; \n"
        "[1] <JobPool paused=0 idle=2 max_size=None>\n",
        "",
    )
