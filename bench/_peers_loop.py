"""Synchronous calls that wait for an event loop: ours and others, each in the loop it is made for.

A pause is one turn of that loop (`asyncio.sleep(0)`, `gevent.sleep(0)`), so it costs what a turn
costs, and the peer's own part. Each is used as its documentation says is right for code that is
called often. Each function takes asyncio's loop and returns {what: loop}.
"""

from __future__ import annotations

import os
import time
import warnings
from asyncio import sleep
from collections.abc import Awaitable, Callable

from _asked import on_native
from _measure import Loop, fresh
from _peers_plain import FULL, PAIR, START


def bridged(
    loop, call: Callable[..., Awaitable[object]], pause: Callable[[], object]
) -> dict[str, Loop]:
    """Return the loops for a peer: call(fn, *args) is awaited, and fn calls pause()."""

    def nothing():
        return 1

    def once():
        pause()
        return 1

    def often(count):
        begin = time.perf_counter_ns()
        for _ in range(count):
            pause()
        return time.perf_counter_ns() - begin

    async def start_finish(count):
        begin = time.perf_counter_ns()
        for _ in range(count):
            await call(nothing)
        return time.perf_counter_ns() - begin

    async def full(count):
        begin = time.perf_counter_ns()
        for _ in range(count):
            await call(once)
        return time.perf_counter_ns() - begin

    async def pair(count):
        return await call(often, count)

    nothing, once, often = map(fresh, (nothing, once, often))
    loops = zip((START, FULL, PAIR), map(fresh, (start_finish, full, pair)), strict=True)
    return {
        what: lambda count, form=form: loop.run_until_complete(form(count)) for what, form in loops
    }


def run(loop) -> dict[str, Loop]:
    from pausable import run, wait_for

    return bridged(loop, run, lambda: wait_for(sleep(0)))


def greenback(loop) -> dict[str, Loop]:
    from greenback import await_, with_portal_run_sync

    return bridged(loop, with_portal_run_sync, lambda: await_(sleep(0)))


def sqlalchemy(loop) -> dict[str, Loop]:
    from sqlalchemy.util.concurrency import await_only, greenlet_spawn

    return bridged(loop, greenlet_spawn, lambda: await_only(sleep(0)))


def greenletio(loop) -> dict[str, Loop]:
    from greenletio import async_, await_

    # async_(fn) is what its documentation decorates a function with, once.
    made: dict = {}

    def call(fn, *args):
        if fn not in made:
            made[fn] = async_(fn)
        return made[fn](*args)

    return bridged(loop, call, lambda: await_(sleep(0)))


def to_thread(loop) -> dict[str, Loop]:
    from asyncio import run_coroutine_threadsafe, to_thread

    return bridged(loop, to_thread, lambda: run_coroutine_threadsafe(sleep(0), loop).result())


def asgiref(loop) -> dict[str, Loop]:
    from asgiref.sync import async_to_sync, sync_to_async

    made: dict = {}
    sleep_here = async_to_sync(sleep)

    def call(fn, *args):
        if fn not in made:
            made[fn] = sync_to_async(fn)
        return made[fn](*args)

    return bridged(loop, call, lambda: sleep_here(0))


def anyio(loop) -> dict[str, Loop]:
    from anyio.from_thread import run
    from anyio.to_thread import run_sync

    return bridged(loop, run_sync, lambda: run(sleep, 0))


def in_portal(loop, call_in_portal, pause) -> dict[str, Loop]:
    """Return loops over plain calls in a task that may pause anywhere: nothing is started."""

    def once():
        pause()
        return 1

    def full(count):
        begin = time.perf_counter_ns()
        for _ in range(count):
            once()
        return time.perf_counter_ns() - begin

    def pair(count):
        begin = time.perf_counter_ns()
        for _ in range(count):
            pause()
        return time.perf_counter_ns() - begin

    once, full, pair = map(fresh, (once, full, pair))
    loops = {FULL: full, PAIR: pair}
    return {
        what: lambda count, form=form: loop.run_until_complete(call_in_portal(form, count))
        for what, form in loops.items()
    }


def our_portal(loop) -> dict[str, Loop]:
    from pausable import portal, wait_for

    async def call(form, count):
        async with portal():
            return form(count)

    return in_portal(loop, call, lambda: wait_for(sleep(0)))


def greenback_portal(loop) -> dict[str, Loop]:
    from greenback import await_, ensure_portal

    async def call(form, count):
        await ensure_portal()
        return form(count)

    return in_portal(loop, call, lambda: await_(sleep(0)))


def native(loop) -> dict[str, Loop]:
    """Does less: `async def` all the way, nothing synchronous in between. The floor."""

    async def nothing():
        return 1

    async def once():
        await sleep(0)
        return 1

    async def start_finish(count):
        begin = time.perf_counter_ns()
        for _ in range(count):
            await nothing()
        return time.perf_counter_ns() - begin

    async def full(count):
        begin = time.perf_counter_ns()
        for _ in range(count):
            await once()
        return time.perf_counter_ns() - begin

    async def pair(count):
        begin = time.perf_counter_ns()
        for _ in range(count):
            await sleep(0)
        return time.perf_counter_ns() - begin

    loops = {START: start_finish, FULL: full, PAIR: pair}
    return {
        what: lambda count, form=form: loop.run_until_complete(form(count))
        for what, form in loops.items()
    }


def gevent(_loop) -> dict[str, Loop]:
    """Its own loop, not asyncio's; a greenlet of its own runs at the same time as its starter."""
    import gevent

    return green(lambda fn, *args: gevent.spawn(fn, *args).get(), gevent.sleep)


def eventlet(_loop) -> dict[str, Loop]:
    """As gevent."""
    os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")  # its own dnspython cannot be imported
    with warnings.catch_warnings(record=True):  # it says of itself that it is deprecated
        import eventlet

    return green(lambda fn, *args: eventlet.spawn(fn, *args).wait(), eventlet.sleep)


def green(call, pause) -> dict[str, Loop]:
    def nothing():
        return 1

    def once():
        pause(0)
        return 1

    def often(count):
        begin = time.perf_counter_ns()
        for _ in range(count):
            pause(0)
        return time.perf_counter_ns() - begin

    def start_finish(count):
        for _ in range(count):
            call(nothing)

    def full(count):
        for _ in range(count):
            call(once)

    def pair(count):
        return call(often, count)

    nothing, once, often = map(fresh, (nothing, once, often))
    loops = map(fresh, (start_finish, full, pair))
    return dict(zip((START, FULL, PAIR), loops, strict=True))


OURS = "pausable.run"
NATIVE = "pausable.run, native"
_PORTAL = "pausable.portal"
_HERE = "_peers_loop"
PEERS: dict[str, Callable[[object], dict[str, Loop]]] = {
    OURS: run,
    NATIVE: on_native(_HERE, OURS),
    "SQLAlchemy greenlet_spawn": sqlalchemy,
    "greenback": greenback,
    "greenletio": greenletio,
    "asyncio.to_thread": to_thread,
    "asgiref": asgiref,
    "anyio threads": anyio,
    "gevent (its own loop)": gevent,
    "eventlet (its own loop)": eventlet,
    _PORTAL: our_portal,
    f"{_PORTAL}, native": on_native(_HERE, _PORTAL),
    "greenback, ensure_portal": greenback_portal,
    "native coroutine": native,
}
#: Those that make a call stack for each call, and those that bridge to asyncio at all.
STACK_EACH = (
    "SQLAlchemy greenlet_spawn", "greenback", "greenletio", "gevent (its own loop)",
    "eventlet (its own loop)",
)  # fmt: skip
BRIDGES = (
    "SQLAlchemy greenlet_spawn", "greenback", "greenletio", "asyncio.to_thread", "asgiref",
    "anyio threads",
)  # fmt: skip
