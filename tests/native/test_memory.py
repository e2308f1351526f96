"""Memory of native stacks: overflow, guards, limits, what is given back."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

import pausable
from core._support import finish, pauses
from native._support import needs_native, run

pytestmark = needs_native


def deep_in_c(levels):
    return max(map(deep_in_c, [levels - 1])) if levels else 0


def pausing_deep_in_c(levels):
    return max(map(pausing_deep_in_c, [levels - 1])) if levels else pausable.pause()


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


def test_the_parser_which_counts_by_itself_has_room_on_the_default_and_on_the_least_stack():
    program = """
        import warnings, pausable
        warnings.simplefilter("ignore")
        brackets = ["(" * 199 + "1" + ")" * 199, "f[" * 199 + "1" + "]" * 199,
                    "{1:" * 199 + "1" + "}" * 199, "with " + "(" * 199 + "a" + ")" * 199 + ": pass"]
        words = [word * 5900 + "1" for word in ("-", "not ", "lambda:", "1 if 1 else ")]
        for size, sources in ((384 << 10, brackets), (None, brackets + words)):
            pool = pausable.JobPool(stack_size_bytes=size)
            for source in sources:
                error = pool.start(compile, source, "source", "exec").exception()
                assert isinstance(error, (RecursionError, MemoryError, SyntaxError, type(None)))
        print("alive")
    """
    assert run(program) == (0, "alive\n", "")


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


def test_guards_of_both_kinds_side_by_side_are_counted_apart():
    # Of memory that is locked (mlockall), Linux makes no guards by madvise.
    program = """
        import ctypes, pausable
        from pausable._native import stats
        libc = ctypes.CDLL(None)
        first = [pausable.start(pausable.pause) for _ in range(128)]
        if stats()["guard"] != "madvise" or libc.mlockall(2) != 0:        # MCL_FUTURE
            print("not here")
            raise SystemExit
        locked = [pausable.start(pausable.pause) for _ in range(10)]
        libc.munlockall()
        print(stats()["guard"], all([job.resume() for job in first + locked]))
        pausable.thread_pool().shrink()
        jobs = [pausable.start(pausable.pause) for _ in range(128)]
        print(all([job.resume() for job in jobs]))
    """
    status, out, err = run(program)
    if out == "not here\n":
        pytest.skip("needs Linux 6.13 and the right to lock memory")
    assert (status, out, err) == (0, "mprotect True\nTrue\n", "")


def test_guards_can_be_done_without_for_the_whole_process():
    program = """
        import pausable
        from pausable._native import stats
        jobs = [pausable.start(pausable.pause) for _ in range(40)]
        print(stats()["guard"], all(job.resume() for job in jobs))
        mappings = sum(1 for _ in open("/proc/self/maps"))
        pool = pausable.JobPool(init_size=2_000)
        print(sum(1 for _ in open("/proc/self/maps")) - mappings < 100)
    """
    assert run(program, PAUSABLE_STACK_GUARD="none") == (0, "none True\nTrue\n", "")
    assert run(program, PAUSABLE_STACK_GUARD="auto")[1] != "none True\nTrue\n"


def test_a_guard_that_is_unknown_is_refused_at_import():
    status, _, err = run("import pausable", PAUSABLE_STACK_GUARD="no")
    assert status == 1
    assert err.endswith("ValueError: PAUSABLE_STACK_GUARD has to be 'auto' or 'none', not 'no'\n")


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
            print(str(exc)[:29], "PAUSABLE_STACK_GUARD=none" in str(exc))
        print(len(jobs) > {limit} // 3, all([job.resume() for job in jobs]))
        print(pausable.start(int, "7").result())
    """
    status, out, err = run(program)
    assert (status, err) == (0, "")
    assert out.splitlines() == ["no guard for one more stack:  True", "True True", "7"]


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


@pytest.mark.native_only
def test_a_paused_job_takes_a_page_of_its_stack():
    with pausable.JobPool() as pool:
        jobs = [pool.start(pauses, 1) for _ in range(100)]
        stats = pool.stats()
        assert stats.mapped_bytes == 100 * jobs[0]._fibre.size_bytes
        assert stats.resident_bytes == 100 * 4096
        for job in jobs:
            finish(job)
        assert pool.shrink(keep=40) == 60
        assert pool.stats().mapped_bytes == stats.mapped_bytes * 40 // 100
        assert pool.stats().resident_bytes == 40 * 4096


@pytest.mark.native_only
def test_what_jobs_touched_counts_where_they_are_and_where_they_were():
    with pausable.JobPool() as pool:
        deep = pool.start(pausing_deep_in_c, 80)
        was_deep = pool.start(lambda: (deep_in_c(80), pausable.pause()))
        sizes = [job._fibre.resident_bytes() for job in (deep, was_deep)]
        assert min(sizes) >= deep._fibre.saved_bytes() > 10 * 4096
        assert max(sizes) - min(sizes) <= 4 * 4096
        assert pool.stats().resident_bytes == sum(sizes)
        finish(deep)
        finish(was_deep)


@pytest.mark.native_only
def test_beyond_64_idle_stacks_deep_ones_are_given_back():
    with pausable.JobPool() as pool:
        jobs = [pool.start(lambda: (deep_in_c(60), pausable.pause())) for _ in range(200)]
        before = pool.stats().resident_bytes
        for job in jobs:
            finish(job)
        after = pool.stats().resident_bytes
        assert before > 200 * 8 * 4096
        assert after <= 64 * (before // 200 + 4096) + 136 * 4 * 4096
        assert [finish(pool.start(pauses, 1, n)) for n in range(200)] == list(range(200))


@pytest.mark.native_only
@pytest.mark.parametrize("how", ["in a context", "blocked", "while others wait", "cancelled"])
def test_deep_idle_stacks_are_given_back_however_their_job_ends(how):
    def body():
        deep_in_c(60)
        with pausable.pause_blocked():
            pausable.pause()
        pausable.pause()

    with pausable.JobPool(max_size=200) as pool:
        if how == "in a context":
            jobs = [pool.start_in(pausable.WaitContext(), body) for _ in range(200)]
        else:
            jobs = [pool.start(body) for _ in range(200)]
        if how == "while others wait":
            for _ in range(300):
                pool.when_free(int)
        before = pool.stats().resident_bytes
        for job in jobs:
            job.close() if how == "cancelled" else finish(job)
        assert pool.stats().idle == 200
        assert pool.stats().resident_bytes <= 64 * (before // 200 + 4096) + 136 * 4 * 4096


@pytest.mark.native_only
def test_the_first_64_idle_stacks_and_shallow_ones_keep_what_they_touched():
    def body(levels):
        deep_in_c(levels)
        pausable.pause()

    with pausable.JobPool() as pool:
        jobs = [pool.start(body, 60) for _ in range(64)]
        jobs += [pool.start(body, 0) for _ in range(100)]
        before = [fibre.resident_bytes() for fibre in pool._fibres]
        for job in jobs:
            finish(job)
        after = [fibre.resident_bytes() for fibre in pool._fibres]
        assert all(a >= b for a, b in zip(after, before, strict=True))
        assert before[0] > 8 * 4096


@pytest.mark.native_only
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


@pytest.mark.native_only
def test_a_stack_of_a_size_of_its_own_is_used_for_jobs_that_need_it():
    with pausable.JobPool(stack_size_bytes=16 << 20) as pool:
        job = pool.start(pauses, 1)
        assert job._fibre.size_bytes == 16 << 20
        finish(job)


@pytest.mark.parametrize("size", [0, 4096, (384 << 10) - 1, (1 << 30) + 1])
def test_stacks_that_are_too_small_or_too_large_are_refused(size):
    with pytest.raises(ValueError, match="stack_size_bytes has to be"):
        pausable.JobPool(stack_size_bytes=size)


def test_the_least_and_the_most_of_a_pool_are_the_cores():
    from pausable import _native, _pool

    bounds = _native.MIN_STACK_BYTES, _native.MAX_STACK_BYTES
    assert bounds == (_pool.MIN_STACK_BYTES, _pool.MAX_STACK_BYTES)


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
        print(before == counts())
    """
    assert run(program) == (0, "True\n", "")


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


@pytest.mark.native_only
def test_a_long_chain_of_ended_jobs_is_freed_without_recursion():
    job = None
    for _ in range(100_000):
        job = pausable.start(lambda held: [held], job)
    del job
    assert pausable.start(pauses, 0, "alive").result() == "alive"
