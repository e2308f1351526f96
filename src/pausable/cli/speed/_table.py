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

_HEAD: Final = ("ops/s", "MB/s", "jobs are", "p50 ms", "p99 ms", "paused", "stall ms")

#: Columns of a sweep's table that tell of a way other than jobs.
_PEERS: Final = {"thread": "thread each", "to_thread": "to_thread", "to_thread_wide": "wide"}


def as_table(report: Report) -> str:
    """Return the report in lines."""
    found = cases(report.results)
    if not found:
        return "nothing has been measured"
    parts = [_sweep_table(case) for case in found] if report.sweep else [_table(found)]
    return "\n\n".join([f"pausable speed: {report.conditions}", *parts, _legend(report)])


def _table(found: Sequence[list[Result]]) -> str:
    """Return a table with a line for each way, and a heading for each case."""
    rows: list[Sequence[str]] = []
    with_sizes = any(case[0].size_bytes is not None for case in found)
    head = [name for name in _HEAD if name != "MB/s" or with_sizes]
    for case in found:
        jobs = max(result.jobs for result in case)
        ways = at_jobs(case, jobs)
        ours = ways.get("pausable")
        rows.append([f"{case[0].title}, {jobs} {'jobs' if jobs > 1 else 'job'}"])
        for way in WAYS:
            if way in ways:
                cells = _cells(ways[way], ours)
                rows.append([f"  {_label(way)}", *(cells[name] for name in head if name in cells)])
    return _aligned([["", *head], *rows])


def _cells(result: Result, ours: Result | None) -> dict[str, str]:
    figures = result.figures
    if isinstance(figures, str):
        return {"ops/s": "failed"}
    times = None if result is ours else times_as_fast(ours, result)
    return {
        "ops/s": _number(figures.per_s),
        "MB/s": "" if result.mb_per_s is None else _number(result.mb_per_s),
        "jobs are": "" if times is None else f"{times:.2f}x",
        "p50 ms": _number(figures.p50_s * 1000),
        "p99 ms": _number(figures.p99_s * 1000),
        "paused": "-" if figures.most_paused is None else str(figures.most_paused),
        "stall ms": _number(figures.stall_s * 1000),
    }


def _sweep_table(case: list[Result]) -> str:
    """Return a table with a line for each number of jobs."""
    knee = knee_of(case)
    counts = sorted({result.jobs for result in case if result.way == "pausable"})
    measured = {result.way for result in case}
    peers = [way for way in _PEERS if way in measured]
    above = ["", "pausable jobs", "", "", "", ""]
    head = ["jobs", "ops/s", "p50 ms", "p99 ms", "paused", "stall ms"]
    if "blocking" in measured:
        above.append("blocking")
        head.append("jobs are")
    for way in peers:
        above += [_PEERS[way], ""]
        head += ["jobs are", "stall ms"]
    rows: list[Sequence[str]] = []
    for jobs in counts:
        ways = at_jobs(case, jobs)
        ours = ways["pausable"]
        cells = _cells(ours, ours)
        row = [str(jobs), *(cells.get(name, "") for name in head[1:6])]
        if "blocking" in measured:
            row.append(_cells(ways["blocking"], ours).get("jobs are", "failed"))
        for way in peers:
            other = _cells(ways[way], ours) if way in ways else {}
            row += [other.get("jobs are", other.get("ops/s", "")), other.get("stall ms", "")]
        if knee is not None and jobs == knee.jobs:
            row.append("<- knee")
        rows.append(row)
    lines = [case[0].title, _aligned([above, head, *rows], left=0)]
    blocking = at_jobs(case, 0).get("blocking")
    if blocking is not None and isinstance(blocking.figures, Figures):
        lines.append(
            f"Blocking, one by one: {_number(blocking.figures.per_s)} ops/s, and the loop stalls"
            f" for {_number(blocking.figures.stall_s * 1000)} ms."
        )
    if knee is not None:
        lines.append(
            f"Knee: {knee.jobs} jobs do {_number(knee.per_s)} ops/s, {knee.share:.0%} of the best"
            f" ({_number(knee.best_per_s)}, with {knee.best_jobs})."
        )
    return "\n".join(lines)


def _legend(report: Report) -> str:
    lines = ["jobs are: so many times as fast; paused: the most jobs at once; stall: the longest"]
    lines[0] += " time by which the event loop was late."
    if any(result.way == "to_thread" for result in report.results):
        lines.append(
            f"asyncio.to_thread has {DEFAULT_THREADS} threads by default; wide: as many as the"
            " engine, or as there are jobs."
        )
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
