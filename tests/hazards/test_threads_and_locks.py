"""Thread identity, locks and the import lock while a job is paused (H3, H4, H5)."""

from __future__ import annotations

import functools
import importlib
import logging
import sys
import threading

import pytest

import pausable
from core._support import BESIDE_GREENLET, finish, in_thread, python


def in_turn(log, guard, tag):
    """Pause while holding something; note when it was got and when it is given back."""
    with guard:
        log.append(f"{tag} in")
        pausable.pause()
        log.append(f"{tag} out")


# -- identity --------------------------------------------------------------------------------------


@pytest.mark.hazard("H3")
def test_thread_locals_and_identity_are_the_threads_not_the_jobs():
    local = threading.local()
    local.value = "starter"

    def body():
        seen = [(local.value, threading.get_ident())]
        local.value = "job"
        pausable.pause()
        return [*seen, (local.value, threading.get_ident())]

    job = pausable.start(body)
    assert local.value == "job"
    local.value = "starter again"
    here = threading.get_ident()
    assert finish(job) == [("starter", here), ("starter again", here)]


GEVENT = """
import gevent, threading

def body(log, tag):
    for step in range(3):
        assert pausable.current_job() is not None
        gevent.sleep(0)                     # the hub runs others and comes back into the job
        assert pausable.pause()
        log.append((tag, step))
    return tag

def drive(log, tag):
    job = pausable.start(body, log, tag)
    while not job.resume():
        gevent.sleep(0)
    return job.result()

log = []
both = [gevent.spawn(drive, log, tag) for tag in "ab"]
gevent.joinall(both)
assert [one.value for one in both] == ["a", "b"]
assert log == [(tag, step) for step in range(3) for tag in "ab"]

job = pausable.start(body, [], "c")
assert gevent.spawn(lambda: [job.resume() for _ in range(3)]).get() == [False, False, True]
assert list(gevent.spawn(lambda: list(pausable.map(len, ["a", "bc"]))).get()) == [1, 2]
assert pausable.thread_pool().stats().paused == 0
print("done")
"""


@pytest.mark.hazard("H3")
@pytest.mark.parametrize("first", ["patched first", "imported first"])
def test_under_gevents_patches_jobs_are_found_and_belong_to_the_thread(first):
    pytest.importorskip("gevent")
    patch, load = "from gevent import monkey; monkey.patch_all()\n", "import pausable\n"
    both = patch + load if first == "patched first" else load + patch
    assert python(both + GEVENT, backend=BESIDE_GREENLET) == ("done\n", "")


@pytest.mark.hazard("H3")
def test_under_gevents_patches_waits_and_time_limits_work():
    pytest.importorskip("gevent")
    out, err = python(
        """
        from gevent import monkey; monkey.patch_all()
        import concurrent.futures, pausable
        executor = concurrent.futures.ThreadPoolExecutor(4)
        def wait(n):
            return pausable.wait_for(executor.submit(abs, -n))
        def never(_):
            try:
                pausable.wait_for(concurrent.futures.Future(), timeout_s=0.001)
            except TimeoutError:
                return "late"
        print(list(pausable.map(wait, range(5))), list(pausable.map(never, range(2))))
    """,
        backend=BESIDE_GREENLET,
    )
    assert (out, err) == ("[0, 1, 2, 3, 4] ['late', 'late']\n", "")


@pytest.mark.hazard("H3")
def test_under_gevents_patches_paused_jobs_are_unwound_at_exit():
    pytest.importorskip("gevent")
    out, err = python(
        """
        from gevent import monkey; monkey.patch_all()
        import gevent, pausable
        def body():
            try:
                pausable.pause()
            finally:
                print("finally")
        job = gevent.spawn(pausable.start, body).get()
    """,
        backend=BESIDE_GREENLET,
    )
    assert (out, err) == ("finally\n", "")


# -- locks -----------------------------------------------------------------------------------------


@pytest.mark.hazard("H4")
def test_a_paused_job_keeps_its_lock_from_its_own_thread():
    lock = threading.Lock()
    job = pausable.start(in_turn, [], lock, "first")
    assert pausable.start(lock.acquire, blocking=False).result() is False
    assert lock.acquire(blocking=False) is False
    finish(job)
    assert not lock.locked()


@pytest.mark.hazard("H4")
@pytest.mark.parametrize("kind", [threading.RLock, threading.Condition])
def test_a_reentrant_lock_lets_a_second_job_of_the_thread_in_but_no_other_thread(kind):
    lock, log = kind(), []
    first = pausable.start(in_turn, log, lock, "first")
    assert in_thread(lambda: lock.acquire(blocking=False)) is False
    second = pausable.start(in_turn, log, lock, "second")
    finish(first)
    finish(second)
    assert log == ["first in", "second in", "first out", "second out"]


@pytest.mark.hazard("H4")
@pytest.mark.parametrize("kind", [threading.Lock, threading.RLock, threading.Condition])
def test_guarded_keeps_jobs_out_of_each_others_sections(kind):
    lock, log = kind(), []
    jobs = [pausable.start(in_turn, log, pausable.guarded(lock), tag) for tag in ("a", "b")]
    assert log == ["a in", "a out", "b in", "b out"]
    assert [job.done() for job in jobs] == [True, True]
    assert in_thread(lambda: lock.acquire(blocking=False)) is True


@pytest.mark.hazard("H4")
def test_cancelling_a_paused_job_releases_its_lock():
    lock = threading.Lock()
    pausable.start(in_turn, [], lock, "first").close()
    assert lock.acquire(blocking=False)


def cached(log, block):
    class Thing:
        @functools.cached_property
        @block
        def value(self):
            log.append("computed")
            pausable.pause()
            return object()

    return Thing()


@pytest.mark.hazard("H4")
def test_a_cached_property_that_pauses_is_computed_twice_and_blocked_once():
    log = []
    thing = cached(log, lambda fn: fn)
    jobs = [pausable.start(getattr, thing, "value") for _ in range(2)]
    for job in jobs:
        finish(job)
    assert log == ["computed"] * 2

    log.clear()
    thing = cached(log, pausable.pause_blocked())
    jobs = [pausable.start(getattr, thing, "value") for _ in range(2)]
    assert log == ["computed"]
    assert jobs[0].result() is jobs[1].result()


@pytest.mark.hazard("H4")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="cached_property has no lock any more")
def test_a_cached_property_that_pauses_holds_its_lock_against_other_threads():
    log = []
    thing = cached(log, lambda fn: fn)
    lock = type(thing).__dict__["value"].lock
    job = pausable.start(getattr, thing, "value")
    assert in_thread(lambda: lock.acquire(blocking=False)) is False
    finish(job)
    assert in_thread(lambda: thing.value) is thing.value


@pytest.mark.hazard("H4")
def test_an_lru_cache_that_pauses_is_computed_twice_and_blocked_once():
    def compute(log, key):
        log.append(key)
        pausable.pause()

    logs = [], []
    for log, fn in zip(logs, (compute, pausable.pause_blocked()(compute)), strict=True):
        lookup = functools.lru_cache(functools.partial(fn, log))
        for job in [pausable.start(lookup, "key") for _ in range(2)]:
            while not job.done():
                job.resume()
    assert logs == (["key", "key"], ["key"])


class Slow(logging.Handler):
    """A handler whose emit pauses in the middle of a record."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(f"{record.msg}: begin")
        pausable.pause()
        self.lines.append(f"{record.msg}: end")


class Guarded(Slow):
    """As such a handler should be."""

    @pausable.pause_blocked()
    def emit(self, record):
        super().emit(record)


@pytest.mark.hazard("H4")
@pytest.mark.parametrize("kind", [Slow, Guarded])
def test_records_interleave_in_a_handler_that_pauses_and_not_where_that_is_blocked(kind):
    handler, logger = kind(), logging.Logger("test")
    logger.addHandler(handler)
    job = pausable.start(logger.warning, "job")
    logger.warning("starter")
    while not job.done():
        job.resume()
    whole = ["job: begin", "job: end", "starter: begin", "starter: end"]
    mixed = ["job: begin", "starter: begin", "starter: end", "job: end"]
    assert handler.lines == (mixed if kind is Slow else whole)


# -- the import lock -------------------------------------------------------------------------------

MODULE = "BEFORE = 1\nimport pausable\npausable.pause()\nAFTER = 2\n"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module that pauses while it is imported."""
    name = "pauses_in_import"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


@pytest.mark.hazard("H5")
def test_a_module_whose_import_is_paused_is_half_initialised_in_its_own_thread(module):
    job = pausable.start(importlib.import_module, module)
    half = importlib.import_module(module)
    assert (half.BEFORE, hasattr(half, "AFTER")) == (1, False)
    assert importlib.import_module("colorsys").__name__ == "colorsys"
    assert finish(job) is half
    assert half.AFTER == 2


@pytest.mark.hazard("H5")
def test_other_threads_wait_for_a_module_until_its_import_is_resumed(module):
    log = []
    job = pausable.start(importlib.import_module, module)
    thread = threading.Thread(target=lambda: log.append(importlib.import_module(module).AFTER))
    thread.start()
    while not waits_in_import(thread):
        pass
    log.append("resumed")
    finish(job)
    thread.join()
    assert log == ["resumed", 2]


def waits_in_import(thread):
    """Tell whether a thread is in a module lock's acquire()."""
    frame = sys._current_frames().get(thread.ident)
    return frame is not None and (
        frame.f_code.co_name == "acquire" and "_bootstrap" in frame.f_code.co_filename
    )


@pytest.mark.hazard("H5")
def test_an_import_where_pausing_is_blocked_is_never_paused(module):
    job = pausable.start(pausable.pause_blocked()(importlib.import_module), module)
    assert job.done()
    assert in_thread(lambda: importlib.import_module(module).AFTER) == 2


@pytest.mark.hazard("H5")
def test_a_cancelled_import_leaves_no_half_module_behind(module):
    pausable.start(importlib.import_module, module).close()
    assert module not in sys.modules
    assert in_thread(lambda: importlib.import_module(module).AFTER) == 2
