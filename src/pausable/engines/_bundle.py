"""One batch: requests that go together, and their results, each to its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Set
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from pausable._wait_context import Status
from pausable.engines._checks import check_future
from pausable.errors import EngineError

if TYPE_CHECKING:
    from pausable.engines._queue import Waiting

__all__ = ["Batch"]


class Batch:
    """Requests on their way.

    Args:
        owner: the engine, for messages.
        fn_many: what they are for.
        members: the requests.
        is_back: called once, when every request has its answer.

    Threads: any.
    """

    def __init__(
        self,
        owner: object,
        fn_many: Callable[[list[Any]], Any],
        members: list[Waiting],
        is_back: Callable[[], object],
    ) -> None:
        self.requests = [member.request for member in members]
        self._owner = owner
        self._fn_many = fn_many
        self._here = members[0].here
        self._tickets = [member.ticket for member in members]
        self._is_back = is_back
        self._wanted = len(members)
        self._lock = threading.Lock()
        self._future: Any = None
        self._delivered = False

    def begin(self) -> None:
        """Submit them."""
        for ticket in self._tickets:
            ticket.data = self
        try:
            self._future = self._here.submit(self._fn_many, self.requests)
            check_future(self._here, self._future)
            self._future.add_done_callback(self._done)
        except BaseException as exc:
            # Whatever it is: nobody else would tell the others, or let the next batch go.
            self._deliver([self._not_executed(exc)] * len(self._tickets))
            if not isinstance(exc, Exception):
                raise

    def one_is_gone(self) -> None:
        """Count a request whose result nobody wants; cancel the batch if no other is left."""
        with self._lock:
            self._wanted -= 1
            if self._wanted:
                return
        cancel = getattr(self._future, "cancel", None)
        if cancel is not None:
            cancel()

    def _done(self, future: Any) -> None:
        if not future.done():  # an early wake
            return
        if getattr(future, "status", None) is Status.EAGAIN:
            self._deliver(None)
            return
        try:
            answers = self._answers(future.result())
        except CancelledError as exc:
            answers = [self._not_executed(exc)] * len(self._tickets)
        except BaseException as exc:
            answers = [exc] * len(self._tickets)
        self._deliver(answers)

    def _deliver(self, answers: list[Any] | None) -> None:
        """Give each ticket its answer; None: the batch was turned down."""
        with self._lock:
            if self._delivered:
                return
            self._delivered = True
        # First: what has piled up goes now, not when everybody has been told.
        self._is_back()
        for number, ticket in enumerate(self._tickets):
            if answers is None:
                ticket.busy()
            elif isinstance(answers[number], BaseException):
                ticket.fail(answers[number])
            else:
                ticket.finish(answers[number])

    def _answers(self, results: Any) -> list[Any]:
        """Return the results, one for each request.

        Raises:
            EngineError: that is not what they are.
        """
        count = len(self._tickets)
        answers: list[Any] | None = None
        if not isinstance(results, (str, bytes, bytearray, Mapping, Set)):
            try:
                answers = list(results)
            except TypeError:
                pass
        if answers is None:
            raise EngineError(
                f"{self._fn_many!r} returned a {type(results).__name__} for {count} requests: it"
                " has to return a list of as many results, in the same order"
            )
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
