"""Places at an engine: how many operations may be there at once, and who waits for one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, Protocol

from pausable._fibre import current

__all__ = ["Gate"]


class Enters(Protocol):
    """An operation."""

    @property
    def over(self) -> bool:
        """Whether nobody wants it any more."""

    def attempt(self) -> None:
        """Make the next attempt: it has a place."""


class Gate:
    """First come, first served. Whoever got a place gives it back with `leave`.

    Threads: any.

    Args:
        max_in_flight: how many places there are; None: no limit.
        max_waiting: how many may wait for one; None: no limit.
    """

    def __init__(self, max_in_flight: int | None, max_waiting: int | None) -> None:
        self.max_in_flight = max_in_flight
        self.max_waiting = max_waiting
        self._lock = threading.Lock()
        self._inside: set[Enters] = set()
        self._waiting: OrderedDict[Enters, None] = OrderedDict()
        self._closed = False
        #: Stacks that are letting operations in. An attempt may end before it has begun, and so on:
        #: each stack goes on in a loop, not in a tower of calls. Not one for all: an attempt may
        #: pause while it begins, and the others need not wait for that.
        self._letting_in: set[Any] = set()

    @property
    def in_flight(self) -> int:
        """How many have a place."""
        return len(self._inside)

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    def is_full(self) -> bool:
        """Tell whether one more would be one too many."""
        if self.max_waiting is None or self.max_in_flight is None:
            return False
        with self._lock:
            return (
                len(self._inside) >= self.max_in_flight and len(self._waiting) >= self.max_waiting
            )

    def everybody(self) -> set[Enters]:
        """Return those that have a place or wait for one."""
        with self._lock:
            return {*self._inside, *self._waiting}

    def enter(self, operation: Enters) -> None:
        """Have an operation's next attempt made when there is a place: now, or later."""
        if self.max_in_flight is None:
            with self._lock:
                self._inside.add(operation)
            operation.attempt()
            return
        with self._lock:
            if not operation.over:
                self._waiting[operation] = None
        self._let_in()

    def leave(self, operation: Enters) -> None:
        """Give an operation's place to the next."""
        with self._lock:
            self._inside.remove(operation)
        if self.max_in_flight is not None:
            self._let_in()

    def forget(self, operation: Enters) -> None:
        """Let an operation that is over wait no longer."""
        with self._lock:
            self._waiting.pop(operation, None)

    def close(self) -> None:
        """Let nobody in any more."""
        self._closed = True

    def _let_in(self) -> None:
        stack = current()
        if stack in self._letting_in:
            return
        self._letting_in.add(stack)
        interrupt: BaseException | None = None
        while (operation := self._next()) is not None:
            try:
                operation.attempt()
            except BaseException as exc:  # Ctrl-C, or this job is cancelled:
                interrupt = exc  # but the others have nobody else to wait for
        self._letting_in.discard(stack)
        if interrupt is not None:
            raise interrupt

    def _next(self) -> Enters | None:
        with self._lock:
            full = self.max_in_flight is not None and len(self._inside) >= self.max_in_flight
            if full or not self._waiting or self._closed:
                return None
            operation, _ = self._waiting.popitem(last=False)
            self._inside.add(operation)
            return operation
