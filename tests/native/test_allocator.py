"""ASYNC_set_mem_functions on native stacks: memory of the user's own, and what is wrong with it."""

from __future__ import annotations

import textwrap

import pytest

from native._support import needs_native, run

pytestmark = needs_native

#: What every program here begins with.
BEGINNING = """
import ctypes, gc, mmap, os, sys, threading
import pausable
from pausable.openssl import (
    ASYNC_NO_JOBS, ASYNC_get_mem_functions, ASYNC_init_thread, ASYNC_set_mem_functions,
    ASYNC_start_job, ERR_get_error, ERR_error_string, Ref,
)

OURS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
memory = []

def alloc(num):
    memory.append(mmap.mmap(-1, num.value, OURS))
    return memory[-1]

def free(addr):
    memory.remove(addr)
    addr.close()      # refused as long as a stack is in it

def pausing(value=None):
    pausable.pause()
    return value

def deep(levels):
    return max(map(deep, [levels - 1])) if levels else 0

def address(buffer):
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
"""


MALLOC_FAILURE = "error:198C0100:ASYNC routines::malloc failure"


def prints(program: str, backend: str = "native", **env: str) -> list[str]:
    """Return the lines that a program prints; it must not complain."""
    status, out, err = run(BEGINNING + textwrap.dedent(program), backend, **env)
    assert (status, err) == (0, "")
    return out.splitlines()


def test_stacks_are_made_and_freed_by_the_functions():
    assert prints("""
        print(ASYNC_set_mem_functions(alloc, free))
        with pausable.JobPool() as pool:
            jobs = [pool.start(pausing, n) for n in range(20)]
            print(len(memory), all(job.resume() for job in jobs), jobs[-1].result())
            jobs = [pool.start(pausing, n) for n in range(10)]
            print(len(memory), pool.shrink(), len(memory))
            for job in jobs:
                job.resume()
            print(pool.stats().mapped_bytes == sum(map(len, memory)) > 0)
        print(len(memory))
    """) == ["1", "20 True 19", "20 10 10", "True", "0"]


def test_the_c_named_functions_use_them_too_and_the_end_of_a_thread_frees():
    assert prints("""
        def in_thread():
            job, ret = Ref(), Ref(0)
            ASYNC_init_thread(3, 2)
            print(len(memory))
            print(ASYNC_start_job(job, None, ret, lambda _: 7, None, 0), ret.value)
        ASYNC_set_mem_functions(alloc, free)
        thread = threading.Thread(target=in_thread)
        thread.start()
        thread.join()
        gc.collect()
        print(len(memory))
    """) == ["2", "3 7", "0"]


def test_they_are_refused_once_there_was_a_stack_and_stay_what_they_were():
    assert prints("""
        print(ASYNC_set_mem_functions(None, None))
        pausable.start(int)
        pausable.cleanup_thread()
        print(ASYNC_set_mem_functions(alloc, free), ASYNC_set_mem_functions(None, None))
        pausable.start(int)
        a, f = Ref(), Ref()
        ASYNC_get_mem_functions(a, f)
        print(memory, a.value is alloc, f.value is free)
    """) == ["1", "0 0", "[] False False"]


def test_a_null_leaves_what_there_is_and_get_shows_both():
    assert prints("""
        a, f = Ref(), Ref()
        print(ASYNC_set_mem_functions(alloc, None), ASYNC_set_mem_functions(None, free))
        ASYNC_get_mem_functions(a, None)
        ASYNC_get_mem_functions(None, f)
        print(a.value is alloc, f.value is free)
    """) == ["1 1", "True True"]


def test_pausables_own_functions_may_be_called_by_others():
    assert prints("""
        own_alloc, own_free, counts = Ref(), Ref(), [0, 0]
        ASYNC_get_mem_functions(own_alloc, own_free)
        def counting_alloc(num):
            counts[0] += 1
            return own_alloc.value(num)
        def counting_free(addr):
            counts[1] += 1
            own_free.value(addr)
        ASYNC_set_mem_functions(counting_alloc, counting_free)
        from pausable._native import stats
        before = stats()["stacks"]
        with pausable.JobPool(init_size=100) as pool:
            jobs = [pool.start(deep, 100) for _ in range(100)]
            print(counts, stats()["stacks"] - before)
        print(counts, stats()["stacks"] - before)
        for wrong in (12345, own_alloc.value(Ref(1 << 20)) + 4096):
            try:
                own_free.value(wrong)
            except ValueError as exc:
                print(str(exc)[:33])
    """) == ["[100, 0] 100", "[100, 100] 0", *["no stack of pausable's begins at "] * 2]


@pytest.mark.parametrize(
    "given",
    [
        "mmap.mmap(-1, num.value + 65536, OURS)",
        "bytearray(num.value + 65536)",
        "address(keep(bytearray(num.value)))",
        "address(keep(mmap.mmap(-1, num.value, OURS)))",
        "(ctypes.c_char * num.value)()",
        "memoryview(bytearray(num.value))",
        "locked(mmap.mmap(-1, num.value, OURS))",
    ],
)
def test_memory_of_any_kind_will_do(given):
    assert prints(f"""
        kept = []
        def keep(it):
            kept.append(it)
            return it
        def locked(it):
            ctypes.CDLL(None).mlock(ctypes.c_void_p(address(it)), ctypes.c_size_t(1 << 16))
            return it
        def alloc(num):
            return {given}
        ASYNC_set_mem_functions(alloc, lambda addr: print("freed"))
        with pausable.JobPool() as pool:
            jobs = [pool.start(lambda: (pausing(), deep(80))) for _ in range(2)]
            print([job.resume() for job in jobs], jobs[0].exception())
    """) == ["[True, True] None", "freed", "freed"]


@pytest.mark.parametrize("guard", ["auto", "mprotect"])
def test_memory_that_begins_at_a_page_has_a_guard_as_long_as_it_is_lent(guard):
    setting = 'set_guard("mprotect")' if guard == "mprotect" else ""
    assert prints(f"""
        from pausable._native import set_guard
        {setting}
        def writable(buffer):
            child = os.fork()
            if not child:
                buffer[100] = 1
                os._exit(0)
            return os.waitpid(child, 0)[1] == 0
        mine = []
        ASYNC_set_mem_functions(lambda num: mine.append(mmap.mmap(-1, num.value, OURS)) or mine[0],
                                lambda addr: None)
        pausable.start(int)
        print(writable(mine[0]))
        pausable.cleanup_thread()
        print(writable(mine[0]))
    """) == ["False", "True"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("None", "it returned NULL"),
        ("0", "the memory of alloc_fn (0) has to be mapped, anonymous and private"),
        ("4096", "the memory of alloc_fn (4096) has to be mapped, anonymous and private"),
        ("2**64", "int too"),
        ("'memory'", "alloc_fn has to return an address (int), a writable buffer or None"),
        ("b'bytes'", "Object is not writable"),
        ("bytearray(1000)", "alloc_fn was asked for a stack of"),
        ("mmap.mmap(-1, num.value)", "the memory of alloc_fn (<mmap.mmap"),  # it is shared
        ("readonly(num.value)", "the memory of alloc_fn ("),
        ("1 / 0", "division by zero"),
        ("small(num)", "alloc_fn was asked for a stack of"),
        ("huge(num)", "alloc_fn was asked for a stack of"),
        ("odd(num)", ""),
    ],
)
def test_an_allocator_that_fails_is_a_start_that_is_refused_and_nothing_else(given, why):
    lines = prints(f"""
        allowed, given, keep = [], [], []
        def readonly(size):
            keep.append(mmap.mmap(-1, size, OURS))
            libc = ctypes.CDLL(None)
            where = address(keep[-1])
            libc.mprotect(ctypes.c_void_p(where), ctypes.c_size_t(size), 1)
            return where
        def small(num):
            num.value = 4096
            return address(bytearray(1 << 23))
        def huge(num):
            num.value = 1 << 40
            return address(bytearray(1 << 23))
        def odd(num):
            num.value = "many"
            return address(bytearray(1 << 23))
        def alloc(num):
            if allowed:
                allowed.pop()
                return bytearray(num.value)
            return {given}
        ASYNC_set_mem_functions(alloc, lambda addr: given.append(addr))
        with pausable.JobPool(max_size=2) as pool:
            allowed.append(True)
            job = pool.start(pausing)
            for _ in range(3):      # a limited pool: a start that failed takes no place
                try:
                    pool.start(int)
                except MemoryError as exc:
                    print(exc)
            print(pool.stats()[:4], len(given) in (0, 3))
            print(job.resume(), pool.start(int, "5").result())
            slot = Ref()
            job = pool.start(pausing)
            print(ASYNC_start_job(slot, None, Ref(), print, None, 0) == ASYNC_NO_JOBS)
            print(ERR_error_string(ERR_get_error(), None))
            print(slot.value)
            job.resume()
    """)
    start = "no stack of "
    assert all(line.startswith(start) and why in line for line in lines[:3])
    assert lines[3:] == ["(1, 0, 1, 0) True", "True 5", "True", MALLOC_FAILURE, "None"]


def test_a_pool_with_fewer_jobs_than_asked_for_is_made_where_memory_ends():
    assert prints("""
        def alloc(num):
            return bytearray(num.value) if len(memory) < 2 and not memory.append(1) else None
        ASYNC_set_mem_functions(alloc, lambda addr: None)
        print(ASYNC_init_thread(5, 4), len(memory))
        print(ERR_error_string(ERR_get_error(), None))
        print(ASYNC_start_job(Ref(), None, Ref(), int, "7", 0))
    """) == ["1 2", MALLOC_FAILURE, "3"]


def test_the_cause_of_a_failure_is_kept_and_a_ctrl_c_is_none():
    assert prints("""
        raising = [OSError("no more"), KeyboardInterrupt()]
        def alloc(num):
            raise raising.pop(0)
        ASYNC_set_mem_functions(alloc, free)
        try:
            pausable.start(int)
        except MemoryError as exc:
            print(repr(exc.__cause__))
        try:
            pausable.start(int)
        except KeyboardInterrupt:
            print("Ctrl-C", pausable.thread_pool().stats().size)
    """) == ["OSError('no more')", "Ctrl-C 0"]


def test_memory_that_a_stack_is_in_is_refused_and_not_freed():
    assert prints("""
        mine = mmap.mmap(-1, 4 << 20, OURS)
        ASYNC_set_mem_functions(lambda num: mine, lambda addr: print("freed"))
        job = pausable.start(pausing, 3)
        try:
            pausable.start(int)
        except MemoryError as exc:
            print("another stack is in" in str(exc))
        print(job.resume(), job.result())
        try:
            mine.close()
        except BufferError:
            print("held")
        pausable.cleanup_thread()
        mine.close()
    """) == ["True", "True 3", "held", "freed"]


def test_what_free_raises_is_reported_and_the_pool_goes_on():
    assert prints("""
        sys.unraisablehook = lambda about: print(repr(about.exc_value))
        def free(addr):
            raise OSError("not free")
        ASYNC_set_mem_functions(alloc, free)
        with pausable.JobPool(init_size=2) as pool:
            print(pool.shrink(), pool.stats()[:2], pool.start(int, "3").result())
    """) == [*["OSError('not free')"] * 2, "2 (0, 0) 3", "OSError('not free')"]


def test_alloc_without_free_is_reported_when_a_stack_goes():
    assert prints("""
        sys.unraisablehook = lambda about: print(
            "there is no free_fn" if "there is no free_fn" in str(about.exc_value) else about,
            memory != [],
        )
        ASYNC_set_mem_functions(alloc, None)
        with pausable.JobPool() as pool:
            print(pool.start(int, "3").result())
    """) == ["3", "there is no free_fn True"]


def test_functions_that_are_none_are_refused():
    assert prints("""
        for functions in ((1, None), (None, "free")):
            try:
                ASYNC_set_mem_functions(*functions)
            except TypeError as exc:
                print(str(exc)[:47])
    """) == [
        "alloc_fn has to be callable or None (NULL), not",
        "free_fn has to be callable or None (NULL), not ",
    ]


def test_an_allocator_may_run_jobs_and_collections():
    assert prints("""
        inner = []
        def alloc(num):
            gc.collect()
            if not inner:
                inner.append(None)
                inner[0] = pausable.start(pausing, "inner")
            return bytearray(num.value)
        ASYNC_set_mem_functions(alloc, lambda addr: None)
        job = pausable.start(pausing, "outer")
        print(inner[0].resume(), job.resume(), inner[0].result(), job.result())
    """) == ["True True inner outer"]


def test_an_allocator_that_fills_a_limited_pool_by_itself_goes_not_over_its_limit():
    assert prints("""
        pool, inner = pausable.JobPool(max_size=1), []
        def alloc(num):
            if not inner:
                inner.append(None)
                inner[0] = pool.start(pausing, "inner")
            return bytearray(num.value)
        ASYNC_set_mem_functions(alloc, lambda addr: print("freed"))
        try:
            pool.start(pausing, "outer")
        except pausable.NoJobsAvailable:
            print(pool.stats()[:4])
        inner[0].resume()
        pool.close()
    """) == ["freed", "(1, 0, 1, 0)", "freed"]


def test_a_stack_that_is_dropped_with_its_pool_is_freed_by_whoever_drops_it():
    assert prints("""
        ASYNC_set_mem_functions(alloc, free)
        pool = pausable.JobPool(init_size=3)
        print(len(memory))
        pool.close()
        print(len(memory))
        del pool
        job = pausable.start(pausing)
        del job                      # lost: it is unwound at the next start
        pausable.start(int)
        pausable.cleanup_thread()
        print(len(memory))
    """) == ["3", "0", "0"]


def test_a_fork_inside_of_a_job_has_a_stack_of_its_own():
    assert prints("""
        ASYNC_set_mem_functions(alloc, free)
        def forking():
            here = ["parent"] * 3
            child = os.fork()
            if not child:
                here[0] = "child"
                deep(50)
                os._exit(here.count("parent"))
            status = os.waitpid(child, 0)[1]
            deep(50)
            return here.count("parent"), os.waitstatus_to_exitcode(status)
        print(pausable.start(forking).result())
    """) == ["(3, 2)"]


def test_greenlet_has_no_stacks_to_give_out():
    assert prints(
        """
        a, f = Ref("untouched"), Ref("untouched")
        print(ASYNC_set_mem_functions(alloc, free))
        ASYNC_get_mem_functions(a, f)
        print(a.value, f.value, pausable.start(int, "3").result(), memory)
    """,
        "greenlet",
    ) == ["0", "None None 3 []"]


def test_no_reference_is_left_by_stacks_that_came_and_went():
    assert prints("""
        def alloc(num):
            return bytearray(num.value)
        def free(addr):
            pass
        ASYNC_set_mem_functions(alloc, free)
        def many(count):
            for _ in range(count):
                with pausable.JobPool(init_size=3) as pool:
                    pool.start(pausing).resume()
        def counts():
            gc.collect()
            return [sys.getrefcount(each) for each in (alloc, free, bytearray, pausable.JobPool)]
        many(5)
        before = counts()
        many(300)
        print(before == counts())
    """) == ["True"]
