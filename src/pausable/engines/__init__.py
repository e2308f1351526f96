"""Engines do slow work elsewhere, while the job that wants it is paused.

    engine = ExecutorEngine(ThreadPoolExecutor(64))
    signature = engine.call(slow_sign, digest)  # pauses in a job, blocks outside

* `ExecutorEngine`: any executor of `concurrent.futures`: threads, processes, loky; dask clusters.
* `CoroutineEngine`: any `async def`.
* `BatchEngine`: requests of many paused jobs, executed together.
* `guard`: limits, time limits, retries, a circuit breaker and a fallback around any of them.
* `Engine`: the base of your own.

The how-to pages "Engines" and "Write an engine" say how to choose and how to write one.
"""

from pausable.engines._batch import BatchEngine, BatchStats
from pausable.engines._breaker import Breaker
from pausable.engines._checks import Submits
from pausable.engines._coroutine import CoroutineEngine
from pausable.engines._engine import Engine
from pausable.engines._executor import ExecutorEngine
from pausable.engines._guard import GuardedEngine, GuardStats, guard
from pausable.engines._retry import Retry
from pausable.engines._ticket import Ticket

__all__ = [
    "BatchEngine",
    "BatchStats",
    "Breaker",
    "CoroutineEngine",
    "Engine",
    "ExecutorEngine",
    "GuardStats",
    "GuardedEngine",
    "Retry",
    "Submits",
    "Ticket",
    "guard",
]
