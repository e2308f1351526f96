"""One batch: requests that go together, and their results, each to its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Set
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from pausable._wait_context import Status
from pausable.engines._checks import Submits, cancel_future, check_future, failure_of
from pausable.engines._origin import needs_this_thread, would_need_this_thread
from pausable.errors import EngineError

if TYPE_CHECKING:
    from pausable.engines._queue import Waiting

__all__ = ["Batch"]


class Batch:
    """Requests on their way.

    Args:
        owner: the batch engine, for messages.
        engine: what they are submitted to.
        fn_many: what they are for.
        members: the requests.
        is_back: called with it, once, just before the requests get their answers, or when they
            will get none: see `unserved`.

    Threads: any.
    """

    def __init__(
        self,
        owner: object,
        engine: Submits,
        fn_many: Callable[[list[Any]], Any],
        members: list[Waiting],
        is_back: Callable[[Batch], object],
    ) -> None:
        self.members = members
        #: Whether it was, for all that is known: neither turned down nor interrupted.
        self.executed = True
        #: Those that have to go again, since whoever sent them was interrupted.
        self.unserved: list[Waiting] = []
        self._owner = owner
        self._fn_many = fn_many
        self._engine = engine
        self._origin = members[0].origin
        self._is_back = is_back
        self._wanted = len(members)
        self._lock = threading.Lock()
        self._future: Any = None
        self._delivered = False

    def begin(self) -> None:
        """Submit them."""
        for member in self.members:
            member.ticket.data = self
        requests = [member.request for member in self.members]
        try:
            future = self._origin.submit(self._engine, (self._fn_many, requests), {})
            check_future(self._engine, future)
            with self._lock:
                self._future = future
                unwanted = not self._wanted
            if unwanted:
                cancel_future(future)
            future.add_done_callback(self._done)
        except Exception as exc:  # nobody else would tell them, or let the next batch go
            self._deliver([self._not_executed(exc)] * len(self.members))
        except BaseException:  # whoever just sends it is cancelled; the others are not
            if self._once():
                self.executed, self.unserved = False, self.members
                self._is_back(self)
            raise

    def needs_this_thread(self) -> bool:
        """Tell whether it can be back only if this thread's event loop goes on."""
        return needs_this_thread(self._future) or would_need_this_thread(
            self._engine, self._origin.place
        )

    def one_is_gone(self) -> None:
        """Count a request whose result nobody wants; cancel the batch if no other is left."""
        with self._lock:
            self._wanted -= 1
            if self._wanted:
                return
            future = self._future
        cancel_future(future)

    def _done(self, future: Any) -> None:
        try:
            if not future.done():  # an early wake
                return
            if getattr(future, "status", None) is Status.EAGAIN:
                self._deliver(None)
                return
            failure = failure_of(future)
            if failure is None:
                answers = self._answers(future.result())
            else:
                answers = [failure] * len(self.members)
        except CancelledError as exc:
            answers = [self._not_executed(exc)] * len(self.members)
        except BaseException as exc:
            answers = [exc] * len(self.members)
        self._deliver(answers)

    def _deliver(self, answers: list[Any] | None) -> None:
        """Give each ticket its answer; None: the batch was turned down."""
        if not self._once():
            return
        self.executed = answers is not None
        try:  # first: what has piled up goes now, not when everybody has been told
            self._is_back(self)
        finally:
            self._tell(answers)

    def _tell(self, answers: list[Any] | None) -> None:
        for number, (ticket, *_) in enumerate(self.members):
            if answers is None:
                ticket.busy()
            elif isinstance(answers[number], BaseException):
                ticket.fail(answers[number])
            else:
                ticket.finish(answers[number])

    def _once(self) -> bool:
        with self._lock:
            first, self._delivered = not self._delivered, True
            return first

    def _answers(self, results: Any) -> list[Any]:
        """Return the results, one for each request.

        Raises:
            EngineError: that is not what they are.
        """
        count = len(self.members)
        try:
            if isinstance(results, (str, bytes, bytearray, Mapping, Set)):
                raise TypeError
            answers = iter(results)
        except TypeError:
            raise EngineError(
                f"{self._fn_many!r} returned a {type(results).__name__} for {count} requests: it"
                " has to return a list of as many results, in the same order"
            ) from None
        answers = list(answers)  # not above: what a generator raises is its own
        if len(answers) != count:
            raise EngineError(
                f"{self._fn_many!r} returned {len(answers)} results for {count} requests, and"
                " nobody can tell whose they are: it has to return one for each, in the same order"
                " (an exception where there is none)"
            )
        return answers

    def _not_executed(self, exc: BaseException) -> Exception:
        if isinstance(exc, EngineError):
            return exc
        error = EngineError(f"a batch of {self._owner!r} was not executed: {exc!r}")
        error.__cause__ = exc
        return error
