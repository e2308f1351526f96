"""The one primitive that engines build on: wait for what completes elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pausable import _watch
from pausable._clock import monotonic
from pausable._driver import Driver, discard
from pausable._fibre import NATIVE
from pausable._job import JobFibre, current_fibre, current_wait_ctx, pause
from pausable._patience import check_timeout
from pausable._timer import call_later
from pausable._waker import Waker
from pausable.errors import WouldDeadlock

if TYPE_CHECKING or NATIVE:
    from pausable._native import NOT_HERE, await_here

__all__ = ["Completable", "wait_for"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Completable(Protocol[T_co]):
    """What `wait_for` can wait for: concurrent.futures.Future, asyncio.Future and their kind."""

    def done(self) -> bool:
        """Tell whether it is complete."""

    def result(self) -> T_co:
        """Return its value, or raise its exception."""

    def add_done_callback(self, callback: Callable[[Any], object], /) -> object:
        """Have callback(self) called when it is complete, by any thread."""


def wait_for(awaited: Completable[T] | Awaitable[T], timeout_s: float | None = None) -> T:
    """Return the result of `awaited`, or raise its exception, when it is complete.

    In a job: pauses until then, however often the job is resumed in between. Outside a job, or
    where pausing is blocked: blocks the thread, unless that can never end.

    In a job of `pausable.run`, it may be anything that the task could `await` (a coroutine, a
    future of its loop), and is awaited by the task that drives the job, in its context.

    Pauses: until `awaited` is complete; not at all if it is.
    Threads: the job's own; a future may be completed by any thread.

    Args:
        awaited: a future: `done()`, `result()`, `add_done_callback()`; or an awaitable.
        timeout_s: seconds to wait at the most, 0 or more; None: for ever.

    Raises:
        TimeoutError: it took longer. A future goes on, another awaitable was cancelled.
        JobCancelled: the job was cancelled, and `awaited` with it, if it has `cancel()`.
        WouldDeadlock: to wait here would stop the event loop that has to complete `awaited`, or
            no loop is here to await it, or its loop runs in another thread.
        TypeError: `awaited` is neither a future nor an awaitable.
    """
    if NATIVE and timeout_s is None:
        value: T = await_here(awaited)  # what is usual
        if value is not NOT_HERE:
            return value
    fibre = current_fibre()
    driver = None
    if fibre is not None and not (fibre.alert and _is_cut_off(fibre)):
        driver = fibre.driver
    if driver is not None and timeout_s is None and driver.can_await(awaited):
        return driver.wait_for(awaited)  # type: ignore[no-any-return]
    timeout_s = check_timeout(timeout_s)
    if all(hasattr(awaited, name) for name in ("done", "result", "add_done_callback")):
        try:
            return _wait_for_future(awaited, timeout_s, fibre, driver)  # type: ignore[arg-type]
        finally:
            del awaited  # what it raises holds this frame: no cycle here
    if driver is None or timeout_s is None or not driver.can_await(awaited):
        raise _refusal(awaited)
    return driver.wait_for(awaited, timeout_s)  # type: ignore[no-any-return]


def _is_cut_off(fibre: JobFibre) -> bool:
    """Tell whether the running code cannot have its driver await something."""
    return fibre.blocks > 0 or _in_own_loop(fibre)


def _in_own_loop(fibre: JobFibre) -> bool:
    """Tell whether the running code is called by an event loop that the job itself runs."""
    return fibre.own_loop is not None and sys.modules["asyncio"]._get_running_loop() is not None


def _wait_for_future(
    awaited: Completable[T], timeout_s: float | None, fibre: JobFibre | None, driver: Driver | None
) -> T:
    """Wait for a future that `driver`, if there is one, need not or cannot await."""
    if not awaited.done():
        ctx = current_wait_ctx()
        if driver is None or not driver.can_await(awaited):
            in_own_loop = fibre is not None and _in_own_loop(fibre)
            _refuse_stuck_loop(awaited, blocks=ctx is None or ctx.driver_blocks or in_own_loop)
        if ctx is not None:
            _pause_until_done(ctx.waker(), awaited, timeout_s)
        else:
            _block_until_done(awaited, timeout_s)
    try:
        return awaited.result()
    finally:
        del awaited  # see wait_for


def _refusal(awaited: object) -> Exception:
    """Say why something that is no future cannot be waited for here."""
    if not hasattr(awaited, "__await__"):
        return TypeError(
            f"cannot wait for {awaited!r}: pass a future (something with done(), result() and"
            " add_done_callback()) or, in a job of pausable.run, an awaitable; make a future of a"
            " call with executor.submit(fn, ...)"
        )
    text = repr(awaited)
    discard(awaited)
    fibre = current_fibre()
    if fibre is not None and fibre.driver is not None and fibre.blocks:
        return WouldDeadlock(
            f"{text} cannot be awaited inside pause_blocked() or guarded(): its loop runs in this"
            " thread, which may not pause there; wait before or after that block"
        )
    return WouldDeadlock(
        f"{text} has to be awaited by an event loop, and none drives this code: call it with"
        " `await pausable.run(fn, ...)` or in an `async with pausable.portal():` (jobs of"
        " pausable.start, pausable.map and pausable.run_blocking have no loop), or pass"
        " asyncio.run_coroutine_threadsafe(coroutine, loop)"
    )


def _pause_until_done(waker: Waker, awaited: Completable[Any], timeout_s: float | None) -> None:
    def wake(_awaited: object) -> None:
        waker.wake()

    with waker:
        deadline = None
        if timeout_s is not None:
            deadline = monotonic() + timeout_s
            timer = call_later(timeout_s, waker.wake)
        try:
            awaited.add_done_callback(wake)
            while not awaited.done():
                if deadline is not None and monotonic() >= deadline:
                    raise _timed_out(awaited, timeout_s)
                try:
                    pause()
                except BaseException:  # the job is cancelled
                    _take_back(awaited, wake)  # first: its loop may be closed, and call nobody
                    _cancel(awaited)
                    raise
                waker.clear()
        finally:
            if deadline is not None:
                timer.cancel()
            _take_back(awaited, wake)


def _cancel(awaited: Completable[Any]) -> None:
    cancel = getattr(awaited, "cancel", None)
    if cancel is not None:
        with suppress(RuntimeError):  # others wait for it too, on a loop that is closed
            cancel()


def _block_until_done(awaited: Completable[Any], timeout_s: float | None) -> None:
    _watch.before_blocking(awaited)
    woken = threading.Event()

    def wake(_awaited: object) -> None:
        woken.set()

    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    awaited.add_done_callback(wake)
    try:
        while not awaited.done():  # an engine may call back early
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not woken.wait(left_s):
                raise _timed_out(awaited, timeout_s)
            woken.clear()
    finally:
        _take_back(awaited, wake)


def _take_back(awaited: Completable[Any], callback: Callable[[Any], object]) -> None:
    """Remove a callback, where that can be done: what is awaited may live much longer."""
    remove = getattr(awaited, "remove_done_callback", None)
    if remove is not None:
        remove(callback)


def _refuse_stuck_loop(awaited: Completable[Any], *, blocks: bool) -> None:
    """Refuse to wait for a future of an event loop that will not complete it meanwhile.

    Args:
        awaited: what is waited for; only asyncio's futures have a loop, and some engines' tickets
            know one.
        blocks: whether this thread stands still while it waits.
    """
    needs_this_thread = getattr(awaited, "needs_this_thread", None)
    if blocks and needs_this_thread is not None and needs_this_thread():
        raise _would_deadlock(awaited)
    get_loop = getattr(awaited, "get_loop", None)
    if get_loop is None:
        return
    loop = get_loop()
    asyncio = sys.modules.get("asyncio")  # not imported: then no loop of its kind runs here
    if asyncio is not None and loop is asyncio._get_running_loop():
        if blocks:
            raise _would_deadlock(awaited)
    elif blocks or loop.is_running():
        raise WouldDeadlock(
            f"{awaited!r} belongs to an event loop that does not run in this thread and must not"
            " be touched here: pass the future of asyncio.run_coroutine_threadsafe(coroutine, loop)"
        )


def _would_deadlock(awaited: object) -> WouldDeadlock:
    return WouldDeadlock(
        f"to block on {awaited!r} here would stop the event loop that has to complete it: call"
        " this code with `await pausable.run(fn, ...)`, so that it can pause (and not inside"
        " pause_blocked() or pausable.map)"
    )


def _timed_out(awaited: object, timeout_s: float | None) -> TimeoutError:
    return TimeoutError(f"{awaited!r} was not complete after {timeout_s} s")
