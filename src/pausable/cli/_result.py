"""The result of one file: made in a job, written whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable

from pausable.cli._files import discard_stale, write_atomically
from pausable.cli._outcome import Outcome, deciding, reason_of
from pausable.cli._output import shown
from pausable.cli._plan import Task
from pausable.cli._run import Run

__all__ = ["make_result"]


def make_result(run: Run, task: Task, what: str, make: Callable[[], bytes | Outcome]) -> Outcome:
    """Have a result made and written; what goes wrong costs this file alone.

    Pauses: as `make` does, and while the disk is slow.

    Args:
        run: whose job this is.
        task: the file, and where its result goes.
        what: became of it, if all goes well.
        make: returns the result, or what became of the file instead.

    Raises:
        Interrupted: the run was stopped.
    """
    outcome = deciding(task.path, lambda: _make_and_write(run, task, what, make))
    if outcome.what != what:
        discard_stale(task.target)
    return outcome


def _make_and_write(
    run: Run, task: Task, what: str, make: Callable[[], bytes | Outcome]
) -> Outcome:
    result = make()
    if isinstance(result, Outcome):
        return result
    try:
        run.on_disk(write_atomically, task.target, result)
    except OSError as exc:
        reason = f"{shown(task.target)} cannot be written: {reason_of(exc)}"
        return Outcome(task.path, "failed", None, reason)
    return Outcome(task.path, what, task.target)
