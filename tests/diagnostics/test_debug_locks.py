"""Debug mode tells which lock a job holds that pauses, and where it took it."""

from __future__ import annotations

import _thread
import concurrent.futures
import queue
import threading
import warnings

import pytest

import pausable
from core._support import finish, in_thread, pauses

pytestmark = pytest.mark.usefixtures("debug")

HELD = pausable.LockHeldWarning


def line_of(function, offset):
    return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno + offset}"


@pytest.mark.parametrize("kind", ["Lock", "RLock", "Condition"])
def test_a_pause_under_a_lock_names_the_lock_both_places_and_the_remedy(kind):
    lock = getattr(threading, kind)()

    def body():
        with lock:
            pausable.pause()

    with pytest.warns(HELD) as caught:
        job = pausable.start(body)
    message = str(caught[0].message)
    assert f"job {job.name!r} pauses at {line_of(body, 2)} while it holds" in message
    assert f"taken at {line_of(body, 1)}" in message
    assert "pausable.guarded(lock)" in message
    assert (caught[0].filename, caught[0].lineno) == tuple_of(line_of(body, 2))
    finish(job)


def tuple_of(place):
    file, line = place.rsplit(":", 1)
    return file, int(line)


def test_each_place_is_reported_once():
    lock = threading.Lock()

    def body():
        for _ in range(3):
            with lock:
                pausable.pause()

    with pytest.warns(HELD) as caught:
        assert [finish(pausable.start(body)) for _ in range(2)] == [None, None]
    assert len(caught) == 1


def test_a_lock_that_was_released_does_not_count():
    lock, rlock = threading.Lock(), threading.RLock()

    def body():
        with lock, rlock, rlock:
            pass
        assert not lock.locked()
        pausable.pause()

    finish(pausable.start(body))


def test_a_reentrant_lock_counts_until_its_last_release():
    lock = threading.RLock()

    def body():
        lock.acquire()
        lock.acquire()
        lock.release()
        pausable.pause()
        lock.release()
        pausable.pause()

    with pytest.warns(HELD, match="other jobs of its thread get it too") as caught:
        finish(pausable.start(body))
    assert len(caught) == 1


def test_a_lock_that_was_held_before_the_job_does_not_count():
    lock, rlock = threading.Lock(), threading.RLock()
    with lock, rlock:
        finish(pausable.start(pauses, 1))


def test_a_lock_of_another_job_does_not_count():
    lock = threading.Lock()

    def body():
        with lock:
            pausable.pause()

    with pytest.warns(HELD):
        job = pausable.start(body)
    finish(pausable.start(pauses, 1))
    finish(job)


def test_a_lock_that_another_thread_or_job_released_does_not_count():
    for release in (in_thread, lambda fn: pausable.start(fn).result()):
        lock = threading.Lock()

        def body(lock=lock, release=release):
            lock.acquire()
            release(lock.release)
            pausable.pause()

        finish(pausable.start(body))


def test_a_try_that_fails_takes_nothing():
    lock = threading.Lock()
    lock.acquire()

    def body():
        assert not lock.acquire(blocking=False)
        assert not lock.acquire(timeout=0.001)
        pausable.pause()

    finish(pausable.start(body))
    lock.release()


def test_a_guarded_lock_is_fine():
    lock = threading.Lock()

    def body():
        with pausable.guarded(lock):
            assert not pausable.pause()
        assert pausable.pause()

    finish(pausable.start(body))


def test_waiting_on_a_condition_releases_its_lock_and_takes_it_back():
    condition = threading.Condition()

    def body():
        with condition:
            condition.wait(timeout=0.001)
            pausable.pause()

    with pytest.warns(HELD, match="test_debug_locks"):
        finish(pausable.start(body))


def test_where_warnings_are_errors_the_job_does_not_pause():
    lock = threading.Lock()

    def body():
        with lock:
            pausable.pause()

    job = pausable.start(body)
    assert isinstance(job.exception(), HELD)
    assert not lock.locked()


def test_what_is_built_on_locks_works():
    started, channel = threading.Event(), queue.Queue(maxsize=1)
    semaphore, barrier = threading.Semaphore(1), threading.Barrier(2)

    def other():
        started.set()
        barrier.wait()
        with semaphore:
            for n in range(3):
                channel.put(n)
        return "done"

    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        future = executor.submit(other)

        def body():
            started.wait()
            barrier.wait()
            got = [channel.get() for _ in range(3)]
            with semaphore:
                pausable.pause()
            return got, pausable.wait_for(future)

        assert finish(pausable.start(body)) == ([0, 1, 2], "done")


def test_locks_behave_as_the_real_ones_do():
    lock, rlock = threading.Lock(), threading.RLock()
    with pytest.raises(RuntimeError):
        lock.release()
    with pytest.raises(RuntimeError):
        rlock.release()
    with rlock, rlock:
        assert in_thread(lambda: rlock.acquire(blocking=False)) is False
    with lock:
        assert lock.locked()
        assert "locked" in repr(lock)
        assert in_thread(lambda: lock.acquire(False)) is False
    lock._at_fork_reinit()
    rlock._at_fork_reinit()
    assert "debug mode" in repr(rlock)


@pytest.mark.parametrize("kind", ["allocate_lock", "RLock"])
def test_locks_have_all_names_that_the_real_ones_have(kind):
    real, watched = getattr(_thread, kind)(), getattr(threading, kind.replace("allocate_l", "L"))()
    assert [name for name in dir(real) if not hasattr(watched, name)] == []


def test_a_lock_that_was_taken_by_its_old_name_counts():
    lock = threading.Lock()

    def body():
        lock.acquire_lock()
        pausable.pause()
        assert lock.locked_lock()
        lock.release_lock()
        pausable.pause()

    with pytest.warns(HELD) as caught:
        finish(pausable.start(body))
    assert len(caught) == 1
    assert not lock.locked_lock()


def test_plain_locks_are_made_again_afterwards_and_watched_ones_go_on_working():
    lock = threading.Lock()
    pausable.set_debug(False)
    assert type(threading.Lock()) is type(__import__("_thread").allocate_lock())
    assert type(threading.RLock()) is type(__import__("_thread").RLock())

    def body():
        with lock:
            pausable.pause()

    finish(pausable.start(body))


def test_locks_made_before_are_not_seen():
    pausable.set_debug(False)
    lock = threading.Lock()
    pausable.set_debug(True, slow_segment_s=3600)

    def body():
        with lock:
            pausable.pause()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finish(pausable.start(body))
