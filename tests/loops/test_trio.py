"""What is trio's alone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading

import pytest
import trio
import trio.testing

import pausable
from core._support import in_thread, pauses, readable
from loops._kinds import until_paused
from pausable.loops._trio import current_hub


def read_when_readable(fd):
    ctx = pausable.current_job().wait_ctx
    ctx.set_wait_fd("fd", fd)
    with ctx.waker():  # a promise: nobody looks from time to time
        while not readable(fd):
            pausable.pause()
    ctx.clear_fd("fd")


def system_tasks():
    nurseries = trio.lowlevel.current_root_task().child_nurseries
    names = {task.name for nursery in nurseries for task in nursery.child_tasks}
    return {name for name in names if "pausable" in name}


def test_the_job_is_in_the_task_that_awaits_it():
    def body():
        seen = [trio.lowlevel.current_task()]
        pausable.pause()
        return [*seen, trio.lowlevel.current_task()]

    async def main():
        assert await pausable.run(body) == [trio.lowlevel.current_task()] * 2

    trio.run(main)


def test_run_is_a_checkpoint_when_the_job_pauses():
    async def main():
        with trio.testing.assert_checkpoints():
            await pausable.run(pauses, 1)

    trio.run(main)


def test_two_jobs_wait_for_one_descriptor():
    reader, writer = os.pipe()

    async def main():
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(pausable.run, read_when_readable, reader)
            await until_paused(2)
            await trio.testing.wait_all_tasks_blocked()
            assert system_tasks() == {f"pausable watches descriptor {reader}"}
            os.write(writer, b"x")
        await trio.testing.wait_all_tasks_blocked()
        assert system_tasks() == set()
        assert current_hub()._scopes == {}
        assert current_hub().driven == 0

    trio.run(main)
    os.close(reader)
    os.close(writer)


def test_a_descriptor_that_a_trio_task_waits_for_already_is_polled():
    here, there = socket.socketpair()

    def body():
        ctx = pausable.current_job().wait_ctx
        ctx.set_wait_fd("socket", here.fileno())
        while not readable(here.fileno()):
            pausable.pause()
        return "polled"

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.wait_readable, here)
            await trio.testing.wait_all_tasks_blocked()
            threading.Timer(0.001, there.send, (b"x",)).start()
            assert await pausable.run(body) == "polled"

    trio.run(main)
    here.close()
    there.close()


def test_a_waiter_for_a_free_job_that_is_cancelled_passes_its_turn_on():
    log = []

    async def wait(n, scope):
        with scope:
            await pausable.run(log.append, n)

    async def main():
        pool = pausable.init_thread(max_size=1)
        holder = pool.start(pauses, 1)
        scopes = [trio.CancelScope() for _ in range(4)]
        async with trio.open_nursery() as nursery:
            for n, scope in enumerate(scopes):
                nursery.start_soon(wait, n, scope)
                await trio.testing.wait_all_tasks_blocked()
            scopes[1].cancel()  # not its turn yet
            holder.resume()  # the turn is the first one's now
            scopes[0].cancel()

    trio.run(main)
    assert log == [2, 3]


def test_a_pool_limit_holds_and_is_served_first_come_first_served():
    order, most = [], []

    def body(n):
        order.append(n)
        most.append(pausable.thread_pool().stats().size)
        pauses(2)

    async def main():
        pausable.init_thread(max_size=1)
        holder = pausable.start(pauses, 1)
        async with trio.open_nursery() as nursery:
            for n in range(20):
                nursery.start_soon(pausable.run, body, n)
                await trio.testing.wait_all_tasks_blocked()
            holder.resume()

    trio.run(main)
    assert order == list(range(20))
    assert max(most) == 1


def test_a_signal_that_trio_turns_into_keyboard_interrupt_unwinds_the_job():
    log = []

    def body():
        try:
            with pausable.current_job().wait_ctx.waker():
                signal.raise_signal(signal.SIGINT)
                while True:
                    pausable.pause()
        finally:
            log.append("unwound")

    async def main():
        await pausable.run(body)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert log == ["unwound"]


def test_wakes_after_the_end_of_the_run_are_harmless():
    wakers, jobs = [], []

    def body():
        jobs.append(pausable.current_job())
        wakers.append(jobs[0].wait_ctx.waker())
        pausable.pause()

    async def main():
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pausable.run, body)
                await until_paused()
                scope.cancel()

    trio.run(main)
    in_thread(wakers[0].wake)
    in_thread(jobs[0].cancel)


def test_one_run_after_another_each_with_a_hub_of_its_own():
    hubs = []

    async def main():
        await pausable.run(pauses, 2)
        hubs.append(current_hub())

    for _ in range(3):
        trio.run(main)
    assert len(set(hubs)) == 3


def test_a_run_in_another_thread():
    assert in_thread(lambda: trio.run(pausable.run, pauses, 3, "value")) == "value"


def test_cancelled_at_the_same_time_as_the_wake():
    def body():
        with pausable.current_job().wait_ctx.waker() as waker:
            wakers.append(waker)
            while not waker.is_set():
                pausable.pause()

    wakers = []

    async def main():
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pausable.run, body)
                await until_paused()
                await trio.testing.wait_all_tasks_blocked()
                wakers[0].wake()
                scope.cancel()
        assert scope.cancelled_caught
        await pausable.run(pauses, 3)

    trio.run(main)


def test_a_job_in_a_guest_run_on_asyncio():
    def body():
        pauses(2)
        pausable.wait_for(trio.sleep(0))
        return trio.lowlevel.current_task().name

    async def guest():
        return await pausable.run(body)

    async def main():
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        trio.lowlevel.start_guest_run(
            guest,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=ended.set_result,
        )
        host = await pausable.run(lambda: pausable.wait_for(asyncio.sleep(0, "host")))
        return host, (await ended).unwrap()

    host, name = asyncio.run(main())
    assert host == "host"
    assert "guest" in name
