"""Figures about jobs for Prometheus; needs `pip install 'pausable[prometheus]'`.

    REGISTRY.register(pausable.prometheus.Collector())

* `pausable_jobs_started_total`, `pausable_jobs_finished_total{outcome}`: jobs that started, and
  ended (returned, raised or cancelled), since the collector was made.
* `pausable_jobs_paused`: jobs that are paused now, of all pools of all threads.
* `pausable_pool_size`, `pausable_pool_idle`: call stacks that exist, and that serve no job now.
* `pausable_stack_mapped_bytes`, `pausable_stack_resident_bytes`: their address space and memory
  (see `PoolStats`).
* `pausable_pause_seconds`: a histogram of how long jobs were paused, each pause by itself.
"""

from __future__ import annotations

from _thread import RLock
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from math import inf
from typing import Any, Final
from weakref import WeakKeyDictionary

from pausable import Job, add_hooks, remove_hooks
from pausable._clock import monotonic
from pausable._pool import all_pools

try:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector as _Collector
    from prometheus_client.utils import floatToGoString
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "pausable.prometheus needs prometheus-client: pip install 'pausable[prometheus]'",
        name=exc.name,
    ) from exc

__all__ = ["BUCKETS_S", "Collector"]

#: From a completion that was nearly there to a service that is nearly down.
BUCKETS_S: Final = (0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Collector(_Collector):
    """Counts from now on; register it with a registry, or ask `collect()`.

    It keeps no job alive. A job that is under way when it is made counts as paused while it is,
    and never as started or finished. One that was lost while it was paused adds no pause time.

    Args:
        buckets_s: upper bounds of the histogram, in seconds, rising.

    Raises:
        ValueError: the bounds do not rise, or there are none.
    Threads: any.
    """

    def __init__(self, *, buckets_s: Iterable[float] = BUCKETS_S) -> None:
        given = list(buckets_s)
        self._bounds = [float(bound) for bound in given if bound != inf]
        if not self._bounds or sorted(set(self._bounds)) != self._bounds:
            raise ValueError(f"buckets_s has to have bounds, each above the last, not {given}")
        # Reentrant: a signal handler may run jobs, also while this thread counts.
        self._lock = RLock()
        self._started = 0
        self._finished = {"returned": 0, "raised": 0, "cancelled": 0}
        self._buckets = [0] * (len(self._bounds) + 1)
        self._sum_s = 0.0
        self._paused_at: WeakKeyDictionary[Job[Any], float] = WeakKeyDictionary()
        add_hooks(self)

    # -- hooks -----------------------------------------------------------------------------------

    def on_start(self, _job: Job[Any]) -> None:
        """Count a start."""
        with self._lock:
            self._started += 1

    def on_pause(self, job: Job[Any]) -> None:
        """Note when it paused."""
        self._paused_at[job] = monotonic()

    def on_resume(self, job: Job[Any]) -> None:
        """Count the pause that is over."""
        since = self._paused_at.pop(job, None)
        if since is None:
            return  # it was lost, and has a new handle
        paused_s = monotonic() - since
        with self._lock:
            self._buckets[bisect_left(self._bounds, paused_s)] += 1
            self._sum_s += paused_s

    def on_finish(self, job: Job[Any]) -> None:
        """Count an end."""
        outcome = "returned"
        if job.exception() is not None:
            outcome = "cancelled" if job.cancelled() else "raised"
        with self._lock:
            self._finished[outcome] += 1

    # -- for the registry --------------------------------------------------------------------------

    def collect(self) -> Iterator[Metric]:
        """Return the figures as they are now."""
        with self._lock:
            started, finished = self._started, dict(self._finished)
            cumulated, sum_s = list(accumulate(self._buckets)), self._sum_s
        pools = [pool.stats() for pool in all_pools()]
        yield CounterMetricFamily("pausable_jobs_started", "Jobs that were started.", value=started)
        ended = CounterMetricFamily(
            "pausable_jobs_finished", "Jobs that have ended.", labels=["outcome"]
        )
        for outcome, count in finished.items():
            ended.add_metric([outcome], count)
        yield ended
        for name, text, value in (
            ("pausable_jobs_paused", "Jobs that are paused now.", sum(p.paused for p in pools)),
            ("pausable_pool_size", "Call stacks in all pools.", sum(p.size for p in pools)),
            ("pausable_pool_idle", "Call stacks that serve no job.", sum(p.idle for p in pools)),
            (
                "pausable_stack_mapped_bytes",
                "Address space of call stacks.",
                sum(p.mapped_bytes for p in pools),
            ),
            (
                "pausable_stack_resident_bytes",
                "Memory of call stacks.",
                sum(p.resident_bytes for p in pools),
            ),
        ):
            yield GaugeMetricFamily(name, text, value=value)
        bounds = [*map(floatToGoString, self._bounds), "+Inf"]
        yield HistogramMetricFamily(
            "pausable_pause_seconds",
            "How long jobs were paused, each pause by itself.",
            buckets=list(zip(bounds, cumulated, strict=True)),
            sum_value=sum_s,
        )

    # -- end -------------------------------------------------------------------------------------

    def close(self) -> None:
        """Count no jobs that are started from now on.

        Unregister it first. Closing twice does nothing.
        """
        try:
            remove_hooks(self)
        except ValueError:  # it was closed
            pass

    def __enter__(self) -> Collector:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
