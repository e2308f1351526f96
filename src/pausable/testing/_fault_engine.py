"""A wrapper that makes an engine of `pausable.engines` misbehave, by seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pausable import Status
from pausable.engines import Engine, Ticket
from pausable.engines._checks import cancel_future
from pausable.engines._origin import would_need_this_thread
from pausable.engines._place import Place
from pausable.testing._fault_maker import FaultMaker
from pausable.testing._faults import Faults, InjectedFault

__all__ = ["FaultEngine"]


class FaultEngine(FaultMaker, Engine):
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
        pause_rate: share in whose submission the job is paused, once; the driver resumes it soon.
        interrupt_rate: share whose submission raises `InjectedInterrupt`, a BaseException.

    Raises:
        TypeError, ValueError: `inner` has no submit(), or a number is none or out of range.
    Threads: any.
    """

    _storm = 0

    def _begin(self, ticket: Ticket[Any], *request: Any, **options: Any) -> None:
        number, faults = self._next()
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
        future = ticket.data = self._inner.submit(*request, **options)
        if faults.lose:
            self._lose(number, None)
        else:
            self._follow(
                future, faults.delay_s, lambda: self._complete(ticket, number, faults, future)
            )

    def _cancel(self, ticket: Ticket[Any]) -> None:
        cancel_future(ticket.data)

    def _would_need_this_thread(self, place: Place | None) -> bool:
        return would_need_this_thread(self._inner, place)

    def _completed_twice(self, ticket: Ticket[Any]) -> None:
        """Say nothing: it is what was asked for."""

    def _complete(self, ticket: _FaultyTicket, number: int, faults: Faults, future: Any) -> None:
        """Complete a ticket as the inner engine's future is, or worse."""
        if faults.error:
            self._plan.count("errors")
            ticket.fail(InjectedFault(number, "it failed, by seed"))
        else:
            try:
                value = future.result()
            except BaseException as exc:
                if getattr(future, "status", None) is Status.EAGAIN:
                    ticket.busy(str(exc))
                else:
                    ticket.fail(exc)
            else:
                ticket.finish(value)
        if faults.double and not ticket.cancelled():
            self._plan.count("doubled")
            ticket.finish(InjectedFault(number, "it was completed twice"))
            for callback in list(ticket.told):
                callback(ticket)


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
