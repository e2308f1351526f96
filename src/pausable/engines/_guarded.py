"""One operation of a guarded engine: attempts, until one of them decides.

An operation is retried by a timer, in any thread, by the clock of the place where it was submitted.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pausable._clock import drivers_clock
from pausable._patience import POLL_S
from pausable._timer import Timer, call_later
from pausable.engines._attempt import Attempt, because
from pausable.engines._origin import Origin
from pausable.engines._retry import Retry
from pausable.errors import BreakerOpen, EngineBusy, EngineTimeout

if TYPE_CHECKING:
    from pausable.engines._guard import GuardedEngine
    from pausable.engines._ticket import Ticket

__all__ = ["Operation"]

#: How an engine that is busy is asked again where only a deadline says when to stop.
_POLITELY: Final = Retry(sys.maxsize, delay_s=POLL_S, max_delay_s=POLL_S)


class Operation:
    """What was submitted to a guarded engine.

    Threads: any.
    """

    def __init__(
        self, guard: GuardedEngine, ticket: Ticket[Any], request: Any, options: dict[str, Any]
    ) -> None:
        self.ticket = ticket
        self.request = request
        self.options = options
        self._guard = guard
        self.origin = Origin.here()
        self._fallback = guard.fallback
        self._clock = drivers_clock()
        self._lock = threading.Lock()
        self._attempts = 0
        self._failure: BaseException | None = None  # the last one
        self._attempt: Attempt | None = None
        self._timers: list[Timer] = []
        self._over = False

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._over

    def needs_this_thread(self) -> bool:
        """Tell whether it can end only if this thread's event loop goes on."""
        return self._guard._is_blocked(self)

    @property
    def future(self) -> Any:
        """What is under way for it, or None: it waits for its turn."""
        attempt = self._attempt
        return None if attempt is None or attempt.over else attempt.future

    # -- time --------------------------------------------------------------------------------------

    def now(self) -> float:
        """Return the time, as it is where the operation was submitted."""
        return time.monotonic() if self._clock is None else self._clock.monotonic()

    def call_later(self, delay_s: float, call: Callable[[], object]) -> Timer:
        """Have `call` called later, by that time."""
        clock = self._clock
        return call_later(delay_s, call) if clock is None else clock.call_later(delay_s, call)

    # -- its life ----------------------------------------------------------------------------------

    def limit(self, deadline_s: float) -> None:
        """Have it fail if it takes longer, whatever it is doing then."""
        self._timers.append(self.call_later(deadline_s, lambda: self._out_of_time(deadline_s)))

    def attempt(self) -> None:
        """Ask the engine; a place at it is taken already."""
        self._attempts += 1
        breaker = self._guard.breaker
        phase = 0 if breaker is None else breaker.allow(self.now())
        if phase is None:
            self._guard._gate.leave(self)
            error = BreakerOpen(f"{self._guard!r} is left alone for a while: it failed too often")
            error.__cause__ = self._failure
            self.refuse(error)
            return
        attempt = Attempt(self, self._guard.engine, None, phase)
        if not self._begin(attempt):
            self._leave(attempt, failed=None)

    def refuse(self, exc: BaseException, *, again: bool = False) -> None:
        """End it without (another) attempt, or have the fallback do it.

        Args:
            exc: why.
            again: whoever submitted it may do that again soon (EAGAIN).
        """
        fallback, self._fallback = self._fallback, None
        if fallback is not None and not self._over:
            try:
                never = self._guard.never(*self.request, **self.options)
            except Exception as error:  # who knows: so it must not
                never, exc = True, because(f"{self._guard.never!r} raised {error!r}", error)
            if not never:
                self._guard._count("fallbacks")
                self._begin(Attempt(self, fallback, exc))
                return
        if not again:
            self._end(lambda: self.ticket.fail(exc))
        elif self._guard.deadline_s is None:
            self._end(lambda: self.ticket.busy(str(exc)))
        else:  # whoever is turned down submits again, and would get a new deadline
            self._guard._count("retries")
            self._enter_later(_POLITELY.next_delay_s(self._attempts))

    def interrupted(self, attempt: Attempt, exc: BaseException) -> None:
        """Go on elsewhere: whoever was just making an attempt, maybe another job, was cancelled."""
        if attempt.instead_of is not None:
            self._end(lambda: self.ticket.fail(because("the fallback was interrupted", exc)))
            return
        self._leave(attempt, failed=None)
        self._attempts -= 1
        self._enter_later(0.0)

    def give_up(self) -> None:
        """Have nothing more done: nobody wants it, or its time is over."""
        if self._stop():
            attempt, self._attempt = self._attempt, None
            if attempt is not None and attempt.give_up() and attempt.instead_of is None:
                self._leave(attempt, failed=None)
        self._guard._gate.forget(self)

    def ended(self, attempt: Attempt, value: Any, exc: BaseException | None, again: bool) -> None:
        """Go on, or end: an attempt has ended.

        Args:
            attempt: which; called once for each.
            value: what it returned.
            exc: or what it failed with.
            again: the engine turned it down, as EAGAIN.
        """
        self._attempt = None  # which holds us
        if attempt.instead_of is None:
            self._decide(attempt, value, exc, again)
            return
        if exc is not None and exc.__context__ is None:
            exc.__context__ = attempt.instead_of  # why the fallback was asked at all
        self._end(lambda: self.ticket.finish(value) if exc is None else self.ticket.fail(exc))

    # -- inside ------------------------------------------------------------------------------------

    def _begin(self, attempt: Attempt) -> bool:
        with self._lock:
            if self._over:
                return False
            self._attempt = attempt
        attempt.begin(self._guard.timeout_s)
        return True

    def _leave(self, attempt: Attempt, *, failed: bool | None) -> None:
        """Give the place at the engine to the next, and tell the breaker how it was there."""
        breaker = self._guard.breaker
        if breaker is not None:
            if failed is None:
                breaker.undecided(attempt.phase)
            elif failed:
                breaker.failed(attempt.phase, self.now())
            else:
                breaker.succeeded(attempt.phase)
        self._guard._gate.leave(self)

    def _decide(self, attempt: Attempt, value: Any, exc: BaseException | None, again: bool) -> None:
        turned_down = again or isinstance(exc, EngineBusy)
        failed = exc is not None and (turned_down or isinstance(exc, self._guard.transient))
        self._failure = exc
        try:
            self._leave(attempt, failed=None if turned_down else failed)
        finally:  # letting the next one in may be interrupted; this one has its answer
            self._conclude(value, exc, failed=failed, again=again)

    def _conclude(
        self, value: Any, exc: BaseException | None, *, failed: bool, again: bool
    ) -> None:
        if exc is None:
            self._end(lambda: self.ticket.finish(value))
        elif not failed:
            self._end(lambda: self.ticket.fail(exc))
        elif (delay_s := self._guard._retry_delay_s(self._attempts, exc)) is not None:
            self._enter_later(delay_s)
        else:
            self.refuse(exc, again=again and self._guard.retry is None)

    def _enter_later(self, delay_s: float | None) -> None:
        assert delay_s is not None
        with self._lock:
            if not self._over:
                self._timers.append(self.call_later(delay_s, self._enter))

    def _enter(self) -> None:
        self._guard._gate.enter(self)

    def _out_of_time(self, deadline_s: float) -> None:
        error = EngineTimeout(f"{self.ticket!r} was not done after {deadline_s} s (deadline_s)")
        if self.ticket.give_up(error):  # and so has us give up whatever is under way
            self._guard._count("timeouts")

    def _end(self, tell: Callable[[], object]) -> None:
        if self._stop():
            tell()

    def _stop(self) -> bool:
        with self._lock:
            if self._over:
                return False
            self._over = True
            self._failure = None
            timers, self._timers = self._timers, []
        for timer in timers:
            timer.cancel()
        return True
