"""What was measured, in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = [
    "WAYS",
    "Figures",
    "Knee",
    "Result",
    "at_jobs",
    "cases",
    "find_knee",
    "knee_of",
    "times_as_fast",
]

#: Ways to have operations done, and what they are called. The first one is what is measured, the
#: others are what it is compared with.
WAYS: Final = {
    "pausable": "pausable jobs",
    "blocking": "blocking, one by one",
    "thread": "a thread per operation",
    "to_thread": "asyncio.to_thread",
    "to_thread_wide": "asyncio.to_thread, wide",
}


#: Of the best throughput. Runs of a second differ by a few per cent: what is nearer to the best
#: than this may be luck.
_KNEE_SHARE: Final = 0.9


@dataclass(frozen=True)
class Figures:
    """How fast operations were done."""

    operations: int
    elapsed_s: float
    p50_s: float
    p99_s: float
    #: The longest time by which the event loop was late meanwhile.
    stall_s: float
    #: The most jobs that were paused at once; None: there were no jobs.
    most_paused: int | None

    @classmethod
    def of(
        cls,
        durations_s: Sequence[float],
        elapsed_s: float,
        stall_s: float,
        most_paused: int | None,
    ) -> Figures:
        """Return those of operations that took so long each, at least one."""
        ordered = sorted(durations_s)
        p50_s, p99_s = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.99))
        return cls(len(ordered), elapsed_s, p50_s, p99_s, stall_s, most_paused)

    @property
    def per_s(self) -> float:
        """Operations per second."""
        return self.operations / self.elapsed_s


@dataclass(frozen=True)
class Result:
    """What became of one measurement."""

    algorithm: str
    size_bytes: int | None
    #: At once.
    jobs: int
    #: A key of WAYS.
    way: str
    #: Or why there are none: the system has no more threads, say.
    figures: Figures | str

    @property
    def case(self) -> tuple[str, int | None]:
        """What was measured."""
        return self.algorithm, self.size_bytes

    @property
    def title(self) -> str:
        """What was measured, for people."""
        return self.algorithm + (f" {self.size_bytes} B" if self.size_bytes is not None else "")

    @property
    def per_s(self) -> float | None:
        """Operations per second, if there were any."""
        return None if isinstance(self.figures, str) else self.figures.per_s

    @property
    def mb_per_s(self) -> float | None:
        """Megabytes, of 1,000,000 bytes, per second."""
        if self.per_s is None or self.size_bytes is None:
            return None
        return self.per_s * self.size_bytes / 1e6


@dataclass(frozen=True)
class Knee:
    """The smallest number of jobs that reaches 90 % of the best throughput."""

    jobs: int
    per_s: float
    best_jobs: int
    best_per_s: float

    @property
    def share(self) -> float:
        """Of the best throughput."""
        return self.per_s / self.best_per_s


def cases(results: Sequence[Result]) -> list[list[Result]]:
    """Return the results of each case, in order."""
    found: dict[tuple[str, int | None], list[Result]] = {}
    for result in results:
        found.setdefault(result.case, []).append(result)
    return list(found.values())


def at_jobs(results: Sequence[Result], jobs: int) -> dict[str, Result]:
    """Return the results of one case with so many jobs, by way; blocking is always the same."""
    return {
        result.way: result for result in results if result.jobs == jobs or result.way == "blocking"
    }


def times_as_fast(result: Result, other: Result | None) -> float | None:
    """Return how many times as fast one was as the other, where both have figures."""
    if result.per_s is None or other is None or other.per_s is None:
        return None
    return result.per_s / other.per_s


def knee_of(results: Sequence[Result]) -> Knee | None:
    """Return the knee of one case, if pausable jobs were measured with several numbers."""
    curve = {
        result.jobs: result.per_s
        for result in results
        if result.way == "pausable" and result.per_s is not None
    }
    return find_knee(curve) if len(curve) > 1 else None


def find_knee(per_s: Mapping[int, float]) -> Knee:
    """Return the knee of a curve.

    Args:
        per_s: operations per second, by number of jobs; not empty.
    """
    best_jobs = max(per_s, key=lambda jobs: (per_s[jobs], -jobs))
    best = per_s[best_jobs]
    jobs = min(jobs for jobs, reached in per_s.items() if reached >= _KNEE_SHARE * best)
    return Knee(jobs, per_s[jobs], best_jobs, best)
