"""What the engines' tests need: places to call from, an engine that is completed by hand."""

from __future__ import annotations

import asyncio
import importlib.util
import time

import pytest
import trio

import pausable
from pausable.engines import Engine, Retry, guard
from pausable.testing import FaultEngine


def needs(package, extra=""):
    """Skip a module's tests where a package is absent; import it only when they run.

    Collected tests of other modules look at how much memory the processes they start take, and on
    Linux that begins with what this process takes.
    """
    absent = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(absent, reason=f"needs {package} {extra}".rstrip())


def in_asyncio(fn, items):
    async def main():
        return await asyncio.gather(*[pausable.run(fn, item) for item in items])

    return asyncio.run(main())


def in_trio(fn, items):
    results = {}

    async def one(number, item):
        results[number] = await pausable.run(fn, item)

    async def main():
        async with trio.open_nursery() as nursery:
            for number, item in enumerate(items):
                nursery.start_soon(one, number, item)

    trio.run(main)
    return [results[number] for number in range(len(results))]


def in_map(fn, items):
    return list(pausable.map(fn, items))


def in_jobs_one_by_one(fn, items):
    return [pausable.run_blocking(fn, item) for item in items]


def outside_jobs(fn, items):
    return [fn(item) for item in items]


#: Calls fn for each item and returns the results in order, each in another kind of place.
PLACES = [in_asyncio, in_trio, in_map, in_jobs_one_by_one, outside_jobs]


class ByHand(Engine):
    """Its operations end when the test says so: `engine.tickets["sign"].finish(value)`."""

    def __init__(self):
        super().__init__()
        self.tickets = {}
        self.cancelled = []
        self.closed_with = None

    def _begin(self, ticket, name):
        ticket.data = name
        self.tickets[name] = ticket

    def _cancel(self, ticket):
        self.cancelled.append(ticket.data)

    def _close(self):
        self.closed_with = list(self.cancelled)


class Faulty:
    """Wraps engines so that they misbehave, and unwraps them at the end."""

    def __init__(self, kind):
        self.kind = kind
        self.made = []

    def __call__(self, engine, timeout_s=0.25):
        """Return the engine, or one that misbehaves but does in the end what that would.

        An attempt that is lost costs `timeout_s`; on a busy machine the others have to be faster.
        """
        if self.kind == "as it is":
            return engine
        rates = dict.fromkeys(("again_rate", "early_wake_rate", "double_rate"), 0.25)
        rates["pause_rate"] = 0.1
        if self.kind == "with faults":
            faulty = FaultEngine(engine, seed=3, max_delay_s=0.002, **rates)
            self.made.append(faulty)
            return faulty
        faulty = FaultEngine(
            engine, seed=4, max_delay_s=0.002, error_rate=0.2, lose_rate=0.03, **rates
        )
        retry = Retry(attempts=50, delay_s=0.001, max_delay_s=0.002, budget=None, seed=5)
        guarded = guard(faulty, max_in_flight=16, timeout_s=timeout_s, retry=retry)
        self.made += [guarded, faulty]
        return guarded

    def close(self):
        for engine in self.made:
            engine.close()


def square(number):
    """Be the work of an engine; the delay is what makes operations overlap."""
    time.sleep(0.002)
    return number * number


async def asquare(number):
    await pausable_sleep()
    return number * number


async def pausable_sleep():
    """Let time pass on whichever loop this is."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        await trio.sleep(0.002)
    else:
        await asyncio.sleep(0.002)
