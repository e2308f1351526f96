"""The event loops there are, and what tests do alike in all of them."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest
import trio

import pausable

try:
    import uvloop
except ImportError:  # Windows
    uvloop = None

needs_3_11 = pytest.mark.skipif(sys.version_info < (3, 11), reason="of Python 3.11")
needs_3_12 = pytest.mark.skipif(sys.version_info < (3, 12), reason="of Python 3.12")


def run_in(new_loop: Callable[[], Any], coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a new asyncio loop."""
    loop = new_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(coroutine, 30))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def run_in_trio(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in trio."""

    async def main() -> Any:
        with trio.fail_after(30):
            return await coroutine

    return trio.run(main)


ASYNCIO = [pytest.param(functools.partial(run_in, asyncio.new_event_loop), id="asyncio")]
if uvloop is not None:
    ASYNCIO.append(pytest.param(functools.partial(run_in, uvloop.new_event_loop), id="uvloop"))
ALL = [*ASYNCIO, pytest.param(run_in_trio, id="trio")]


async def tick(count: int = 1) -> None:
    """Let all other tasks go on."""
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


async def gather(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    """Await all, side by side; return what they return."""
    if not trio.lowlevel.in_trio_task():
        return await asyncio.gather(*coroutines)
    results: list[Any] = [None] * len(coroutines)

    async def one(n: int, coroutine: Coroutine[Any, Any, Any]) -> None:
        results[n] = await coroutine

    async with trio.open_nursery() as nursery:
        for n, coroutine in enumerate(coroutines):
            nursery.start_soon(one, n, coroutine)
    return results


async def until_paused(count: int = 1) -> None:
    """Wait until so many jobs of this thread are paused."""
    while pausable.thread_pool().stats().paused < count:
        await tick()


def after(event: threading.Event, call: Callable[[], object]) -> threading.Thread:
    """Make a call in another thread when `event` is set."""

    def body() -> None:
        event.wait()
        call()

    thread = threading.Thread(target=body)
    thread.start()
    return thread
