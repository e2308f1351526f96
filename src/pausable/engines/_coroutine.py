"""An engine of coroutine functions."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from pausable._driver import Driver, discard
from pausable._job import current_fibre
from pausable._wait_for import wait_for
from pausable.engines._engine import Engine
from pausable.engines._origin import own_context, place_here
from pausable.engines._place import Place, own_place
from pausable.engines._ticket import Ticket
from pausable.errors import EngineError

__all__ = ["CoroutineEngine"]

T = TypeVar("T")
P = ParamSpec("P")


class CoroutineEngine(Engine):
    """Awaits coroutine functions: `engine.call(client.sign, digest)` in synchronous code.

    * In a job of `pausable.run`: on the loop that drives it, asyncio's or trio's. `call` has it
      awaited by the job's own task, in its context; `submit` by a task of its own.
    * Elsewhere (a script, `pausable.map`, a thread): on an asyncio loop of the engine's own, in a
      background thread that is started when it is first needed, and ended by `close`.

    What `call` has the job's own task await, ends with the job, not with `close`.

    A client that belongs to one loop (most do) needs one loop for all: `own_loop=True`.

    Args:
        own_loop: always use the engine's own loop.

    Threads: any.
    """

    def __init__(self, *, own_loop: bool = False) -> None:
        super().__init__()
        self._own_loop = own_loop
        self._starting = threading.Lock()
        self._place: Place | None = None

    def submit(
        self, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Ticket[T]:
        """Begin to await fn(*args, **kwargs); return its ticket.

        Raises:
            TypeError: `fn` cannot be called. (A coroutine cannot: it could be begun only once.)
            EngineError: what fn returned cannot be awaited, or the engine is closed.
        """
        _check(fn)
        return self._submit((self._where(), fn, args, kwargs), {})

    def call(
        self, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Await fn(*args, **kwargs) and return what it returns, or raise what it raises.

        Pauses: until that is done; outside a job it blocks.

        Raises:
            Others: as of `submit`.
        """
        _check(fn)
        driver = self._driver()
        if driver is None:
            result: T = self._call((self._where(), fn, args, kwargs), {})
            return result
        self._check_open()
        value: T = wait_for(_awaitable(fn, fn(*args, **kwargs)))
        return value

    # -- inside ------------------------------------------------------------------------------------

    def _begin(
        self,
        ticket: Ticket[Any],
        place: Place,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        assert isinstance(ticket, _LoopTicket)
        ticket.place = place
        place.begin(ticket, _awaitable(fn, fn(*args, **kwargs)), own_context())

    def _cancel(self, ticket: Ticket[Any]) -> None:
        if ticket.data is not None:
            ticket.data()

    def _close(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            place.close()

    def _driver(self) -> Driver | None:
        fibre = None if self._own_loop else current_fibre()
        return None if fibre is None or fibre.blocks else fibre.driver

    def _where(self) -> Place:
        place = None if self._own_loop else place_here()
        if place is None:
            with self._starting:  # the first calls may come from many threads at once
                self._check_open()
                place = self._place
                if place is None or not place.alive():
                    place = self._place = own_place()
                    weakref.finalize(self, place.close)  # the thread knows nothing of the engine
        return place

    def _forked(self) -> None:
        super()._forked()
        self._starting = threading.Lock()

    def _needs_this_thread(self, ticket: Ticket[Any]) -> bool:
        assert isinstance(ticket, _LoopTicket)
        return ticket.place.runs_here()

    def _would_need_this_thread(self, place: Place | None) -> bool:
        return not self._own_loop and place is not None and place.runs_here()


class _LoopTicket(Ticket[Any]):
    """Knows the loop that completes it."""

    __slots__ = ("place",)

    place: Place


CoroutineEngine._ticket_type = _LoopTicket


def _check(fn: Any) -> None:
    if not callable(fn):
        hint = ""
        if hasattr(fn, "__await__"):
            discard(fn)
            hint = ": pass the coroutine function and its arguments, engine.call(fn, ...)"
        raise TypeError(f"fn has to be callable, not {fn!r}{hint}")


def _awaitable(fn: object, outcome: Any) -> Any:
    if not hasattr(outcome, "__await__"):
        raise EngineError(
            f"{fn!r} returned a {type(outcome).__qualname__}, which cannot be awaited: submit a"
            " coroutine function here, and a plain one to an ExecutorEngine"
        )
    return outcome
