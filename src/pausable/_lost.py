"""Jobs that nobody can reach any more: unwound for nobody, and without disturbing the others."""

from __future__ import annotations

from typing import Any

from pausable import _report
from pausable._job import Job, JobFibre

__all__ = ["new_handle", "unwind", "unwind_a_step"]


def new_handle(fibre: JobFibre) -> Job[Any]:
    """Return a handle for the paused job on `fibre`, which has lost its own."""
    job: Job[Any] = Job()
    job._fibre = fibre
    job._name = "lost"
    if fibre.watch is not None:
        job._full_name = fibre.watch.name
    fibre.job = job
    return job


def unwind_a_step(job: Job[Any]) -> bool:
    """Cancel a lost job, or go on with its cleanup, but never wait; tell whether that was all."""
    fibre = job._fibre
    if fibre is None:
        return True
    try:
        return job.resume() if fibre.cancel is not None else job.cancel()
    except BaseException as exc:
        _give_up(job, exc)
        return True


def unwind(job: Job[Any]) -> None:
    """Close a job that nobody asks for."""
    try:
        job.close()
    except BaseException as exc:
        _give_up(job, exc)


def _give_up(job: Job[Any], exc: BaseException) -> None:
    """Say what went wrong with a job that is unwound for nobody; the others have to go on.

    What a job raises that nobody asks for (sys.exit() in its cleanup, say) ends that job alone.
    """
    if not job.done():
        why = str(exc).partition("It is paused at")[0].rstrip("; ")  # said once is enough
        _report.not_unwound(repr(job), why, job._stack_text())
    elif isinstance(exc, KeyboardInterrupt):
        raise exc
