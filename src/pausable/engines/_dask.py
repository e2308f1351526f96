"""How operations reach a dask.distributed cluster, and how their results come back.

Not by `future.result()` in a done-callback, as dask's own executor has it: that makes a round trip
for each, one after the other, in one thread, and in a loop's thread it stops the loop. Results are
gathered on the client's own loop, where dask gathers those that are ready together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pausable.engines._ticket import Ticket
from pausable.errors import EngineError

__all__ = ["Dask"]


class Dask:
    """A client of a cluster, and the options that operations are submitted with.

    Threads: any.
    """

    def __init__(self, client: Any, options: dict[str, Any]) -> None:
        self._client = client
        self._options = options

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
        ticket.data = _Running(self._client, future)
        self._client.loop.add_callback(self._fetch, ticket, future)

    async def _fetch(self, ticket: Ticket[Any], future: Any) -> None:
        """Run on the client's loop."""
        try:
            value = await self._client.gather(future, asynchronous=True)
        except BaseException as exc:
            if future.cancelled() or future.status == "lost":
                error = EngineError(f"{self._client!r} lost or cancelled the operation: {exc!r}")
                error.__cause__ = exc
                exc = error
            ticket.fail(exc)
            if not isinstance(exc, Exception):
                raise  # the loop is being stopped
        else:
            ticket.finish(value)


class _Running:
    """What a ticket of a cluster's operation can be cancelled by."""

    def __init__(self, client: Any, future: Any) -> None:
        self._client = client
        self._future = future

    def cancel(self) -> None:
        """Tell the cluster, on the client's loop: here it would be a round trip."""
        self._client.loop.add_callback(self._cancel)

    async def _cancel(self) -> None:
        await self._client.cancel(self._future, asynchronous=True)


def _call(fn: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    return fn(*args, **kwargs)
