"""A plan carried out: progress, report, exit code."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pausable.cli._exit import FAILED, INTERRUPTED
from pausable.cli._interrupt import ctrl_c_calls
from pausable.cli._key_engine import KeyEngine
from pausable.cli._outcome import Outcome, count
from pausable.cli._output import say
from pausable.cli._plan import Plan, Task
from pausable.cli._progress import make_progress
from pausable.cli._run import Run

__all__ = ["Words", "carry_out", "trips_of"]


@dataclass(frozen=True)
class Words:
    """What a command calls things."""

    doing: str
    item: str
    result: str
    #: How items may end; the first is what was asked for.
    ends: Sequence[str]


def carry_out(
    plan: Plan,
    handle: Callable[[Task], Outcome],
    run: Run,
    engine: KeyEngine,
    words: Words,
    *,
    key: str,
    began: float,
    as_json: bool,
) -> int:
    """Handle what was planned, tell what becomes of it, and return the exit code.

    Args:
        plan: what is to be done.
        handle: called in a job for each task.
        run: whose jobs they are.
        engine: what they use.
        words: for the report.
        key: what the key is called.
        began: when, on the monotonic clock.
        as_json: whether the report is to be in JSON.
    """
    outcomes: list[Outcome] = []
    total = len(plan.tasks) + len(plan.left_out)
    with (
        ctrl_c_calls(run.stop),
        make_progress(words.doing, total, quiet=as_json) as progress,
    ):

        def report(outcome: Outcome) -> None:
            outcomes.append(outcome)
            progress.show(outcome)

        for outcome in plan.left_out:
            report(outcome)
        run.each(handle, plan.tasks, report)
    elapsed_s = time.monotonic() - began
    if as_json:
        say(_json_report(run, engine, outcomes, elapsed_s, words, key))
    elif not run.interrupted:
        say(_summary(run, engine, outcomes, elapsed_s, words))
    if run.interrupted:
        done = words.ends[0]
        say(
            f"pausable: interrupted; {count(outcomes, done)} {words.item}s were {done}; run it"
            " again to go on",
            err=True,
        )
        return INTERRUPTED
    return FAILED if any(outcome.bad for outcome in outcomes) else 0


def trips_of(engine: KeyEngine) -> str:
    """Say how full the trips to the key were, if any could have more than one operation."""
    fill = engine.fill()
    if engine.batch == 1 or not fill:
        return ""
    trips = sum(fill.values())
    mean = sum(size * times for size, times in fill.items()) / trips
    return f"; {trips} trips to the key, {mean:.1f} of at most {engine.batch} in each"


def _summary(
    run: Run, engine: KeyEngine, outcomes: list[Outcome], elapsed_s: float, words: Words
) -> str:
    counts = ", ".join(f"{count(outcomes, end)} {end}" for end in words.ends)
    paused = f"; up to {run.most_paused} paused at once" if run.most_paused else ""
    return (
        f"{len(outcomes)} {words.item}s: {counts}, in {elapsed_s:.2f} s, on one thread{paused}"
        f"{trips_of(engine)}"
    )


def _json_report(
    run: Run,
    engine: KeyEngine,
    outcomes: list[Outcome],
    elapsed_s: float,
    words: Words,
    key: str,
) -> str:
    """Return the report; a file name's undecodable bytes are lone surrogates (PEP 383)."""
    items: list[dict[str, Any]] = [
        {
            words.item: str(outcome.path),
            "outcome": outcome.what,
            words.result: None if outcome.target is None else str(outcome.target),
            "reason": outcome.reason,
        }
        for outcome in outcomes
    ]
    return json.dumps(
        {
            **{end: count(outcomes, end) for end in words.ends},
            "interrupted": run.interrupted,
            "key": key,
            "jobs": run.jobs,
            "engine": engine.kind,
            "most_paused_at_once": run.most_paused,
            "threads_running_jobs": len(run.threads),
            "operations_per_trip": engine.fill(),
            "elapsed_s": round(elapsed_s, 6),
            f"{words.item}s": items,
        },
        indent=2,
    )
