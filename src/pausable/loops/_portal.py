"""Portals: an async task in which synchronous code may pause, without `run` at every call.

The task's coroutine is run step by step in a job. What it yields to the loop, the job has its
driver yield instead; when code below it calls `wait_for`, the job pauses in the middle of a step.

A cancellation is the coroutine's business, as always: it is thrown in as it comes, once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, TypeVar

from pausable._cancel import CancelRequest
from pausable._job import Job, JobFibre, current_fibre, launch
from pausable._threads import thread_pool
from pausable.loops._drive import Drive

__all__ = ["HAND_BACK", "Portal", "PortalCoroutine", "Takeover", "Yielded", "in_portal"]

T = TypeVar("T")

#: What a coroutine yields to leave its portal.
HAND_BACK: Final = object()


class Yielded:
    """Awaiting it yields a message to the loop, and returns what the loop sends."""

    __slots__ = ("_message",)

    def __init__(self, message: Any) -> None:
        self._message = message

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self._message)


class Portal(Drive):
    """Runs a coroutine step by step in a job."""

    native = True  # coroutine.send

    @abstractmethod
    async def portal_await(self, awaited: Any) -> Any:
        """Await in the task."""

    def as_owner(self) -> AbstractContextManager[Any]:
        """Be the task that the coroutine belongs to, if another one runs it."""
        return nullcontext()

    async def run_through(self, coroutine: Coroutine[Any, Any, T], first: Any) -> T:
        """Run `coroutine` to its end, or until it leaves (None)."""

        def steps() -> Any:
            return self._steps(coroutine, first)

        steps.__name__ = getattr(coroutine, "__name__", "portal")  # what the job is named after
        with self.as_owner():
            job = launch(thread_pool(), None, self, steps, (), None)
        fibre = job._fibre
        if fibre is not None:
            await self.until_done(job, fibre)
        elif self.ctx is not None:
            self.close()
        result: T = job.result()
        return result

    async def until_done(self, job: Job[Any], fibre: JobFibre) -> None:
        try:
            while True:
                awaited, self.awaited = self.awaited, None
                try:
                    if awaited is None:
                        await self.until_woken(fibre.wait_ctx)
                    else:
                        self.value = await self.portal_await(awaited)
                except GeneratorExit:
                    raise
                except BaseException as exc:
                    if awaited is not None:
                        self.exc = exc
                    else:
                        if isinstance(fibre.cancel, _Once):  # raised already, and handled
                            fibre.cancel = None
                        fibre.request_cancel(_Once(exc, job), job)
                self.answered = True
                with self.as_owner():
                    if job._fibre is None or job.resume():
                        return
        finally:
            self.end(job, fibre)

    def _steps(self, coroutine: Coroutine[Any, Any, T], first: Any) -> T | None:
        """Run in the job."""
        step, value = coroutine.send, first
        while True:
            try:
                message = step(value)
            except StopIteration as end:
                result: T = end.value
                return result
            if message is HAND_BACK:
                return None
            try:
                value = self.wait_for(Yielded(message))
                step = coroutine.send
            except BaseException as exc:
                value, step = exc, coroutine.throw
            message = None


class _Once(CancelRequest):
    """An exception of the loop, raised at a pause once, as at an `await`."""

    def __init__(self, exc: BaseException, job: Job[Any]) -> None:
        super().__init__("", job)
        self._exc = exc

    def deliver(self, _job: object) -> bool:
        if self.deliveries:
            return False
        self.deliveries = 1
        raise self._exc


def in_portal() -> bool:
    """Tell whether the running code is in a portal of its task already."""
    return isinstance(_driver_here(), Portal)


def _driver_here() -> Any:
    fibre = current_fibre()
    return None if fibre is None else fibre.driver


class Takeover(ABC):
    """The portal of a task that has begun without one."""

    portal: Portal

    def is_here(self) -> bool:
        """Tell whether the running code is in this portal."""
        return _driver_here() is self.portal

    @abstractmethod
    async def enter(self) -> None:
        """Have the rest of the running task's coroutine run through the portal."""

    @abstractmethod
    async def leave(self) -> None:
        """Give the coroutine back to its task."""


class PortalCoroutine(Coroutine[Any, Any, T]):
    """A coroutine that goes through a portal from its first step on."""

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, T] | Generator[Any, None, T],
        new_portal: Callable[[], Portal],
    ) -> None:
        self._coroutine: Any = coroutine
        self._new_portal = new_portal
        self._run: Coroutine[Any, Any, T] | None = None

    def send(self, value: Any) -> Any:
        if self._run is None:
            self._run = self._new_portal().run_through(self._coroutine, None)
        return self._run.send(value)

    def throw(self, *exc: Any) -> Any:
        # Not begun: nothing in it could pause yet.
        return (self._run or self._coroutine).throw(*exc)

    def close(self) -> None:
        if self._run is not None:
            self._run.close()
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, T]:
        value = None
        while True:
            try:
                message = self.send(value)
            except StopIteration as end:
                result: T = end.value
                return result
            value = yield message

    def __getattr__(self, name: str) -> Any:
        """Look to debuggers and task listings like the coroutine inside."""
        return getattr(self._coroutine, name)

    def __repr__(self) -> str:
        return f"<portal of {self._coroutine!r}>"
