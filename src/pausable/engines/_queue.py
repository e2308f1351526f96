"""Requests of one kind that wait to go together, and when they may. No clock, no thread, no call.

Rules:

* At most `max_in_flight` batches of a kind are under way; what comes meanwhile piles up, and goes
  together when one of them is back.
* A batch is worth sending when it has `min_batch` requests, or when its oldest request has waited
  for `max_delay_s`, or when nobody is left who could add to it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pausable._timer import Timer
    from pausable.engines._bundle import Batch
    from pausable.engines._origin import Origin
    from pausable.engines._ticket import Ticket

__all__ = ["Limits", "Queue", "Waiting"]


class Limits(NamedTuple):
    """When to send."""

    max_batch: int
    min_batch: int
    max_delay_s: float | None
    max_in_flight: int


class Waiting(NamedTuple):
    """A request in a queue."""

    ticket: Ticket[Any]
    request: Any
    origin: Origin
    since: float
    #: The thread, if it was a job that made it and waits for it now.
    thread: int | None


class Queue:
    """The requests of one kind.

    Threads: one at a time; the engine's lock sees to that.
    """

    __slots__ = ("_limits", "kind", "led", "sending", "timer", "under_way", "waiting")

    def __init__(self, kind: Hashable, limits: Limits) -> None:
        self.kind = kind
        self.waiting: dict[int, Waiting] = {}  # by generation, the oldest first
        self.under_way: set[Batch] = set()
        #: Threads in which a job will look again when the others had their turn.
        self.led: set[int] = set()
        #: Stacks that are sending from it: each goes on as long as there is something.
        self.sending: set[int] = set()
        self.timer: Timer | None = None
        self._limits = limits

    @property
    def idle(self) -> bool:
        """Whether it can be forgotten."""
        return not self.waiting and not self.under_way

    @property
    def full(self) -> bool:
        """Whether a whole batch waits."""
        return len(self.waiting) >= self._limits.max_batch

    @property
    def may_send(self) -> bool:
        """Whether something waits, and a batch may be under way with it."""
        return bool(self.waiting) and len(self.under_way) < self._limits.max_in_flight

    def worth_sending(self, now: float, complete: Callable[[Queue], bool]) -> bool:
        """Tell whether a batch is to be sent now.

        Args:
            now: the time.
            complete: tells that nobody is left who could add a request; asked if it matters.
        """
        if not self.may_send:
            return False
        enough = len(self.waiting) >= self._limits.min_batch
        return enough or self.due_s(now) <= 0 or complete(self)

    def due_s(self, now: float) -> float:
        """Return in how many seconds the oldest request has waited long enough."""
        oldest = next(iter(self.waiting.values()))
        return 0.0 if (most := self._limits.max_delay_s) is None else oldest.since + most - now

    def put_back(self, members: list[Waiting]) -> None:
        """Have requests wait again, before the others."""
        for member in members:
            member.ticket.data = self
        self.waiting = {member.ticket.generation: member for member in members} | self.waiting

    def take(self) -> list[Waiting]:
        """Take the oldest requests, as many as go together."""
        numbers = list(self.waiting)[: self._limits.max_batch]
        return [self.waiting.pop(number) for number in numbers]
