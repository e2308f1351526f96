"""An engine whose operations end when the test says so, in the order it says, as it says."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, ParamSpec, TypeVar, overload

from pausable import JobStateError, WouldDeadlock, can_pause, wait_for
from pausable._thread_local import get_ident
from pausable.testing._busy import pause_busy
from pausable.testing._operation import Operation, UnfinishedOperations

__all__ = ["FakeEngine"]

T = TypeVar("T")
P = ParamSpec("P")


class FakeEngine(Executor):
    """An engine that does nothing until it is told to: `engine.finish("sign-1", signature)`.

    Pass it where code expects an executor, or have the code use `call`. An operation that was
    submitted by a str has that name; one that was submitted as a function has the function's name
    and a number: "slow_sign-1", "slow_sign-2". The function is not called, unless by `run`.

    Leave an operation alone, and it never completes. As a context manager it checks at the end,
    if it is strict.

    Args:
        strict: in `with`, complain at the end about operations not finished and not cancelled.

    Threads: any.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._thread = get_ident()
        self._lock = threading.Lock()
        self._operations: dict[str, Operation[Any]] = {}  # the newest of each name
        self._numbers: dict[str, itertools.count[int]] = {}
        self._busy: Counter[str] = Counter()
        self._ahead: dict[str, Any] = {}
        self._submitted: list[str] = []

    # -- for the code under test -----------------------------------------------------------------

    @overload
    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Operation[T]: ...
    @overload
    def submit(self, fn: str, /, *args: Any, **kwargs: Any) -> Operation[Any]: ...
    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Operation[Any]:
        """Begin an operation; return a future for `wait_for`.

        Pauses: while the engine is busy with that name (`busy`); else never.

        Raises:
            TypeError: `fn` is neither callable nor the name of an operation.
            JobStateError: an operation of that name is pending.
        """
        if not callable(fn) and not (isinstance(fn, str) and fn):
            raise TypeError(
                f"submit a function, or the name of an operation (a non-empty str), not {fn!r}"
            )
        name = fn if isinstance(fn, str) else self._next_name(fn)
        while self._turn_down(name):
            pause_busy()
        operation: Operation[Any] = Operation(
            name, None if isinstance(fn, str) else fn, args, kwargs
        )
        with self._lock:
            old = self._operations.get(name)
            if old is not None and not old.done():
                raise JobStateError(
                    f"an operation {name!r} is {old.describe()}; give each a name of its own, or"
                    " submit a function, whose operations are numbered"
                )
            self._operations[name] = operation
            self._submitted.append(name)
            ahead = name in self._ahead
            value = self._ahead.pop(name, None)
        if ahead:
            operation.set_result(value)
        return operation

    @overload
    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def call(self, fn: str, /, *args: Any, **kwargs: Any) -> Any: ...
    def call(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Begin an operation and wait for it: `wait_for(engine.submit(fn, ...))`.

        Pauses: until the test finishes the operation.

        Raises:
            WouldDeadlock: it would block the thread that made the engine, which is the test's.
            Others: as of `submit`, and whatever the operation failed with.
        """
        operation = self.submit(fn, *args, **kwargs)
        if get_ident() == self._thread and not can_pause() and not operation.done():
            raise WouldDeadlock(
                f"to block on {operation!r} here would stop the test that has to finish it: run"
                " the code as a job (pausable.start, FakeLoop.start) or in another thread, or say"
                f" engine.finish_ahead({operation.name!r}, value) before"
            )
        return wait_for(operation)

    def _next_name(self, fn: Callable[..., Any]) -> str:
        base = getattr(fn, "__name__", None) or type(fn).__name__
        with self._lock:
            return f"{base}-{next(self._numbers.setdefault(base, itertools.count(1)))}"

    def _turn_down(self, name: str) -> bool:
        with self._lock:
            busy = self._busy[name] > 0
            if busy:
                self._busy[name] -= 1
            return busy

    # -- for the test: completions ---------------------------------------------------------------

    def finish(self, name: str, value: Any = None) -> None:
        """Complete an operation with a value.

        Raises:
            JobStateError: there is none of that name, or it has ended already.
        """
        self._pending(name).set_result(value)

    def fail(self, name: str, exc: BaseException) -> None:
        """Complete an operation with an exception; else as `finish`."""
        if not isinstance(exc, BaseException):
            raise TypeError(f"exc has to be an exception, not {exc!r}")
        self._pending(name).set_exception(exc)

    def run(self, name: str) -> None:
        """Call the function that was submitted, here and now, and finish with what comes of it.

        Raises:
            JobStateError: as of `finish`; or it was submitted by name, and there is no function.
        """
        operation = self._pending(name)
        if operation.fn is None:
            raise JobStateError(
                f"operation {name!r} was submitted by its name, there is no function to run; use"
                f" finish({name!r}, value)"
            )
        try:
            value = operation.fn(*operation.args, **operation.kwargs)
        except BaseException as exc:
            operation.set_exception(exc)
            return
        operation.set_result(value)

    def finish_ahead(self, name: str, value: Any = None) -> None:
        """Have the next operation of that name complete before `submit` returns."""
        self._ahead[name] = value

    def finish_twice(self, name: str, value: Any = None) -> None:
        """Complete an operation and call back twice, as an engine with a fault does."""
        self.finish(name, value)
        self._operations[name].call_back()

    def finish_late(self, name: str, value: Any = None) -> None:
        """Call back for an operation that was cancelled, as an engine that did not notice.

        Where the operation had begun (`begin`), the value arrives too.

        Raises:
            JobStateError: nobody asked to cancel it.
        """
        operation = self.operation(name)
        if not operation.cancel_asked:
            raise JobStateError(
                f"operation {name!r} is {operation.describe()}, and nobody asked to cancel it:"
                f" use finish({name!r}, value)"
            )
        if not operation.done():
            operation.set_result(value)
        operation.call_back()

    # -- for the test: everything but completions ------------------------------------------------

    def begin(self, name: str) -> None:
        """Have the device begin an operation: from now on it cannot be cancelled.

        Raises:
            JobStateError: as of `finish`; or it has begun.
        """
        operation = self._pending(name)
        if operation.running():
            raise JobStateError(f"operation {name!r} has begun already; begin() it once")
        operation.set_running_or_notify_cancel()

    def wake_early(self, name: str) -> None:
        """Wake whoever waits for an operation, although it is not complete.

        Raises:
            JobStateError: as of `finish`.
        """
        self._pending(name).call_back()

    def wake_twice(self, name: str) -> None:
        """Wake whoever waits for an operation twice, although it is not complete."""
        self.wake_early(name)
        self.wake_early(name)

    def busy(self, name: str, times: int = 1) -> None:
        """Turn the next operation of that name down `times` times before it is accepted.

        Each time its job pauses with `Status.EAGAIN` in its wait context and tries again when it
        is resumed. Outside a job, or where pausing is blocked, it tries again at once.
        """
        if not isinstance(times, int) or isinstance(times, bool) or times < 1:
            raise ValueError(f"times has to be an int, 1 or more, not {times!r}")
        self._busy[name] += times

    # -- for the test: looking -------------------------------------------------------------------

    def operation(self, name: str) -> Operation[Any]:
        """Return the newest operation of that name, with its `args` and `kwargs`.

        Raises:
            JobStateError: there is none.
        """
        try:
            return self._operations[name]
        except KeyError:
            pending = ", ".join(map(repr, self.pending)) or "none"
            raise JobStateError(
                f"no operation {name!r} was submitted; pending: {pending}"
            ) from None

    @property
    def submitted(self) -> list[str]:
        """The names of all operations, in the order they were accepted."""
        return list(self._submitted)

    @property
    def pending(self) -> list[str]:
        """The names of the operations that are not complete, in the order they were accepted."""
        return self._names(lambda operation: not operation.done())

    @property
    def cancelled(self) -> list[str]:
        """The names of those that somebody asked to cancel, with success or not."""
        return self._names(lambda operation: operation.cancel_asked)

    def _names(self, which: Callable[[Operation[Any]], bool]) -> list[str]:
        # A name that is used again is the newest operation's, and in its place.
        names = dict.fromkeys(reversed(self._submitted))
        return [name for name in reversed(names) if which(self._operations[name])]

    def _pending(self, name: str) -> Operation[Any]:
        operation = self.operation(name)
        if not operation.done():
            return operation
        hint = ""
        if operation.cancelled():
            hint = f"; to call back nevertheless, use finish_late({name!r}); to have cancelling"
            hint += f" come too late, begin({name!r}) before"
        elif operation.exception() is None:
            hint = f"; to call back twice, use finish_twice({name!r}, value)"
        raise JobStateError(f"operation {name!r} has ended: {operation.describe()}{hint}")

    # -- end -------------------------------------------------------------------------------------

    def check(self) -> None:
        """Complain about operations that were neither finished nor cancelled.

        Raises:
            UnfinishedOperations: there are some; `names` has them.
        """
        left = [name for name in self.pending if not self._operations[name].cancel_asked]
        if left:
            raise UnfinishedOperations(
                f"{len(left)} operations were never finished, nor cancelled:"
                f" {', '.join(map(repr, left))}; finish() or fail() them, or have whoever waits"
                " cancelled",
                tuple(left),
            )

    def __exit__(self, *exc: object) -> None:
        if self._strict and exc[0] is None:
            self.check()

    def __repr__(self) -> str:
        return f"<FakeEngine pending={self.pending}>"
