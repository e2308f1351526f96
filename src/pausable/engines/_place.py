"""Where coroutines are awaited: on the loop that drives a job, or on one in a thread of its own."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import Any, Final, Protocol

from pausable._driver import Driver, discard
from pausable._thread_local import get_ident
from pausable.engines._ticket import Ticket
from pausable.errors import EngineError

__all__ = ["Place", "loop_runs_here", "own_place", "place_of"]

JOIN_TIMEOUT_S: Final = 5.0  # a coroutine that blocks its loop must not hang close()


class Place(Protocol):
    """A running event loop. Any thread."""

    def begin(self, ticket: Ticket[Any], awaitable: Any, context: Context) -> None:
        """Have it awaited in a task of its own, and the ticket completed with what comes of it."""

    def alive(self) -> bool:
        """Tell whether it can be used."""

    def runs_here(self) -> bool:
        """Tell whether it runs in this thread: to block here would stop it."""

    def close(self) -> None:
        """End it, if it is the engine's own."""


def place_of(driver: Driver) -> Place | None:
    """Return the loop of a driver, or None if it has none that is known."""
    hub = getattr(driver, "hub", None)
    loop = getattr(hub, "loop", None)
    if loop is not None:
        return _AsyncioPlace(loop)
    token = getattr(hub, "token", None)
    return None if token is None else _TrioPlace(token)


def loop_runs_here() -> bool:
    """Tell whether an event loop runs in this thread."""
    asyncio, trio = sys.modules.get("asyncio"), sys.modules.get("trio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        return True
    return trio is not None and bool(trio.lowlevel.in_trio_run())


def own_place() -> Place:
    """Start an asyncio loop in a background thread."""
    return _ThreadPlace()


async def _complete(ticket: Ticket[Any], awaitable: Any) -> None:
    if ticket.done():  # cancelled before it began
        discard(awaitable)
        return
    try:
        value = await awaitable
    except (Exception, SystemExit, KeyboardInterrupt) as exc:
        ticket.fail(exc)  # and that is all: these would end the loop, with what others await there
    except BaseException as exc:  # cancelled: by us (then it is too late), or with its loop
        _cancelled(ticket, exc)
        raise
    else:
        ticket.finish(value)
    finally:
        del ticket, awaitable  # what was raised holds this frame: no cycle here


def _cancelled(ticket: Ticket[Any], cause: BaseException | None) -> None:
    error = EngineError(f"{ticket!r} was cancelled on its loop")
    error.__cause__ = cause
    ticket.fail(error)


class _AsyncioPlace:
    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def begin(self, ticket: Ticket[Any], awaitable: Any, context: Context) -> None:
        task: Any = None

        def start() -> None:
            nonlocal task
            task = self._loop.create_task(_complete(ticket, awaitable))
            task.add_done_callback(ended)

        def ended(_task: object) -> None:
            discard(awaitable)  # the task may have been cancelled before its first step
            if ticket.running():
                _cancelled(ticket, None)

        def cancel() -> None:
            with suppress(RuntimeError):  # the loop is closed: nothing goes on there
                self._loop.call_soon_threadsafe(lambda: task and task.cancel())

        ticket.data = cancel
        if self.runs_here() and self._loop.get_task_factory() is None:
            # At once: if the loop is about to end, it cancels the tasks that there are. Not with a
            # factory, which may take the first step on the stack of whoever submits.
            context.run(start)
            return
        try:
            # The task's changes to its variables are its own.
            self._loop.call_soon_threadsafe(start, context=context)
        except RuntimeError as exc:
            discard(awaitable)
            raise EngineError(f"{self._loop!r} is closed: nothing can be awaited there") from exc

    def alive(self) -> bool:
        return not self._loop.is_closed()

    def runs_here(self) -> bool:
        import asyncio

        return asyncio._get_running_loop() is self._loop

    def close(self) -> None:
        """Leave it: it is the driver's."""


class _ThreadPlace(_AsyncioPlace):
    def __init__(self) -> None:
        import asyncio

        super().__init__(asyncio.new_event_loop())
        self._pid = os.getpid()
        self._thread = threading.Thread(
            target=_run_until_stopped, args=[self._loop], name="pausable-coroutines", daemon=True
        )
        self._thread.start()

    def alive(self) -> bool:
        return self._pid == os.getpid() and super().alive()  # a forked child has no such thread

    def close(self) -> None:
        if not self.alive():
            return
        with suppress(RuntimeError):  # it is closed already
            self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread.ident != get_ident():
            self._thread.join(JOIN_TIMEOUT_S)


def _run_until_stopped(loop: Any) -> None:
    import asyncio

    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


class _TrioPlace:
    def __init__(self, token: Any) -> None:
        self._token = token

    def begin(self, ticket: Ticket[Any], awaitable: Any, context: Context) -> None:
        import trio

        scope = trio.CancelScope()

        async def body() -> None:
            with scope:
                await _complete(ticket, awaitable)

        def start() -> None:
            try:
                trio.lowlevel.spawn_system_task(body, context=context)
            except RuntimeError as exc:  # the run is about to end
                discard(awaitable)
                _cancelled(ticket, exc)

        ticket.data = lambda: self._soon(scope.cancel)
        if not self._soon(start):
            discard(awaitable)
            raise EngineError("the trio run has ended: nothing can be awaited there")

    def _soon(self, call: Callable[[], object]) -> bool:
        import trio

        try:
            self._token.run_sync_soon(call)
        except trio.RunFinishedError:
            return False
        return True

    def alive(self) -> bool:
        return True

    def runs_here(self) -> bool:
        import trio

        try:
            return trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:  # another thread, where trio does not run
            return False

    def close(self) -> None:
        """Leave it: it is the driver's."""
