"""An ended job leaves nothing behind, wherever its fibre idles (H2)."""

from __future__ import annotations

import contextvars
import gc
import sys
import weakref

import greenlet
import pytest

import pausable
from core._support import Canary, finish

pytestmark = pytest.mark.hazard("H2")

var = contextvars.ContextVar("var", default="DEFAULT")


@pytest.fixture(autouse=True)
def no_gc():
    """What dies here dies at once: no cycles."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def ended(fn, *args, **kwargs):
    job = pausable.start(fn, *args, **kwargs)
    while not job.done():
        job.resume()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_arguments_die_with_the_job(count):
    first, second = Canary(), Canary()
    dead = [weakref.ref(first), weakref.ref(second)]

    def body(a, *, b):
        for _ in range(count):
            pausable.pause()

    ended(body, first, b=second)
    del first, second
    assert [ref() for ref in dead] == [None, None]
    assert pausable.thread_pool().stats().idle == 1


@pytest.mark.parametrize("count", [0, 1])
def test_value_and_locals_die_with_the_handle(count):
    refs = []

    def body():
        local, value = Canary(), Canary()
        refs.extend([weakref.ref(local), weakref.ref(value)])
        for _ in range(count):
            pausable.pause()
        return value

    job = pausable.start(body)
    while not job.done():
        job.resume()
    assert refs[0]() is None
    assert refs[1]() is job.result()
    del job
    assert refs[1]() is None


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("read", [False, True])
def test_exception_and_its_frames_die_with_the_handle(count, read):
    refs = []

    class Failure(Exception):
        pass

    def body():
        local, exc = Canary(), Failure()
        refs.extend([weakref.ref(local), weakref.ref(exc)])
        for _ in range(count):
            pausable.pause()
        try:
            raise exc
        finally:
            del exc  # a frame that holds the exception that holds the frame is its own doing

    job = pausable.start(body)
    while not job.done():
        job.resume()
    if read:
        try:
            job.result()
        except Failure:
            pass
    assert isinstance(job.exception(), Failure)
    del job
    assert [ref() for ref in refs] == [None, None]


@pytest.mark.parametrize("count", [0, 1])
def test_context_and_its_values_die_with_the_job(count):
    refs = []

    def body():
        value = Canary()
        refs.append(weakref.ref(value))
        token = var.set(value)
        for _ in range(count):
            pausable.pause()
        var.reset(token)

    ended(body)
    assert refs[0]() is None


@pytest.mark.parametrize("count", [0, 1])
def test_the_starters_context_is_not_held_after_the_end(count):
    value = Canary()
    ref = weakref.ref(value)

    def starter(value):
        var.set(value)
        ended(lambda: [pausable.pause() for _ in range(count)])

    contextvars.Context().run(starter, value)
    del value
    assert ref() is None


def test_the_next_job_on_a_fibre_sees_nothing_of_the_last_one():
    ended(lambda: (var.set("secret"), pausable.pause(), var.set("DEFAULT")))
    job = contextvars.Context().run(pausable.start, lambda: (var.get(), sys.exc_info()))
    assert job.result() == ("DEFAULT", (None, None, None))


def test_done_callbacks_and_wait_context_die_with_the_job():
    callback = Canary()
    callback.__class__ = type("Callback", (Canary,), {"__call__": lambda self, job: None})
    job = pausable.start(pausable.pause)
    job.add_done_callback(callback)
    dead = [weakref.ref(callback), weakref.ref(job.wait_ctx)]
    job.resume()
    del callback, job
    assert [ref() for ref in dead] == [None, None]


@pytest.mark.greenlet_only
def test_the_greenlet_a_job_paused_in_is_not_held_by_the_idle_fibre():
    refs = []

    def body():
        foreign = greenlet.greenlet(pausable.pause)
        refs.append(weakref.ref(foreign))
        foreign.switch()

    ended(body)
    assert refs[0]() is None


def test_nothing_of_the_starting_greenlets_stack_is_held_by_the_idle_fibre():
    refs = []

    def starter():
        local = Canary()
        refs.append(weakref.ref(local))
        ended(pausable.pause)

    greenlet.greenlet(starter).switch()  # the dead greenlet itself may stay: it holds nothing
    assert refs[0]() is None


def test_a_cancelled_job_leaves_nothing_behind():
    refs = []

    def body(arg):
        refs.append(weakref.ref(arg))
        local = Canary()
        refs.append(weakref.ref(local))
        pausable.pause()

    job = pausable.start(body, Canary())
    assert job.cancel() is True
    del job
    assert [ref() for ref in refs] == [None, None]


def test_fatal_end_of_a_start_leaves_no_cycle():
    refs = []

    def body():
        local = Canary()
        refs.append(weakref.ref(local))
        raise KeyboardInterrupt

    try:
        pausable.start(body)
    except KeyboardInterrupt:
        pass
    assert refs[0]() is None


def test_a_refused_start_holds_nothing():
    with pausable.JobPool(max_size=1) as pool:
        job = pool.start(pausable.pause)
        canary = Canary()
        ref = weakref.ref(canary)
        try:
            pool.start(print, canary)
        except pausable.NoJobsAvailable:
            pass
        del canary
        assert ref() is None
        finish(job)


def test_a_closed_pool_dies_with_all_its_fibres():
    pool = pausable.JobPool(init_size=3)
    finish(pool.start(pausable.pause))
    dead = [weakref.ref(pool), *map(weakref.ref, pool.idle)]
    pool.close()
    del pool
    gc.collect()  # a pool and its fibres know each other
    assert [ref() for ref in dead] == [None] * 4


def test_shrinking_frees_fibres_for_good():
    pool = pausable.thread_pool()
    pool.reserve(5)
    dead = [weakref.ref(fibre) for fibre in pool.idle]
    assert pool.shrink(keep=2) == 3
    gc.collect()
    assert [ref() is None for ref in dead].count(True) == 3
    assert pool.stats()[:2] == (2, 2)


def test_shrinking_returns_to_the_greenlet_that_asked():
    log = []

    def shrinker():
        pausable.thread_pool().reserve(2)
        log.append(pausable.thread_pool().shrink())

    stranger = greenlet.greenlet(shrinker)
    stranger.switch()
    assert log == [2]
    assert stranger.dead
