"""Results as a table, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pausable.cli.speed._report import Report
from pausable.cli.speed._result import (
    WAYS,
    Figures,
    Result,
    at_jobs,
    cases,
    knee_of,
    times_as_fast,
)
from pausable.cli.speed._ways import DEFAULT_THREADS

__all__ = ["as_table"]

_HEAD: Final = ("ops/s", "MB/s", "x blocking", "p50 ms", "p99 ms", "paused", "stall ms")

#: What ways are called in the head of a sweep's table.
_SHORT: Final = {
    "pausable": "pausable",
    "thread": "threads",
    "to_thread": "to_thread",
    "to_thread_wide": "wide",
}


def as_table(report: Report) -> str:
    """Return the report in lines."""
    found = cases(report.results)
    parts = [_sweep_table(case) for case in found] if report.sweep else [_table(found)]
    return "\n\n".join([f"pausable speed: {report.conditions}", *parts, _legend(report)])


def _table(found: Sequence[list[Result]]) -> str:
    """Return a table with a line for each way, and a heading for each case."""
    rows: list[Sequence[str]] = []
    with_sizes = any(case[0].size_bytes is not None for case in found)
    compared = any(result.way == "blocking" for case in found for result in case)
    left_out = {*([] if with_sizes else ["MB/s"]), *([] if compared else ["x blocking"])}
    head = [name for name in _HEAD if name not in left_out]
    for case in found:
        jobs = max(result.jobs for result in case)
        ways = at_jobs(case, jobs)
        rows.append([f"{case[0].title}, {jobs} {'jobs' if jobs > 1 else 'job'}"])
        for way in WAYS:
            if way in ways:
                cells = _cells(ways[way], ways.get("blocking"))
                rows.append([f"  {_label(way)}", *(cells.get(name, "") for name in head)])
    return _aligned([["", *head], *rows])


def _cells(result: Result, blocking: Result | None) -> dict[str, str]:
    figures = result.figures
    if isinstance(figures, str):
        return {"ops/s": "failed"}
    times = times_as_fast(result, blocking)
    return {
        "ops/s": _number(figures.per_s),
        "MB/s": "" if result.mb_per_s is None else _number(result.mb_per_s),
        "x blocking": "" if times is None else f"{times:.2f}",
        "p50 ms": _number(figures.p50_s * 1000),
        "p99 ms": _number(figures.p99_s * 1000),
        "paused": "-" if figures.most_paused is None else str(figures.most_paused),
        "stall ms": _number(figures.stall_s * 1000),
    }


def _sweep_table(case: list[Result]) -> str:
    """Return a table with a line for each number of jobs."""
    knee = knee_of(case)
    blocking = at_jobs(case, 0).get("blocking")
    ways = [way for way in _SHORT if any(result.way == way for result in case)]
    names = [_SHORT[way] for way in ways]
    groups = (("ops/s", names), ("of jobs", ["p50 ms", "p99 ms", "paused"]), ("stall ms", names))
    above, head = [""], ["jobs"]
    for title, columns in groups:
        above += ["|", title, *[""] * (len(columns) - 1)]
        head += ["|", *columns]
    rows: list[Sequence[str]] = []
    for jobs in sorted({result.jobs for result in case if result is not blocking}):
        results = at_jobs(case, jobs)
        cells = {way: _cells(results[way], None) for way in ways if way in results}
        row = [str(jobs), "|", *(cells.get(way, {}).get("ops/s", "") for way in ways)]
        row += ["|", *(cells.get("pausable", {}).get(name, "") for name in groups[1][1])]
        row += ["|", *(cells.get(way, {}).get("stall ms", "") for way in ways)]
        if knee is not None and jobs == knee.jobs:
            row.append("<- knee")
        rows.append(row)
    lines = [case[0].title, _aligned([above, head, *rows], left=0)]
    if blocking is not None and isinstance(blocking.figures, Figures):
        lines.append(
            f"Blocking, one by one: {_number(blocking.figures.per_s)} ops/s, and the loop stalls"
            f" for {_number(blocking.figures.stall_s * 1000)} ms."
        )
    if knee is not None:
        times = (
            ""
            if blocking is None or not blocking.per_s
            else (f", {knee.per_s / blocking.per_s:.1f} times blocking")
        )
        lines.append(
            f"Knee: {knee.jobs} jobs do {_number(knee.per_s)} ops/s{times}; {knee.share:.0%} of the"
            f" best ({_number(knee.best_per_s)}, with {knee.best_jobs})."
        )
    return "\n".join(lines)


def _legend(report: Report) -> str:
    lines = [
        "paused: the most jobs at once; stall: the longest time by which the event loop was late.",
    ]
    if any(result.way == "to_thread" for result in report.results):
        lines.append(
            f"to_thread: asyncio.to_thread, with its default of {DEFAULT_THREADS} threads; wide:"
            " with as many as the engine has, or as there are jobs."
        )
    if report.sweep and any(result.way == "thread" for result in report.results):
        lines.append("threads: a new one for each operation.")
    failures = {
        f"failed: {result.title}, {WAYS[result.way]}, {result.jobs} at once: {result.figures}"
        for result in report.results
        if isinstance(result.figures, str)
    }
    return "\n".join([*lines, *sorted(failures)])


def _label(way: str) -> str:
    return f"{WAYS[way]} ({DEFAULT_THREADS} threads)" if way == "to_thread" else WAYS[way]


def _number(value: float) -> str:
    """Return two digits or more that count."""
    if value >= 100:
        return f"{value:,.0f}".replace(",", " ")
    if value >= 1:
        return f"{value:.1f}"
    return f"{value:.2g}"


def _aligned(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return lines with columns; the first `left` are aligned left, the others right.

    A row's last cell may be a note, and a heading alone in its row: these widen no column.
    """
    widths = [
        max((len(row[column]) for row in rows if len(row) > 1 and column < len(row)), default=0)
        for column in range(max(map(len, rows)))
    ]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=False))
        ).rstrip()
        for row in rows
    )
