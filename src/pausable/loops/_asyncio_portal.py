"""Portals in asyncio tasks.

No other coroutine can be put in the place of a task's. But while it is suspended anybody may go on
with it: so a second task, a stand-in, runs it in a job, and is the first one for `current_task()`.
The first waits until the coroutine hands itself back; what cancels it, cancels the stand-in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from weakref import ref

from pausable import _report
from pausable.loops._asyncio import AsyncioDrive
from pausable.loops._asyncio_cancel import COUNTED, uncancel
from pausable.loops._asyncio_hub import current_hub
from pausable.loops._drive import context_of_task
from pausable.loops._portal import HAND_BACK, Portal, PortalCoroutine, Takeover, Yielded

__all__ = ["AsyncioTakeover", "task_factory"]

T = TypeVar("T")


class AsyncioPortal(Portal, AsyncioDrive):
    """Runs a coroutine step by step in a job of an asyncio task."""

    #: The task that the coroutine belongs to, if another one runs it.
    owner: asyncio.Task[Any] | None = None

    async def portal_await(self, awaited: Any) -> Any:
        task = asyncio.current_task(self.hub.loop)
        if task is not None:
            self._task = ref(task)
        self._awaiting = True
        try:
            return await awaited
        except asyncio.CancelledError:
            if self._interrupted and COUNTED and task is not None:
                uncancel(task)
            raise
        finally:
            self._awaiting = self._interrupted = False

    @contextmanager
    def as_owner(self) -> Iterator[None]:
        stand_in = asyncio.current_task(self.hub.loop)
        if self.owner is None or stand_in is None:
            yield
            return
        _exchange(self.hub.loop, stand_in, self.owner)
        try:
            yield
        finally:
            _exchange(self.hub.loop, self.owner, stand_in)


def _exchange(
    loop: asyncio.AbstractEventLoop, before: asyncio.Task[Any], after: asyncio.Task[Any]
) -> None:
    """Make `after` the current task, as asyncio's documentation allows task classes to."""
    asyncio.tasks._leave_task(loop, before)
    asyncio.tasks._enter_task(loop, after)


class _Handover(asyncio.Future[None]):
    """What a task waits for while a stand-in runs its coroutine."""

    stand_in: asyncio.Task[None]
    begun = False
    left = False

    def cancel(self, msg: Any = None) -> bool:
        return self.stand_in.cancel(msg)

    def give_back(self, _stand_in: asyncio.Task[None]) -> None:
        if not self.begun:  # cancelled before its first step: the coroutine has not moved
            super().cancel()
            return
        if not self.left:
            _report.portal_not_left(self.stand_in.get_name())
        if not self.done():
            self.set_result(None)

    def __await__(self) -> Generator[Any, Any, None]:
        # Not as a future does: the coroutine goes on although this is not done.
        self._asyncio_future_blocking = True
        yield self
        self.begun = True


class AsyncioTakeover(Takeover):
    """The portal of a task that has begun without one."""

    async def enter(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        coroutine: Any = task.get_coro() if task is not None else None
        if task is None or coroutine is None:
            raise RuntimeError("a portal can only be opened in an asyncio task")
        self.portal = portal = AsyncioPortal(current_hub(), context_of_task())
        portal.owner = task
        handover = self._handover = _Handover(loop=loop)
        options: Any = {"context": portal.context} if COUNTED else {}
        # Not create_task(): an eager task would go on with a coroutine that still runs.
        handover.stand_in = asyncio.Task(
            portal.run_through(coroutine, None),
            loop=loop,
            name=f"portal of {task.get_name()}",
            **options,
        )
        handover.stand_in.add_done_callback(handover.give_back)
        await handover

    async def leave(self) -> None:
        self._handover.left = True
        await Yielded(HAND_BACK)


def new_portal() -> AsyncioPortal:
    """Return a portal for the running task."""
    return AsyncioPortal(current_hub(), context_of_task())


def task_factory(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, T] | Generator[Any, None, T],
    **options: Any,
) -> asyncio.Task[T]:
    """Make a task whose coroutine runs through a portal from its first step on."""
    return asyncio.Task(PortalCoroutine(coroutine, new_portal), loop=loop, **options)
