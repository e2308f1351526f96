"""What a paused call costs in resident memory: ours and others, from 1,000 to 100,000 at once.

    python bench/memory.py [--plain] [--loop] [--quick] [--json FILE]

KB of resident memory for each paused call, above the process before them (when 100 of them had been
paused and ended). Every figure is of a process of its own. Each call is a function that pauses,
called by the first function of its stack, so no frames but those of the peer. In an event loop, all
are tasks of one loop, and what asyncio takes for its task is in the figure. Every call is resumed
and its value checked. A ratio is a peer's KB divided by ours: `job`, or `pausable.run` in a loop.

Resident memory is what counts on the bill, not address space: of a thread's 8 MB only the pages
it touched. What the kernel keeps for a thread (16 KB of stack, at least) is not in the figure.

Jobs run on greenlet, and in the rows "native" on the native backend, with the guards on.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import threading
from collections.abc import Callable

from _libcrypto import libcrypto
from _measure import Absent, in_fresh_process, resident_kb
from _program import expect, parser_of, run
from _results import Results, backend_of, is_ours, ratio_of

COUNTS = (1_000, 10_000, 100_000)
MOST_THREADS = 10_000  # more than most systems let a process have
WARM_UP = 100
ROUNDS = {1_000: 3, 10_000: 2, 100_000: 1}

#: Makes paused calls, paused(numbers) -> what holds them; and ends them, end(held) -> their values.
Peer = tuple[Callable[[range], list], Callable[[list], list]]


# -- driven by hand --------------------------------------------------------------------------------


def job() -> Peer:
    from pausable import pause, start

    def fn(number):
        pause()
        return number

    def end(held):
        for job in held:
            job.resume()
        return [job.result() for job in held]

    return lambda numbers: [start(fn, number) for number in numbers], end


def greenlets() -> Peer:
    from greenlet import getcurrent, greenlet

    main = getcurrent()

    def fn(number):
        main.switch()
        return number

    def paused(numbers):
        held = []
        for number in numbers:
            held.append(greenlet(fn))
            held[-1].switch(number)
        return held

    return paused, lambda held: [g.switch() for g in held]


def generators() -> Peer:
    def fn(number):
        yield
        return number

    def paused(numbers):
        held = [fn(number) for number in numbers]
        for generator in held:
            next(generator)
        return held

    return paused, lambda held: list(map(_value, held))


class _Yield:
    def __await__(self):
        yield


def coroutines() -> Peer:
    async def fn(number):
        await _Yield()
        return number

    def paused(numbers):
        held = [fn(number) for number in numbers]
        for coroutine in held:
            coroutine.send(None)
        return held

    return paused, lambda held: list(map(_value, held))


def _value(paused) -> object:
    try:
        paused.send(None)
    except StopIteration as stop:
        return stop.value
    return None


def threads() -> Peer:
    def paused(numbers):
        held = []
        for number in numbers:
            here, go = threading.Lock(), threading.Lock()
            here.acquire(), go.acquire()
            values: list = []

            def fn(number=number, here=here, go=go, values=values):
                here.release()
                go.acquire()
                values.append(number)

            thread = threading.Thread(target=fn, daemon=True)
            thread.start()
            here.acquire()
            held.append((thread, go, values))
        return held

    def end(held):
        for thread, go, _values in held:
            go.release()
            thread.join()
        return [values[0] for _thread, _go, values in held]

    return paused, end


PLAIN: dict[str, Callable[[], Peer]] = {
    "job": job,
    "job, native": job,
    "greenlet": greenlets,
    "generator": generators,
    "native coroutine": coroutines,
    "thread": threads,
}


# -- in an event loop ------------------------------------------------------------------------------
# Each call waits for a future (or what gevent and eventlet have for one) of its own.


def in_asyncio(call: Callable, wait: Callable) -> Peer:
    """Return a peer: call(fn, number) is awaited in a task, and fn calls wait(future)."""
    loop = asyncio.new_event_loop()

    def fn(future):
        return wait(future)

    def paused(numbers):
        async def begin():
            futures = [loop.create_future() for _ in numbers]
            tasks = [loop.create_task(call(fn, future)) for future in futures]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return list(zip(futures, tasks, numbers, strict=True))

        return loop.run_until_complete(begin())

    def end(held):
        async def finish():
            for future, _task, number in held:
                future.set_result(number)
            return [await task for _future, task, _number in held]

        return loop.run_until_complete(finish())

    return paused, end


def our_run() -> Peer:
    from pausable import run, wait_for

    return in_asyncio(run, wait_for)


def native_task() -> Peer:
    async def wait(_fn, future):
        return await future

    return in_asyncio(wait, None)


def sqlalchemy() -> Peer:
    from sqlalchemy.util.concurrency import await_only, greenlet_spawn

    return in_asyncio(greenlet_spawn, await_only)


def greenback() -> Peer:
    from greenback import await_, with_portal_run_sync

    return in_asyncio(with_portal_run_sync, await_)


def greenletio() -> Peer:
    import greenletio as its

    made: dict = {}

    def call(fn, future):
        if fn not in made:
            made[fn] = its.async_(fn)
        return made[fn](future)

    return in_asyncio(call, its.await_)


def gevent() -> Peer:
    import gevent
    from gevent.event import AsyncResult

    def paused(numbers):
        results = [AsyncResult() for _ in numbers]
        held = [
            (result, gevent.spawn(AsyncResult.get, result), number)
            for result, number in zip(results, numbers, strict=True)
        ]
        gevent.sleep(0)
        return held

    def end(held):
        for result, _greenlet, number in held:
            result.set(number)
        return [greenlet.get() for _result, greenlet, _number in held]

    return paused, end


def eventlet() -> Peer:
    os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")
    import eventlet
    from eventlet.event import Event

    def paused(numbers):
        events = [Event() for _ in numbers]
        held = [
            (event, eventlet.spawn(event.wait), number)
            for event, number in zip(events, numbers, strict=True)
        ]
        eventlet.sleep(0)
        return held

    def end(held):
        for event, _greenlet, number in held:
            event.send(number)
        return [greenlet.wait() for _event, greenlet, _number in held]

    return paused, end


IN_LOOP: dict[str, Callable[[], Peer]] = {
    "pausable.run": our_run,
    "pausable.run, native": our_run,
    "native task": native_task,
    "SQLAlchemy greenlet_spawn": sqlalchemy,
    "greenback": greenback,
    "greenletio": greenletio,
    "gevent (its own loop)": gevent,
    "eventlet (its own loop)": eventlet,
}


# -- measuring -------------------------------------------------------------------------------------


def memory_of(who: str, count: int) -> dict:
    """Return KB per paused call, in this process."""
    paused, end = {**PLAIN, **IN_LOOP}[who]()
    warm = range(count, count + WARM_UP)
    expect(end(paused(warm)) == list(warm), f"{who}: wrong values")
    if is_ours(who):
        from pausable import thread_pool

        thread_pool().shrink()  # or the pool's stacks would be counted before
    gc.collect()
    before = resident_kb()
    held = paused(range(count))
    gc.collect()
    used = resident_kb() - before
    expect(end(held) == list(range(count)), f"{who}: wrong values")
    return {"kb": used / count}


def of(who: str, count: int) -> float:
    """Return KB per paused call, in a process of its own.

    Raises:
        Absent: it cannot be measured here; the message says why.
    """
    if who == LIBCRYPTO:
        asked = libcrypto()
        try:
            return asked.ask("memory", count)
        finally:
            asked.close()
    if who == "thread" and count > MOST_THREADS:
        raise Absent(f"not tried: more than {MOST_THREADS:,} threads")
    arguments = "--of", who, "--count", count
    return in_fresh_process(__file__, *arguments, backend=backend_of(who))["kb"]


def fill(
    title: str, peers: tuple[str, ...], ours: str, options: argparse.Namespace, results: Results
) -> None:
    counts = COUNTS[:2] if options.quick else COUNTS
    table = results.table(
        title, unit="KB", figure="median", note="KB for each of so many calls paused at once."
    )
    for count in counts:
        figures: dict[str, list[float]] = {}
        for _ in range(ROUNDS[count]):
            for who in peers:
                try:
                    figures.setdefault(who, []).append(of(who, count))
                except (Absent, ImportError) as exc:
                    figures.pop(who, None)
                    results.absent[f"{who}, {count:,} calls"] = str(exc)
        for who, found in figures.items():
            goal = None if who in FREE or is_ours(who) else ">= 1"
            ratio = ratio_of(found, figures[ours], of="median")
            table.add(who, f"{count:,}", found, ratio, goal)


#: Those that keep no call stack, only a frame: nobody is to be smaller than these.
FREE = ("native coroutine", "generator", "native task")
LIBCRYPTO = "libcrypto (C)"


def by_hand(options: argparse.Namespace, results: Results) -> None:
    fill("memory, driven by hand", (*PLAIN, LIBCRYPTO), "job", options, results)


def in_loop(options: argparse.Namespace, results: Results) -> None:
    fill("memory, in an event loop", tuple(IN_LOOP), "pausable.run", options, results)


def main() -> int:
    if "--of" in sys.argv:
        parser = argparse.ArgumentParser()
        parser.add_argument("--of", choices={**PLAIN, **IN_LOOP})
        parser.add_argument("--count", type=int)
        options = parser.parse_args()
        print(json.dumps(memory_of(options.of, options.count)))
        return 0
    parts = {"plain": by_hand, "loop": in_loop}
    return run("memory", parser_of(__doc__, parts), parts)


if __name__ == "__main__":
    sys.exit(main())
