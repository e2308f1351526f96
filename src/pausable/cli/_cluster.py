"""A dask.distributed cluster whose workers do what a command needs."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pausable.cli._outcome import reason_of
from pausable.cli._output import Refusal

__all__ = ["Cluster", "connected"]

#: A scheduler that is there answers in milliseconds; the farthest ones, in a second.
_CONNECT_TIMEOUT_S = 5.0

#: After the client has looked for its scheduler for so long, half a second does not matter.
_LOOK_S = 0.5


class Cluster:
    """A cluster that is in use."""

    def __init__(self, client: Any) -> None:
        #: Of distributed.
        self.client = client
        self._over = threading.Event()

    @contextmanager
    def watched(self, lost: Callable[[str], object]) -> Iterator[None]:
        """Have lost(why) called, in a thread, if the scheduler is gone.

        Operations that a client was given while it tried to find it again never end.
        """
        watcher = threading.Thread(target=self._watch, args=[lost], name="pausable-cluster")
        watcher.start()
        try:
            yield
        finally:
            self._over.set()
            watcher.join()

    def _watch(self, lost: Callable[[str], object]) -> None:
        while not self._over.wait(_LOOK_S):
            if self.client.status in {"closing", "closed"}:
                lost("the cluster's scheduler is gone; start it, and run this again to go on")
                return


@contextmanager
def connected(address: str, attempt: Callable[[], object], remedy: str) -> Iterator[Cluster]:
    """Yield a cluster whose workers can do what is needed.

    Args:
        address: of the scheduler.
        attempt: called by each worker; raises what keeps it from working.
        remedy: what to do then, for people.

    Raises:
        Refusal: distributed is not installed, no scheduler answers, it has no workers, or one of
            them cannot do it.
    """
    try:
        from distributed import Client  # noqa: PLC0415  # an extra, and slow to import
    except ModuleNotFoundError as exc:
        raise Refusal(
            f"--engine dask://{address} needs {exc.name}: pip install 'pausable[dask]'"
        ) from exc
    _refuse_unreachable(address)
    # Its warnings, of connections that come and go, are about what we report or survive.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        make: Any = Client  # untyped
        client = make(address, timeout=_CONNECT_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as exc:
        raise _no_scheduler(address, exc) from exc
    with client:
        _refuse_unable(client, address, attempt, remedy)
        yield Cluster(client)


def _refuse_unreachable(address: str) -> None:
    """Connect once: the client would try for long where nobody listens."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT_S).close()
    except OSError as exc:
        raise _no_scheduler(address, exc) from exc


def _no_scheduler(address: str, exc: Exception) -> Refusal:
    return Refusal(
        f"--engine dask://{address}: no scheduler answers there ({reason_of(exc)}); start one with"
        " dask scheduler, or correct the address"
    )


def _refuse_unable(client: Any, address: str, attempt: Callable[[], object], remedy: str) -> None:
    """Have every worker try, so that what is wrong is known before anything is done."""
    try:
        answers: dict[str, Any] = client.run(attempt, on_error="return")
    except Exception as exc:
        raise Refusal(
            f"--engine dask://{address}: the workers cannot be asked ({reason_of(exc)}); are they"
            " of the same versions of Python and dask?"
        ) from exc
    if not answers:
        raise Refusal(
            f"--engine dask://{address}: the scheduler has no workers; start some with dask worker"
        )
    for worker, answer in answers.items():
        if "No module named" in str(answer):  # dask wraps it
            raise Refusal(
                f"--engine dask://{address}: worker {worker} needs this release of pausable, too"
                f" ({answer}); there: pip install 'pausable[cli,dask]'"
            )
        if isinstance(answer, Exception):
            raise Refusal(
                f"--engine dask://{address}: worker {worker} cannot be used: {answer}; {remedy}"
            )
