"""What is told to people when no caller is there to be told: warnings and log records.

A job that was lost but could be unwound is a `ResourceWarning`, as for files. One that could not be
is logged as an error (logger "pausable"), which Python shows even where nobody set up logging.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger
    from traceback import StackSummary

__all__ = [
    "callback_failed",
    "cancel_failed",
    "cleanup_cut_short",
    "completed_twice",
    "hook_failed",
    "loop_closed",
    "lost",
    "not_unwound",
    "portal_not_left",
    "prepare",
    "swallowed",
    "thread_name",
    "timer_failed",
]


def prepare() -> None:
    """Import what reports need: they are made in garbage collections too, in the midst of imports.

    Not with pausable, of whose import it would take a quarter.
    """
    import logging  # noqa: F401, PLC0415
    import traceback  # noqa: F401, PLC0415


def _log() -> Logger:
    from logging import getLogger  # noqa: PLC0415

    return getLogger("pausable")


def thread_name(ident: int) -> str:
    """Name a thread for a message."""
    for thread in threading.enumerate():
        if thread.ident == ident:
            return f"thread {thread.name!r}"
    return f"thread {ident} (ended)"


def lost(where: StackSummary, created: StackSummary | None) -> None:
    """Warn that a paused job was dropped."""
    warnings.warn(
        "a paused job was dropped and will be unwound at the next start: keep its handle until it"
        " is done(), or use `with pausable.start(...) as job:` or `with pausable.map(...)`."
        f" It was paused at\n{''.join(where.format())}{started_at(created)}",
        ResourceWarning,
        stacklevel=2,
    )


def loop_closed(where: StackSummary, created: StackSummary | None) -> None:
    """Warn that the event loop that drove a paused job was closed."""
    warnings.warn(
        "the event loop of a paused job was closed, and the job will be unwound at the next start:"
        " let its task end, or cancel it (asyncio.run() does) before loop.close()."
        f" It was paused at\n{''.join(where.format())}{started_at(created)}",
        ResourceWarning,
        stacklevel=2,
    )


def not_unwound(what: str, why: object, where: str) -> None:
    """Log that the cleanup code of a paused job did not run to its end."""
    _log().error(
        "%s was left paused and could not be unwound: %s; it is paused at\n%s", what, why, where
    )


def started_at(created: StackSummary | None) -> str:
    """Return the end of a message about a job: where it was started, if that is known."""
    return "" if created is None else f"It was started at\n{''.join(created.format())}"


def warned(warning: Warning) -> None:
    """Log a warning that is an error here, but comes too late to be raised."""
    _log().warning("%s: %s", type(warning).__name__, warning)


def swallowed(job: object, where: StackSummary, created: StackSummary | None) -> None:
    """Warn that code below a pause caught `JobCancelled` and went on."""
    place = "".join(where.format())
    warnings.warn(
        f"{job!r} was cancelled, but code in it caught JobCancelled and went on; it is raised"
        f" again at each pause. It was raised first at\n{place}{started_at(created)}",
        RuntimeWarning,
        stacklevel=2,
    )


def cleanup_cut_short(what: str, where: str) -> None:
    """Log that the cleanup code of a cancelled job pauses too long and is cancelled too."""
    _log().error(
        "%s was cancelled, and its cleanup takes longer than its pool's cleanup_timeout_s; every"
        " pause in it raises from now on. It is paused at\n%s",
        what,
        where,
    )


def portal_not_left(what: str) -> None:
    """Log that a task's coroutine ended in a portal, where its task cannot see that."""
    _log().error(
        "the coroutine of %s ended without leaving it, and its task cannot take its result: use"
        " `async with pausable.portal():`, and leave it in the coroutine that entered it",
        what,
    )


def timer_failed(call: Callable[..., object]) -> None:
    """Log that a wake-up by time raised (called in an except clause)."""
    _log().error("wake-up %r raised", call, exc_info=sys.exc_info()[1])


def hook_failed(hook: Callable[..., object], job: object) -> None:
    """Log that a hook raised (called in an except clause)."""
    _log().error("hook %r for %r raised", hook, job, exc_info=sys.exc_info()[1])


def callback_failed(callback: Callable[..., object], job: object) -> None:
    """Log that a done-callback raised (called in an except clause)."""
    _log().error("done-callback %r of %r raised", callback, job, exc_info=sys.exc_info()[1])


def completed_twice(ticket: object, engine: object) -> None:
    """Log that an engine completed an operation that it had completed already."""
    _log().error(
        "%r was completed already; the second completion is ignored, and %r will not be told of"
        " again: have it complete each operation once",
        ticket,
        engine,
    )


def cancel_failed(engine: object, ticket: object) -> None:
    """Log that an engine could not cancel an operation (called in an except clause)."""
    _log().error("%r raised when it was to cancel %r", engine, ticket, exc_info=sys.exc_info()[1])
