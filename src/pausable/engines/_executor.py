"""An engine of what is an executor already: threads, processes, loky, a cluster."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    InvalidStateError,
    ThreadPoolExecutor,
)
from contextlib import suppress
from types import FunctionType
from typing import Any, Final, ParamSpec, TypeVar

from pausable._callable import CO_COROUTINE, is_coroutine_function
from pausable._wait_context import Status
from pausable.engines._checks import (
    Submits,
    cancel_future,
    check_count,
    check_engine,
    check_future,
    failure_of,
)
from pausable.engines._dask import Dask
from pausable.engines._engine import Engine
from pausable.engines._origin import would_need_this_thread
from pausable.engines._place import Place
from pausable.engines._ticket import Ticket
from pausable.errors import EngineError

__all__ = ["ExecutorEngine", "check_function"]

T = TypeVar("T")
P = ParamSpec("P")

#: Held while an engine makes its pool: the first calls may come from many threads at once.
_starting = threading.Lock()

#: As many as `pausable.map` has jobs in flight: they wait, most of the time.
MAX_WORKERS: Final = 64

#: A process pool that breaks fails every call that it has not begun, and before 3.12 its thread
#: dies of an InvalidStateError at the first that was cancelled: the others would never be told.
PROCESS_POOLS_FAIL_WHAT_IS_CANCELLED: Final = sys.version_info < (3, 12)


class ExecutorEngine(Engine):
    """Calls functions in the threads, processes or machines of an executor.

    `executor` is anything of the kind of `concurrent.futures.Executor`, or a client of
    dask.distributed (`Client`, or its `get_executor()`); it stays its owner's, who shuts it down
    after the engine is closed. None: threads of the engine's own, started as needed and ended with
    it.

    What cannot be stopped any more when it is cancelled runs to its end, and its result is dropped.

    Args:
        executor: has `submit(fn, *args, **kwargs)`, which returns a future.
        max_workers: the most threads of its own, 1 or more.

    Raises:
        TypeError, ValueError: bad arguments.
    Threads: any.
    """

    def __init__(self, executor: Submits | None = None, *, max_workers: int = MAX_WORKERS) -> None:
        super().__init__()
        if executor is not None:
            check_engine("executor", executor)
        check_count("max_workers", max_workers)
        self._dask = Dask.of(executor)
        self._executor = executor
        self._max_workers = max_workers
        self._own: tuple[int, Executor] | None = None  # and the process that made it

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Ticket[T]:
        """Begin a call of fn(*args, **kwargs); return its ticket.

        Raises:
            TypeError: `fn` cannot be called, or is a coroutine function.
            EngineError: the executor did not take it; `__cause__` says why.
        """
        check_function(fn)
        return self._submit((fn, args, kwargs), {})

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call fn(*args, **kwargs) elsewhere and return what it returns, or raise what it raises.

        Pauses: until that is done; outside a job it blocks.

        Raises:
            EngineError: the executor failed (a worker died); `__cause__` says how.
            Others: as of `submit`.
        """
        check_function(fn)
        result: T = self._call((fn, args, kwargs), {})
        return result

    # -- inside ------------------------------------------------------------------------------------

    def _begin(
        self,
        ticket: Ticket[Any],
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        if self._dask is not None:
            self._dask.begin(ticket, fn, args, kwargs)
            return
        executor = self._workers() if self._executor is None else self._executor
        future = executor.submit(fn, *args, **kwargs)
        if type(future) is not Future:
            check_future(self._executor, future)
        ticket.data = future  # first: it may be done already, and then nothing is kept
        future.add_done_callback(ticket)

    def _cancel(self, ticket: Ticket[Any]) -> None:
        future = ticket.data
        if PROCESS_POOLS_FAIL_WHAT_IS_CANCELLED and type(future) is Future:
            future.__class__ = _Cancellable
        cancel_future(future)

    def _would_need_this_thread(self, place: Place | None) -> bool:
        return self._executor is not None and would_need_this_thread(self._executor, place)

    def _close(self) -> None:
        if self._own is not None and self._own[0] == os.getpid():
            self._own[1].shutdown(wait=False, cancel_futures=True)

    def _workers(self) -> Submits:
        own = self._own
        if own is not None and own[0] == os.getpid():  # a forked child has no threads
            return own[1]
        with _starting:
            if self._own is not None and self._own[0] == os.getpid():
                return self._own[1]
            pool = ThreadPoolExecutor(self._max_workers, thread_name_prefix="pausable-engine")
            self._own = os.getpid(), pool
        return self._own[1]


class _Cancellable(Future[Any]):
    """A future that may be failed although it was cancelled, which changes nothing."""

    def set_exception(self, exception: BaseException | None) -> None:
        with suppress(InvalidStateError):
            super().set_exception(exception)


class _Follower(Ticket[Any]):
    """Is completed as the executor's future is, which calls it then."""

    __slots__ = ()

    def __call__(self, future: Any) -> None:
        if type(future) is not Future and not future.done():  # an early wake: it is told again
            return
        try:
            exc = failure_of(future)
            value = future.result() if exc is None else None
        except CancelledError:
            self.give_up(EngineError(f"{self._engine!r}: the executor cancelled the operation"))
            return
        if exc is None:
            self.finish(value)
        elif isinstance(exc, BrokenExecutor):
            error = EngineError(
                f"{self._engine!r}: the executor broke: {exc}; make a new executor, and an engine"
                " of it"
            )
            error.__cause__ = exc
            self.fail(error)
        elif getattr(future, "status", None) is Status.EAGAIN:  # the executor is an engine
            self.busy(str(exc))
        else:
            self.fail(exc)


ExecutorEngine._ticket_type = _Follower


def check_function(fn: Any) -> None:
    """Refuse what no thread or process can call.

    Raises:
        TypeError: it cannot be called, or is a coroutine function.
    """
    if type(fn) is FunctionType and not fn.__code__.co_flags & CO_COROUTINE:  # nearly always
        return
    if not callable(fn):
        raise TypeError(f"fn has to be callable, not {fn!r}")
    if is_coroutine_function(fn):
        raise TypeError(f"{fn!r} is a coroutine function: submit it to a CoroutineEngine")
