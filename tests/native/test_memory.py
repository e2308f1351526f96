"""Memory of native stacks: overflow, guards, limits, what is given back."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

import pausable
from core._support import finish, pauses
from native._support import needs_native, run
from pausable._backend import NATIVE

pytestmark = needs_native
native_only = pytest.mark.skipif(not NATIVE, reason="of the native core")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="one limit for Python and C before 3.12")
def test_recursion_in_c_ends_in_a_recursion_error_before_the_stack_does():
    program = """
        import sys, pausable
        sys.setrecursionlimit(100_000)
        def down(_=None):
            return sorted([1], key=down)
        for size in (None, 384 << 10, 4 << 20):
            job = pausable.JobPool(stack_size_bytes=size).start(down)
            print(type(job.exception()).__name__)
    """
    assert run(program) == (0, "RecursionError\n" * 3, "")


def test_recursion_ends_in_a_recursion_error_with_the_default_limit():
    program = """
        import functools, json, re, pausable
        def reduce(n):
            return functools.reduce(lambda a, b: reduce(n + 1), [1, 2])
        def sort(n):
            return sorted([1], key=lambda _: sort(n + 1))
        def sub(n):
            return re.sub("a", lambda _: sub(n + 1), "a")
        class Shown:
            def __repr__(self):
                return repr([self])
        nested = []
        for _ in range(100_000):
            nested = [nested]
        for fn, arg in ((reduce, 0), (sort, 0), (sub, 0), (repr, Shown()), (repr, nested),
                        (json.dumps, nested)):
            print(type(pausable.start(fn, arg).exception()).__name__)
    """
    assert run(program) == (0, "RecursionError\n" * 6, "")


def test_an_overflow_is_a_fault_on_the_guard_with_a_traceback_and_no_corruption():
    program = """
        import ctypes, faulthandler, sys, pausable
        faulthandler.enable()
        sys.setrecursionlimit(100_000)
        class Large(ctypes.Structure):
            _fields_ = [("bytes", ctypes.c_char * 8000)]
        def down(large):
            callback(large)       # passes a copy on the stack, which no limit counts
        callback = ctypes.CFUNCTYPE(None, Large)(down)
        print(pausable.start(down, Large()))
    """
    status, out, err = run(program)
    assert (status, out) == (-signal.SIGSEGV, "")
    assert "Segmentation fault" in err
    assert "in down" in err


@pytest.mark.parametrize("guard", ["madvise", "mprotect"])
def test_each_stack_has_a_guard_of_its_own(guard):
    program = f"""
        import ctypes, mmap, pausable
        from pausable._native import set_guard, stats
        set_guard({guard!r})
        jobs = [pausable.start(pausable.pause) for _ in range(3)]
        print(stats()["guard"])
        for job in jobs:
            job.resume()
    """
    status, out, err = run(program)
    assert (status, err) == (0, "")
    assert out.strip() in {guard, "mprotect"}  # a kernel before 6.13 has no other


def test_where_no_more_guards_can_be_had_a_start_is_refused_and_the_others_go_on():
    limit = int(Path("/proc/sys/vm/max_map_count").read_text())
    if limit > 200_000:
        pytest.skip(f"vm.max_map_count is {limit}: that takes too much memory")
    program = f"""
        import pausable
        from pausable._native import set_guard
        set_guard("mprotect")
        jobs = []
        try:
            for _ in range({limit}):
                jobs.append(pausable.start(pausable.pause))
        except MemoryError as exc:
            print(str(exc)[:29])
        print(len(jobs) > {limit} // 3, all([job.resume() for job in jobs]))
        print(pausable.start(int, "7").result())
    """
    status, out, err = run(program)
    assert (status, err) == (0, "")
    assert out.splitlines() == ["no guard for one more stack: ", "True True", "7"]


def test_where_no_address_space_is_left_a_start_is_refused_and_the_others_go_on():
    program = """
        import resource, pausable
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * 4096
        resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20),) * 2)
        pool = pausable.JobPool(stack_size_bytes=1 << 20)
        jobs = []
        try:
            while True:
                jobs.append(pool.start(pausable.pause))
        except MemoryError as exc:
            print(str(exc)[:30])
        print(len(jobs) >= 64, all([job.resume() for job in jobs]))
    """
    assert run(program) == (0, "no address space for 64 more st\n"[:30] + "\nTrue True\n", "")


@native_only
def test_a_paused_job_takes_a_page_of_its_stack():
    with pausable.JobPool() as pool:
        jobs = [pool.start(pauses, 1) for _ in range(100)]
        memory = pool.memory()
        assert memory.mapped_bytes == 100 * jobs[0]._fibre.size_bytes
        assert memory.resident_bytes == 100 * 4096
        for job in jobs:
            finish(job)


def deep_in_c(levels):
    return max(map(deep_in_c, [levels - 1])) if levels else 0


@native_only
def test_beyond_64_idle_stacks_deep_ones_are_given_back():
    with pausable.JobPool() as pool:
        jobs = [pool.start(lambda: (deep_in_c(60), pausable.pause())) for _ in range(200)]
        before = pool.memory().resident_bytes
        for job in jobs:
            finish(job)
        after = pool.memory().resident_bytes
        assert before > 200 * 5 * 4096
        assert after <= 64 * (before // 200 + 4096) + 136 * 4 * 4096
        assert [finish(pool.start(pauses, 1, n)) for n in range(200)] == list(range(200))


@native_only
def test_what_shrink_gives_back_is_unmapped_and_can_be_had_again():
    from pausable._native import stats

    with pausable.JobPool(init_size=300) as pool:
        assert stats()["stacks"] >= 300
        mapped = stats()["mapped_bytes"]
        assert pool.shrink() == 300
        assert stats()["stacks"] < 300
        assert stats()["mapped_bytes"] <= mapped - 3 * 64 * (1 << 20)
        pool.reserve(300)
        assert stats()["mapped_bytes"] == mapped


@native_only
def test_a_stack_of_a_size_of_its_own_is_used_for_jobs_that_need_it():
    with pausable.JobPool(stack_size_bytes=16 << 20) as pool:
        job = pool.start(pauses, 1)
        assert job._fibre.size_bytes == 16 << 20
        finish(job)


@pytest.mark.parametrize("size", [0, 4096, (384 << 10) - 1, (1 << 30) + 1])
def test_stacks_that_are_too_small_or_too_large_are_refused(size):
    with pytest.raises(ValueError, match="stack_size_bytes has to be"):
        pausable.JobPool(stack_size_bytes=size)


@pytest.mark.parametrize("size", ["1", 1.5, True])
def test_stack_sizes_that_are_no_int_are_refused(size):
    with pytest.raises(TypeError, match="stack_size_bytes has to be an int"):
        pausable.JobPool(stack_size_bytes=size)


def test_no_reference_is_left_by_a_hundred_thousand_jobs():
    program = """
        import gc, sys, pausable
        class Thing: pass
        thing = Thing()
        def twice(arg, *, named):
            pausable.pause()
            return arg
        def fails(arg):
            pausable.pause()
            raise ValueError(arg)
        def many(count):
            for _ in range(count):
                pausable.start(twice, thing, named=thing).resume()
                pausable.start(fails, thing).resume()
                pausable.start(fails, thing).cancel()
                pausable.start(str, thing)
        def counts():
            gc.collect()
            return [sys.getrefcount(each) for each in (thing, twice, fails, many, pausable.Job)]
        many(100)
        before = counts()
        many(25_000)
        print(before == counts(), sys.getallocatedblocks() > 0)
    """
    assert run(program) == (0, "True True\n", "")


def test_no_reference_is_left_by_twenty_thousand_runs():
    program = """
        import asyncio, gc, sys, pausable
        class Thing: pass
        thing = Thing()
        async def value(result):
            await asyncio.sleep(0)
            return result
        async def main():
            loop = asyncio.get_running_loop()
            def waits(arg, *, named):
                future = loop.create_future()
                loop.call_soon(future.set_result, arg)
                return pausable.wait_for(future)
            def fails(arg):
                future = loop.create_future()
                loop.call_soon(future.set_exception, ValueError(arg))
                return pausable.wait_for(future)
            def polls(arg):
                pausable.wait_for(value(arg))
                pausable.pause()
                return arg
            async def cancelled():
                task = loop.create_task(pausable.run(pausable.wait_for, loop.create_future()))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            def closed():
                coroutine = pausable.run(pausable.wait_for, loop.create_future())
                coroutine.send(None)
                coroutine.close()
            async def many(count):
                for _ in range(count):
                    await pausable.run(waits, thing, named=thing)
                    await asyncio.gather(pausable.run(fails, thing), return_exceptions=True)
                    await pausable.run(polls, thing)
                    await pausable.run(str, thing)
                    await cancelled()
                    closed()
            def counts():
                gc.collect()
                held = thing, waits, fails, polls, value, loop, loop._pausable_hub, pausable.Job
                drives = sum(type(each).__name__ == "AsyncioDrive" for each in gc.get_objects())
                return [sys.getrefcount(each) for each in held], drives
            await many(50)
            before = counts()
            await many(3_500)
            print(before == counts(), before[1], loop._pausable_hub.driven)
        asyncio.run(main())
    """
    assert run(program) == (0, "True 0 0\n", "")


@native_only
def test_a_long_chain_of_ended_jobs_is_freed_without_recursion():
    job = None
    for _ in range(100_000):
        job = pausable.start(lambda held: [held], job)
    del job
    assert pausable.start(pauses, 0, "alive").result() == "alive"
