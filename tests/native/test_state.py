"""What the interpreter keeps per thread belongs to the job: one test for each part of it.

tests/native/mutants.py leaves out one part after another of what the native core exchanges
(src/native/pystate.h), and sees which of these tests notice. On greenlet some of them fail, for
greenlet leaves tracing alone, and crash on 3.11.
"""

from __future__ import annotations

import contextvars
import ctypes
import functools
import gc
import platform
import sys
import threading
import weakref

import pytest

import pausable
from core._support import Canary, finish, pauses

pytestmark = pytest.mark.native_only

var = contextvars.ContextVar("var", default="default")


def depth(levels):
    return 1 + depth(levels - 1) if levels else 0


def room():
    """Return how many more calls in Python there is room for."""
    try:
        return 1 + room()
    except RecursionError:
        return 0


def in_c(levels, innermost):
    """Call innermost() below so many calls in C."""
    return (
        functools.reduce(lambda _, last: in_c(levels - 1, last), [0, innermost])
        if levels
        else innermost()
    )


# -- frames ----------------------------------------------------------------------------------------


def test_the_caller_sees_its_own_frames_and_the_job_its_own():
    def names():
        frame, found = sys._getframe(1), []
        while frame is not None and len(found) < 3:
            found.append(frame.f_code.co_name)
            frame = frame.f_back
        return found

    def outer():
        def inner():
            before = names()
            pausable.pause()
            return before, names()

        return inner()

    job = pausable.start(outer)
    here = names()
    assert here[0] == "test_the_caller_sees_its_own_frames_and_the_job_its_own"
    finish(job)
    assert names() == here
    before, after = job.result()
    assert before[:2] == after[:2] == ["inner", "outer"]


def test_frames_that_need_more_room_come_and_go_while_others_are_paused():
    def steps(levels):
        seen = []
        for _ in range(5):
            seen.append(depth(levels))
            pausable.pause()
        return seen

    jobs = [pausable.start(steps, 10 * n) for n in range(20)]
    while not all(job.done() for job in jobs):
        for n, job in enumerate(jobs):
            assert job.done() or job.resume() in (True, False)
            assert depth(n * 7) == n * 7
    assert [job.result() for job in jobs] == [[10 * n] * 5 for n in range(20)]


def test_a_job_that_is_paused_deep_down_keeps_all_its_frames():
    def down(levels, tag):
        here = [tag, levels]
        below = down(levels - 1, tag) if levels else pausable.pause()
        assert here == [tag, levels]
        return below

    jobs = [pausable.start(down, 300, n) for n in range(10)]
    for job in jobs[::2] + jobs[1::2]:
        assert depth(200) == 200
        assert finish(job) is True


# -- recursion -------------------------------------------------------------------------------------


def test_the_depth_of_a_paused_job_is_not_the_callers():
    def down(levels):
        return down(levels - 1) if levels else pausable.pause()

    before = room()
    jobs = [pausable.start(down, 200) for _ in range(10)]
    assert room() == before
    for job in jobs:
        finish(job)
    assert room() == before


def test_recursion_is_bounded_in_a_job_as_outside():
    def body():
        pausable.pause()
        before = room()
        pausable.pause()
        return before, room()

    first, second = finish(pausable.start(body))
    assert first == second
    assert sys.getrecursionlimit() / 2 < first <= sys.getrecursionlimit()


def test_nested_starts_are_bounded_like_nested_calls():
    def nest():
        return pausable.start(nest).result()

    with pytest.raises(RecursionError):
        nest()


def test_nested_starts_are_bounded_where_no_call_is_in_python():
    nest = functools.partial(pausable.start)
    nest.__setstate__((pausable.start, (nest,), {}, {}))
    job, levels = nest(), 1
    while job.exception() is None:
        job, levels = job.result(), levels + 1
    assert type(job.exception()) is RecursionError
    assert levels <= sys.getrecursionlimit()


def test_a_limit_that_is_raised_while_a_job_is_paused_holds_in_it():
    def body():
        pausable.pause()
        return depth(3000)

    job = pausable.start(body)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 3000)
    try:
        assert finish(job) == 3000
    finally:
        sys.setrecursionlimit(limit)


def test_a_limit_that_is_lowered_below_the_depth_of_a_paused_job_is_an_error_in_it():
    def down(levels):
        if levels:
            return down(levels - 1)
        pausable.pause()
        try:
            depth(1)
        except RecursionError:
            return "went on"

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 500)
    job = pausable.start(down, limit - 50)
    sys.setrecursionlimit(limit // 2)
    try:
        job.resume()
    finally:
        sys.setrecursionlimit(limit)
    assert job.result() == "went on"


@pytest.mark.filterwarnings("ignore:the .*signature of throw:DeprecationWarning")
def test_recursion_of_others_is_no_fatal_error_while_a_job_is_paused_in_an_exceptions_init():
    class Pauses(Exception):
        def __init__(self, *args):
            pausable.pause()
            super().__init__(*args)

    def generate():
        yield

    def body():
        generator = generate()
        next(generator)
        with pytest.raises(Pauses):
            generator.throw(Pauses, "makes an exception of a class in C")

    job = pausable.start(body)
    assert job.paused
    assert room() > 0
    finish(job)


def test_calls_in_c_below_paused_jobs_are_not_the_callers():
    jobs = [pausable.start(in_c, 15, pausable.pause) for _ in range(1000)]
    assert in_c(30, lambda: "room is left") == "room is left"
    for job in jobs:
        finish(job)
    assert in_c(30, lambda: "room is left") == "room is left"


# -- the processor ---------------------------------------------------------------------------------


def test_a_job_begins_with_its_starters_rounding_whatever_ran_on_the_stack_before():
    libm = ctypes.CDLL("libm.so.6")
    upward = {"x86_64": 0x800, "aarch64": 0x400000}[platform.machine()]
    usual = libm.fegetround()
    with pausable.JobPool() as pool:
        pool.start(libm.fesetround, upward)
        assert libm.fegetround() == usual
        assert pool.start(libm.fegetround).result() == usual
        libm.fesetround(upward)
        try:
            assert pool.start(libm.fegetround).result() == upward
        finally:
            libm.fesetround(usual)


# -- exceptions ------------------------------------------------------------------------------------


def test_what_is_handled_in_a_job_is_handled_there_only():
    def body(n):
        seen = []
        try:
            raise KeyError(n)
        except KeyError:
            pausable.pause()
            try:
                raise ValueError(n)
            except ValueError as inner:
                pausable.pause()
                seen += [repr(sys.exc_info()[1]), repr(inner.__context__)]
            seen.append(repr(sys.exc_info()[1]))
        seen.append(sys.exc_info()[1])
        pausable.pause()
        return seen

    def caller():
        seen = set()
        try:
            raise OSError("the caller's")
        except OSError:
            jobs = [pausable.start(body, n) for n in range(10)]
            for _ in range(3):
                for job in jobs:
                    seen.add(repr(sys.exc_info()[1]))
                    job.resume()
        return jobs, seen

    jobs, seen = caller()
    assert seen == {repr(OSError("the caller's"))}
    for n, job in enumerate(jobs):
        assert job.result() == [f"ValueError({n})", f"KeyError({n})", f"KeyError({n})", None]


# -- context variables -----------------------------------------------------------------------------


def test_a_variable_that_was_read_elsewhere_is_read_anew_in_each_job():
    def body(n):
        var.set(n)
        for _ in range(5):
            assert var.get() == n
            pausable.pause()
        return var.get()

    jobs = [pausable.start(body, n) for n in range(5)]
    while not all(job.done() for job in jobs):
        for n, job in enumerate(jobs):
            token = var.set(f"caller {n}")
            assert var.get() == f"caller {n}"
            if not job.done():
                job.resume()
            assert var.get() in (f"caller {n}", n)  # the job's when it has ended
            if not job.done():
                var.reset(token)
    assert [job.result() for job in jobs] == list(range(5))


def test_a_job_that_pauses_inside_a_context_goes_on_inside_it():
    other = contextvars.ContextVar("other", default="default")
    context = contextvars.copy_context()
    context.run(other.set, "inside")

    def body():
        return context.run(lambda: (other.get(), pausable.pause(), other.get())), other.get()

    job = pausable.start(body)
    assert other.get() == "default"
    assert finish(job) == (("inside", True, "inside"), "default")


# -- tracing ---------------------------------------------------------------------------------------


@pytest.fixture
def untraced():
    """Leave nothing of a test's trace function."""
    before = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(before)


@pytest.mark.usefixtures("untraced")
def test_tracing_goes_on_with_the_caller_while_a_job_is_paused_in_its_trace_function():
    seen = []

    def trace(frame, event, _arg):
        name = frame.f_code.co_name
        if name == "traced_job" and event == "line" and "paused" not in seen:
            seen.append("paused")
            pausable.pause()
        if name == "traced_caller":
            seen.append(event)
        return trace

    def traced_job():
        return "end"

    def traced_caller():
        return 1

    sys.settrace(trace)
    job = pausable.start(traced_job)
    traced_caller()
    sys.settrace(None)
    assert finish(job) == "end"
    assert seen == ["paused", "call", "line", "return"]


@pytest.mark.usefixtures("untraced")
def test_tracing_that_begins_or_ends_while_a_job_is_paused_does_so_in_the_job():
    seen = []

    def trace(frame, event, _arg):
        if frame.f_code.co_name == "step":
            seen.append(event)
        return trace

    def step():
        return 1

    def body():
        for _ in range(3):
            step()
            pausable.pause()

    job = pausable.start(body)
    sys.settrace(trace)
    job.resume()
    sys.settrace(None)
    assert seen == ["call", "line", "return"]
    job.resume()
    assert len(seen) == 3
    finish(job)


@pytest.mark.usefixtures("untraced")
def test_the_event_that_is_traced_is_the_jobs_not_the_callers():
    jumped = []

    def trace(frame, event, _arg):
        if frame.f_code is body.__code__ and event == "line" and not jumped:
            jumped.append(frame.f_lineno)
            pausable.pause()
            frame.f_lineno = jumped[0] + 2  # allowed in a line event only
        return trace

    def body(value="as given"):
        value = "jumped over"
        value += "!"
        return value

    sys.settrace(trace)
    job = pausable.start(body)
    frame = sys._getframe()
    frame.f_trace = trace
    with pytest.raises(ValueError, match=r"jump|trace"):
        frame.f_lineno = frame.f_lineno + 1
    sys.settrace(None)
    frame.f_trace = None
    assert finish(job) == "as given"


# -- deallocation ----------------------------------------------------------------------------------


class PausesWhenItDies:
    def __del__(self):
        pausable.pause()


def nest(value, levels):
    for _ in range(levels):
        value = (value,)
    return value


def test_objects_die_at_once_while_jobs_are_paused_inside_of_deallocations():
    def body():
        nested = nest(PausesWhenItDies(), 40)
        del nested

    jobs = [pausable.start(body) for _ in range(5)]
    assert all(job.paused for job in jobs)
    canary = Canary()
    dead = weakref.ref(canary)
    nested = nest(canary, 10)
    del canary, nested
    assert dead() is None
    for job in jobs:
        finish(job)


def test_long_chains_are_freed_inside_of_jobs():
    def body():
        chain = nest(Canary(), 100_000)
        innermost = PausesWhenItDies()
        del chain, innermost
        return pausable.pause()

    jobs = [pausable.start(body) for _ in range(3)]
    for job in jobs:
        assert finish(job)
    gc.collect()


# -- other threads ---------------------------------------------------------------------------------


def test_threads_run_their_jobs_side_by_side():
    failed = []

    def work():
        try:
            for _ in range(20):
                jobs = [pausable.start(pauses, 3, n) for n in range(20)]
                assert [finish(job) for job in jobs] == list(range(20))
        except BaseException as exc:
            failed.append(exc)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert failed == []
