"""A run of `pausable speed`, from the wish to the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pausable.cli._exit import FAILED, INTERRUPTED
from pausable.cli._interrupt import ctrl_c_calls
from pausable.cli._options import EngineOptions
from pausable.cli._output import say
from pausable.cli.speed._algorithms import Algorithm, algorithms
from pausable.cli.speed._measurement import Failure, Measurement, Step, WrongResult
from pausable.cli.speed._place import Place, open_place
from pausable.cli.speed._report import Report, as_csv, as_json
from pausable.cli.speed._result import WAYS, Figures, Result
from pausable.cli.speed._table import as_table
from pausable.cli.speed._watchdog import Errand, Stopped, Watchdog
from pausable.errors import EngineError

__all__ = ["Wish", "measure_all", "measure_and_report", "sweep_jobs"]

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
    report = Report(wish.engine, wish.seconds, wish.sweep)

    def tell() -> None:
        report.interrupted = watchdog.interrupted
        report.failure = report.failure or watchdog.why
        _print(report, wish.form)

    watchdog = Watchdog(wish.stuck_after_s + wish.engine.latency_s, tell)
    with watchdog, ctrl_c_calls(watchdog.interrupt), ExitStack() as stack:
        with watchdog.watching(Errand(f"engine {wish.engine.name}: to open it")):
            place = stack.enter_context(open_place(wish.engine, watchdog))
        steps = plan(
            algorithms(wish.names, wish.sizes_bytes),
            sweep_jobs(wish.jobs) if wish.sweep else [wish.jobs],
            compare=wish.compare,
        )
        measure_all(steps, place, watchdog, report)
        # Now, for to let go of what does not answer may take for ever.
        watchdog.tell()
        drawn = plot is None or not report.results or plot.save(report)
        with watchdog.watching(Errand(f"engine {wish.engine.name}: to close it")):
            stack.close()
    if watchdog.interrupted:
        return INTERRUPTED
    return 0 if drawn and report.failure is None else FAILED


def sweep_jobs(most: int) -> list[int]:
    """Return 1, 2, 4 and so on up to `most`, which is the last one."""
    return [*(1 << power for power in range((most - 1).bit_length())), most]


def plan(found: Sequence[Algorithm], jobs: Sequence[int], *, compare: bool) -> list[Step]:
    """Return what is to be measured, in order: what is compared is measured at the same time."""
    steps = []
    for algorithm in found:
        if compare:
            steps.append(Step(algorithm, 1, "blocking"))
        for count in jobs:
            ways = [way for way in WAYS if way != "blocking"] if compare else ["pausable"]
            steps += [Step(algorithm, count, way) for way in ways]
    return steps


def measure_all(steps: Sequence[Step], place: Place, watchdog: Watchdog, report: Report) -> None:
    """Make the measurements, as far as that goes; the report gets what becomes of them."""
    report.wished = len(steps)
    with _progress(len(steps)) as show:
        for step in steps:
            show(len(report.results), step.title)
            try:
                figures = _measure(step, place, report.seconds, watchdog)
            except Stopped:
                break
            except Failure as exc:
                report.failure = f"{step.title}: {exc}"
                break
            algorithm = step.algorithm
            report.results.append(
                Result(algorithm.name, algorithm.size_bytes, step.jobs, step.way, figures)
            )


def _measure(step: Step, place: Place, seconds: float, watchdog: Watchdog) -> Figures | str:
    """Make one measurement; return why there is none if that is a result, too.

    Raises:
        Stopped: the watchdog stopped it.
        Failure, WrongResult: an operation of pausable jobs failed, the workers are gone, or any
            result is wrong.
    """
    watchdog.check()
    with place.engine(step.jobs, watchdog) as engine:
        if step.way == "pausable" or not place.here:
            call = step.algorithm.make(engine)
        else:
            call = step.algorithm.make(None)
            if place.delay is not None:
                call = partial(place.delay, call)
        measurement = Measurement(step, call, seconds, engine)
        try:
            return measurement.run(watchdog, place.workers(step.jobs) or step.jobs)
        except WrongResult:
            raise
        except Failure as exc:
            if step.way == "pausable" or isinstance(exc.__cause__, EngineError):
                raise
            return str(exc)  # the system has no more threads, say


def _print(report: Report, form: str) -> None:
    """Print what there is."""
    if report.failure is not None:
        say(f"pausable: {report.failure}", err=True)
    if report.interrupted:
        made = f"{len(report.results)} of {report.wished} measurements were made"
        say(f"pausable: interrupted; {made}", err=True)
    if report.results or form != "table":
        say(_FORMS[form](report))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int, str], object]]:
    """Show a bar on stderr, if that is a terminal; yields what is told how many and what.

    It is redrawn between measurements alone: a thread that did it meanwhile would be measured too.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _done, _doing: None
        return
    from rich import console, progress

    with progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        console=console.Console(stderr=True),
        auto_refresh=False,
        transient=True,
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda done, doing: bar.update(task, completed=done, description=doing, refresh=True)
