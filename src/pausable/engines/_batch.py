"""Requests of many paused jobs, executed together."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from pausable._clock import monotonic
from pausable._job import can_pause, current_job, pause
from pausable._patience import POLL_S, check_timeout
from pausable._pool import all_pools
from pausable._thread_local import get_ident
from pausable._timer import call_later
from pausable.engines._bundle import Batch
from pausable.engines._checks import Submits, check_count, check_engine
from pausable.engines._delivery import this_stack
from pausable.engines._engine import Engine
from pausable.engines._executor import ExecutorEngine
from pausable.engines._origin import Origin, would_need_this_thread
from pausable.engines._place import Place, loop_runs_here
from pausable.engines._queue import Limits, Queue, Waiting
from pausable.engines._ticket import Ticket

__all__ = ["BatchEngine", "BatchStats"]


class BatchStats(NamedTuple):
    """Figures of a batch engine at one moment."""

    #: Requests that went in a batch.
    requests: int
    batches: int
    #: {how many requests: how many batches had so many}
    fill: dict[int, int]
    #: Requests that wait for their batch to go.
    waiting: int
    #: Batches that are under way.
    in_flight: int


class BatchEngine(Engine):
    """Calls `fn_many` with a list of requests, which it returns a list of results for.

    By default what piled up while a batch was under way goes together in the next one, and a lone
    request goes at once: no delay to choose, and batches grow with the load. In jobs, a batch goes
    when all that are ready had their turn: requests that are made at the same time go together.

    `fn_many` raises for the whole batch; or it returns an exception in place of a result. It runs
    in a thread, or by an engine of your choice.

    Args:
        fn_many: takes a list of 1 to `max_batch` requests, in the order they were made; returns as
            many results, in the same order.
        max_batch: the most requests in a batch, 1 or more.
        max_delay_s: how long requests may be held for a batch to have `min_batch` of them; they go
            before if every job of their thread waits for this engine. None: not at all.
        min_batch: see there; None: `max_batch` where `max_delay_s` is given, else 1.
        kind: a function of a request; only requests of the same kind (a hashable value) go
            together, and each kind has a queue of its own.
        engine: what `fn_many` is submitted to: an engine or executor, which stays its owner's.
            None: threads of the engine's own.
        max_in_flight: the most batches of one kind under way at once, 1 or more.

    Raises:
        TypeError, ValueError: bad arguments.
    Threads: any.
    """

    def __init__(
        self,
        fn_many: Callable[[list[Any]], Any],
        max_batch: int,
        max_delay_s: float | None = None,
        min_batch: int | None = None,
        kind: Callable[[Any], Hashable] | None = None,
        *,
        engine: Submits | None = None,
        max_in_flight: int = 1,
    ) -> None:
        super().__init__()
        if not callable(fn_many):
            raise TypeError(f"fn_many has to be callable, not {fn_many!r}")
        if kind is not None and not callable(kind):
            raise TypeError(f"kind has to be a function of a request, or None, not {kind!r}")
        self._limits = _limits(max_batch, max_delay_s, min_batch, max_in_flight)
        self._fn_many = fn_many
        self._kind = kind
        self._own = ExecutorEngine() if engine is None else None
        self._engine: Submits = self._own or check_engine("engine", engine)
        self._lock = threading.Lock()
        self._queues: dict[Hashable, Queue] = {}
        self._callers: Counter[int] = Counter()  # jobs that wait for us, by their thread
        self._fill: Counter[int] = Counter()

    def submit(self, request: Any, /) -> Ticket[Any]:
        """Have a request executed with others; return its ticket.

        Raises:
            EngineError: the engine is closed, or `kind` raised.
        """
        return self._submit((request,), {"thread": None})

    def call(self, request: Any, /) -> Any:
        """Have a request executed with others and return its result.

        Pauses: until it is done; outside a job it blocks.

        Raises:
            EngineError: `fn_many` returned something else than a result for each request.
            Others: what `fn_many` raised, or returned for this request.
        """
        if not can_pause():
            return self._call((request,), {})
        here = get_ident()
        with self._lock:
            self._callers[here] += 1
        try:
            return self._call((request,), {})
        finally:
            with self._lock:
                self._callers[here] -= 1
                if not self._callers[here]:
                    del self._callers[here]

    def stats(self) -> BatchStats:
        """Return figures. Any thread."""
        with self._lock:
            fill = dict(sorted((+self._fill).items()))
            queues = list(self._queues.values())
            return BatchStats(
                requests=sum(size * count for size, count in fill.items()),
                batches=sum(fill.values()),
                fill=fill,
                waiting=sum(len(queue.waiting) for queue in queues),
                in_flight=sum(len(queue.under_way) for queue in queues),
            )

    # -- inside ------------------------------------------------------------------------------------

    def _submit_to_wait(
        self, request: tuple[Any, ...], options: dict[str, Any], *, again: bool
    ) -> Ticket[Any]:
        """Submit, and have the batch go when the other jobs that are ready had their turn too."""
        thread = get_ident() if can_pause() else None
        ticket = self._submit(request, {**options, "thread": thread})
        queue = ticket.data
        if thread is None or not isinstance(queue, Queue) or thread in queue.led:
            return ticket
        if again:  # the driver resumes whom an engine turned down when it thinks fit, no sooner
            self._send(queue)
        else:
            queue.led.add(thread)
            try:
                _let_others_go_on()
            except BaseException:
                ticket.cancel()
                raise
            finally:
                queue.led.discard(thread)
                self._send(queue)
        return ticket

    def _begin(self, ticket: Ticket[Any], request: Any, *, thread: int | None) -> None:
        kind = None if self._kind is None else self._kind(request)
        member = Waiting(ticket, request, Origin.here(), monotonic(), thread)
        with self._lock:
            queue = self._queues.get(kind)
            if queue is None:
                queue = self._queues[kind] = Queue(kind, self._limits)
            ticket.data = queue
            queue.waiting[ticket.generation] = member
        if thread is None or queue.full:
            try:
                self._send(queue)
            except BaseException:
                self._cancel(ticket)
                raise

    def _cancel(self, ticket: Ticket[Any]) -> None:
        where = ticket.data
        if isinstance(where, Batch):
            where.one_is_gone()
        elif isinstance(where, Queue):
            with self._lock:
                where.waiting.pop(ticket.generation, None)
                self._forget_if_idle(where)

    def _needs_this_thread(self, ticket: Ticket[Any]) -> bool:
        where = ticket.data
        if not isinstance(where, Queue):
            return super()._needs_this_thread(ticket)
        if not loop_runs_here():
            return False
        with self._lock:  # it goes when one of these is back, with the oldest of those
            under_way = list(where.under_way)
            places = [member.origin.place for member in where.waiting.values()]
        return any(batch.needs_this_thread() for batch in under_way) or any(
            self._would_need_this_thread(place) for place in places
        )

    def _would_need_this_thread(self, place: Place | None) -> bool:
        return would_need_this_thread(self._engine, place)

    def _forked(self) -> None:
        super()._forked()
        self._lock = threading.Lock()
        self._queues.clear()
        self._callers.clear()

    def _close(self) -> None:
        if self._own is not None:
            self._own.close()

    def _send(self, queue: Queue) -> None:
        """Send as many batches as may go now, and see to it that the rest will."""
        # A batch may be back before it is begun: then the loop below goes on, and not another one
        # inside it, and so on. But not for other stacks: this one may pause while it begins one.
        stack = this_stack()
        if stack in queue.sending:
            return
        queue.sending.add(stack)
        try:
            while (batch := self._next_batch(queue)) is not None:
                batch.begin()
        except BaseException:  # Ctrl-C, or the job that sends is cancelled
            call_later(0.0, lambda: self._send(queue))  # the others have nobody else to wait for
            raise
        finally:
            queue.sending.discard(stack)

    def _next_batch(self, queue: Queue) -> Batch | None:
        with self._lock:
            if not self._closed and queue.worth_sending(monotonic(), self._everybody_waits):
                batch = Batch(
                    self,
                    self._engine,
                    self._fn_many,
                    queue.take(),
                    lambda batch: self._is_back(queue, batch),
                )
                queue.under_way.add(batch)
                self._fill[len(batch.members)] += 1
                return batch
            if not self._closed:
                self._look_again(queue)
            self._forget_if_idle(queue)
            return None

    def _is_back(self, queue: Queue, batch: Batch) -> None:
        with self._lock:
            queue.under_way.remove(batch)
            if not batch.executed:
                self._fill[len(batch.members)] -= 1
            queue.put_back([member for member in batch.unserved if member.ticket.running()])
        self._send(queue)

    def _everybody_waits(self, queue: Queue) -> bool:
        """Tell whether every job of the requests' threads waits for us: none can add to them."""
        for thread in {member.thread for member in queue.waiting.values()}:
            if thread is None:  # it was made outside of jobs: nobody knows who else there is
                return False
            pools = [pool for pool in all_pools() if pool.thread == thread]
            if self._callers[thread] < sum(pool.under_way() for pool in pools):
                return False
        return True

    def _look_again(self, queue: Queue) -> None:
        """Have requests that are held looked at again: they may have waited long enough then."""
        if queue.timer is not None:
            queue.timer.cancel()
            queue.timer = None
        if queue.may_send:
            # Or somebody else's job, which could have added to them, has ended meanwhile.
            delay_s = min(POLL_S, max(0.0, queue.due_s(monotonic())))
            queue.timer = call_later(delay_s, lambda: self._send(queue))

    def _forget_if_idle(self, queue: Queue) -> None:
        if queue.idle and self._queues.get(queue.kind) is queue:
            del self._queues[queue.kind]  # there may be a kind for each key, or each second


def _let_others_go_on() -> None:
    """Be resumed when the jobs that are ready now had their turn.

    Pauses: once.
    """
    job = current_job()
    if job is not None:
        ctx = job.wait_ctx
        del job  # a frame that held it while it is paused would keep a lost job from being noticed
        with ctx.waker() as waker:
            waker.wake()
            pause()


def _limits(
    max_batch: int, max_delay_s: float | None, min_batch: int | None, max_in_flight: int
) -> Limits:
    """Check the numbers, and fill in what follows from others."""
    check_timeout(max_delay_s, "max_delay_s")
    if min_batch is None:
        min_batch = 1 if max_delay_s is None else max_batch
    for name, value in (
        ("max_batch", max_batch),
        ("min_batch", min_batch),
        ("max_in_flight", max_in_flight),
    ):
        check_count(name, value)
    if min_batch > max_batch:
        raise ValueError(f"min_batch has to be at most max_batch ({max_batch}), not {min_batch}")
    if min_batch > 1 and max_delay_s is None:
        raise ValueError(
            f"min_batch={min_batch} needs max_delay_s: how long may fewer requests be held?"
        )
    return Limits(max_batch, min_batch, max_delay_s, max_in_flight)
