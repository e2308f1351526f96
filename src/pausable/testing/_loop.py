"""A driver whose order and time are the test's.

Jobs, wait contexts and wakers are the real ones.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, ParamSpec, TypeVar

from pausable import Job, JobPool, WrongThread, thread_pool
from pausable._clock import clock
from pausable._thread_local import get_ident
from pausable.testing._task import Task
from pausable.testing._virtual import VirtualClock

__all__ = ["FakeLoop", "JobsStuck"]

T = TypeVar("T")
P = ParamSpec("P")

#: After so many rounds without an end, there is none: something wakes its job again and again.
MAX_ROUNDS: Final = 100_000


class JobsStuck(AssertionError):
    """Jobs are paused and nothing will ever wake them: those in `jobs`, with stacks in the text."""

    def __init__(self, message: str, jobs: tuple[Job[Any], ...]) -> None:
        super().__init__(message)
        self.jobs = jobs


class FakeLoop:
    """Runs jobs in rounds, each when the test says so: `loop.step()`.

    A job that is woken is ready; a round resumes every job that was ready when it began, once: in
    the order they were woken, or in a random one by `seed`. Time is virtual: it begins at 0.0 and
    moves only by `advance`, `run` and `run_until_done`; `wait_for(..., timeout_s=...)` in these
    jobs goes by it. A job that nothing promised to wake is looked at again after the same delays
    as in the real drivers, by that time. Descriptors are looked at before each round.

    Use it in `with`: jobs that are paused at the end are cancelled, and their cleanup code is run.

    Args:
        seed: for the order in each round; None: the order they were woken in.
        pool: where jobs come from; None: the thread's default pool.

    Threads: the one that made it; jobs may be woken by any.
    """

    def __init__(self, *, seed: int | None = None, pool: JobPool | None = None) -> None:
        self._random = None if seed is None else random.Random(seed)  # noqa: S311  # no secret
        self._pool = pool
        self._clock = VirtualClock()
        self._woken: deque[Task] = deque()
        self._tasks: list[Task] = []  # in the order they were started
        self._thread = get_ident()

    # -- running ---------------------------------------------------------------------------------

    def start(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Job[T]:
        """Start a job, which runs until its first pause or its end, as `pausable.start`.

        Raises:
            NoJobsAvailable: the pool has a limit and is at it.
            WrongThread: the loop was made in another thread.
        """
        task = Task(self._woken)
        pool = thread_pool() if self._pool is None else self._pool
        with self._entered():
            job = pool.start_in(task.ctx, fn, *args, **kwargs)
        task.job = job
        self._tasks.append(task)
        task.settle(self._clock.now)
        return job

    def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Start a job and go on with all jobs until it has ended; return what the call returns.

        When no job is ready, the clock is moved to the next moment at which something is due.

        Raises:
            JobsStuck: the job is paused, no job is ready and nothing is due.
            Others: as of `start`, and whatever the call raises.
        """
        job = self.start(fn, *args, **kwargs)
        self._run_while(lambda: not job.done())
        return job.result()

    def step(self) -> list[Job[Any]]:
        """Resume every job that is ready, once; return those, in the order they were resumed.

        Time does not move. A job that becomes ready meanwhile is one for the next step.
        """
        with self._entered():
            batch = self._take_ready()
            if self._random is not None:
                self._random.shuffle(batch)
            resumed = []
            while batch:
                task = batch.pop(0)
                if task.job is not None and task.job.paused:  # another one may have ended it
                    resumed.append(task.job)
                    try:
                        task.job.resume()
                    except BaseException:  # sys.exit() in a job: the others are ready still
                        for other in batch:
                            other.wake()
                        raise
                    task.settle(self._clock.now)
        return resumed

    def run_until_idle(self) -> list[Job[Any]]:
        """Step until no job is ready; return those that are paused still. Time does not move.

        Raises:
            JobsStuck: after 100,000 steps jobs are ready still.
        """
        for _ in range(MAX_ROUNDS):
            if not self.step():
                return self.paused
        raise self._stuck(f"jobs were woken again and again, for {MAX_ROUNDS} rounds")

    def run_until_done(self) -> None:
        """Step until every job has ended, moving the clock as `run` does.

        Raises:
            JobsStuck: jobs are paused, none is ready and nothing is due.
        """
        self._run_while(lambda: bool(self.paused))

    def advance(self, delay_s: float) -> list[Job[Any]]:
        """Move the clock by `delay_s`, and step until no job is ready at each moment on the way.

        Returns: the jobs that are paused still.

        Raises:
            ValueError: `delay_s` is negative, or no number.
        """
        if not delay_s >= 0:
            raise ValueError(f"delay_s has to be 0 or more seconds, not {delay_s!r}")
        target = self._clock.now + delay_s
        self.run_until_idle()
        while (due := self._next_due()) is not None and due <= target:
            self._clock.now = due
            self.run_until_idle()
        self._clock.now = target
        return self.paused

    def wake_early(self, job: Job[Any]) -> None:
        """Have a job resumed in the next round although nothing woke it, as any driver may.

        Raises:
            ValueError: the job is not one of this loop, or has ended.
        """
        for task in self._tasks:
            if task.job is job and task.paused:
                task.wake()
                return
        raise ValueError(f"{job!r} is no paused job of this loop: start it with loop.start(fn)")

    # -- looking ---------------------------------------------------------------------------------

    def time(self) -> float:
        """Return the virtual time in seconds; 0.0 at first."""
        return self._clock.now

    @property
    def paused(self) -> list[Job[Any]]:
        """The jobs that are paused, in the order they were started."""
        return [task.job for task in self._tasks if task.job is not None and task.job.paused]

    @property
    def ready(self) -> list[Job[Any]]:
        """The jobs that were woken, in that order; descriptors are looked at by `step` only."""
        return [task.job for task in self._woken if task.job is not None and task.job.paused]

    def report(self) -> str:
        """Say of each paused job what may wake it and where it is paused, with its stack."""
        tasks = [task for task in self._tasks if task.paused]
        due = self._next_due()
        next_due = "nothing is due" if due is None else f"something is due at {due:g} s"
        lines = [f"{len(tasks)} jobs are paused at {self.time():g} s; {next_due}\n"]
        for task in tasks:
            assert task.job is not None
            stack = "".join(task.job.stack().format())
            lines.append(f"{task.job!r}: {task.waits_for()}; it is paused at\n{stack}")
        return "".join(lines)

    # -- end -------------------------------------------------------------------------------------

    def close(self) -> None:
        """Cancel every job that is paused, and go on until each has cleaned up.

        Raises:
            JobsStuck: cleanup code waits for what never comes.
            CancelSwallowed: a job keeps catching `JobCancelled`.
        """
        failure: BaseException | None = None
        for job in self.paused:
            try:
                with self._entered():
                    job.cancel()
            except BaseException as exc:
                failure = failure or exc
        for task in self._tasks:
            task.settle(self._clock.now)
        # Cancelling again does nothing but tell of a job that does not let itself be cancelled.
        self._run_while(lambda: not all(job.cancel() for job in self.paused))
        if failure is not None:
            raise failure

    def __enter__(self) -> FakeLoop:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<FakeLoop at {self.time():g} s paused={len(self.paused)} ready={len(self.ready)}>"

    # -- inside ----------------------------------------------------------------------------------

    @contextmanager
    def _entered(self) -> Iterator[None]:
        """Go by the loop's clock, in its own thread."""
        if get_ident() != self._thread:
            raise WrongThread(
                "the loop was made in another thread and can only be used there; make a FakeLoop"
                " in each thread"
            )
        with clock(self._clock):
            yield

    def _take_ready(self) -> list[Task]:
        """Return the tasks whose jobs are to be resumed now, in the order they were woken."""
        for task in self._tasks:
            if not task.paused:  # it was resumed or cancelled by hand, and has ended
                task.settle(self._clock.now)
        self._tasks = [task for task in self._tasks if task.paused]
        self._clock.call_due()
        for task in self._tasks:
            if task.readable() or (task.due is not None and task.due <= self._clock.now):
                task.wake()
        batch = [self._woken.popleft() for _ in range(len(self._woken))]
        for task in batch:
            task.dequeue()
        return batch

    def _next_due(self) -> float | None:
        dues = [task.due for task in self._tasks if task.paused and task.due is not None]
        timer = self._clock.next_due()
        if timer is not None:
            dues.append(timer)
        return min(dues, default=None)

    def _run_while(self, going_on: Callable[[], bool]) -> None:
        for _ in range(MAX_ROUNDS):
            if not going_on():
                return
            if not self.step():
                due = self._next_due()
                if due is None:
                    raise self._stuck("no job is ready, and nothing will wake one")
                self._clock.now = max(self._clock.now, due)
        raise self._stuck(f"there is no end after {MAX_ROUNDS} rounds")

    def _stuck(self, why: str) -> JobsStuck:
        return JobsStuck(f"{why}: {self.report()}", tuple(self.paused))
