"""Stretches in which a job must not pause."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
import threading
import weakref

import pytest

import pausable
from core._support import Canary, finish, in_thread, pauses
from pausable import openssl
from pausable._job import current_wait_ctx


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


def test_one_object_nests_in_itself():
    block = pausable.pause_blocked()

    def body():
        seen = []
        with block, block, block, block, block:
            seen.append(pausable.can_pause())
            block.__exit__()
            seen.append(pausable.can_pause())
            block.__enter__()
        return [*seen, pausable.can_pause()]

    assert pausable.start(body).result() == [False, False, True]


def test_a_block_that_was_not_entered_cannot_be_left():
    block = pausable.pause_blocked()
    with pytest.raises(IndexError, match="pop from empty list"):
        block.__exit__(None, None, None)
    with block:
        pass
    with pytest.raises(IndexError, match="pop from empty list"):
        block.__exit__()


def test_a_block_takes_no_arguments_and_may_be_subclassed():
    with pytest.raises(TypeError, match="argument"):
        pausable.pause_blocked(1)

    class Named(pausable.pause_blocked):
        def __init__(self, name):
            super().__init__()
            self.name = name

    def body():
        with Named("x") as entered:
            return entered, pausable.pause()

    assert pausable.start(body).result() == (None, False)
    assert Named("y").name == "y"
    assert isinstance(Named("z"), contextlib.ContextDecorator)


def test_a_block_that_is_never_left_is_garbage_with_its_job():
    def body(block, canary):
        block.__enter__()
        return block, canary  # the job has them, and the block has the job

    canary = Canary()
    alive = weakref.ref(canary)
    pausable.start(body, pausable.pause_blocked(), canary)
    del canary
    gc.collect()
    assert alive() is None


def test_a_copy_is_one_more_block():
    lock = contextlib.nullcontext()
    for made in (pausable.pause_blocked(), pausable.guarded(lock)):
        for other in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):

            def body(entered=made, other=other):
                with entered, other:
                    pass
                with other:
                    return pausable.pause()

            assert type(other) is type(made)
            assert pausable.start(body).result() is False
    with pytest.raises(TypeError, match="lock"):
        copy.deepcopy(pausable.guarded(threading.Lock()))


def test_a_guard_is_garbage_with_its_lock():
    class Lock(contextlib.nullcontext):
        pass

    lock = Lock()
    lock.guard, lock.canary = pausable.guarded(lock), Canary()
    alive = weakref.ref(lock.canary)
    del lock
    gc.collect()
    assert alive() is None


def test_a_guard_that_was_never_entered_or_never_made_is_refused():
    guard = pausable.guarded(contextlib.nullcontext())
    with pytest.raises(IndexError, match="pop from empty list"):
        guard.__exit__(None, None, None)
    with pytest.raises(TypeError, match="__exit__"):
        guard.__exit__()
    with pytest.raises(TypeError, match="argument"):
        pausable.guarded()
    unmade = pausable.guarded.__new__(pausable.guarded)
    for leave in (unmade.__enter__, lambda: unmade.__exit__(None, None, None)):
        with pytest.raises(AttributeError):
            leave()


def test_a_block_is_of_the_thread_that_left_it_or_of_the_last_that_entered():
    block = pausable.pause_blocked()

    def body():
        block.__enter__()
        in_thread(block.__exit__)  # as a generator that is closed there
        return pausable.pause()

    assert finish(pausable.start(body)) is True


def test_a_block_in_one_job_leaves_the_next_job_of_the_fibre_alone():
    def body():
        pausable.current_job().wait_ctx.set_wait_fd("key", 0)
        pausable.pause_blocked().__enter__()
        return pausable.current_job()._fibre

    fibre = pausable.start(body).result()
    job = pausable.start(lambda: (pausable.current_job()._fibre, pausable.pause()))
    assert job.paused
    assert finish(job) == (fibre, True)


def test_openssls_names_count_for_the_same_job():
    def body():
        seen = []
        openssl.ASYNC_unblock_pause()  # a surplus one gives no credit
        openssl.ASYNC_block_pause()
        with pausable.pause_blocked():
            openssl.ASYNC_unblock_pause()
            seen.append(pausable.pause())
            openssl.ASYNC_block_pause()
        seen.append(pausable.can_pause())
        openssl.ASYNC_unblock_pause()
        return [*seen, pausable.can_pause()]

    assert (openssl.ASYNC_block_pause(), openssl.ASYNC_unblock_pause()) == (None, None)
    assert pausable.start(body).result() == [False, False, True]
    with pytest.raises(TypeError, match="ASYNC_block_pause"):
        openssl.ASYNC_block_pause(1)


def test_where_pausing_is_blocked_no_context_is_to_wait_in():
    def body():
        with pausable.pause_blocked():
            blocked = current_wait_ctx()
        return blocked, current_wait_ctx() is pausable.current_job().wait_ctx

    assert current_wait_ctx() is None
    assert pausable.start(body).result() == (None, True)


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
