"""Hooks: what is called when jobs start, pause, go on and end."""

from __future__ import annotations

import threading

from pausable._pool import watch_all_pools
from pausable._watch import Calls, wanted

__all__ = ["add_hooks", "remove_hooks"]

_hooks: list[object] = []
_changing = threading.Lock()


def add_hooks(hooks: object) -> None:
    """Have methods of `hooks` called at the turns of every job that is started from now on.

    `hooks` is any object with some of these methods; each is called in the job's thread:

    * `on_start(job)`: before the job's function is called.
    * `on_pause(job)`: right before control goes back to whoever started or resumed the job.
    * `on_resume(job)`: right after it came back.
    * `on_finish(job)`: when `job.done()` is true, before the job's done-callbacks.

    A job gets `on_start` first, `on_finish` last and once, and between them `on_pause` and
    `on_resume` in turns; one that is cancelled or unwound has its `on_resume` too. The first three
    run in the job, as if it had called them (its context variables, its `current_job()`), but
    cannot pause it. What a hook raises is logged (logger "pausable") and disturbs nobody,
    `SystemExit` too; `KeyboardInterrupt` alone goes on. Several are called in the order in which
    they were added.

    A job that was lost and is unwound has a new handle with the same `name`: use the name as a key.
    Hooks that keep the job itself keep it from being noticed when it is lost.

    Threads: any; hooks apply to the jobs of all threads.

    Raises:
        TypeError: `hooks` has none of the methods, or one of them cannot be called.
        ValueError: it was added before.
    """
    methods = [name for name in Calls._fields if hasattr(hooks, name)]
    if not methods:
        raise TypeError(
            f"hooks has to have one of {', '.join(Calls._fields)}, but {hooks!r} has none"
        )
    for name in methods:
        if not callable(getattr(hooks, name)):
            raise TypeError(f"{name} of {hooks!r} has to be a method, not {getattr(hooks, name)!r}")
    with _changing:
        if any(known is hooks for known in _hooks):
            raise ValueError(f"{hooks!r} was added before; remove_hooks() takes it away")
        _hooks.append(hooks)
        _apply()


def remove_hooks(hooks: object) -> None:
    """Call no methods of `hooks` for jobs that are started from now on.

    Jobs that are under way go on calling them: what saw a job start sees it end.

    Threads: any.

    Raises:
        ValueError: `hooks` was not added.
    """
    with _changing:
        if not any(known is hooks for known in _hooks):
            raise ValueError(f"{hooks!r} was not added; pass the object that add_hooks() got")
        _hooks[:] = [known for known in _hooks if known is not hooks]
        _apply()


def _apply() -> None:
    wanted.calls = Calls(
        *(
            tuple(getattr(each, name) for each in _hooks if hasattr(each, name))
            for name in Calls._fields
        )
    )
    watch_all_pools()
