"""One operation of a fake engine: a future that calls back when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["Operation", "UnfinishedOperations"]

T = TypeVar("T")


class UnfinishedOperations(AssertionError):
    """A strict `FakeEngine` was left with operations that nobody finished or cancelled."""

    def __init__(self, message: str, names: tuple[str, ...]) -> None:
        super().__init__(message)
        self.names = names


class Operation(Future[T]):
    """What `FakeEngine.submit` returns: a `concurrent.futures.Future` with a name.

    Threads: any.
    """

    def __init__(self, name: str, fn: Callable[..., T] | None, args: Any, kwargs: Any) -> None:
        super().__init__()
        #: What the test calls it by.
        self.name = name
        #: The function that was submitted; None: it was submitted by name alone.
        self.fn = fn
        #: The arguments that it was submitted with.
        self.args: tuple[Any, ...] = args
        self.kwargs: dict[str, Any] = kwargs
        #: Whether somebody asked to cancel it, with success or not.
        self.cancel_asked = False
        self._callbacks: list[Callable[[Any], object]] = []

    def add_done_callback(self, fn: Callable[[Future[T]], object]) -> None:
        """Have fn(self) called when it is complete, and whenever the test has it called."""
        self._callbacks.append(fn)
        super().add_done_callback(fn)

    def cancel(self) -> bool:
        """Cancel it, unless it has begun or ended; return whether that was possible."""
        self.cancel_asked = self.cancel_asked or not self.done()
        return super().cancel()

    def call_back(self) -> None:
        """Call every callback, whether it is complete or not."""
        for callback in list(self._callbacks):
            callback(self)

    def describe(self) -> str:
        """Say what became of it."""
        if not self.done():
            return "running" if self.running() else "pending"
        if self.cancelled():
            return "cancelled"
        exc = self.exception()
        return f"failed with {exc!r}" if exc is not None else f"finished with {self.result()!r}"

    def __repr__(self) -> str:
        return f"<Operation {self.name!r} {self.describe()}>"
