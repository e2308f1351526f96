"""Limits, time limits, retries, a circuit breaker and a fallback around an engine."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Set
from concurrent.futures import TimeoutError as FuturesTimeout  # not the built-in one on 3.10
from functools import partial
from typing import Any, Final, NamedTuple

from pausable._patience import check_timeout
from pausable.engines._breaker import Breaker
from pausable.engines._checks import Submits, check_count, check_engine
from pausable.engines._engine import Engine
from pausable.engines._gate import Gate
from pausable.engines._guarded import Operation
from pausable.engines._origin import needs_this_thread, would_need_this_thread
from pausable.engines._place import Place, loop_runs_here
from pausable.engines._retry import Budget, Retry
from pausable.engines._ticket import Ticket
from pausable.errors import EngineBusy, EngineClosed, EngineError, EngineFull

__all__ = ["GuardStats", "GuardedEngine", "guard"]

#: What is the engine's fault, and may be better at the next attempt, or elsewhere.
TRANSIENT: Final = (EngineError, ConnectionError, TimeoutError, FuturesTimeout)


class GuardStats(NamedTuple):
    """Figures of a guarded engine at one moment."""

    #: Attempts that are under way at the engine.
    in_flight: int
    #: Operations that wait for their turn.
    waiting: int
    #: Operations that were submitted.
    operations: int
    retries: int
    #: Retries that were not made, for there were too many (`Retry.budget`).
    retries_refused: int
    timeouts: int
    fallbacks: int
    #: Operations that were refused, since too many waited.
    refused: int


def guard(
    engine: Submits,
    *,
    max_in_flight: int | None = None,
    max_waiting: int | None = None,
    timeout_s: float | None = None,
    deadline_s: float | None = None,
    retry: Retry | int | None = None,
    breaker: Breaker | int | None = None,
    fallback: Submits | None = None,
    never: Callable[..., bool] | None = None,
    transient: tuple[type[Exception], ...] = TRANSIENT,
) -> GuardedEngine:
    """Put limits around an engine, and have what it fails to do tried again, or done elsewhere.

    What is not given is not limited, not retried, not done elsewhere. Every operation ends once:
    with its own result, with what it raised, or with an `EngineError`.

    Args:
        engine: an engine or executor; it stays its owner's.
        max_in_flight: the most operations at the engine at once; others wait, first come, first
            served.
        max_waiting: the most that wait so; one more is refused with `EngineFull`. 0: none waits.
        timeout_s: the longest that an attempt may take, from when the engine was asked; then it is
            cancelled, and fails with `EngineTimeout`.
        deadline_s: the longest that an operation may take, with all its waiting and attempts.
            Without `retry` and `fallback`, an engine that is busy (EAGAIN) is asked again until
            then.
        retry: how an operation is tried again that was turned down (EAGAIN) or failed with
            something transient; an int: that many attempts.
        breaker: leaves an engine alone that fails too often: operations fail at once with
            `BreakerOpen`. An int: after so many failures in a row.
        fallback: another engine, which takes the same requests: it is asked, once, when the engine
            could not do an operation for a transient reason, is busy or full, or its breaker is
            open.
        never: called with a request; returns true for one that must never go to the fallback. None:
            one with an argument that has a true attribute `never_falls_back` (a key in an HSM).
        transient: exceptions that are the engine's fault. Others are the operation's own result:
            they are raised at once, and no failure.

    Raises:
        TypeError, ValueError: bad arguments.
    """
    return GuardedEngine(
        check_engine("engine", engine),
        max_in_flight=max_in_flight,
        max_waiting=max_waiting,
        timeout_s=timeout_s,
        deadline_s=deadline_s,
        retry=Retry(retry) if isinstance(retry, int) else retry,
        breaker=Breaker(breaker) if isinstance(breaker, int) else breaker,
        fallback=fallback if fallback is None else check_engine("fallback", fallback),
        never=never or never_falls_back,
        transient=transient,
    )


def _check_transient(transient: Any) -> None:
    kinds = transient if isinstance(transient, tuple) else None
    if kinds is None or not all(isinstance(k, type) and issubclass(k, Exception) for k in kinds):
        raise TypeError(f"transient has to be a tuple of classes of exceptions, not {transient!r}")


def never_falls_back(*request: Any, **options: Any) -> bool:
    """Tell whether a request has to do with something that is marked so, as a key in an HSM."""
    return any(_is_marked(part) for part in (*request, *options.values()))


def _is_marked(part: Any) -> bool:
    """Look at key.sign, at the key, and into partials, sequences, sets and mappings."""
    if isinstance(part, partial):
        return never_falls_back(part.func, *part.args, **part.keywords)
    if isinstance(part, Mapping):
        return never_falls_back(*part, *part.values())
    if isinstance(part, (tuple, list, Set)):
        return never_falls_back(*part)
    owner = getattr(part, "__self__", None)
    return bool(
        getattr(part, "never_falls_back", False) or getattr(owner, "never_falls_back", False)
    )


class GuardedEngine(Engine):
    """An engine with limits; made by `guard`.

    Threads: any.
    """

    def __init__(
        self,
        engine: Submits,
        *,
        max_in_flight: int | None,
        max_waiting: int | None,
        timeout_s: float | None,
        deadline_s: float | None,
        retry: Retry | None,
        breaker: Breaker | None,
        fallback: Submits | None,
        never: Callable[..., bool],
        transient: tuple[type[Exception], ...],
    ) -> None:
        super().__init__()
        if max_in_flight is not None:
            check_count("max_in_flight", max_in_flight)
        if max_waiting is not None:
            check_count("max_waiting", max_waiting, least=0)
            if max_in_flight is None:
                raise ValueError(f"max_waiting={max_waiting} needs max_in_flight: else none waits")
        check_timeout(timeout_s)
        check_timeout(deadline_s, "deadline_s")
        if not isinstance(retry, Retry | None):
            raise TypeError(f"retry has to be a Retry, an int or None, not {retry!r}")
        if not isinstance(breaker, Breaker | None):
            raise TypeError(f"breaker has to be a Breaker, an int or None, not {breaker!r}")
        _check_transient(transient)
        if not callable(never):
            raise TypeError(f"never has to be a function of a request, or None, not {never!r}")
        self.engine = engine
        self.fallback = fallback
        self.retry = retry
        self.breaker = breaker
        self.never = never
        self.transient = transient
        self.timeout_s = timeout_s
        self.deadline_s = deadline_s
        self._gate = Gate(max_in_flight, max_waiting)
        self._budget = Budget(None if retry is None else retry.budget)
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def stats(self) -> GuardStats:
        """Return figures. Any thread."""
        with self._lock:
            counts = {name: self._counts[name] for name in GuardStats._fields[2:]}
        return GuardStats(self._gate.in_flight, self._gate.waiting, **counts)

    # -- for its operations ------------------------------------------------------------------------

    def _retry_delay_s(self, attempts: int, exc: BaseException) -> float | None:
        """Return when to try again what failed with `exc`, or None: not at all."""
        if self.retry is None or isinstance(exc, EngineClosed) or self._closed:
            return None
        delay_s = self.retry.next_delay_s(attempts)
        free = isinstance(exc, EngineBusy)  # nothing was done, and it says when to stop
        if delay_s is not None and not free and not self._budget.spend():
            self._count("retries_refused")
            return None
        if delay_s is not None:
            self._count("retries")
        return delay_s

    def _count(self, what: str) -> None:
        """Count something for `stats`."""
        with self._lock:
            self._counts[what] += 1

    def _is_blocked(self, operation: Operation) -> bool:
        """Tell whether an operation can end only if this thread's event loop goes on."""
        if not loop_runs_here():
            return False
        ahead: set[Any] = {operation}
        if operation.future is None:  # it has its turn after these
            ahead |= self._gate.everybody()
        return any(
            needs_this_thread(one.future) or self._would_need_this_thread(one.origin.place)
            for one in ahead
        )

    # -- inside ------------------------------------------------------------------------------------

    def _begin(self, ticket: Ticket[Any], *request: Any, **options: Any) -> None:
        operation = ticket.data = Operation(self, ticket, request, options)
        self._count("operations")
        self._budget.earn()
        try:
            if self.deadline_s is not None:
                operation.limit(self.deadline_s)
            if self._gate.is_full():
                self._refuse(operation)
            else:
                self._gate.enter(operation)
        except BaseException:
            operation.give_up()
            raise

    def _refuse(self, operation: Operation) -> None:
        self._count("refused")
        error = EngineFull(
            f"{self!r}: {self._gate.max_waiting} operations wait, and no more may (max_waiting):"
            " try again later"
        )
        if self.fallback is None:
            raise error
        operation.refuse(error)

    def close(self) -> None:
        """Accept nothing more, and fail what waits and what is under way. Twice is once."""
        self._gate.close()
        super().close()

    def _forked(self) -> None:
        super()._forked()
        self._lock = threading.Lock()
        self._gate = Gate(self._gate.max_in_flight, self._gate.max_waiting)
        self._budget = self._budget.anew()
        if self.breaker is not None:
            self.breaker.forked()

    def _cancel(self, ticket: Ticket[Any]) -> None:
        if isinstance(ticket.data, Operation):
            ticket.data.give_up()

    def _would_need_this_thread(self, place: Place | None) -> bool:
        return would_need_this_thread(self.engine, place) or (
            self.fallback is not None and would_need_this_thread(self.fallback, place)
        )
