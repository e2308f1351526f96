"""What cleanup code of a cancelled job awaits: in the task itself, and in spite of it.

The awaitable is stepped by hand. What it yields to the loop is wrapped in a future which takes the
task's cancellations and keeps them back, so that the task waits on as if it had not been cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

__all__ = ["Served"]

CancelledError = asyncio.CancelledError


class Served:
    """Awaits `awaited`, and lets only those cancellations through that `concern` it.

    Threads: the loop's.
    """

    def __init__(self, awaited: Any, concern: Callable[[CancelledError], bool]) -> None:
        #: The first cancellation that was kept back.
        self.kept: CancelledError | None = None
        self._awaited = awaited
        self._concern = concern
        self._waits_for: Any = None  # the future that was yielded last
        self._cut = False

    def cut_short(self) -> None:
        """Cancel `awaited`: it has had its time."""
        self._cut = True
        if self._waits_for is not None:
            self._waits_for.cancel()

    def take(self, exc: CancelledError) -> bool:
        """Return whether a cancellation has to go through; else it is kept back."""
        if self._cut or self._concern(exc):
            return True
        self.kept = self.kept or exc
        return False

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._awaited.__await__()
        throw: BaseException | None = None
        while True:
            try:
                message = steps.send(None) if throw is None else steps.throw(throw)
            except StopIteration as end:
                return end.value
            throw = None
            self._waits_for = message
            try:
                yield message if message is None else _Kept(message, self)
            except GeneratorExit:
                steps.close()
                raise
            except CancelledError as exc:  # the task was cancelled before it waited
                throw = exc if self.take(exc) else None
            except BaseException as exc:
                throw = exc
            self._waits_for = None


class _Kept(asyncio.Future[None]):
    """Is done when another future is."""

    def __init__(self, awaited: Any, served: Served) -> None:
        super().__init__(loop=awaited.get_loop())
        self._awaited = awaited
        self._served = served
        awaited._asyncio_future_blocking = False  # as the task would say, had it got that one
        awaited.add_done_callback(self._pass_on)
        self._asyncio_future_blocking = True

    def cancel(self, msg: Any = None) -> bool:
        exc = CancelledError() if msg is None else CancelledError(msg)
        return self._awaited.cancel(msg) if self._served.take(exc) else True

    def _pass_on(self, _awaited: object) -> None:
        if not self.done():
            self.set_result(None)
