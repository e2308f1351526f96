"""How operations reach a dask.distributed cluster, and how their results come back.

Not by `future.result()` in a done-callback, as dask's own executor has it: that makes a round trip
for each, one after the other, in one thread, and in a loop's thread it stops the loop. Results are
gathered on the client's own loop, where dask gathers those that are ready together.

A client that loses its scheduler cancels its futures and looks for it for a while; what is
submitted meanwhile goes to the one it finds. Three things would stay pending for ever there, and
end here: what is submitted when the client is just giving up; all, if its task that listens to the
scheduler dies of something unforeseen (then the client says "connecting" still); and all, if what
it finds accepts the connection and says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from pausable.engines._ticket import Ticket
from pausable.errors import EngineError

__all__ = ["Dask"]

#: How long a client may look for its scheduler, in its own timeouts: dask means one, but each step
#: of connecting may take as long.
PATIENCE: Final = 2
TIMEOUT_S: Final = 30.0  # dask's own, of a client that has none


class Dask:
    """A client of a cluster, and the options that operations are submitted with.

    Threads: any.
    """

    def __init__(self, client: Any, options: dict[str, Any]) -> None:
        self._client = client
        self._options = options
        #: By generation; whoever takes an operation out completes its ticket.
        self._under_way: dict[int, _Operation] = {}
        self._watched: Any = None
        self._looking = False

    @classmethod
    def of(cls, executor: object) -> Dask | None:
        """Return one for dask's `Client` or `ClientExecutor`, or None for anything else."""
        if not type(executor).__module__.startswith("distributed"):
            return None
        options = dict(getattr(executor, "_kwargs", {}))
        client = getattr(executor, "_client", executor)
        if not hasattr(client, "gather"):
            return None
        # Two operations with the same arguments are two: a signature may be random.
        return cls(client, {**options, "pure": False})

    def begin(
        self, ticket: Ticket[Any], fn: Callable[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> None:
        """Submit a call, and have the ticket completed with what comes of it."""
        # Their own call: names of `kwargs` may be those of dask's options (key, workers, retries).
        if kwargs:
            future = self._client.submit(_call, fn, args, kwargs, **self._options)
        else:
            future = self._client.submit(fn, *args, **self._options)
        operation = ticket.data = _Operation(self._client, future, ticket)
        self._under_way[ticket.generation] = operation
        self._client.loop.add_callback(self._follow, operation)
        # Last: if the client stops listening after this, its loop still runs `_follow` or `_lose`.
        if self._deaf():
            self._under_way.pop(ticket.generation, None)
            raise self._lost(None)

    # -- inside: on the client's loop, but for _deaf and _lost -------------------------------------

    async def _follow(self, operation: _Operation) -> None:
        ticket, future = operation.ticket, operation.future
        self._watch()
        if ticket.generation not in self._under_way:
            return
        try:
            value = await self._client.gather(future, asynchronous=True)
        except BaseException as exc:
            if self._take(operation):
                ticket.fail(exc if _is_its_own(future, exc) else self._lost(exc))
            if not isinstance(exc, Exception):
                raise  # the loop is being stopped
        else:
            if self._take(operation):
                ticket.finish(value)

    def _watch(self) -> None:
        """See to it that nothing is pending when nobody is left who could complete it."""
        client = self._client
        listening = client._handle_report_task
        if listening.done():
            self._lose_all()
        elif self._watched is not listening:
            self._watched = listening
            listening.add_done_callback(self._lose_all)
        if client.status == "connecting" and not self._looking:
            self._looking = True
            client.loop.call_later(PATIENCE * (client._timeout or TIMEOUT_S), self._stop_looking)

    def _lose_all(self, _listening: Any = None) -> None:
        for operation in list(self._under_way.values()):
            if self._take(operation):
                operation.ticket.fail(self._lost(None))
                operation.future.release()  # ends _follow, too

    def _stop_looking(self) -> None:
        self._looking = False
        if self._client.status == "connecting":
            self._lose_all()

    def _take(self, operation: _Operation) -> bool:
        return self._under_way.pop(operation.ticket.generation, None) is not None

    def _deaf(self) -> bool:
        """Tell whether nobody listens to the scheduler any more, and nobody will."""
        listening = self._client._handle_report_task
        return listening is not None and bool(listening.done())

    def _lost(self, exc: BaseException | None) -> EngineError:
        if _is_schedulers(exc):
            now = "too many workers died of it, or none is fit for it: their logs say more"
        elif self._deaf() or self._client.status in {"closing", "closed"}:
            now = "it is closed, or has given up looking for its scheduler: make a new Client, and"
            now += " an engine of it"
        elif exc is None:
            now = "it has been looking for its scheduler for too long: make a new Client, and an"
            now += " engine of it, when the scheduler answers again"
        else:
            now = "submit it again; guard(retry=...) does"
        because = "" if exc is None else f" ({exc!r})"
        error = EngineError(f"{self._client!r} lost or cancelled the operation{because}; {now}")
        error.__cause__ = exc
        return error


class _Operation:
    """What a ticket of a cluster's operation can be cancelled by."""

    def __init__(self, client: Any, future: Any, ticket: Ticket[Any]) -> None:
        self.future = future
        self.ticket = ticket
        self._client = client

    def cancel(self) -> None:
        """Tell the cluster, on the client's loop: here it would be a round trip."""
        self._client.loop.add_callback(self._cancel)

    async def _cancel(self) -> None:
        with suppress(Exception):  # the client is closed: nothing is left to cancel
            await self._client.cancel(self.future, asynchronous=True)


def _is_its_own(future: Any, exc: BaseException) -> bool:
    """Tell whether an operation failed, and not the cluster."""
    if future.status == "error":  # what the function raised, or the scheduler has to say
        return not _is_schedulers(exc)
    # What it returned cannot be unpickled here, for one.
    lost = isinstance(exc, OSError) or not isinstance(exc, Exception)
    return future.status == "finished" and not lost


def _is_schedulers(exc: BaseException | None) -> bool:
    return type(exc).__module__ == "distributed.scheduler"  # KilledWorker, NoValidWorkerError


def _call(fn: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    return fn(*args, **kwargs)
