"""What engines cost, and what they gain: each next to the same without them, in one run.

    python bench/engines.py [--overhead] [--dask] [--batch] [--faults] [--quick] [--json FILE]

* overhead: an operation of ExecutorEngine next to one of the bare executor, 64 in flight: outside
  jobs (submit, then result), and in jobs (`engine.call` next to `wait_for(executor.submit())`).
* dask: the same with a LocalCluster of worker processes, next to dask's own client and executor.
* batch: a function with 5 ms of fixed cost per call, and 1,000 requests a second offered, whether
  it keeps up or not: one at a time, and with BatchEngine. And a lone request with and without.
* faults: 10,000 operations of a guarded FaultEngine: each has to end once, with its own result or a
  clear error, and nothing may be left.

Ratios are medians of rounds taken in turns, since this machine does other things too.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import statistics
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pausable
from pausable.engines import BatchEngine, ExecutorEngine, Retry, guard
from pausable.testing import FaultEngine

IN_FLIGHT = 64
GOAL_OVERHEAD = 1.3
FIXED_S = 0.005
OFFERED_PER_S = 1000
GOAL_P50_MS = 15.0
GOAL_LONE = 1.2

wrong: list[str] = []


def verdict(good: bool) -> str:
    return "ok" if good else "MISSED"


def check(what: str, value: object, expected: object) -> None:
    if value != expected:
        wrong.append(f"{what}: {value!r}, not {expected!r}")


# -- overhead --------------------------------------------------------------------------------------


def nothing(number):
    return number


def one_ms(number):
    time.sleep(0.001)
    return number


def windowed(submit, fn, count):
    """Submit `count` operations, 64 in flight, and take the results in order."""
    pending: deque = deque()
    results = []
    for number in range(count):
        if len(pending) == IN_FLIGHT:
            results.append(pending.popleft().result())
        pending.append(submit(fn, number))
    results += [future.result() for future in pending]
    return results


def in_jobs(call, count):
    return list(pausable.map(call, range(count), jobs=IN_FLIGHT))


def in_turns(
    variants: dict[str, Callable[[], object]], count: int, rounds: int
) -> dict[str, list[float]]:
    """Return seconds per operation of each variant in each round."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            gc.collect()
            begin = time.perf_counter()
            check(name, run(), list(range(count)))
            times[name].append((time.perf_counter() - begin) / count)
    return times


def compare(label: str, bare, ours, count: int, rounds: int, goal: float) -> dict:
    times = in_turns({"bare": bare, "ours": ours}, count, rounds)
    ratios = [mine / theirs for theirs, mine in zip(times["bare"], times["ours"], strict=True)]
    bare_us, ours_us = (statistics.median(times[name]) * 1e6 for name in ("bare", "ours"))
    ratio = statistics.median(ratios)
    print(
        f"{label:46}{bare_us:8.1f} us{ours_us:8.1f} us{ratio:7.2f}x   "
        f"<= {goal:g}x  {verdict(ratio <= goal)}"
    )
    return {"bare_us": bare_us, "ours_us": ours_us, "ratio": ratio, "goal": goal}


def pairs(label: str, executor, fn, count: int, rounds: int, results: dict) -> None:
    with ExecutorEngine(executor) as engine:
        results[f"{label}, submit and result"] = compare(
            f"{label}, submit and result",
            lambda: windowed(executor.submit, fn, count),
            lambda: windowed(engine.submit, fn, count),
            count, rounds, GOAL_OVERHEAD,
        )  # fmt: skip
        results[f"{label}, in jobs"] = compare(
            f"{label}, in jobs",
            lambda: in_jobs(lambda n: pausable.wait_for(executor.submit(fn, n)), count),
            lambda: in_jobs(lambda n: engine.call(fn, n), count),
            count, rounds, GOAL_OVERHEAD,
        )  # fmt: skip


def overhead(quick: bool) -> dict:
    rounds, count = (5, 1000) if quick else (15, 4000)
    results: dict = {}
    print(f"{f'an operation, {IN_FLIGHT} in flight':46}{'bare':>11}{'engine':>11}{'ratio':>8}")
    with ThreadPoolExecutor(4) as threads:
        pairs("4 threads, no work", threads, nothing, count, rounds, results)
    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        pairs("64 threads, 1 ms of waiting", threads, one_ms, count, rounds, results)
    with ProcessPoolExecutor(2) as processes:
        pairs("2 processes, no work", processes, nothing, count // 2, rounds, results)
    return results


def dask(quick: bool) -> dict:
    try:
        import distributed
    except ImportError as exc:
        print(f"dask: skipped, {exc}")
        return {}
    rounds, count = (3, 300) if quick else (7, 1000)
    results: dict = {}
    options = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": "127.0.0.1:0"}
    with (
        distributed.LocalCluster(**options, host="127.0.0.1", silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        heads = "".join(f"{head:>{width}}" for head, width in (("its own", 11), ("engine", 11)))
        print(f"{f'dask, an operation, {IN_FLIGHT} in flight':46}{heads}{'ratio':>8}")
        executor = client.get_executor()

        def submit(fn, number):
            return client.submit(fn, number, pure=False)

        with ExecutorEngine(client) as engine:
            results["client"] = compare(
                "its client, submit and result",
                lambda: windowed(submit, nothing, count),
                lambda: windowed(engine.submit, nothing, count),
                count, rounds, GOAL_OVERHEAD,
            )  # fmt: skip
            results["executor, in jobs"] = compare(
                "its executor, in jobs",
                lambda: in_jobs(lambda n: pausable.wait_for(executor.submit(nothing, n)), count),
                lambda: in_jobs(lambda n: engine.call(nothing, n), count),
                count, rounds, GOAL_OVERHEAD,
            )  # fmt: skip
    return results


# -- batches ---------------------------------------------------------------------------------------


def fixed_cost_many(numbers):
    time.sleep(FIXED_S)
    return numbers


def fixed_cost(number):
    time.sleep(FIXED_S)
    return number


async def offered(call, seconds: float) -> list[float]:
    """Offer requests at a fixed rate for a while; return how long each took, in ms."""
    took: list[float] = []

    async def one(number: int, due: float) -> None:
        check("offered", await pausable.run(call, number), number)
        took.append((time.perf_counter() - due) * 1e3)

    begin = time.perf_counter()
    tasks = set()
    for number in range(int(OFFERED_PER_S * seconds)):
        due = begin + number / OFFERED_PER_S
        if due > time.perf_counter():
            await asyncio.sleep(due - time.perf_counter())
        tasks.add(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)
    return took


def batch(quick: bool) -> dict:
    seconds = 1.0 if quick else 5.0
    results: dict = {}
    print(
        f"{OFFERED_PER_S:,} requests a second offered, {FIXED_S * 1e3:g} ms a call, {seconds:g} s"
    )
    print(f"{'':46}{'p50':>11}{'p99':>11}{'max':>11}")
    one_at_a_time = ThreadPoolExecutor(1)
    engines = {
        "one at a time": ExecutorEngine(one_at_a_time),
        "BatchEngine": BatchEngine(fixed_cost_many, max_batch=100),
    }
    for name, engine in engines.items():
        with engine:
            call = engine.call
            if name == "one at a time":
                took = asyncio.run(offered(lambda n: call(fixed_cost, n), seconds))  # noqa: B023
            else:
                took = asyncio.run(offered(call, seconds))
        cuts = statistics.quantiles(took, n=100)
        row = {"p50_ms": cuts[49], "p99_ms": cuts[98], "max_ms": max(took)}
        results[name] = row
        line = f"  {name:44}" + "".join(f"{value:8.1f} ms" for value in row.values())
        if name == "BatchEngine":
            stats = engine.stats()
            row["fill"] = stats.fill
            line += f"   p50 < {GOAL_P50_MS:g} ms  {verdict(row['p50_ms'] < GOAL_P50_MS)}"
            line += f"\n  {stats.batches} calls, {stats.requests / stats.batches:.1f} requests each"
        print(line)
    one_at_a_time.shutdown()
    results["lone"] = lone(20 if quick else 100)
    return results


def lone(count: int) -> dict:
    """Time requests that come one after the other, with a batch engine and without."""
    with ExecutorEngine() as plain, BatchEngine(fixed_cost_many, max_batch=100) as batches:

        def one_by_one(call):
            return pausable.run_blocking(lambda: [call(n) for n in range(count)])

        return compare(
            "a lone request", lambda: one_by_one(lambda n: plain.call(fixed_cost, n)),
            lambda: one_by_one(batches.call), count, 5, GOAL_LONE,
        )  # fmt: skip


# -- faults ----------------------------------------------------------------------------------------


def faults(quick: bool) -> dict:
    count = 1000 if quick else 10_000
    executor = ThreadPoolExecutor(8)
    engine = FaultEngine(
        ExecutorEngine(executor), seed=1, max_delay_s=0.005, error_rate=0.1, again_rate=0.05,
        early_wake_rate=0.2, double_rate=0.2, lose_rate=0.02,
    )  # fmt: skip
    guarded = guard(
        engine, max_in_flight=IN_FLIGHT, timeout_s=0.2, deadline_s=20, breaker=50,
        retry=Retry(4, delay_s=0.001, max_delay_s=0.05, seed=2),
    )  # fmt: skip
    ended: Counter[int] = Counter()
    outcomes: Counter[str] = Counter()

    def one(number: int) -> None:
        try:
            check(f"operation {number}", guarded.call(nothing, number), number)
            outcomes["its own result"] += 1
        except (pausable.EngineError, TimeoutError) as exc:
            outcomes[type(exc).__name__] += 1
        ended[number] += 1

    threads_before = threading.active_count()
    begin = time.perf_counter()
    for _ in pausable.map(one, range(count), jobs=2 * IN_FLIGHT, as_completed=True):
        pass
    took_s = time.perf_counter() - begin
    check("ended once", ended == dict.fromkeys(range(count), 1), True)
    stats, pool = guarded.stats(), pausable.thread_pool().stats()
    check("left in the guard", (stats.in_flight, stats.waiting, guarded.pending), (0, 0, 0))
    check("left in the pool", (pool.paused, pool.running), (0, 0))
    # What was lost was given up when it had taken too long.
    check("left in the engine", engine.pending, 0)
    guarded.close()
    engine.close()
    executor.shutdown()
    check("threads", threading.active_count() <= threads_before + 1, True)  # the timer's
    print(f"{count:,} operations in {took_s:.1f} s: {dict(outcomes)}")
    print(f"  {engine.counts}")
    print(f"  {stats.retries} retries, {stats.timeouts} timeouts; {verdict(not wrong)}")
    return {"outcomes": outcomes, "faults": engine.counts, "took_s": took_s}


# -- the program -----------------------------------------------------------------------------------

PARTS = {"overhead": overhead, "dask": dask, "batch": batch, "faults": faults}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for part in PARTS:
        parser.add_argument(f"--{part}", action="store_true", help=f"the {part} part")
    parser.add_argument("--quick", action="store_true", help="fewer of everything")
    parser.add_argument("--json", type=Path, help="write the results to a file as well")
    options = parser.parse_args()
    print(f"CPython {platform.python_version()}, {os.cpu_count()} cores\n")
    results: dict = {}
    asked = [part for part in PARTS if getattr(options, part)]
    for part in asked or PARTS:
        results[part] = PARTS[part](options.quick)
        print(flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))
    for what in wrong[:10]:
        print(f"WRONG RESULT: {what}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
