"""What a run of `pausable speed` found; as JSON and CSV, for machines."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pausable import __version__
from pausable.cli._options import EngineOptions
from pausable.cli.speed._result import Result, at_jobs, cases, knee_of, times_as_fast

__all__ = ["Report", "as_csv", "as_json", "cores"]

#: Packages that operations go through.
_PACKAGES = ("greenlet", "cryptography", "distributed")

_COLUMNS = (
    "algorithm", "bytes", "way", "jobs", "operations", "elapsed_s", "operations_per_s",
    "mb_per_s", "p50_ms", "p99_ms", "longest_stall_ms", "most_paused_at_once",
    "times_blocking", "failure",
)  # fmt: skip


@dataclass
class Report:
    """What there is to tell."""

    engine: EngineOptions
    #: Of each measurement.
    seconds: float
    sweep: bool
    #: How many measurements were to be made.
    wished: int = 0
    results: list[Result] = field(default_factory=list)
    #: By Ctrl-C.
    interrupted: bool = False
    #: Why it ended before its end, but for Ctrl-C.
    failure: str | None = None

    @property
    def conditions(self) -> str:
        """How it was measured, for people."""
        latency = f", {self.engine.latency_s * 1000:g} ms latency" if self.engine.latency_s else ""
        return (
            f"engine {self.engine.name}{latency}, {self.seconds:g} s for each measurement; Python"
            f" {platform.python_version()}, {cores()} cores"
        )


def cores() -> int:
    """Return how many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def as_json(report: Report) -> str:
    """Return the report as one object; docs/reference/cli.md has its keys."""
    found = cases(report.results)
    return json.dumps(
        {
            "versions": _versions(),
            "engine": report.engine.name,
            "workers": report.engine.workers,
            "latency_ms": report.engine.latency_s * 1000,
            "seconds": report.seconds,
            "sweep": report.sweep,
            "interrupted": report.interrupted,
            "failure": report.failure,
            "results": [row for case in found for row in _rows(case)],
            "knees": [knee for case in found for knee in _knees(case)],
        },
        indent=2,
    )


def as_csv(report: Report) -> str:
    """Return a line for each result; what is not known is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for case in cases(report.results):
        writer.writerows(_rows(case))
    return text.getvalue().rstrip("\n")


def _rows(case: Sequence[Result]) -> Iterator[dict[str, Any]]:
    blocking = at_jobs(case, 0).get("blocking")
    for result in case:
        known = (result.algorithm, result.size_bytes, result.way, result.jobs)
        figures = result.figures
        if isinstance(figures, str):
            values: tuple[Any, ...] = (None,) * (len(_COLUMNS) - len(known) - 1) + (figures,)
        else:
            values = (
                figures.operations,
                round(figures.elapsed_s, 6),
                round(figures.per_s, 3),
                _rounded(result.mb_per_s, 3),
                round(figures.p50_s * 1000, 4),
                round(figures.p99_s * 1000, 4),
                round(figures.stall_s * 1000, 3),
                figures.most_paused,
                _rounded(times_as_fast(result, blocking), 3),
                None,
            )
        yield dict(zip(_COLUMNS, (*known, *values), strict=True))


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _knees(case: Sequence[Result]) -> Iterator[dict[str, Any]]:
    knee = knee_of(case)
    if knee is not None:
        yield {
            "algorithm": case[0].algorithm,
            "bytes": case[0].size_bytes,
            "jobs": knee.jobs,
            "operations_per_s": round(knee.per_s, 3),
            "share_of_best": round(knee.share, 4),
            "best_jobs": knee.best_jobs,
            "best_operations_per_s": round(knee.best_per_s, 3),
        }


def _versions() -> dict[str, Any]:
    """Return what was measured on."""
    from importlib.metadata import PackageNotFoundError, version
    from ssl import OPENSSL_VERSION

    from cryptography.hazmat.backends.openssl import backend

    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            pass
    return {
        "pausable": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "cores": cores(),
        "openssl": {
            "of_cryptography": backend.openssl_version_text(),
            "of_python": OPENSSL_VERSION,
        },
        "packages": packages,
    }
