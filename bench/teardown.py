"""Start, pause, wake, cancel, time out, drop, close jobs at random; see that nothing is left.

    python bench/teardown.py [--races N] [--seed N] [--loop asyncio|uvloop|trio|all] [--hang-s N]
                             [--quick] [--json FILE]

A race is one job and whatever happens to it. Races come in waves of some dozens that share a loop
(or a thread) and its end: all done, an exception out of the main task, or (asyncio's kind) a loop
that is closed with jobs paused. Some waves have a pool with a limit; some run in a short-lived
thread. Four threads fire wakers and complete futures: before the pause, after it, after the job's
end, twice, and after the loop's end.

Checked after every few waves: the function of every job that began ran its `finally` exactly once;
no job is left in any pool; no canary (an object on each job's stack) is alive; values are right;
no exception but those that the race provokes, be it out of the call, a loop's exception handler,
`threading.excepthook`, `sys.unraisablehook` or the library's log; no warning but those provoked.
Checked at the end, against the state after warm-up (the first tenth of the races, the same work):
no more descriptors, and resident memory within 12 MB: allocators do not give all back, but that is
100 bytes for each of 100,000 races, and a lost job is 6 KB. If nothing is finished for `--hang-s`
seconds, all stacks are printed and the program ends.

Exit code 1 on any failure. The seed repeats the choices, not the timing of the threads.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import gc
import json
import logging
import os
import queue
import random
import select
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
import weakref
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import ClassVar

from _program import expect, parser_of, positive, run
from _results import Results

import pausable

LOOPS = ("asyncio", "uvloop", "trio")
FIRING_THREADS = 4
WAVE = 40  # races in a wave, at the most
CHECK_EVERY = 25  # waves
TOLERANCE_MB = 12.0
SETTLE_S = 3.0  # what is dropped is unwound at a later start; it has that long
MAX_SHOWN = 5  # failures


ABANDONED = "closed with jobs paused"  # a loop's end


class Boom(Exception):
    """Ends a loop's main task."""


# -- what is counted -------------------------------------------------------------------------------


class Failures:
    """What went wrong, from any thread."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.shown: list[str] = []

    def add(self, kind: str, detail: str = "") -> None:
        self.counts[kind] += 1
        if self.counts[kind] <= MAX_SHOWN:
            self.shown.append(f"{kind}: {detail}")

    def add_exception(self, kind: str, exc: BaseException | None, where: str = "") -> None:
        text = "".join(
            traceback.format_exception(None, exc, exc and exc.__traceback__, chain=False)
        )
        self.add(f"{kind} {type(exc).__name__}", f"{where}\n{text}")


failures = Failures()
kinds: Counter[str] = Counter()
provoked: Counter[str] = Counter()


class Canary:
    """Lies on a job's stack; alive as long as the stack is."""

    alive: ClassVar[weakref.WeakSet[Canary]] = weakref.WeakSet()
    lock = threading.Lock()

    def __init__(self) -> None:
        with self.lock:
            self.alive.add(self)


class Firing:
    """Threads that make calls after random short delays."""

    def __init__(self, seed: int) -> None:
        self._queue: queue.Queue = queue.Queue()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(seed + i),), daemon=True)
            for i in range(FIRING_THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, call: Callable[[], object]) -> None:
        self._queue.put(call)

    def drain(self) -> None:
        self._queue.join()

    def stop(self) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self, rng: random.Random) -> None:
        while True:
            call = self._queue.get()
            if call is None:
                return
            chance = rng.random()
            if chance < 0.3:
                time.sleep(0 if chance < 0.2 else rng.random() * 0.001)
            try:
                call()
                if chance < 0.1:
                    call()
            except BaseException as exc:
                failures.add_exception("firing thread:", exc)
            del call
            self._queue.task_done()


firing: Firing


# -- a race: the job's side ------------------------------------------------------------------------


class Race:
    """One job: what it waits for, and what became of it."""

    __slots__ = (
        "abandoned",
        "afterwards",
        "began",
        "finished",
        "job",
        "keep_job",
        "kind",
        "number",
        "over",
        "raised",
        "rng",
        "steps",
        "tidies",
    )

    def __init__(self, number: int, rng: random.Random) -> None:
        self.number = number
        self.rng = rng
        self.kind = ""
        self.began = self.finished = 0
        self.over = False
        # Its task may be left to the garbage collector: CPython 3.11 crashes then if the task is
        # inside asyncio.timeout(), also without any jobs.
        self.abandoned = False
        self.steps: list[Callable[[Race], object]] = []
        self.tidies = rng.random() < 0.25  # its finally clause pauses
        self.keep_job = False
        self.job: pausable.Job | None = None
        self.raised: str | None = None
        self.afterwards: list[Callable[[], object]] = []  # to be called after the job's end

    def fire(self, call: Callable[[], object]) -> None:
        """Have a call made: now, or by a thread; perhaps again after the job's end."""
        chance = self.rng.random()
        if chance < 0.15:
            call()
        else:
            firing.put(call)
        if chance > 0.7:
            self.afterwards.append(call)

    def end(self) -> None:
        """Make the late calls, from here or from threads."""
        self.over = True
        self.job = None
        late, self.afterwards = self.afterwards, []
        for call in late:
            if self.rng.random() < 0.5:
                call()
            else:
                firing.put(call)


def body(race: Race) -> int:
    """Be the job of a race."""
    canary = Canary()
    race.began += 1
    if race.keep_job:
        race.job = pausable.current_job()
    try:
        for step in race.steps:
            step(race)
        return race.number
    except BaseException as exc:
        if not is_cancellation(exc):  # no step raises anything else
            race.raised = repr(exc)
        raise
    finally:
        race.finished += 1
        if race.tidies:
            wait_future(race)
        del canary


def is_cancellation(exc: BaseException) -> bool:
    """Tell whether it is the job's cancellation, or that of its task, which may be a loop's own."""
    if isinstance(exc, (pausable.JobCancelled, asyncio.CancelledError)):
        return True
    return "trio" in sys.modules and isinstance(exc, sys.modules["trio"].Cancelled)


def complete(future: Future, value: int) -> None:
    with contextlib.suppress(InvalidStateError, asyncio.InvalidStateError):  # done or cancelled
        future.set_result(value)


def wait_future(race: Race) -> None:
    future: Future = Future()
    race.fire(partial(complete, future, race.number))
    if pausable.wait_for(future) != race.number:
        failures.add("wrong value", f"{race.kind} {race.number}")


def wait_waker(race: Race) -> None:
    fired: list[bool] = []
    with pausable.current_job().wait_ctx.waker() as waker:

        def fire() -> None:
            fired.append(True)
            waker.wake()

        race.fire(fire)
        if race.rng.random() < 0.2:
            race.fire(waker.wake)  # a hint that means nothing
        while not fired:
            pausable.pause()
            waker.clear()


def wait_with_timeout(race: Race) -> None:
    future: Future = Future()
    race.fire(partial(complete, future, race.number))
    with contextlib.suppress(TimeoutError):
        got = pausable.wait_for(future, timeout_s=race.rng.choice((0, 0.0002, 0.001)))
        if got != race.number:
            failures.add("wrong value", f"{race.kind} {race.number}")


def just_pause(race: Race) -> None:
    for _ in range(race.rng.randrange(3)):
        pausable.pause()


def nest(race: Race) -> None:
    """Start a job in the job, and close it paused."""
    with pausable.start(pausable.pause):
        just_pause(race)


def wait_loop_future(race: Race) -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    done = partial(complete, future, race.number)
    chance = race.rng.random()
    if chance < 0.3:
        loop.call_soon(done)
    elif chance < 0.5:
        loop.call_later(race.rng.random() * 0.002, done)
    else:

        def from_thread() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(done)

        race.fire(from_thread)
    if pausable.wait_for(future) != race.number:
        failures.add("wrong value", f"{race.kind} {race.number}")


def wait_coroutine(sleep: Callable, race: Race) -> None:
    pausable.wait_for(sleep(race.rng.choice((0, 0, 0.0005))))


ANYWHERE = (wait_future, wait_future, wait_waker, wait_with_timeout, just_pause, nest)

# -- a race: the outside, in an asyncio loop -------------------------------------------------------


def check_value(race: Race, value: object) -> None:
    if value != race.number:
        failures.add("wrong value", f"{race.kind} {race.number}: {value!r}")


async def turns(race: Race) -> None:
    for _ in range(race.rng.randrange(4)):
        await asyncio.sleep(0)
    if race.rng.random() < 0.2:
        await asyncio.sleep(race.rng.random() * 0.001)


async def wait_to_the_end(race: Race) -> None:
    check_value(race, await pausable.run(body, race))


async def cancel_task(race: Race) -> None:
    task = asyncio.ensure_future(pausable.run(body, race))
    await turns(race)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        check_value(race, await task)


async def cancel_task_again(race: Race) -> None:
    """Cancel the task while its job cleans up because of the first time."""
    race.tidies = True
    task = asyncio.ensure_future(pausable.run(body, race))
    await turns(race)
    task.cancel()
    await turns(race)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        check_value(race, await task)


async def cancel_job_in_thread(race: Race) -> None:
    race.keep_job = True
    task = asyncio.ensure_future(pausable.run(body, race))
    await turns(race)
    if race.job is not None:
        firing.put(race.job.cancel)
    with contextlib.suppress(pausable.JobCancelled):
        check_value(race, await task)


async def cancel_job_here(race: Race) -> None:
    race.keep_job = True
    task = asyncio.ensure_future(pausable.run(body, race))
    await turns(race)
    if race.job is not None:
        race.job.cancel()
    with contextlib.suppress(pausable.JobCancelled):
        check_value(race, await task)


async def time_out(race: Race) -> None:
    timeout_s = race.rng.choice((0, 0.0005, 0.002))
    with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
        if hasattr(asyncio, "timeout") and not race.abandoned and race.rng.random() < 0.5:
            async with asyncio.timeout(timeout_s):
                check_value(race, await pausable.run(body, race))
        else:
            run = pausable.run(body, race)
            check_value(race, await asyncio.wait_for(run, timeout_s))


async def drop_coroutine(race: Race) -> None:
    coroutine = pausable.run(body, race)
    if race.rng.random() < 0.3:
        provoked["never awaited"] += 1
        return  # never awaited
    with contextlib.suppress(StopIteration):
        coroutine.send(None)
        await turns(race)
        if race.rng.random() < 0.5:
            coroutine.close()


async def bare(race: Race) -> None:
    race.steps = [step for step in race.steps if step in ANYWHERE]
    play_bare(race)


def play_bare(race: Race) -> None:
    """Start a job by hand and end it in one of many ways."""
    try:
        job = pausable.start(body, race)
    except pausable.NoJobsAvailable:
        provoked["no jobs available"] += 1
        return
    for _ in range(race.rng.randrange(3)):
        if not job.done():
            job.resume()  # early
    how = race.rng.randrange(6)
    if how == 0:
        drive(job)
        check_value(race, job.result())
    elif how == 1:
        job.close()
    elif how == 2:
        with job:
            if not job.done():
                job.resume()
    elif how == 3:
        job.cancel()
        drive(job)
    elif how == 4:
        firing.put(job.cancel)
        drive(job)
        job.cancelled() or check_value(race, job.result())
    else:  # dropped, paused or not
        provoked["dropped"] += not job.done()


def drive(job: pausable.Job) -> None:
    while not job.done():
        select.select([fd for fd in job.wait_ctx.fds() if fd >= 0], [], [], 0.001)
        if not job.done():
            job.resume()


ASYNCIO_KINDS: list[Callable] = [
    wait_to_the_end,
    wait_to_the_end,
    cancel_task,
    cancel_task_again,
    cancel_job_in_thread,
    time_out,
    time_out,
    drop_coroutine,
    bare,
]


class LoopErrors:
    """A loop's exception handler."""

    def __init__(self, *, abandoned: bool) -> None:
        self._abandoned = abandoned  # the loop is closed with tasks pending

    def __call__(self, _loop: object, context: dict) -> None:
        exc, message = context.get("exception"), context["message"]
        if self._abandoned and message == "Task was destroyed but it is pending!":
            provoked["pending task destroyed"] += 1
        elif self._abandoned and isinstance(exc, (pausable.JobCancelled, TimeoutError)):
            provoked["never retrieved"] += 1
        else:
            failures.add_exception("loop handler:", exc, message)


async def guard(play: Callable, race: Race) -> None:
    try:
        await play(race)
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as exc:
        # The garbage collector closes an inner coroutine before the outer one.
        if race.abandoned and str(exc) == "coroutine already executing":
            return
        failures.add_exception(f"{race.kind}:", exc)
    race.end()


async def asyncio_main(races: list[Race], ending: str, tasks: list) -> None:
    abandoned = ending == ABANDONED
    asyncio.get_running_loop().set_exception_handler(LoopErrors(abandoned=abandoned))
    tasks += [asyncio.ensure_future(guard(PLAYS[race.kind], race)) for race in races]
    if ending == "all done":
        await asyncio.gather(*tasks)
        return
    for _ in range(races[0].rng.randrange(5)):
        await asyncio.sleep(0)
    if ending == "exception":
        raise Boom


def asyncio_wave(loop_name: str, races: list[Race], ending: str) -> None:
    new_loop = import_module(loop_name).new_event_loop
    tasks: list = []
    main = asyncio_main(races, ending, tasks)
    if ending == ABANDONED:
        loop = new_loop()
        loop.run_until_complete(main)
        loop.close()
    elif hasattr(asyncio, "Runner"):
        with contextlib.suppress(Boom), asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main)
    else:  # Python 3.10
        with contextlib.suppress(Boom):
            (asyncio.run if loop_name == "asyncio" else import_module("uvloop").run)(main)
    tasks.clear()


# -- in trio ---------------------------------------------------------------------------------------


async def trio_turns(race: Race) -> None:
    import trio

    for _ in range(race.rng.randrange(4)):
        await trio.sleep(0)
    if race.rng.random() < 0.2:
        await trio.sleep(race.rng.random() * 0.001)


async def trio_cancel_task(race: Race) -> None:
    import trio

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_to_the_end, race)
        await trio_turns(race)
        nursery.cancel_scope.cancel()


async def trio_cancel_job_in_thread(race: Race) -> None:
    import trio

    async def run() -> None:
        with contextlib.suppress(pausable.JobCancelled):
            check_value(race, await pausable.run(body, race))

    race.keep_job = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio_turns(race)
        if race.job is not None:
            firing.put(race.job.cancel)


async def trio_time_out(race: Race) -> None:
    import trio

    with trio.move_on_after(race.rng.choice((0, 0.0005, 0.002))):
        check_value(race, await pausable.run(body, race))


async def trio_drop_coroutine(race: Race) -> None:
    provoked["never awaited"] += 1
    pausable.run(body, race)


TRIO_KINDS: list[Callable] = [
    wait_to_the_end,
    wait_to_the_end,
    trio_cancel_task,
    trio_cancel_task,
    trio_cancel_job_in_thread,
    trio_time_out,
    trio_time_out,
    trio_drop_coroutine,
    bare,
]


async def trio_guard(play: Callable, race: Race) -> None:
    import trio

    try:
        await play(race)
    except (trio.Cancelled, GeneratorExit):
        raise
    except BaseException as exc:
        for leaf in leaves(exc):
            if not isinstance(leaf, trio.Cancelled):
                failures.add_exception(f"{race.kind}:", leaf)
        raise
    race.end()


def leaves(exc: BaseException) -> list[BaseException]:
    inner = getattr(exc, "exceptions", None)
    return [exc] if inner is None else [leaf for part in inner for leaf in leaves(part)]


def trio_wave(_loop_name: str, races: list[Race], ending: str) -> None:
    import trio

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for race in races:
                nursery.start_soon(trio_guard, PLAYS[race.kind], race)
            if ending != "all done":
                for _ in range(races[0].rng.randrange(5)):
                    await trio.sleep(0)
                raise Boom

    try:
        trio.run(main)
    except BaseException as exc:
        for leaf in leaves(exc):
            if not isinstance(leaf, Boom):
                failures.add_exception("trio.run:", leaf)


# -- threads that end ------------------------------------------------------------------------------


def paused_when_thread_ends(races: list[Race], kept: list | None) -> None:
    """Start jobs and leave them, in a thread that ends."""
    for race in races:
        job = pausable.start(body, race)
        if kept is not None:
            kept.append(job)
        else:
            provoked["dropped"] += not job.done()


def thread_wave(races: list[Race], rng: random.Random) -> None:
    """Leave paused jobs in threads that end: plain ones, and an executor's."""
    for race in races:
        race.steps = [step for step in race.steps if step in ANYWHERE]
    kept: list[pausable.Job] = []
    parts = [races[i : i + 4] for i in range(0, len(races), 4)]
    calls = [(part, kept if rng.random() < 0.8 else None) for part in parts]
    if rng.random() < 0.5:
        with ThreadPoolExecutor(3) as executor:
            for done in [executor.submit(paused_when_thread_ends, *call) for call in calls]:
                done.result()
    else:
        threads = [threading.Thread(target=paused_when_thread_ends, args=call) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    deadline = time.monotonic() + SETTLE_S
    while not all(job.done() for job in kept) and time.monotonic() < deadline:
        time.sleep(0.001)
    for job in kept:
        if not job.done():
            failures.add("paused after its thread's end", f"{job!r}\n{job._stack_text()}")
    for race in races:
        race.end()


# -- what is there ---------------------------------------------------------------------------------


def probe(coroutine_function: Callable, loop_name: str) -> str | None:
    """Run it; return None, or what it raised."""
    try:
        if loop_name == "trio":
            import_module("trio").run(coroutine_function)
        else:
            loop = import_module(loop_name).new_event_loop()
            try:
                loop.run_until_complete(asyncio.wait_for(coroutine_function(), 2))
            finally:
                loop.close()
    except BaseException as exc:
        return f"{type(exc).__name__}: {exc}"
    return None


async def probe_run() -> None:
    assert await pausable.run(len, "four") == 4


async def probe_coroutine(sleep: Callable) -> None:
    await pausable.run(lambda: pausable.wait_for(sleep(0)))


async def probe_cancel_here(_sleep: Callable) -> None:
    jobs: list[pausable.Job] = []

    def waits() -> None:
        jobs.append(pausable.current_job())
        with pausable.current_job().wait_ctx.waker():
            while True:
                pausable.pause()

    task = asyncio.ensure_future(pausable.run(waits))
    while not jobs:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    jobs[0].cancel()
    done, _ = await asyncio.wait({task}, timeout=0.5)
    if not done:
        task.cancel()
        raise RuntimeError("run() did not notice that its job had ended")
    if not isinstance(task.exception(), pausable.JobCancelled):
        raise task.exception() or RuntimeError("the job was not cancelled")


def probe_closed_loop(loop_name: str) -> bool:
    """Tell whether a job is unwound that was paused when its loop was closed."""
    ended: list[bool] = []

    def waits() -> None:
        try:
            pausable.wait_for(Future())
        finally:
            ended.append(True)

    async def main() -> None:
        loop.set_exception_handler(lambda *_: None)
        asyncio.ensure_future(pausable.run(waits))  # noqa: RUF006  # nobody is to hold it
        await asyncio.sleep(0.01)

    loop = import_module(loop_name).new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    gc.collect()
    pausable.start(int)
    unwound = bool(ended)
    pausable.cleanup_thread(cancel=True)
    return unwound


PLAYS: dict[str, Callable] = {}
STEPS: list[Callable[[Race], object]] = list(ANYWHERE)


def find_out(loop_name: str) -> bool:
    """Fill PLAYS and STEPS with what can be played; return False if nothing can."""
    global unwinds_abandoned
    missing = probe(probe_run, loop_name)
    if missing is not None:
        print(f"{loop_name}: nothing played: this pausable cannot run in it ({missing})")
        return False
    plays = list(TRIO_KINDS if loop_name == "trio" else ASYNCIO_KINDS)
    sleep = import_module("trio" if loop_name == "trio" else "asyncio").sleep
    if loop_name != "trio":
        STEPS.append(wait_loop_future)
        missing = probe(partial(probe_cancel_here, sleep), loop_name)
        if missing is None:
            plays.append(cancel_job_here)
        else:
            print(f"{loop_name}: left out: cancel() in the loop's thread ({missing})")
        endings.append(ABANDONED)
        unwinds_abandoned = probe_closed_loop(loop_name)
        if not unwinds_abandoned:
            print(
                f"{loop_name}: left out: jobs of a closed loop in a thread that goes on (they stay)"
            )
    missing = probe(partial(probe_coroutine, sleep), loop_name)
    if missing is None:
        STEPS.append(partial(wait_coroutine, sleep))
    else:
        print(f"{loop_name}: left out: wait_for(coroutine) ({missing.split(':')[0]})")
    for play in plays:
        name = play.__name__.removeprefix("trio_").replace("_", " ")
        PLAYS[name] = play
    weighted.extend(play.__name__.removeprefix("trio_").replace("_", " ") for play in plays)
    return True


weighted: list[str] = []  # kinds, as often as they are to be played
endings = ["all done", "all done", "exception"]
unwinds_abandoned = True  # jobs of a closed loop are unwound before their thread ends

# -- waves and checks ------------------------------------------------------------------------------


def new_race(number: int, rng: random.Random) -> Race:
    race = Race(number, random.Random(rng.random()))
    race.kind = rng.choice(weighted)
    race.steps = [rng.choice(STEPS) for _ in range(rng.randrange(1, 4))]
    return race


def play_wave(loop_name: str, races: list[Race], rng: random.Random) -> None:
    chance = rng.random()
    if chance < 0.1:
        for race in races:
            race.kind = "thread ends"
        thread_wave(races, rng)
        kinds["thread ends"] += len(races)
        return
    ending = rng.choice(endings)
    limit = rng.choice((1, 3, 10)) if rng.random() < 0.25 else None
    abandoned = ending == ABANDONED
    for race in races:
        kinds[race.kind] += 1
        race.abandoned = abandoned
        if limit is not None and nest in race.steps:
            race.steps = [just_pause if step is nest else step for step in race.steps]
    kinds[f"loop's end: {ending}"] += len(races)
    wave = trio_wave if loop_name == "trio" else asyncio_wave

    def play() -> None:
        if limit is not None:
            kinds["pool with a limit"] += len(races)
            pausable.init_thread(max_size=limit)
        wave(loop_name, races, ending)
        for race in races:
            race.end()

    if chance < 0.25 or limit is not None or (abandoned and not unwinds_abandoned):
        kinds["loop in a thread that ends"] += len(races)
        thread = threading.Thread(target=play)
        thread.start()
        thread.join()
    else:
        play()


def settle_thread() -> None:
    """Have jobs of this thread that were dropped unwound to their end, with their cleanup code."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        with contextlib.suppress(pausable.NoJobsAvailable):
            pausable.start(int)
        if not pausable.thread_pool().stats().paused or time.monotonic() > deadline:
            return
        time.sleep(0.0005)


def pools() -> list[pausable.JobPool]:
    from pausable._pool import all_pools  # there is no public list of other threads' pools

    return all_pools()


def jobs_left() -> int:
    stats = [pool.stats() for pool in pools()]
    return sum(figures.paused + figures.running for figures in stats)


class Watchdog:
    """Ends the process when nothing gets done for too long."""

    def __init__(self, hang_s: float, seed: str) -> None:
        self._hang_s = hang_s
        self._seed = seed
        self._fed = threading.Event()
        self._stopped = False
        self._races: list[Race] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def feed(self, races: list[Race]) -> None:
        """Go on; these races come next."""
        self._races = races
        self._fed.set()
        faulthandler.dump_traceback_later(self._hang_s + 10, exit=True)  # if the GIL is stuck

    def stop(self) -> None:
        self._stopped = True
        self._fed.set()
        self._thread.join()
        faulthandler.cancel_dump_traceback_later()

    def _watch(self) -> None:
        while not self._stopped:
            if not self._fed.wait(self._hang_s):
                self._report()
            self._fed.clear()

    def _report(self) -> None:
        faulthandler.dump_traceback(all_threads=True)
        for pool in pools():
            for job in pool.jobs():
                job.print_stack()
        for race in self._races:
            if not race.over:
                steps = [getattr(step, "__name__", "wait_coroutine") for step in race.steps]
                print(f"hangs: {race.kind} {race.number} {steps}", file=sys.stderr)
        print(*failures.shown, f"FAILED: hang; {self._seed}", sep="\n", file=sys.stderr)
        sys.stdout.flush()
        os._exit(1)


def check(races: list[Race]) -> None:
    """See that nothing is left of these races."""
    firing.drain()
    deadline = time.monotonic() + SETTLE_S
    while True:
        gc.collect()
        settle_thread()
        left = jobs_left(), len(Canary.alive)
        if left == (0, 0) or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    if left[0]:
        jobs = [job for pool in pools() for job in pool.jobs()]
        where = "".join(f"\n{job!r}\n{job._stack_text()}" for job in jobs[:MAX_SHOWN])
        failures.add("jobs left", f"{left[0]}, races {races[0].number}-{races[-1].number}{where}")
    if left[1]:
        failures.add("canaries left", f"{left[1]} after races up to {races[-1].number}")
        Canary.alive.clear()
    if left != (0, 0):
        pausable.cleanup_thread(cancel=True)  # reported; the next races are to have a fair start
    for race in races:
        if race.began != race.finished:
            failures.add("finally", f"{race.kind} {race.number}: {race.began}, {race.finished}")
        if race.began > 1:
            failures.add("began twice", f"{race.kind} {race.number}")
        if race.raised is not None:
            failures.add("raised in the job", f"{race.kind} {race.number}: {race.raised}")


def resident_mb() -> float:
    pausable.cleanup_thread(cancel=True)
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def open_fds() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class LogIsFailure(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        failures.add("log", self.format(record))


def on_unraisable(unraisable: object) -> None:
    exc = unraisable.exc_value
    if isinstance(exc, (ResourceWarning, RuntimeWarning)):
        return
    failures.add_exception("unraisable:", exc, f"{unraisable.err_msg} {unraisable.object!r}")


def on_warning(message: Warning | str, category: type[Warning], *_rest: object) -> None:
    text = str(message)
    if category is ResourceWarning and text.startswith("a paused job was dropped"):
        provoked["warned of a dropped job"] += 1
    elif category is ResourceWarning and text.startswith("the event loop of a paused job"):
        provoked["warned of a loop closed under a job"] += 1
    elif text.startswith("coroutine") and text.endswith("was never awaited"):
        provoked["warned of a coroutine never awaited"] += 1
    else:
        failures.add(f"warning {category.__name__}", text)


def capture_everything() -> None:
    sys.unraisablehook = on_unraisable
    threading.excepthook = lambda args: failures.add_exception("thread:", args.exc_value)
    warnings.simplefilter("always")
    warnings.showwarning = on_warning
    log = logging.getLogger("pausable")
    log.addHandler(LogIsFailure())
    log.propagate = False


def repeat(options: argparse.Namespace) -> str:
    return f"--loop {options.loop} --races {options.races} --seed {options.seed}"


def stress(options: argparse.Namespace) -> int:
    """Play the races in one loop, in this process; return the exit code."""
    global firing
    faulthandler.enable()
    warnings.simplefilter("ignore")
    if not find_out(options.loop):
        return 0
    capture_everything()
    rng = random.Random(options.seed)
    firing = Firing(options.seed)
    dog = Watchdog(options.hang_s, repeat(options))
    races: list[Race] = []
    number = waves = 0
    warm: tuple[float, int] | None = None
    begin = time.monotonic()
    while number < options.races:
        count = min(rng.randrange(1, WAVE + 1), options.races - number)
        wave = [new_race(number + i, rng) for i in range(count)]
        dog.feed(wave)
        play_wave(options.loop, wave, rng)
        races += wave
        number += count
        waves += 1
        del wave
        if waves % CHECK_EVERY == 0 or number == options.races:
            check(races)
            races.clear()
            if warm is None and number >= options.races / 10:
                warm = resident_mb(), open_fds()
    spent_s = time.monotonic() - begin
    mb, fds = resident_mb(), open_fds()
    firing.stop()
    dog.stop()
    warm = warm or (mb, fds)
    if fds > warm[1]:
        failures.add("descriptors", f"{warm[1]} before, {fds} after")
    if mb > warm[0] + TOLERANCE_MB:
        failures.add("memory", f"{warm[0]:.1f} MB after warm-up, {mb:.1f} MB at the end")
    report(options, number, spent_s, warm, (mb, fds))
    return 1 if failures.counts else 0


def report(
    options: argparse.Namespace, number: int, spent_s: float, warm: tuple, end: tuple
) -> None:
    for name, count in [*sorted(kinds.items()), *sorted(provoked.items())]:
        print(f"  {name:40}{count:9,}")
    for text in failures.shown:
        print(f"FAILED: {text}")
    for what, count in failures.counts.items():
        print(f"FAILED {count:,} times: {what}")
    print(
        f"{options.loop}: {number:,} races in {spent_s:.0f} s ({number / spent_s:.0f}/s),"
        f" jobs left {jobs_left()}, fds {end[1] - warm[1]:+}, memory {end[0] - warm[0]:+.1f} MB"
        f" (at most +{TOLERANCE_MB:g}), failures {sum(failures.counts.values())};"
        f" {repeat(options)}",
        flush=True,
    )
    if options.figures is not None:
        figures = {
            "races a second": number / spent_s,
            "failures": sum(failures.counts.values()),
            "jobs left": jobs_left(),
            "descriptors more": end[1] - warm[1],
        }
        options.figures.write_text(json.dumps(figures))


def stress_all(options: argparse.Namespace, results: Results) -> None:
    """Play a share of the races in each loop that is there, each in a process of its own."""
    here = []
    for name in LOOPS:
        try:
            import_module(name)
        except ImportError as exc:
            results.absent[name] = str(exc)
        else:
            here.append(name)
    share = str(-(-options.races // len(here)))
    common = ["--races", share, "--seed", str(options.seed), "--hang-s", str(options.hang_s)]
    table = results.table(
        f"{options.races:,} races", unit="", worse=None, plot=None,
        note="All but the first column are to be 0 or less.",
    )  # fmt: skip
    for name in here:
        with tempfile.TemporaryDirectory() as folder:
            figures = Path(folder) / "figures.json"
            command = [sys.executable, __file__, "--loop", name, "--figures", str(figures), *common]
            code = subprocess.run(command, check=False).returncode
            expect(code == 0, f"{name}: exit code {code}; repeat: {' '.join(command[1:4])} ...")
            if figures.exists():
                for what, figure in json.loads(figures.read_text()).items():
                    table.add(name, what, [figure])
    print()


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--races", type=positive, help="how many (default: 100,000, quick: 3,000)")
    parser.add_argument("--seed", type=int, default=1, help="of the choices (default: 1)")
    parser.add_argument("--loop", choices=(*LOOPS, "all"), default="all")
    parser.add_argument("--hang-s", type=float, default=60.0, help="what is a hang (default: 60)")
    parser.add_argument("--figures", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    races = 3_000 if options.quick else 100_000
    if options.loop == "all":
        parser.set_defaults(races=races)
        return run("teardown", parser, {"races": stress_all})
    options.races = options.races or races
    return stress(options)


if __name__ == "__main__":
    sys.exit(main())
