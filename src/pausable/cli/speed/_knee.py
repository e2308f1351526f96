"""The knee: from how many jobs on more of them bring little."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["KNEE_SHARE", "Knee", "find_knee"]

#: Of the best throughput. Runs of a second differ by a few per cent: what is nearer to the best
#: than this may be luck.
KNEE_SHARE: Final = 0.9


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


def find_knee(per_s: Mapping[int, float]) -> Knee:
    """Return the knee of a curve.

    Args:
        per_s: operations per second, by number of jobs; not empty.
    """
    best_jobs = max(per_s, key=lambda jobs: (per_s[jobs], -jobs))
    best = per_s[best_jobs]
    jobs = min(jobs for jobs, reached in per_s.items() if reached >= KNEE_SHARE * best)
    return Knee(jobs, per_s[jobs], best_jobs, best)
