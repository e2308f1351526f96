"""Portals in trio tasks.

trio asks a task for its coroutine (`Task.coro`) each time it goes on with it, so another coroutine,
which runs the first in a job, takes its place until the portal is left.
"""

from __future__ import annotations

from typing import Any

import trio

from pausable._job import Job
from pausable.errors import JobCancelled
from pausable.loops._drive import context_of_task
from pausable.loops._portal import HAND_BACK, Portal, Takeover, Yielded
from pausable.loops._trio import TrioDrive, current_hub

__all__ = ["TrioTakeover"]


class TrioPortal(Portal, TrioDrive):
    """Runs a coroutine step by step in a job of a trio task."""

    async def portal_await(self, awaited: Any) -> Any:
        try:
            with trio.CancelScope() as self._scope:
                return await awaited
        finally:
            self._scope = None
        raise JobCancelled("the job of this portal was cancelled")

    def _interrupt(self, job: Job[Any]) -> None:
        if self._scope is not None:
            super()._interrupt(job)
        elif job._fibre is not None and not self.knows(job):
            self.wake_here()  # it waits in a call below the coroutine, in until_woken


class TrioTakeover(Takeover):
    """The portal of a task that has begun without one."""

    _coroutine: Any
    _stand_in: Any
    _task: trio.lowlevel.Task

    async def enter(self) -> None:
        task = self._task = trio.lowlevel.current_task()
        self._coroutine = task.coro
        self.portal = TrioPortal(current_hub(), context_of_task())
        self._stand_in = self._run()
        self._stand_in.send(None)
        task.coro = self._stand_in
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def leave(self) -> None:
        self._task.coro = self._coroutine
        await Yielded(HAND_BACK)
        self._stand_in.close()

    async def _run(self) -> Any:
        first = await Yielded(None)
        result = await self.portal.run_through(self._coroutine, first)
        if self._task.coro is not self._stand_in:
            # What trio sends now goes to the coroutine, which waits in leave().
            await trio.lowlevel.cancel_shielded_checkpoint()
        return result  # it has ended without leaving
