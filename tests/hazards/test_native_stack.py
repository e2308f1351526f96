"""The machine's stack under a pause: recursion, C frames, depth, many of them (H18 to H22)."""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import functools
import gc
import io
import itertools
import json
import pickle
import queue
import re
import sqlite3
import sys
import threading
import weakref
from xml.parsers import expat

import pytest

import pausable
from core._support import finish, on_greenlet, pauses, python

# -- recursion -------------------------------------------------------------------------------------


def recursion(n=0):
    try:
        return recursion(n + 1)
    except RecursionError:
        return n


def deep(fn, levels):
    return deep(fn, levels - 1) if levels else fn()


@pytest.mark.hazard("H18")
def test_paused_jobs_take_nothing_of_their_callers_recursion_limit():
    before = recursion()
    jobs = [pausable.start(deep, pausable.pause, before // 2) for _ in range(10)]
    assert all(job.paused for job in jobs)
    assert recursion() == before
    for job in jobs:
        finish(job)


@pytest.mark.hazard("H18")
def test_a_job_on_a_used_fibre_has_as_much_room_as_on_a_new_one():
    deep(lambda: finish(pausable.start(pauses, 1)), sys.getrecursionlimit() // 2)
    counts = [pausable.start(recursion).result() for _ in range(3)]
    assert counts[0] == counts[1] == counts[2] > recursion() * 0.7


@pytest.mark.hazard("H18")
def test_a_job_deeper_than_a_limit_that_was_lowered_meanwhile_goes_on():
    # By itself: were anything called at that depth (by coverage, say), the interpreter would take
    # it for an overflow in an overflow, on greenlet, and abort the process.
    out, _ = python("""
        import sys, pausable

        def deep(levels):
            return deep(levels - 1) if levels else pausable.pause()

        limit = sys.getrecursionlimit()
        job = pausable.start(deep, limit // 2)
        sys.setrecursionlimit(limit // 2 - 50)
        print(job.resume(), job.result())
    """)
    assert out == "True True\n"


@pytest.mark.hazard("H18")
def test_a_recursion_error_is_its_jobs_alone():
    def endless():
        pausable.pause()
        return deep(int, 10**9)

    job, other = pausable.start(endless), pausable.start(pauses, 1, "fine")
    assert job.resume()
    assert isinstance(job.exception(), RecursionError)
    assert finish(other) == "fine"


# -- C frames --------------------------------------------------------------------------------------

#: C code that calls Python code: name -> (fn(pause), what that is, what becomes of a cancel).
C_FRAMES = {}
PROPAGATES, SWALLOWED, CONVERTED = "propagates", "swallowed", "converted"


def c_frame(value, cancel=PROPAGATES):
    def register(fn):
        C_FRAMES[fn.__name__] = fn, value, cancel
        return fn

    return register


@c_frame([1, 2, 3])
def sorted_key(pause):
    return sorted([3, 1, 2], key=lambda n: (pause(), n)[1])


@c_frame([3, 2, 1])
def list_sort_cmp(pause):
    numbers = [3, 1, 2]
    numbers.sort(key=functools.cmp_to_key(lambda a, b: (pause(), b - a)[1]))
    return numbers


@c_frame("aXbX")
def re_sub(pause):
    return re.sub("[0-9]", lambda match: (pause(), "X")[1], "a1b2")


@c_frame('[{"x": 1}, 2]')
def json_default(pause):
    return json.dumps([object(), 2], default=lambda _: (pause(), {"x": 1})[1])


@c_frame({"a": {"b": 1}})
def json_object_hook(pause):
    return json.loads('{"a": {"b": 1}}', object_hook=lambda pairs: (pause(), pairs)[1])


@c_frame([1, 4, 9])
def map_list(pause):
    return list(map(lambda n: (pause(), n * n)[1], [1, 2, 3]))  # noqa: C417  # C calls this


@c_frame(6)
def reduce(pause):
    return functools.reduce(lambda a, b: (pause(), a + b)[1], [1, 2, 3])


class Hashed:
    def __init__(self, pause):
        self.pause = pause

    def __hash__(self):
        return 1

    def __eq__(self, other):
        self.pause()
        return False

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        self.pause()
        raise AttributeError(name)

    def __reduce__(self):
        self.pause()
        return int, ("7",)


@c_frame(2)
def dict_eq(pause):
    return len({Hashed(pause): 1, Hashed(pause): 2})


@c_frame(False)
def has_attribute(pause):
    return hasattr(Hashed(pause), "missing")


@c_frame(7)
def pickled(pause):
    return pickle.loads(pickle.dumps(Hashed(pause)))


@c_frame(["a", "b"])
def expat_handler(pause):
    names, parser = [], expat.ParserCreate()
    parser.StartElementHandler = lambda name, _: (pause(), names.append(name))
    parser.Parse("<a><b/></a>", True)
    return names


@c_frame([1, 2, 3], SWALLOWED)
def ctypes_qsort(pause):
    numbers = (ctypes.c_int * 3)(3, 1, 2)
    pointer = ctypes.POINTER(ctypes.c_int)
    compare = ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer)
    libc = ctypes.CDLL(None)
    libc.qsort(numbers, 3, 4, compare(lambda a, b: (pause(), a[0] - b[0])[1]))
    return list(numbers)


@c_frame("after", SWALLOWED)
def finaliser(pause):
    class Dying:
        def __del__(self):
            pause()

    Dying()
    return "after"


@c_frame("after", SWALLOWED)
def weakref_callback(pause):
    target = Hashed(pause)
    watch = weakref.ref(target, lambda _: pause())
    del target
    assert watch() is None
    return "after"


@c_frame([(10,), (20,)], CONVERTED)
def sqlite_function(pause):
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("times_ten", 1, lambda n: (pause(), n * 10)[1])
        query = "select times_ten(column1) from (values (1), (2))"
        return connection.execute(query).fetchall()


@c_frame([(1,)], SWALLOWED)
def sqlite_trace(pause):
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.set_trace_callback(lambda _: pause())
        return connection.execute("select 1").fetchall()


each = pytest.mark.parametrize("name", list(C_FRAMES))


@each
@pytest.mark.hazard("H19")
def test_jobs_paused_below_c_frames_are_resumed_in_any_order(name):
    fn, value, _ = C_FRAMES[name]
    for order in itertools.permutations(range(3)):
        jobs = [pausable.start(fn, pausable.pause) for _ in range(3)]
        while not all(job.done() for job in jobs):
            for n in order:
                if not jobs[n].done():
                    jobs[n].resume()
        assert [job.result() for job in jobs] == [value] * 3


@pytest.mark.hazard("H19")
def test_jobs_below_different_c_frames_end_in_the_order_that_they_are_resumed_in():
    jobs = {name: pausable.start(fn, pausable.pause) for name, (fn, _, _) in C_FRAMES.items()}
    for name in reversed(jobs):
        assert finish(jobs[name]) == C_FRAMES[name][1]


@each
@pytest.mark.hazard("H19")
@pytest.mark.filterwarnings("ignore:(.|\n)*caught JobCancelled:RuntimeWarning")
def test_cancel_crosses_a_c_frame_or_is_raised_again_at_the_next_pause(name, monkeypatch):
    fn, _, cancel = C_FRAMES[name]
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)

    def body():
        returned = fn(pausable.pause)
        log.append("went on")
        pausable.pause()
        return returned

    log = []
    job = pausable.start(body)
    job.close()
    gc.collect()
    assert log == (["went on"] if cancel is SWALLOWED else [])
    assert job.cancelled() == (cancel is not CONVERTED)
    if cancel is CONVERTED:
        assert isinstance(job.exception(), sqlite3.OperationalError)


@pytest.mark.hazard("H19")
def test_an_exception_that_c_made_of_a_cancellation_has_that_as_its_context():
    job = pausable.start(sqlite_function, pausable.pause)
    job.cancel("why")
    assert isinstance(job.exception(), sqlite3.OperationalError)
    assert isinstance(job.exception().__context__, pausable.JobCancelled)


# -- the data that C code is in the middle of ------------------------------------------------------


@pytest.mark.hazard("H19")
def test_a_list_that_a_paused_job_sorts_looks_empty_and_must_not_be_touched():
    def sort(numbers):
        numbers.sort(key=lambda n: (pausable.pause(), n)[1])

    left_alone, touched = [3, 1, 2], [3, 1, 2]
    jobs = [pausable.start(sort, numbers) for numbers in (left_alone, touched)]
    assert left_alone == []
    touched.append(4)
    finish(jobs[0])
    assert left_alone == [1, 2, 3]
    with pytest.raises(ValueError, match="list modified during sort"):
        finish(jobs[1])


@pytest.mark.hazard("H19")
def test_a_file_in_the_middle_of_a_paused_write_refuses_others():
    class Slow(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            pausable.pause()
            return len(data)

    file = io.BufferedWriter(Slow(), 4)
    job = pausable.start(file.write, b"more than four")
    with pytest.raises(RuntimeError, match="reentrant call"):
        file.write(b"x" * 10)
    while not job.done():
        job.resume()
    assert job.result() == 14
    finish(pausable.start(file.close))


@pytest.mark.hazard("H19")
def test_an_sqlite_connection_serves_others_in_the_middle_of_a_paused_statement():
    # Not the same cursor, and no close(): sqlite3 may crash then, as it does without jobs.
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("slow", 1, lambda n: (pausable.pause(), n)[1])
        jobs = [
            pausable.start(lambda n: connection.execute(f"select slow({n})").fetchall(), n)
            for n in range(3)
        ]
        assert connection.execute("select 7").fetchall() == [(7,)]
        assert [finish(job) for job in jobs[::-1]] == [[(2,)], [(1,)], [(0,)]]


@pytest.mark.hazard("H19")
def test_the_garbage_collector_is_off_while_a_job_is_paused_in_its_callback():
    def in_callback(phase, info):
        if phase == "start":
            pausable.pause()

    gc.callbacks.append(in_callback)
    try:
        job = pausable.start(gc.collect)
        assert job.paused
        cycle = []
        cycle.append(cycle)
        del cycle
        assert gc.collect() == 0
        while not job.done():
            job.resume()
    finally:
        gc.callbacks.remove(in_callback)
    assert job.result() >= 1


# -- many, and deep --------------------------------------------------------------------------------


@pytest.mark.hazard("H20")
def test_a_pool_that_was_used_deep_in_the_stack_keeps_shallow_fibres_only():
    with pausable.JobPool() as pool:
        limit = sys.getrecursionlimit()
        shallow = pool.start(pauses, 1)
        jobs = deep(lambda: [pool.start(pauses, 1) for _ in range(5)], limit // 2)
        for job in [shallow, *jobs]:
            finish(job)
        assert pool.stats()[:2] == ((1, 1) if on_greenlet() else (6, 6))  # native ones count anew


def nested(levels, tag, log):
    here = [tag, levels]
    if levels:
        below = nested(levels - 1, tag, log)
    else:
        pausable.pause()
        below = 0
    assert here == [tag, levels]
    return below + 1


@pytest.mark.hazard("H21")
def test_hundreds_of_frames_of_many_jobs_come_back_with_their_own_locals():
    jobs = [pausable.start(nested, 200 + n, n, []) for n in range(30)]
    for n in sorted(range(30), key=lambda n: n * 7 % 30):
        assert [frame.name for frame in jobs[n].stack()].count("nested") == 201 + n
        assert finish(jobs[n]) == 201 + n


@pytest.mark.hazard("H21")
def test_a_job_is_resumed_from_depths_other_than_where_it_was_started():
    def body():
        return [deep(pausable.pause, levels) for levels in (300, 0, 100)]

    job = deep(lambda: pausable.start(body), 150)
    for levels in (0, 200):
        assert deep(job.resume, levels) is False
    assert job.resume() is True
    assert job.result() == [True] * 3


@pytest.mark.hazard("H21")
def test_the_traceback_out_of_a_deep_job_is_whole_after_many_pauses():
    def fall(levels):
        pausable.pause()
        if levels:
            fall(levels - 1)
        raise KeyError("bottom")

    job = pausable.start(fall, 50)
    while not job.done():
        job.resume()
    depth, tb = 0, job.exception().__traceback__
    while tb is not None:
        depth, tb = depth + 1, tb.tb_next
    assert depth == 51


@pytest.mark.hazard("H22")
def test_twenty_thousand_paused_jobs_outlive_a_full_collection():
    jobs = [pausable.start(pauses, 1, n) for n in range(20_000)]
    gc.collect()
    assert pausable.thread_pool().stats().paused == 20_000
    for job in jobs:
        job.resume()
    assert [job.result() for job in jobs] == list(range(20_000))
    assert pausable.thread_pool().shrink() == 20_000


def an_event():
    event = threading.Event()
    return event.wait, event.set


def a_queue():
    box = queue.Queue()
    return box.get, functools.partial(box.put, 1)


def a_lock():
    lock = threading.Lock()
    lock.acquire()
    return lock.acquire, lock.release


@pytest.mark.hazard("H22")
@pytest.mark.parametrize("make", [an_event, a_queue, a_lock])
def test_what_blocks_in_a_job_blocks_the_thread_until_another_thread_helps(make):
    wait, release = make()
    threading.Timer(0.001, release).start()
    assert pausable.start(wait).done()  # start() came back only now: the job never paused


@pytest.mark.hazard("H22")
def test_a_job_that_waits_for_a_future_instead_lets_the_thread_go_on():
    future = concurrent.futures.Future()
    job = pausable.start(pausable.wait_for, future)
    assert job.paused
    future.set_result("here")
    assert finish(job) == "here"
