"""A dask.distributed cluster for a private key's operations.

The private key is never sent: each worker loads it from a file of its own, by the same name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pausable.cli._key_worker import KeyFile, sign_with_file
from pausable.cli._outcome import reason_of
from pausable.cli._output import Refusal, shown

__all__ = ["connected"]

#: A scheduler that is there answers in milliseconds; the farthest ones, in a second.
_CONNECT_TIMEOUT_S = 10.0


@contextmanager
def connected(address: str, file: KeyFile) -> Iterator[Any]:
    """Yield a client of a cluster whose workers have a key.

    Raises:
        Refusal: distributed is not installed, no scheduler answers, it has no workers, or one of
            them cannot sign.
    """
    try:
        from distributed import Client  # noqa: PLC0415  # an extra, and slow to import
    except ModuleNotFoundError as exc:
        raise Refusal(
            f"--engine dask://{address} needs {exc.name}: pip install 'pausable[dask]'"
        ) from exc
    # Its warnings, of connections that come and go, are about what we report or survive.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client: Any = Client(  # type: ignore[no-untyped-call]
            address, timeout=_CONNECT_TIMEOUT_S, set_as_default=False
        )
    except (OSError, ValueError, TypeError) as exc:
        raise Refusal(
            f"--engine dask://{address}: no scheduler answers there ({reason_of(exc)}); start one"
            " with dask scheduler, or correct the address"
        ) from exc
    with client:
        _refuse_unable(client, address, file)
        yield client


def _refuse_unable(client: Any, address: str, file: KeyFile) -> None:
    """Have every worker load the key, so that what is wrong is known before anything is done."""
    try:
        answers: dict[str, Any] = client.run(sign_with_file, file, 0.0, [], on_error="return")
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
        if isinstance(answer, ModuleNotFoundError):
            raise Refusal(
                f"--engine dask://{address}: worker {worker} has no {answer.name}; there, too:"
                " pip install 'pausable[cli]'"
            )
        if isinstance(answer, Exception):
            raise Refusal(
                f"--engine dask://{address}: worker {worker} cannot sign: {answer}; give every"
                f" worker the key, in a file {shown(file.path)} of its own"
            )
