"""What a call that pauses once costs in an event loop, next to its peers, in one run.

    python bench/loops.py [--speed] [--memory] [--latency] [--quick] [--loop asyncio|uvloop]
                          [--rounds N] [--json FILE]

Without a part's name, all three parts. Exit code 1 if a result is wrong, never for a missed goal.

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
A ratio is a peer's time divided by ours, so more than 1 is in our favour; for native, ours divided
by its, the price of being synchronous. Each variant runs its own copy of the loop's code: shared
code objects would make the interpreter's inline caches polymorphic and slow all sides. Times are
the best of many short repetitions, taken in turns.

Memory. KB of resident memory for each of 100,000 calls that are paused at once on one loop, each in
a task of its own, above the process before them; each kind in a fresh process. `native` is what
asyncio takes for its Task, coroutine and future. All are woken in random order and every result is
checked.

Latency. While 10,000 paused jobs are woken at once, how late is a tick that is due every
millisecond? A tick that was due while the loop was busy counts with its own lateness, also where
the ticker came too late to take it: the longest silence is in the figures in full, not as one tick.
Woken by another thread (it completes 10,000 concurrent futures), and by a callback of the loop (it
completes 10,000 of the loop's futures). The best of some waves, by p99.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import platform
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FunctionType

#: What is aimed at: ours at most so many times native; a peer at least so many times ours.
GOAL_NATIVE = 2.0
GOALS = {
    "greenback": 2.5,
    "sqlalchemy": 2.5,
    "threads": 15.0,
    "asgiref": 15.0,
    "asgiref, any thread": 15.0,
}
GOAL_KB = 7.0  # on top of asyncio's own
GOAL_P99_MS = 5.0

FORMS = ("one after another", "100 tasks at once")
AT_ONCE = 100
REPETITION_NS = 1_500_000  # long enough for the clock, short enough to fall between disturbances
VALUE = 7
TICK_S = 0.001

wrong: list[str] = []


def expect(true: bool, what: str) -> None:
    if not true:
        wrong.append(what)


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    return import_module(name).new_event_loop()


def fresh(fn: FunctionType) -> FunctionType:
    """Return a copy of a function that shares no inline caches with it."""
    return FunctionType(
        fn.__code__.replace(), fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__
    )


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
            return spent / count

        async def at_once(_count):
            begin = time.perf_counter_ns()
            results = await asyncio.gather(*[operation() for _ in range(AT_ONCE)])
            spent = time.perf_counter_ns() - begin
            expect(results == [VALUE] * AT_ONCE, f"{make.__name__} at once: {results!r}")
            return spent / AT_ONCE

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
        return spent / count

    def at_once(_count):
        begin = time.perf_counter_ns()
        greenlets = [spawn(fn) for _ in range(AT_ONCE)]
        joinall(greenlets)
        results = [greenlet.get() for greenlet in greenlets]
        spent = time.perf_counter_ns() - begin
        expect(results == [VALUE] * AT_ONCE, f"gevent at once: {results!r}")
        return spent / AT_ONCE

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


def measure(loop: asyncio.AbstractEventLoop, rounds: int) -> tuple[dict, dict[str, str]]:
    """Return {form: {variant: ns}}, the best of `rounds` in turns, and {variant: why absent}."""
    loops, absent = {}, {}
    for name, make in VARIANTS.items():
        try:
            loops[name] = make(loop)
            for form in loops[name]:
                form(3)
        except ImportError as exc:
            absent[name] = str(exc)
    best: dict = {form: dict.fromkeys(loops, float("inf")) for form in FORMS}
    counts = {name: max(5, int(REPETITION_NS / forms[0](20))) for name, forms in loops.items()}
    gc.collect()
    for _ in range(rounds):
        for name, forms in loops.items():
            for form, loop_of_form in zip(FORMS, forms, strict=True):
                best[form][name] = min(best[form][name], loop_of_form(counts[name]))
    return best, absent


def verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def speed(options: argparse.Namespace) -> dict:
    loop = new_loop(options.loop)
    best, absent = measure(loop, options.rounds)
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    results: dict = {}
    for form, times in best.items():
        ours = times["pausable"]
        print(f"{form:28}{'one operation':>15}{'ratio':>9}{'goal':>10}")
        for name, ns in times.items():
            ratio, goal = (ours / ns, GOAL_NATIVE) if name == "native" else (ns / ours, None)
            line = f"  {name:26}{ns / 1000:12.2f} µs"
            if name == "native":
                line += f"{ratio:8.2f}x{f'<= {goal:g}x':>10}  {verdict(ratio <= goal)}"
            elif (goal := GOALS.get(name)) is not None:
                line += f"{ratio:8.2f}x{f'>= {goal:g}x':>10}  {verdict(ratio >= goal)}"
            elif name != "pausable":
                line += f"{ratio:8.2f}x"
            print(line)
            results.setdefault(form, {})[name] = {"ns": ns, "ratio": ratio, "goal": goal}
        print()
    for name, why in absent.items():
        print(f"  {name} is absent: {why}")
    return results


# -- memory ----------------------------------------------------------------------------------------


def resident_kb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


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
        return {"kb": used / count, "resume_us": (time.perf_counter() - begin) / count * 1e6}

    result = loop.run_until_complete(main())
    loop.close()
    return result


def in_fresh_process(*arguments: str) -> dict | None:
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        expect(False, f"{' '.join(arguments)}: exit code {done.returncode}")
        return None
    return json.loads(done.stdout)


def memory(options: argparse.Namespace) -> dict:
    count = 10_000 if options.quick else 100_000
    print(f"{f'{count:,} paused at once':28}{'each':>12}{'on top':>12}{'goal':>10}{'resumed':>17}")
    results: dict = {}
    for kind in MEMORY:
        found = in_fresh_process("--memory-of", kind, "--loop", options.loop, "--count", str(count))
        if found is None:
            continue
        results[kind] = found
        line = f"  {kind:26}{found['kb']:9.2f} KB"
        if kind != "native" and "native" in results:
            found["on_top_kb"] = on_top = found["kb"] - results["native"]["kb"]
            found["goal_kb"] = GOAL_KB
            line += f"{on_top:9.2f} KB{f'<= {GOAL_KB:g} KB':>10}"
        else:
            line += " " * 22
        line += f"{found['resume_us']:8.2f} µs each"
        if "on_top_kb" in found:
            line += f"  {verdict(found['kb'] <= GOAL_KB)}"
        print(line)
    return results


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


def figures(late_ms: list[float]) -> dict[str, float]:
    late_ms = sorted(late_ms) or [0.0]
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    found = {name: late_ms[min(len(late_ms) - 1, int(q * len(late_ms)))] for name, q in at.items()}
    return {**found, "ticks": len(late_ms)}


def latency(options: argparse.Namespace) -> dict:
    count, waves = (1000, 3) if options.quick else (10_000, 7)
    loop = new_loop(options.loop)
    heads = "".join(f"{head:>9}" for head in ("p50", "p99", "max", "wave"))
    print(f"{f'{count:,} woken at once: a tick is late by':44}{heads}")
    rows: dict[str, list] = {"nothing woken": [loop.run_until_complete(idle(loop))]}
    kinds = {"native": native_waiting(), "pausable": ours_waiting()}
    for _ in range(waves):
        for how, wake in (("thread", by_thread), ("loop", by_loop)):
            for name, waiting in kinds.items():
                late_ms = loop.run_until_complete(wave(loop, count, waiting, wake))
                rows.setdefault(f"{name}, woken by the {how}", []).append(late_ms)
    loop.close()
    results = {}
    for what, found in rows.items():
        best = min(map(figures, found), key=lambda row: (row["p99"], row["max"]))
        results[what] = {**best, "goal_p99": GOAL_P99_MS}
        line = f"  {what:42}" + "".join(f"{best[q]:6.1f} ms" for q in ("p50", "p99", "max"))
        line += f"{best['ticks']:6} ms"
        if what.startswith("pausable"):
            line += f"   p99 < {GOAL_P99_MS:g} ms  {verdict(best['p99'] < GOAL_P99_MS)}"
        print(line)
    return results


# -- the program -----------------------------------------------------------------------------------

PARTS = {"speed": speed, "memory": memory, "latency": latency}


def versions() -> str:
    names = "greenlet", "greenback", "sqlalchemy", "gevent", "asgiref", "uvloop"
    found = [f"CPython {platform.python_version()}"]
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return ", ".join([*found, f"{os.cpu_count()} cores"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for part in PARTS:
        parser.add_argument(f"--{part}", action="store_true", help=f"the {part} part")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--rounds", type=int, help="repetitions (default: 100, quick: 10)")
    parser.add_argument("--quick", action="store_true", help="fewer of everything")
    parser.add_argument("--json", type=Path, help="write the results to a file as well")
    parser.add_argument("--memory-of", choices=MEMORY, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rounds is None:
        options.rounds = 10 if options.quick else 100
    try:
        new_loop(options.loop).close()
    except ImportError as exc:
        parser.error(f"{options.loop} is absent: {exc}")

    results: dict = {}
    if options.memory_of:
        print(json.dumps(memory_of(options.memory_of, options.loop, options.count)))
    else:
        print(f"{versions()}; {options.loop}'s loop\n")
        asked = [part for part in PARTS if getattr(options, part)]
        for part in asked or PARTS:
            results[part] = PARTS[part](options)
            print(flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))
    for what in wrong[:10]:
        print(f"WRONG RESULT: {what}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
