"""Stretches in which a job must not pause."""

from __future__ import annotations

import threading

import pytest

import pausable
from core._support import finish, pauses


def test_a_blocked_pause_does_nothing_and_the_block_ends():
    def body():
        with pausable.pause_blocked():
            seen = [pausable.can_pause(), pausable.pause()]
        return [*seen, pausable.can_pause(), pausable.pause()]

    job = pausable.start(body)
    assert job.paused
    assert finish(job) == [False, False, True, True]


def test_blocks_nest():
    def body():
        with pausable.pause_blocked():
            with pausable.pause_blocked():
                pass
            return pausable.pause()

    assert pausable.start(body).result() is False


def test_a_block_is_undone_by_an_exception():
    def body():
        with pytest.raises(KeyError), pausable.pause_blocked():
            raise KeyError
        return pausable.pause()

    assert finish(pausable.start(body)) is True


def test_as_a_decorator_it_blocks_each_call_recursively():
    @pausable.pause_blocked()
    def blocked(depth):
        return [pausable.pause(), *(blocked(depth - 1) if depth else [])]

    def body():
        return blocked(2), pausable.pause()

    job = pausable.start(body)
    assert job.paused
    assert finish(job) == ([False] * 3, True)
    assert blocked(0) == [False]


def test_a_block_belongs_to_the_job_and_not_to_others():
    def inner():
        return pausable.can_pause(), pausable.pause()

    def outer():
        with pausable.pause_blocked():
            job = pausable.start(inner)
            return job.paused, finish(job), pausable.can_pause()

    assert pausable.start(outer).result() == (True, (True, True), False)


def test_a_block_outside_jobs_does_nothing_to_jobs():
    with pausable.pause_blocked():
        assert finish(pausable.start(pauses, 1, 5)) == 5


def test_a_block_that_was_never_left_ends_with_its_job():
    def body():
        pausable.pause_blocked().__enter__()
        return pausable.pause()

    job = pausable.start(body)
    assert job.result() is False
    assert finish(pausable.start(pauses, 1, 5)) == 5


def blocked_generator():
    with pausable.pause_blocked():
        yield pausable.pause()
        yield pausable.pause()


def test_a_block_in_a_generator_lasts_until_it_is_closed():
    def body():
        generator = blocked_generator()
        seen = [next(generator), pausable.pause()]
        generator.close()
        return [*seen, pausable.pause()]

    assert finish(pausable.start(body)) == [False, False, True]


def test_a_generator_closed_after_its_job_unblocks_nobody_else():
    generators = []

    def first():
        generators.append(blocked_generator())
        next(generators[0])
        return pausable.current_job()._fibre

    def second():
        with pausable.pause_blocked():
            generators[0].close()
            return pausable.current_job()._fibre, pausable.can_pause(), pausable.pause()

    fibre = pausable.start(first).result()
    assert pausable.start(second).result() == (fibre, False, False)


def test_a_generator_entered_outside_and_closed_inside_a_job_changes_nothing():
    generator = blocked_generator()
    next(generator)

    def body():
        with pausable.pause_blocked():
            generator.close()
            return pausable.pause()

    assert pausable.start(body).result() is False


@pytest.mark.hazard("H4")
def test_guarded_holds_the_lock_and_blocks():
    lock = threading.Lock()

    def body():
        with pausable.guarded(lock):
            return lock.locked(), pausable.pause()

    assert pausable.start(body).result() == (True, False)
    assert not lock.locked()


def test_guarded_passes_on_what_entering_returns_and_what_leaving_swallows():
    class Manager:
        def __enter__(self):
            return "entered"

        def __exit__(self, kind, exc, tb):
            return kind is KeyError

    with pausable.guarded(Manager()) as value:
        assert value == "entered"
        raise KeyError
    with pytest.raises(OSError, match="x"), pausable.guarded(Manager()):
        raise OSError("x")


@pytest.mark.hazard("H4")
def test_guarded_blocks_before_it_acquires_and_until_it_has_released():
    log = []

    class Lock:
        def __enter__(self):
            log.append(("enter", pausable.pause()))

        def __exit__(self, *exc):
            log.append(("exit", pausable.pause()))

    def body():
        with pausable.guarded(Lock()):
            pass
        return pausable.pause()

    assert finish(pausable.start(body)) is True
    assert log == [("enter", False), ("exit", False)]


@pytest.mark.parametrize("where", ["enter", "exit"])
def test_a_lock_that_fails_leaves_pausing_unblocked(where):
    class Lock:
        def __enter__(self):
            if where == "enter":
                raise OSError("enter")

        def __exit__(self, *exc):
            if where == "exit":
                raise OSError("exit")

    def body():
        with pytest.raises(OSError, match=where), pausable.guarded(Lock()):
            pass
        return pausable.pause()

    assert finish(pausable.start(body)) is True


def test_guarded_refuses_what_is_no_lock():
    with pytest.raises(TypeError, match="lock has to be"):
        pausable.guarded(3)


@pytest.mark.hazard("H4")
def test_one_guard_may_be_shared_by_threads():
    guard = pausable.guarded(threading.Lock())
    inside, let_go = threading.Event(), threading.Event()
    seen = []

    def holder():
        with guard:
            inside.set()
            let_go.wait()
        seen.append(("holder", pausable.pause()))

    def waiter():
        inside.wait()
        let_go_soon = threading.Thread(target=let_go.set)
        acquiring = pausable.pause_blocked()
        with acquiring:
            let_go_soon.start()
            with guard:
                seen.append(("waiter inside", pausable.pause()))
        let_go_soon.join()

    threads = [
        threading.Thread(target=lambda fn=fn: finish(pausable.start(fn))) for fn in (holder, waiter)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [("holder", True), ("waiter inside", False)]


def test_a_block_entered_by_two_threads_at_once_is_undone_in_each():
    block = pausable.pause_blocked()
    barrier = threading.Barrier(2)
    seen = []

    def body(first):
        if not first:
            barrier.wait()
        block.__enter__()
        if first:
            barrier.wait()
        barrier.wait()
        if not first:  # the one that entered last leaves last
            barrier.wait()
        block.__exit__()
        can = pausable.can_pause()
        if first:
            barrier.wait()
        seen.append((first, can))

    threads = [
        threading.Thread(target=lambda first=first: pausable.start(body, first))
        for first in (True, False)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [(False, True), (True, True)]
