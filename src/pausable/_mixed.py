"""Jobs on both kinds of stack in one process: greenlet came while the native core is in use.

Rules:

* From then on jobs are started on greenlet, by the reference (`_job`), which is about nothing else
  from then on. The native core hands on to it what is none of its own.
* Jobs that run on native stacks end there. So do those that they start: greenlet would take such a
  stack for a part of the thread's. For the same reason they must not switch to a fibre on greenlet:
  not to resume a job, and neither to make nor to end a fibre, which takes a switch too.
* Idle native fibres are given back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pausable import _job, _watch
from pausable._backend import GIVES_WAY, NATIVE, greenlet_is_in
from pausable._driver import Driver
from pausable._job import Job, JobFibre, JobFibreBase
from pausable._pool import JobPool, all_pools
from pausable._state import State, Step
from pausable._thread_local import get_ident
from pausable._wait_context import WaitContext
from pausable.errors import JobStateError

__all__ = ["when_mixed"]

_calls: Final[list[Callable[[type[JobFibre]], object]]] = []

#: The kind of fibre for jobs on greenlet: the first that was made, if threads notice it together.
_kind: Final[list[Any]] = []

#: Fibres on greenlet whose end has to wait until this code is on no native stack.
_put_off: Final[list[Any]] = []


def _in_native_job() -> bool:
    return isinstance(current_stack(), JobFibre)


def when_mixed(call: Callable[[type[JobFibre]], object]) -> None:
    """Have call(kind) called when jobs begin to run on fibres of another kind; now, if they do."""
    _calls.append(call)
    if _job.kind is not JobFibre:
        _make_calls()


def _make_calls() -> None:
    while _calls:
        try:
            call = _calls.pop()
        except IndexError:  # another thread was faster
            return
        call(_job.kind)


def _give_way() -> None:
    """Have jobs run on greenlet from now on. Several threads may do that at once."""
    from pausable import _fibre_greenlet  # noqa: PLC0415  # only now it may be imported

    class GreenletJobFibre(JobFibreBase, _fibre_greenlet.Fibre):
        __slots__ = _job.SLOTS

        def can_be_entered(self) -> bool:
            return not _in_native_job()

        def warm_up(self) -> None:
            if _in_native_job():
                raise JobStateError(
                    "greenlet was imported after this job was started: stacks for later jobs cannot"
                    " be made inside of it; reserve them outside"
                )
            here = get_ident()
            for fibre in [each for each in list(_put_off) if each.pool.thread == here]:
                _put_off.remove(fibre)
                fibre.retire()
            super().warm_up()

        def retire(self) -> None:
            if _in_native_job():
                _put_off.append(self)
            else:
                super().retire()

    _kind.append(GreenletJobFibre)
    for name in ("FibreError", "FibreExit", "current", "enclosing"):
        setattr(_job, name, getattr(_fibre_greenlet, name))
    setattr(_watch, "FibreExit", _fibre_greenlet.FibreExit)  # noqa: B010  # no part of its interface
    _job.kind = _kind[0]
    # In this order, for other threads start and end jobs meanwhile: native fibres become idle no
    # more, then those that are idle are taken away, then nobody asks any more whether to come here.
    bind_hooks(
        {
            "given_way": True,
            "outside": _job.reference["pause"],
            "refuse_resume": _resume_on_greenlet,
        }
    )
    for pool in all_pools():
        pool.park()
    bind_hooks({"elsewhere": _job.reference["launch"]})
    _make_calls()


def _start_on_greenlet(
    pool: JobPool,
    wait_ctx: WaitContext | None,
    driver: Driver | None,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
) -> Job[Any] | None:
    """Start a job on greenlet if that is there now, or return None."""
    if not greenlet_is_in():
        return None
    _give_way()
    if _in_native_job():
        return None
    job: Job[Any] = _job.reference["launch"](pool, wait_ctx, driver, fn, args, kwargs)
    return job


def _resume_on_greenlet(job: Job[Any]) -> bool:
    """Resume a job that is on no native stack."""
    fibre = job._fibre
    if type(fibre) is not _job.kind or fibre.state is not State.PAUSED:
        raise job._refusal(Step.RESUME)
    if _in_native_job():
        raise JobStateError(
            f"job {job.name!r} was started after greenlet was imported, and cannot be resumed from"
            " inside a job that was started before; resume it outside, or import greenlet before"
            " jobs are started"
        )
    done: bool = _job.reference["Job"].resume(job)
    return done


if NATIVE:
    from pausable._native import bind_hooks, current_stack

    if GIVES_WAY:
        bind_hooks({"elsewhere": _start_on_greenlet})
