"""A run of `pausable speed`: every case, with every number of jobs, in every way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from pausable.cli.speed._algorithms import Algorithm
from pausable.cli.speed._measurement import Failure, Measurement, WrongResult
from pausable.cli.speed._place import Place
from pausable.cli.speed._result import WAYS, Figures, Result
from pausable.cli.speed._watchdog import Watchdog

__all__ = ["Step", "measure_step", "plan", "sweep_jobs"]


@dataclass(frozen=True)
class Step:
    """One measurement that is to be made."""

    algorithm: Algorithm
    jobs: int
    way: str

    @property
    def title(self) -> str:
        """Its name, for people."""
        jobs = "" if self.way == "blocking" else f", {self.jobs} at once"
        return f"{self.algorithm.title}, {WAYS[self.way]}{jobs}"


def sweep_jobs(most: int) -> list[int]:
    """Return 1, 2, 4 and so on up to `most`, which is the last one."""
    return [*(1 << power for power in range((most - 1).bit_length())), most]


def plan(algorithms: Sequence[Algorithm], jobs: Sequence[int], *, compare: bool) -> list[Step]:
    """Return what is to be measured, in order: what is compared is measured at the same time."""
    steps = []
    for algorithm in algorithms:
        if compare:
            steps.append(Step(algorithm, 1, "blocking"))
        for count in jobs:
            ways = [way for way in WAYS if way != "blocking"] if compare else ["pausable"]
            steps += [Step(algorithm, count, way) for way in ways]
    return steps


def measure_step(step: Step, place: Place, seconds: float, watchdog: Watchdog) -> Result:
    """Make one measurement.

    Raises:
        Stopped: the watchdog stopped it.
        Failure, WrongResult: an operation of pausable jobs failed, or any result is wrong.
    """
    watchdog.check()
    with place.engine(step.jobs, watchdog) as engine:
        in_jobs = step.way == "pausable"
        if in_jobs or not place.here:
            call = step.algorithm.make(engine)
        else:
            call = step.algorithm.make(None)
            if place.delay is not None:
                call = partial(place.delay, call)
        measurement = Measurement(step.algorithm, call, step.jobs, step.way, step.title)
        figures: Figures | str
        try:
            figures = measurement.run(
                seconds,
                watchdog,
                place.workers(step.jobs) or step.jobs,
                (lambda: engine.most_paused) if in_jobs else None,
                engine.forget,
            )
        except WrongResult:
            raise
        except Failure as exc:
            if in_jobs:
                raise
            figures = str(exc)  # the system has no more threads, say: that is a result, too
    return Result(step.algorithm.name, step.algorithm.size_bytes, step.jobs, step.way, figures)
