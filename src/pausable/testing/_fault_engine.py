"""A wrapper that makes an engine of `pausable.engines` misbehave, by seed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pausable import Status
from pausable._timer import call_later
from pausable.engines import Engine, Submits, Ticket
from pausable.engines._origin import needs_this_thread, would_need_this_thread
from pausable.engines._place import Place
from pausable.testing._faults import FaultPlan, Faults, InjectedFault

__all__ = ["FaultEngine"]


class FaultEngine(Engine):
    """Passes operations on to `inner`, and makes up faults, as `FaultyEngine` does for executors.

    Every submission has a number, from 1; what befalls it depends on the seed and on that. One that
    is turned down (EAGAIN) is when it is submitted: `call` and `guard(retry=...)` try again, with
    the next number; and so are, in a storm, up to four more after it. One that is completed twice
    gets a wrong value at the second time, which must reach nobody. What is lost stays pending until
    the engine is closed.

    Args:
        inner: an engine, or anything with `submit`; it stays its owner's.
        seed: any int.
        max_delay_s: completions are told up to that much later, 0 or more; by the virtual clock
            where the operation is submitted by a job of a `FakeLoop`.
        error_rate: share of operations that fail with `InjectedFault`, 0 to 1, as all rates.
        again_rate: share that begin a storm of EAGAIN.
        early_wake_rate: share whose callbacks are called before they are complete, too.
        double_rate: share that are completed twice, and their callbacks called twice.
        lose_rate: share that are never completed.

    Raises:
        TypeError, ValueError: `inner` has no submit(), or a number is none or out of range.
    Threads: any.
    """

    def __init__(
        self,
        inner: Submits,
        *,
        seed: int,
        max_delay_s: float = 0.0,
        error_rate: float = 0.0,
        again_rate: float = 0.0,
        early_wake_rate: float = 0.0,
        double_rate: float = 0.0,
        lose_rate: float = 0.0,
    ) -> None:
        super().__init__()
        if not callable(getattr(inner, "submit", None)):
            raise TypeError(f"inner has to be an engine, with submit(); {inner!r} is not")
        self._inner = inner
        self._plan = FaultPlan(
            seed,
            max_delay_s=max_delay_s,
            error_rate=error_rate,
            again_rate=again_rate,
            early_wake_rate=early_wake_rate,
            double_rate=double_rate,
            lose_rate=lose_rate,
        )
        self._lock = threading.Lock()
        self._storm = 0
        self._lost: list[int] = []

    def faults(self, number: int) -> Faults:
        """Return what befalls the submission with that number."""
        return self._plan.faults(number)

    @property
    def counts(self) -> dict[str, int]:
        """How often what was done: operations, again, delayed, errors, early_wakes, doubled, lost.

        Each is counted when it happens.
        """
        return self._plan.counts

    @property
    def lost(self) -> list[int]:
        """The numbers of the submissions whose completion was lost."""
        with self._lock:
            return sorted(self._lost)

    def _begin(self, ticket: Ticket[Any], *request: Any, **options: Any) -> None:
        number = self._plan.count("operations")
        faults = self._plan.faults(number)
        with self._lock:
            self._storm = max(self._storm, faults.again)
            turned_down = self._storm > 0
            self._storm -= turned_down
        if turned_down:
            self._plan.count("again")
            ticket.busy()
            return
        assert isinstance(ticket, _FaultyTicket)
        ticket.faults = faults
        future = self._inner.submit(*request, **options)
        relay = ticket.data = _Relay(self, ticket, number, future)
        if faults.lose:
            self._plan.count("lost")
            with self._lock:
                self._lost.append(number)
        else:
            relay.follow()

    def _cancel(self, ticket: Ticket[Any]) -> None:
        cancel = getattr(getattr(ticket.data, "future", None), "cancel", None)
        if cancel is not None:
            cancel()

    def _needs_this_thread(self, ticket: Ticket[Any]) -> bool:
        return needs_this_thread(getattr(ticket.data, "future", None))

    def _would_need_this_thread(self, place: Place | None) -> bool:
        return would_need_this_thread(self._inner, place)

    def _completed_twice(self, ticket: Ticket[Any]) -> None:
        """Say nothing: it is what was asked for."""


class _FaultyTicket(Ticket[Any]):
    """Calls back early, and twice, if that is its fate."""

    faults: Faults | None = None

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.told: list[Callable[[Any], object]] = []

    def add_done_callback(self, callback: Callable[[Any], object], /) -> None:
        self.told.append(callback)
        if self.faults is not None and self.faults.early_wake:
            assert isinstance(self._engine, FaultEngine)
            self._engine._plan.count("early_wakes")
            callback(self)
        super().add_done_callback(callback)


FaultEngine._ticket_type = _FaultyTicket


class _Relay:
    """Completes a ticket as the inner engine's future is, or worse."""

    def __init__(self, engine: FaultEngine, ticket: Ticket[Any], number: int, future: Any) -> None:
        self.future = future
        self._engine = engine
        self._ticket = ticket
        self._number = number
        self._missing = 2  # the delay and the future
        self._lock = threading.Lock()

    def follow(self) -> None:
        """Complete the ticket when the future is complete and the delay is over."""
        delay_s = self._engine._plan.faults(self._number).delay_s
        if delay_s > 0:
            self._engine._plan.count("delayed")
            call_later(delay_s, self._one_is_here)
        else:
            self._missing -= 1
        self.future.add_done_callback(self._one_is_here)

    def _one_is_here(self, future: Any = None) -> None:
        if future is not None and not future.done():  # an early wake
            return
        with self._lock:
            self._missing -= 1
            if self._missing:
                return
        ticket, plan = self._ticket, self._engine._plan
        faults = plan.faults(self._number)
        if faults.error:
            plan.count("errors")
            ticket.fail(InjectedFault(self._number, "it failed, by seed"))
        else:
            try:
                value = self.future.result()
            except BaseException as exc:
                if getattr(self.future, "status", None) is Status.EAGAIN:
                    ticket.busy(str(exc))
                else:
                    ticket.fail(exc)
            else:
                ticket.finish(value)
        if faults.double and not ticket.cancelled():
            plan.count("doubled")
            ticket.finish(InjectedFault(self._number, "it was completed twice"))
            assert isinstance(ticket, _FaultyTicket)
            for callback in list(ticket.told):
                callback(ticket)
