"""Results as JSON and CSV, for machines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from pausable.cli.speed._report import Report, versions
from pausable.cli.speed._result import Result, at_jobs, cases, knee_of, times_as_fast

__all__ = ["as_csv", "as_json"]

_COLUMNS = (
    "algorithm", "bytes", "way", "jobs", "operations", "elapsed_s", "operations_per_s",
    "mb_per_s", "p50_ms", "p99_ms", "longest_stall_ms", "most_paused_at_once",
    "pausable_is_times_as_fast", "failure",
)  # fmt: skip


def as_json(report: Report) -> str:
    """Return the report as one object; docs/cli.md has its keys."""
    knees = [
        {
            "algorithm": case[0].algorithm,
            "bytes": case[0].size_bytes,
            "jobs": knee.jobs,
            "operations_per_s": round(knee.per_s, 3),
            "share_of_best": round(knee.share, 4),
            "best_jobs": knee.best_jobs,
            "best_operations_per_s": round(knee.best_per_s, 3),
        }
        for case in cases(report.results)
        if (knee := knee_of(case)) is not None
    ]
    return json.dumps(
        {
            "versions": versions(),
            "engine": report.engine.name,
            "workers": report.engine.workers,
            "latency_ms": report.engine.latency_s * 1000,
            "seconds": report.seconds,
            "sweep": report.sweep,
            "interrupted": report.interrupted,
            "failure": report.failure,
            "results": list(_rows(report)),
            "knees": knees,
        },
        indent=2,
    )


def as_csv(report: Report) -> str:
    """Return a line for each result; what is not known is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rows(report))
    return text.getvalue().rstrip("\n")


def _rows(report: Report) -> Iterator[dict[str, Any]]:
    for case in cases(report.results):
        for result in case:
            yield dict(zip(_COLUMNS, _values(result, case), strict=True))


def _values(result: Result, case: list[Result]) -> tuple[Any, ...]:
    figures, known = result.figures, (result.algorithm, result.size_bytes, result.way, result.jobs)
    if isinstance(figures, str):
        return (*known, *[None] * (len(_COLUMNS) - len(known) - 1), figures)
    ours = at_jobs(case, result.jobs).get("pausable")
    times = None if result.way == "pausable" else times_as_fast(ours, result)
    return (
        *known,
        figures.operations,
        round(figures.elapsed_s, 6),
        round(figures.per_s, 3),
        None if result.mb_per_s is None else round(result.mb_per_s, 3),
        round(figures.p50_s * 1000, 4),
        round(figures.p99_s * 1000, 4),
        round(figures.stall_s * 1000, 3),
        figures.most_paused,
        None if times is None else round(times, 3),
        None,
    )
