"""Wakers: early, late, twice, from everywhere; never lost, never harmful."""

from __future__ import annotations

import os
import signal
import socket
import threading

import pytest

import pausable
from core._support import finish, in_thread, readable
from pausable._wakefd import WakeFd


@pytest.fixture(params=["eventfd", "socketpair"])
def kind(request, monkeypatch):
    if request.param == "eventfd":
        if not hasattr(os, "eventfd"):
            pytest.skip("no eventfd here")
    else:
        monkeypatch.delattr(os, "eventfd", raising=False)
    return request.param


def test_the_wake_fd_is_a_one_bit_level(kind):
    fd = WakeFd()
    assert not readable(fd.fd)
    fd.set()
    fd.set()
    assert readable(fd.fd)
    assert fd.is_set()
    fd.clear()
    assert not readable(fd.fd)
    fd.clear()
    fd.set()
    assert readable(fd.fd)
    fd.close()


def test_a_closed_wake_fd_touches_no_descriptor(kind):
    fd = WakeFd()
    number = fd.fd
    fd.close()
    fd.close()
    assert fd.fd == -1
    with socket.socket() as other:  # has the number now, or could have
        fd.set()
        fd.clear()
        assert not fd.is_set()
        assert other.fileno() <= max(number, other.fileno())


def test_ten_thousand_sets_do_not_block(kind):
    fd = WakeFd()
    for _ in range(10_000):
        fd.set()
    fd.clear()
    assert not readable(fd.fd)


def test_the_level_survives_four_threads(kind):
    fd = WakeFd()
    threads = [
        threading.Thread(target=lambda: [(fd.set(), fd.clear()) for _ in range(300)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert readable(fd.fd) == fd.is_set()
    fd.set()
    assert readable(fd.fd)
    fd.clear()
    assert not readable(fd.fd)


def test_the_wake_fd_is_made_once_and_listed_once(kind):
    with pausable.WaitContext() as ctx:
        assert ctx.fds() == []
        wakers = [ctx.waker() for _ in range(3)]
        [fd] = ctx.fds()
        for waker in wakers:
            waker.wake()
            waker.close()
        assert ctx.fds() == [fd]
        ctx.waker().close()
        assert ctx.fds() == [fd]


def test_the_wake_fd_is_closed_with_the_context(kind):
    ctx = pausable.WaitContext()
    ctx.waker()
    [fd] = ctx.fds()
    ctx.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_an_early_wake_keeps_the_level_until_it_is_cleared(kind):
    ctx = pausable.WaitContext()
    with ctx.waker() as waker:
        waker.wake()
        assert waker.is_set()
        assert readable(ctx.fds()[0])
        waker.clear()
        assert not waker.is_set()
        assert not readable(ctx.fds()[0])
        waker.wake()
        assert readable(ctx.fds()[0])
    assert not readable(ctx.fds()[0])


def test_closing_one_waker_does_not_lose_the_wake_of_another():
    ctx = pausable.WaitContext()
    first, second = ctx.waker(), ctx.waker()
    first.wake()
    second.close()
    assert first.is_set()
    assert readable(ctx.fds()[0])
    first.close()
    assert not readable(ctx.fds()[0])


def test_clearing_one_waker_does_not_lose_the_wake_of_another():
    ctx = pausable.WaitContext()
    first, second = ctx.waker(), ctx.waker()
    first.wake()
    second.wake()
    second.clear()
    assert readable(ctx.fds()[0])
    first.clear()
    assert not readable(ctx.fds()[0])


def test_a_double_wake_calls_the_callback_once():
    log = []
    ctx = pausable.WaitContext()
    ctx.set_callback(lambda: log.append("wake"))
    with ctx.waker() as waker:
        waker.wake()
        waker.wake()
        assert log == ["wake"]
        waker.clear()
        waker.wake()
        assert log == ["wake"] * 2
    assert ctx.fds() == []
    waker.wake()
    assert log == ["wake"] * 2


def test_four_threads_wake_at_once_and_none_is_lost():
    ctx = pausable.WaitContext()
    with ctx.waker() as waker:
        for _ in range(50):
            barrier = threading.Barrier(4)
            threads = [
                threading.Thread(target=lambda b=barrier: (b.wait(), waker.wake()))
                for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert readable(ctx.fds()[0])
            waker.clear()
            assert not readable(ctx.fds()[0])


@pytest.mark.hazard("C7")
def test_a_wake_after_the_jobs_end_wakes_nothing_even_in_a_reused_context():
    log, wakers = [], []
    ctx = pausable.WaitContext()
    ctx.set_callback(lambda: log.append("wake"))
    pool = pausable.thread_pool()
    finish(pool.start_in(ctx, lambda: wakers.append(ctx.waker())))
    job = pool.start_in(ctx, pausable.pause)
    in_thread(wakers[0].wake)
    assert log == []
    assert not ctx.has_wakers()
    finish(job)


def test_a_level_that_an_ended_job_left_set_does_not_wake_the_next_one():
    ctx = pausable.WaitContext()
    pool = pausable.thread_pool()
    finish(pool.start_in(ctx, lambda: ctx.waker().wake()))
    job = pool.start_in(ctx, pausable.pause)
    assert not readable(ctx.fds()[0])
    finish(job)


def test_closing_an_old_waker_does_not_disturb_the_next_jobs():
    ctx = pausable.WaitContext()
    pool = pausable.thread_pool()
    old = pool.start_in(ctx, ctx.waker).result()
    old.wake()
    job = pool.start_in(ctx, pausable.pause)
    new = ctx.waker()
    new.wake()
    old.clear()
    old.close()
    assert ctx.has_wakers()
    assert readable(ctx.fds()[0])
    finish(job)


@pytest.mark.hazard("C7")
def test_a_wake_after_the_contexts_close_does_nothing():
    ctx = pausable.WaitContext()
    waker = ctx.waker()
    ctx.close()
    in_thread(waker.wake)
    waker.clear()
    waker.close()
    waker.close()
    assert ctx.fds() == []


def test_a_wake_that_is_overtaken_by_the_close_leaves_no_level_behind():
    class Overtaken(WakeFd):  # another thread closes the waker just before the descriptor is set
        def set(self):
            waker.close()
            super().set()

    ctx = pausable.WaitContext()
    fd = Overtaken()
    ctx.use_wake_fd(fd)
    waker = ctx.waker()
    waker.wake()
    assert not readable(fd.fd)
    fd.close()


def test_a_waker_promises_until_it_is_closed():
    ctx = pausable.WaitContext()
    first, second = ctx.waker(), ctx.waker()
    assert ctx.has_wakers()
    first.close()
    first.close()
    assert ctx.has_wakers()
    second.close()
    assert not ctx.has_wakers()


@pytest.mark.hazard("H17")
def test_wake_works_from_a_signal_handler():
    ctx = pausable.WaitContext()
    with ctx.waker() as waker:
        before = signal.signal(signal.SIGUSR1, lambda *_: waker.wake())
        try:
            signal.raise_signal(signal.SIGUSR1)
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert readable(ctx.fds()[0])


def test_running_out_of_descriptors_leaves_no_half_made_wake_fd(monkeypatch):
    ctx = pausable.WaitContext()
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(0)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            ctx.waker()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not ctx.has_wakers()
    assert ctx.fds() == []
    ctx.waker().close()


def test_a_waker_works_when_the_callback_is_unset():
    ctx, calls = pausable.WaitContext(), []
    ctx.set_callback(lambda: calls.append(1))
    waker = ctx.waker()
    ctx.set_callback(None)
    waker.wake()
    assert calls == []
    assert readable(ctx.fds()[0])


def test_a_signal_handler_that_sets_while_clear_reads_loses_no_later_wake(monkeypatch):
    fd = WakeFd()
    fd.set()
    read = os.read

    def interrupted(*args):
        fd.set()  # the handler
        return read(*args)

    monkeypatch.setattr(os, "read", interrupted)
    fd.clear()
    monkeypatch.setattr(os, "read", read)
    fd.set()
    assert readable(fd.fd)
    fd.clear()
    assert not readable(fd.fd)
