"""What a call that pauses once costs in an event loop, next to its peers, in one run.

    python bench/loops.py [--speed] [--floor] [--memory] [--latency] [--quick]
                          [--loop asyncio|uvloop] [--rounds N] [--json FILE]

Without a part's name, all four parts. Jobs run on greenlet, which most peers need, unless
PAUSABLE_BACKEND says otherwise; in the part "floor" on both. Exit code 1 if a result is wrong,
never for a missed goal.

Speed. One operation: a future is made that the loop completes in its next turn (`call_soon`),
synchronous code waits for it, and its value is what the operation returns.

    native              a coroutine awaits the future: no synchronous code; the floor
    pausable            await run(fn); fn: wait_for(future)
    greenback           await with_portal_run_sync(fn); fn: await_(future)
    sqlalchemy          await greenlet_spawn(fn); fn: await_only(future)
    gevent              spawn(fn).get(); fn: AsyncResult.get(), set by a callback of gevent's hub;
                        its own loop, not asyncio's
    threads             await asyncio.to_thread(fn); fn: run_coroutine_threadsafe(native).result();
                        the loop's default executor
    asgiref             await sync_to_async(fn)(); fn: async_to_sync(native)(); asgiref's default,
                        one thread for all
    asgiref, any thread the same with thread_sensitive=False

Two forms: one operation after another in one task; and 100 tasks at once (gather; gevent: joinall).
A ratio is a peer's time divided by ours, so more than 1 is in our favour. Each variant runs its own
copy of the loop's code: shared code objects would make the interpreter's inline caches polymorphic
and slow all sides. Times are the best of many short repetitions, taken in turns.

Floor. What a call that waits once costs next to a coroutine that waits once, on each backend, in
processes of their own that no peer (and so no greenlet of others) is in. The same operation and the
same two forms:

    coroutine           await operation(); operation: await future
    wait_for            await run(fn); fn: wait_for(future)
    coroutine's         await run(fn); fn: wait_for(operation())
    waker               await run(fn); fn: a waker of the job's wait context, fired by call_soon;
                        pause() until it was
    no wait             await run(fn); fn returns: what a run costs that needs no loop

A ratio is to the coroutine of the same process; `wait_for` is aimed to be at most 1.3 on the
native backend. Times are of whole operations, the loop's own turns in them: a tick of asyncio's
loop is most of a coroutine that waits alone, less of one of 100 at once, and little on uvloop.

Memory. KB of resident memory for each of 100,000 calls that are paused at once on one loop, each in
a task of its own, above the process before them; each kind in a fresh process. `native` is what
asyncio takes for its Task, coroutine and future. All are woken in random order and every result is
checked.

Latency. While 10,000 paused jobs are woken at once, how late is a tick that is due every
millisecond? A tick that was due while the loop was busy counts with its own lateness, also where
the ticker came too late to take it: the longest silence is in the figures in full, not as one tick.
Woken by another thread (it completes 10,000 concurrent futures), and by a callback of the loop (it
completes 10,000 of the loop's futures). The best of some waves.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from _measure import (
    Absent,
    available,
    fresh,
    in_fresh_process,
    in_turns,
    new_loop,
    resident_kb,
)
from _program import expect, parser_of, rounds_option, run, wrong
from _results import Results, ratio_of

#: What is aimed at: its time divided by ours.
GOALS = {
    "native": ">= 0.5",
    "greenback": ">= 2.5",
    "sqlalchemy": ">= 2.5",
    "threads": ">= 15",
    "asgiref": ">= 15",
    "asgiref, any thread": ">= 15",
}
GOAL_P99_MS = 5.0

FORMS = ("one after another", "100 tasks at once")
AT_ONCE = 100
VALUE = 7
TICK_S = 0.001


# -- speed: the operation, by each of the peers ----------------------------------------------------
# Each takes the loop and returns a function that returns an awaitable: one operation.


def native(loop):
    async def operation():
        future = loop.create_future()
        loop.call_soon(future.set_result, VALUE)
        return await future

    return operation


def pausable(loop):
    from pausable import run, wait_for

    def fn():
        future = loop.create_future()
        loop.call_soon(future.set_result, VALUE)
        return wait_for(future)

    def operation():
        return run(fn)

    return operation


def greenback(loop):
    from greenback import await_, with_portal_run_sync

    def fn():
        future = loop.create_future()
        loop.call_soon(future.set_result, VALUE)
        return await_(future)

    def operation():
        return with_portal_run_sync(fn)

    return operation


def sqlalchemy(loop):
    from sqlalchemy.util.concurrency import await_only, greenlet_spawn

    def fn():
        future = loop.create_future()
        loop.call_soon(future.set_result, VALUE)
        return await_only(future)

    def operation():
        return greenlet_spawn(fn)

    return operation


def threads(loop):
    from asyncio import run_coroutine_threadsafe, to_thread

    completed = fresh(native(loop))

    def fn():
        return run_coroutine_threadsafe(completed(), loop).result()

    def operation():
        return to_thread(fn)

    return operation


def asgiref(loop, thread_sensitive=True):
    from asgiref.sync import async_to_sync, sync_to_async

    completed = fresh(native(loop))

    def fn():
        return async_to_sync(completed)()

    def operation():
        return sync_to_async(fn, thread_sensitive=thread_sensitive)()

    return operation


def asgiref_any_thread(loop):
    return asgiref(loop, thread_sensitive=False)


def in_asyncio(make: Callable) -> Callable:
    """Return what makes, for a loop, the two forms of an operation: (count) -> ns for each."""

    def both(loop):
        operation = make(loop)

        async def one_by_one(count):
            begin = time.perf_counter_ns()
            for _ in range(count):
                result = await operation()
            spent = time.perf_counter_ns() - begin
            expect(result == VALUE, f"{make.__name__}: {result!r}")
            return spent

        async def at_once(count):
            batches = max(1, count // AT_ONCE)
            begin = time.perf_counter_ns()
            for _ in range(batches):
                results = await asyncio.gather(*[operation() for _ in range(AT_ONCE)])
            spent = time.perf_counter_ns() - begin
            expect(results == [VALUE] * AT_ONCE, f"{make.__name__} at once: {results!r}")
            return spent * count / (batches * AT_ONCE)

        forms = map(fresh, (one_by_one, at_once))
        return tuple(
            lambda count, form=form: loop.run_until_complete(form(count)) for form in forms
        )

    return both


def in_gevent(_loop):
    from gevent import get_hub, joinall, spawn
    from gevent.event import AsyncResult

    hub_loop = get_hub().loop

    def fn():
        result = AsyncResult()
        hub_loop.run_callback(result.set, VALUE)
        return result.get()

    def one_by_one(count):
        begin = time.perf_counter_ns()
        for _ in range(count):
            result = spawn(fn).get()
        spent = time.perf_counter_ns() - begin
        expect(result == VALUE, f"gevent: {result!r}")
        return spent

    def at_once(count):
        batches = max(1, count // AT_ONCE)
        begin = time.perf_counter_ns()
        for _ in range(batches):
            greenlets = [spawn(fn) for _ in range(AT_ONCE)]
            joinall(greenlets)
            results = [greenlet.get() for greenlet in greenlets]
        spent = time.perf_counter_ns() - begin
        expect(results == [VALUE] * AT_ONCE, f"gevent at once: {results!r}")
        return spent * count / (batches * AT_ONCE)

    return one_by_one, at_once


VARIANTS: dict[str, Callable] = {
    "native": in_asyncio(native),
    "pausable": in_asyncio(pausable),
    "greenback": in_asyncio(greenback),
    "sqlalchemy": in_asyncio(sqlalchemy),
    "gevent": in_gevent,
    "threads": in_asyncio(threads),
    "asgiref": in_asyncio(asgiref),
    "asgiref, any thread": in_asyncio(asgiref_any_thread),
}


def speed(options: argparse.Namespace, results: Results) -> None:
    loop = new_loop(options.loop)
    made, absent = available(VARIANTS, loop)
    results.absent.update(absent)
    table = results.table(
        f"waiting for a future of {options.loop}'s loop",
        note="A call that pauses once, and the loop that completes what it waits for.",
    )
    variants = {
        (who, form): variant
        for who, forms in made.items()
        for form, variant in zip(FORMS, forms, strict=True)
    }
    times = in_turns(variants, options.rounds)
    for (who, form), figures in times.items():
        ratio = ratio_of(figures, times["pausable", form])
        table.add(who, form, figures, ratio, GOALS.get(who))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


# -- floor -----------------------------------------------------------------------------------------


def no_wait(_loop):
    from pausable import run

    def fn():
        return VALUE

    def operation():
        return run(fn)

    return operation


def waker(loop):
    from pausable import current_job, pause, run

    def fn():
        with current_job().wait_ctx.waker() as wake:
            loop.call_soon(wake.wake)
            while not wake.is_set():
                pause()
        return VALUE

    def operation():
        return run(fn)

    return operation


def of_coroutine(loop):
    from pausable import run, wait_for

    wait = fresh(native(loop))

    def fn():
        return wait_for(wait())

    def operation():
        return run(fn)

    return operation


FLOOR: dict[str, Callable] = {
    "coroutine": native,
    "wait_for": pausable,
    "coroutine's": of_coroutine,
    "waker": waker,
    "no wait": no_wait,
}
FLOOR_GOAL = 1.3  # wait_for on the native backend: so many times the coroutine


def floor_here(loop_name: str, rounds: int) -> dict[str, list[float]]:
    """Return ns of each operation, in each form: "who, form"; in this process."""
    loop = new_loop(loop_name)
    made = {who: in_asyncio(make)(loop) for who, make in FLOOR.items()}
    variants = {
        f"{who}/{form}": variant
        for who, forms in made.items()
        for form, variant in zip(FORMS, forms, strict=True)
    }
    times = in_turns(variants, rounds, number=5 * AT_ONCE)  # the first of them meet cold caches
    loop.close()
    return times


def floor(options: argparse.Namespace, results: Results) -> None:
    for backend in ("native", "greenlet"):
        arguments = "--floor-here", "--loop", options.loop, "--rounds", options.rounds
        try:
            times = in_fresh_process(__file__, *arguments, backend=backend)
        except Absent as exc:
            results.absent[f"floor, {backend}"] = str(exc)
            continue
        table = results.table(
            f"{backend}, next to a coroutine",
            ratio="its cost / the coroutine's",
            worse="higher",
            note="Calls that wait once, next to a coroutine that does.",
        )
        for who in FLOOR:
            for form in FORMS:
                ns, of = times[f"{who}/{form}"], times[f"coroutine/{form}"]
                goal = f"<= {FLOOR_GOAL:g}" if (who, backend) == ("wait_for", "native") else None
                table.add(who, form, ns, ratio_of(ns, of), goal)


# -- memory ----------------------------------------------------------------------------------------


def memory_native(loop, futures):
    async def wait(number):
        futures[number] = loop.create_future()
        return await futures[number]

    return wait, lambda number: futures[number].set_result(-number)


def memory_future(loop, futures):
    from pausable import run, wait_for

    def fn(number):
        futures[number] = loop.create_future()
        return wait_for(futures[number])

    return lambda number: run(fn, number), lambda number: futures[number].set_result(-number)


def memory_waker(_loop, wakers):
    from pausable import current_job, pause, run

    woken = set()

    def fn(number):
        with current_job().wait_ctx.waker() as waker:
            wakers[number] = waker
            while number not in woken:
                pause()
                waker.clear()
        return -number

    def wake(number):
        woken.add(number)
        wakers[number].wake()

    return lambda number: run(fn, number), wake


MEMORY: dict[str, Callable] = {
    "native": memory_native,
    "future": memory_future,
    "waker": memory_waker,
}


def memory_of(kind: str, loop_name: str, count: int) -> dict[str, float]:
    """Return KB for each of `count` paused calls, and µs to wake and end each; in this process."""
    loop = new_loop(loop_name)
    held: list = [None] * (count + 100)
    begin_wait, wake = MEMORY[kind](loop, held)

    async def paused(numbers):
        tasks = {number: loop.create_task(begin_wait(number)) for number in numbers}
        while any(held[number] is None for number in numbers):
            await asyncio.sleep(0)
        return tasks

    async def finish(tasks, order):
        for number in order:
            wake(number)
        for number, task in tasks.items():
            expect(await task == -number, f"memory {kind}: {number}")

    async def main():
        warm = range(count, count + 100)
        await finish(await paused(warm), warm)
        gc.collect()
        before = resident_kb()
        tasks = await paused(range(count))
        gc.collect()
        used = resident_kb() - before
        begin = time.perf_counter()
        await finish(tasks, random.Random(1).sample(range(count), count))
        return {"kb": used / count, "resume_ns": (time.perf_counter() - begin) / count * 1e9}

    result = loop.run_until_complete(main())
    loop.close()
    return result


def memory(options: argparse.Namespace, results: Results) -> None:
    count = 10_000 if options.quick else 100_000
    table = results.table(
        f"{count:,} paused at once", unit="KB", note="KB for each, with asyncio's own task."
    )
    resumed = results.table(f"{count:,} woken in random order", note="Until each has ended.")
    found = {}
    for kind in MEMORY:
        arguments = "--memory-of", kind, "--loop", options.loop, "--count", count
        try:
            found[kind] = in_fresh_process(__file__, *arguments)
        except Absent as exc:
            expect(False, f"memory of {kind}: {exc}")
    for kind, figures in found.items():
        for into, what, value in ((table, "each", "kb"), (resumed, "resume + finish", "resume_ns")):
            ours = found.get("future", figures)
            into.add(kind, what, [figures[value]], ratio_of([figures[value]], [ours[value]]))


# -- latency ---------------------------------------------------------------------------------------


class Ticker:
    """Notes how late each tick of a fixed grid is taken."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.late_ms: list[float] = []
        self._due = loop.time() + TICK_S
        self._handle = loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        while self._due <= now:
            self.late_ms.append((now - self._due) * 1000)
            self._due += TICK_S
        self._handle = self._loop.call_at(self._due, self._tick)

    def stop(self) -> list[float]:
        self._handle.cancel()
        return self.late_ms


def by_thread(_loop, futures):
    """Have the futures, which are concurrent ones, completed by another thread."""

    def complete():
        for number, future in enumerate(futures):
            future.set_result(-number)

    threading.Thread(target=complete).start()


def by_loop(loop, futures):
    """Have the futures, which are the loop's, completed by one callback."""

    def complete():
        for number, future in enumerate(futures):
            future.set_result(-number)

    loop.call_soon(complete)


def ours_waiting():
    from pausable import run, wait_for

    def fn(future):
        return wait_for(future)

    return lambda future: run(fn, future)


def native_waiting():
    async def wait(future):
        return await (asyncio.wrap_future(future) if isinstance(future, Future) else future)

    return wait


async def wave(loop, count, waiting, wake) -> list[float]:
    """Return how late each tick was while `count` calls were woken and ended."""
    make = Future if wake is by_thread else loop.create_future
    futures = [make() for _ in range(count)]
    tasks = [loop.create_task(waiting(future)) for future in futures]
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()
    ticker = Ticker(loop)
    await asyncio.sleep(0.02)
    ticker.late_ms.clear()
    wake(loop, futures)
    results = await asyncio.gather(*tasks)
    await asyncio.sleep(0)  # the tick that is due now
    late_ms = ticker.stop()
    expect(results == [-number for number in range(count)], f"latency: {waiting} {wake}")
    return late_ms


async def idle(loop) -> list[float]:
    ticker = Ticker(loop)
    await asyncio.sleep(0.2)
    return ticker.stop()


QUANTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


def quantiles_ns(late_ms: list[float]) -> dict[str, float]:
    late_ms = sorted(late_ms) or [0.0]
    last = len(late_ms) - 1
    return {name: late_ms[min(last, int(q * len(late_ms)))] * 1e6 for name, q in QUANTILES.items()}


def latency(options: argparse.Namespace, results: Results) -> None:
    count, waves = (1000, 3) if options.quick else (10_000, 7)
    loop = new_loop(options.loop)
    found = {"nothing woken": [quantiles_ns(loop.run_until_complete(idle(loop)))]}
    kinds = {"native": native_waiting(), "pausable": ours_waiting()}
    ways = {"the thread": by_thread, "the loop": by_loop}
    for _ in range(waves):
        for how, wake in ways.items():
            for name, waiting in kinds.items():
                late_ms = loop.run_until_complete(wave(loop, count, waiting, wake))
                found.setdefault(f"{name}, woken by {how}", []).append(quantiles_ns(late_ms))
    loop.close()
    table = results.table(
        f"a tick, while {count:,} are woken",
        note=f"How late it is. Aimed at: p99 below {GOAL_P99_MS:g} ms with pausable.",
    )
    for who, rows in found.items():
        ours = found.get(who.replace("native", "pausable"), rows)
        for what in QUANTILES:
            mine = [row[what] for row in rows]
            ratio = ratio_of(mine, [row[what] for row in ours]) if min(mine) > 0 else None
            table.add(who, what, mine, None if who == "nothing woken" else ratio)


# -- the program -----------------------------------------------------------------------------------


def main() -> int:
    # of this process; pausable is not imported yet, and most peers need it
    os.environ.setdefault("PAUSABLE_BACKEND", "greenlet")
    parts = {"speed": speed, "floor": floor, "memory": memory, "latency": latency}
    parser = parser_of(__doc__, parts)
    rounds_option(parser, 100, 10)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--memory-of", choices=MEMORY, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--floor-here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        new_loop(options.loop).close()
    except ImportError as exc:
        parser.error(f"{options.loop} is absent: {exc}")
    if options.floor_here:
        print(json.dumps(floor_here(options.loop, options.rounds)))
        return 1 if wrong else 0
    if options.memory_of:
        print(json.dumps(memory_of(options.memory_of, options.loop, options.count)))
        return 1 if wrong else 0
    return run("loops", parser, parts)


if __name__ == "__main__":
    sys.exit(main())
