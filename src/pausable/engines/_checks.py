"""What counts as an engine, a future, a number of things, and how the rest is refused."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Protocol

from pausable._patience import check_timeout
from pausable.engines._ticket import Ticket
from pausable.errors import EngineError

__all__ = [
    "Submits",
    "cancel_future",
    "check_count",
    "check_engine",
    "check_future",
    "check_seconds",
    "failure_of",
]


class Submits(Protocol):
    """What counts as an engine wherever one is asked for: executors too."""

    def submit(self, *request: Any, **options: Any) -> Any:
        """Begin an operation; return a future: `done()`, `result()`, `add_done_callback()`."""


def check_engine(name: str, engine: Any) -> Any:
    """Return what operations can be submitted to.

    Raises:
        TypeError: it has no submit().
    """
    if not callable(getattr(engine, "submit", None)):
        raise TypeError(
            f"{name} has to be an engine or an executor, with submit(); {engine!r} is not"
        )
    return engine


def cancel_future(future: Any) -> None:
    """Cancel what a `submit` returned, if that can be done: nobody wants it any more."""
    cancel = getattr(future, "cancel", None)
    if cancel is not None:
        cancel()


def failure_of(future: Any) -> BaseException | None:
    """Return what a future that is done failed with, or None.

    Not by `result()`, if it can be helped: the exception would hold whoever asks, and what that
    holds, until the next garbage collection.
    """
    ask = getattr(future, "exception", None)
    if ask is not None:
        exc: BaseException | None = ask()
        return exc
    try:
        future.result()
    except BaseException as exc:
        return exc
    return None


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Refuse what is no number of things.

    Raises:
        TypeError, ValueError: it is no int, or less than `least`.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} has to be an int, not {value!r}")
    if value < least:
        raise ValueError(f"{name} has to be {least} or more, not {value}")


def check_seconds(name: str, value: Any) -> None:
    """Refuse what is no number of seconds.

    Raises:
        TypeError, ValueError: it is None or no number, or less than 0.
    """
    if value is None:
        raise TypeError(f"{name} has to be a number of seconds, not None")
    check_timeout(value, name)


def check_future(engine: object, future: Any) -> None:
    """Refuse what an engine's or executor's `submit` returned, if it is no future.

    Raises:
        EngineError: it is not.
    """
    if isinstance(future, (Future, Ticket)):  # nearly always
        return
    if not all(hasattr(future, name) for name in ("done", "result", "add_done_callback")):
        raise EngineError(
            f"submit of {engine!r} returned {future!r}, which is no future: have it return what has"
            " done(), result() and add_done_callback(), as pausable.engines.Ticket"
        )
