"""`pausable speed`, from the wish to the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pausable.cli._exit import FAILED
from pausable.cli._interrupt import ctrl_c_calls
from pausable.cli._options import EngineOptions
from pausable.cli._output import say
from pausable.cli.speed._algorithms import algorithms
from pausable.cli.speed._export import as_csv, as_json
from pausable.cli.speed._measurement import Failure
from pausable.cli.speed._place import Place, open_place
from pausable.cli.speed._progress import SpeedProgress
from pausable.cli.speed._report import Report
from pausable.cli.speed._result import Result
from pausable.cli.speed._steps import measure_step, plan, sweep_jobs
from pausable.cli.speed._table import as_table
from pausable.cli.speed._watchdog import Errand, Stopped, Watchdog

__all__ = ["Wish", "measure_all", "measure_and_report"]

_FORMS = {"json": as_json, "csv": as_csv, "table": as_table}


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    names: Sequence[str]
    sizes_bytes: Sequence[int]
    engine: EngineOptions
    jobs: int
    #: Of each measurement.
    seconds: float
    sweep: bool
    compare: bool
    stuck_after_s: float
    #: json, csv or table.
    form: str
    plot: Path | None


def measure_and_report(wish: Wish) -> int:
    """Measure, print what there is, and return the exit code.

    Raises:
        Refusal: it cannot be measured, or plotted.
    """
    plot = None
    if wish.plot is not None:
        from pausable.cli.speed._plot import Plot  # what it needs may be missing

        plot = Plot(wish.plot)
    watchdog = Watchdog(wish.stuck_after_s + wish.engine.latency_s)
    with watchdog, ctrl_c_calls(watchdog.interrupt), ExitStack() as stack:
        with watchdog.watching(Errand(f"engine {wish.engine.name}: to open it")):
            place = stack.enter_context(open_place(wish.engine, watchdog))
        report = measure_all(wish, place, watchdog)
        code = watchdog.code if watchdog.stopped.is_set() else FAILED if report.failure else 0
        # Now, for to let go of what does not answer may take for ever.
        if report.results or not code:
            say(_FORMS[wish.form](report))
            if plot is not None and not plot.save(report):
                code = code or FAILED
        with watchdog.watching(Errand(f"engine {wish.engine.name}: to close it")):
            stack.close()
    return code


def measure_all(wish: Wish, place: Place, watchdog: Watchdog) -> Report:
    """Measure what is wished for, as far as that goes; say on stderr what goes wrong."""
    counts = sweep_jobs(wish.jobs) if wish.sweep else [wish.jobs]
    results: list[Result] = []
    failure = None
    steps = plan(algorithms(wish.names, wish.sizes_bytes), counts, compare=wish.compare)
    with SpeedProgress(len(steps)) as progress:
        try:
            for step in steps:
                progress.show(len(results), step.title)
                results.append(measure_step(step, place, wish.seconds, watchdog))
        except Stopped:
            failure = watchdog.why
        except Failure as exc:
            failure = f"{step.title}: {exc}"
    if failure is not None:
        say(f"pausable: {failure}", err=True)
    if watchdog.interrupted:
        say(
            f"pausable: interrupted; {len(results)} of {len(steps)} measurements were made",
            err=True,
        )
    return Report(results, wish.engine, wish.seconds, wish.sweep, watchdog.interrupted, failure)
