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
import statistics
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from _program import expect, parser_of, run
from _results import Results, Table, ratio_of

import pausable
from pausable.engines import BatchEngine, ExecutorEngine, Retry, guard
from pausable.testing import FaultEngine

IN_FLIGHT = 64
GOAL_OVERHEAD = 1.3
FIXED_S = 0.005
OFFERED_PER_S = 1000
GOAL_P50_MS = 15.0
GOAL_LONE = 1.2


def check(what: str, value: object, expected: object) -> None:
    expect(value == expected, f"{what}: {value!r}, not {expected!r}")


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


def in_rounds(
    variants: dict[str, Callable[[], object]], count: int, rounds: int
) -> dict[str, list[float]]:
    """Return ns per operation of each variant in each round."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, variant in variants.items():
            gc.collect()
            begin = time.perf_counter()
            check(name, variant(), list(range(count)))
            times[name].append((time.perf_counter() - begin) / count * 1e9)
    return times


def compare(table: Table, what: str, bare, ours, count: int, rounds: int, goal: float) -> None:
    times = in_rounds({"bare": bare, "engine": ours}, count, rounds)
    for who, figures in times.items():
        ratio = ratio_of(figures, times["bare"], of="median")
        table.add(what, who, figures, ratio, f"<= {goal:g}" if who == "engine" else None)


def engine_table(results: Results, title: str, note: str = "") -> Table:
    return results.table(
        title, ratio="its cost / without an engine", worse="higher", figure="median", note=note
    )


def pairs(table: Table, label: str, executor, fn, count: int, rounds: int) -> None:
    with ExecutorEngine(executor) as engine:
        compare(
            table, f"{label}, submit and result",
            lambda: windowed(executor.submit, fn, count),
            lambda: windowed(engine.submit, fn, count),
            count, rounds, GOAL_OVERHEAD,
        )  # fmt: skip
        compare(
            table, f"{label}, in jobs",
            lambda: in_jobs(lambda n: pausable.wait_for(executor.submit(fn, n)), count),
            lambda: in_jobs(lambda n: engine.call(fn, n), count),
            count, rounds, GOAL_OVERHEAD,
        )  # fmt: skip


def overhead(options: argparse.Namespace, results: Results) -> None:
    rounds, count = (5, 1000) if options.quick else (9, 4000)
    table = engine_table(results, f"an operation, {IN_FLIGHT} in flight")
    with ThreadPoolExecutor(4) as threads:
        pairs(table, "4 threads, no work", threads, nothing, count, rounds)
    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        pairs(table, "64 threads, 1 ms of waiting", threads, one_ms, count, rounds)
    with ProcessPoolExecutor(2) as processes:
        pairs(table, "2 processes, no work", processes, nothing, count // 2, rounds)


def dask(options: argparse.Namespace, results: Results) -> None:
    try:
        import distributed
    except ImportError as exc:
        results.absent["dask"] = str(exc)
        return
    rounds, count = (3, 300) if options.quick else (5, 1000)
    cluster_options = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": "127.0.0.1:0"}
    with (
        distributed.LocalCluster(**cluster_options, host="127.0.0.1", silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        table = engine_table(
            results, f"dask, {IN_FLIGHT} in flight", "Bare is dask's own client or executor."
        )
        executor = client.get_executor()

        def submit(fn, number):
            return client.submit(fn, number, pure=False)

        with ExecutorEngine(client) as engine:
            compare(
                table, "its client, submit and result",
                lambda: windowed(submit, nothing, count),
                lambda: windowed(engine.submit, nothing, count),
                count, rounds, GOAL_OVERHEAD,
            )  # fmt: skip
            compare(
                table, "its executor, in jobs",
                lambda: in_jobs(lambda n: pausable.wait_for(executor.submit(nothing, n)), count),
                lambda: in_jobs(lambda n: engine.call(nothing, n), count),
                count, rounds, GOAL_OVERHEAD,
            )  # fmt: skip


# -- batches ---------------------------------------------------------------------------------------


def fixed_cost_many(numbers):
    time.sleep(FIXED_S)
    return numbers


def fixed_cost(number):
    time.sleep(FIXED_S)
    return number


async def offered(call, seconds: float) -> list[float]:
    """Offer requests at a fixed rate for a while; return how long each took, in ns."""
    took: list[float] = []

    async def one(number: int, due: float) -> None:
        check("offered", await pausable.run(call, number), number)
        took.append((time.perf_counter() - due) * 1e9)

    begin = time.perf_counter()
    tasks = set()
    for number in range(int(OFFERED_PER_S * seconds)):
        due = begin + number / OFFERED_PER_S
        if due > time.perf_counter():
            await asyncio.sleep(due - time.perf_counter())
        tasks.add(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)
    return took


def batch(options: argparse.Namespace, results: Results) -> None:
    seconds = 1.0 if options.quick else 5.0
    one_at_a_time = ThreadPoolExecutor(1)
    table = results.table(f"{OFFERED_PER_S:,} requests a second, 5 ms a call")
    with ExecutorEngine(one_at_a_time) as plain:
        took = {"one at a time": asyncio.run(offered(lambda n: plain.call(fixed_cost, n), seconds))}
    with BatchEngine(fixed_cost_many, max_batch=100) as engine:
        took["BatchEngine"] = asyncio.run(offered(engine.call, seconds))
        stats = engine.stats()
    one_at_a_time.shutdown()
    ours = statistics.quantiles(took["BatchEngine"], n=100)
    for who, figures in took.items():
        cuts = statistics.quantiles(figures, n=100)
        for what, cut in (("p50", 49), ("p99", 98)):
            table.add(who, what, [cuts[cut]], ratio_of([cuts[cut]], [ours[cut]]))
    table.note = (
        f"For {seconds:g} s, whether it keeps up or not; BatchEngine made {stats.batches} calls of"
        f" {stats.requests / stats.batches:.1f} requests each. Aimed at: p50 < {GOAL_P50_MS:g} ms."
    )
    lone(20 if options.quick else 100, results)


def lone(count: int, results: Results) -> None:
    """Time requests that come one after the other, with a batch engine and without."""
    with ExecutorEngine() as plain, BatchEngine(fixed_cost_many, max_batch=100) as batches:

        def one_by_one(call):
            return pausable.run_blocking(lambda: [call(n) for n in range(count)])

        compare(
            engine_table(results, "a lone request", "Bare is an ExecutorEngine."), "5 ms of work",
            lambda: one_by_one(lambda n: plain.call(fixed_cost, n)),
            lambda: one_by_one(batches.call), count, 5, GOAL_LONE,
        )  # fmt: skip


# -- faults ----------------------------------------------------------------------------------------


def faults(options: argparse.Namespace, results: Results) -> None:
    count = 1000 if options.quick else 10_000
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
    table = results.table(
        "operations of a faulty engine", unit="", worse=None, plot=None,
        note=f"{count:,} operations in {took_s:.1f} s, {stats.retries} retries, {stats.timeouts}"
        " timeouts; each ended once, and nothing was left.",
    )  # fmt: skip
    for outcome, number in outcomes.items():
        table.add(outcome, "operations", [number])
    for fault, number in engine.counts.items():
        table.add(f"fault: {fault}", "operations", [number])


# -- the program -----------------------------------------------------------------------------------


def main() -> int:
    parts = {"overhead": overhead, "dask": dask, "batch": batch, "faults": faults}
    return run("engines", parser_of(__doc__, parts), parts)


if __name__ == "__main__":
    sys.exit(main())
