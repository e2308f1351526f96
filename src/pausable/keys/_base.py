"""What all keys have in common: operations go through an engine, and nothing else leaves."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, NoReturn, SupportsIndex, TypeGuard

from cryptography.hazmat.primitives import serialization

from pausable import PausableError, wait_for
from pausable._wait_for import Completable
from pausable.engines import Submits
from pausable.errors import EngineError

__all__ = ["Buffer", "PausingKey", "Submits", "check_engine", "frozen"]

Buffer = bytes | bytearray | memoryview


def check_engine(engine: object) -> None:
    """Refuse what cannot be an engine."""
    if isinstance(engine, type) or not callable(getattr(engine, "submit", None)):
        raise TypeError(
            f"engine has to have submit(fn, *args), as a concurrent.futures.Executor, not"
            f" {engine!r}; pass ThreadPoolExecutor(64), for instance"
        )
    try:
        inspect.signature(engine.submit).bind(check_engine, engine)  # type: ignore[attr-defined]
    except TypeError:
        raise TypeError(
            f"submit of {engine!r} does not take a function and its arguments, as keys need: pass"
            " an engine of functions, such as ExecutorEngine (a BatchEngine takes requests of its"
            " own)"
        ) from None
    except ValueError:  # nothing is known of it: it is written in C, for one
        pass


def frozen(data: Buffer) -> bytes:
    """Return a copy of what its owner may change while the job is paused."""
    return data if isinstance(data, bytes) else bytes(memoryview(data))


class PausingKey:
    """A private key whose operations are done elsewhere, while the job is paused.

    It is compared by identity, can be used by any number of jobs and threads at once, and is
    never copied, pickled or written out.
    """

    _engine: Submits | None
    _public_key: Any

    def _do(self, method: str, *args: Any, size_bytes: int | None = None) -> bytes:
        """Return what an operation yields.

        Pauses: until it is done.

        Args:
            method: of `cryptography`'s classes: sign, decrypt or exchange.
            args: of what `_operation` returns.
            size_bytes: of the result; None: any.

        Raises:
            EngineError: the engine did not take it, dropped it, or returned what cannot be right.
            Others: whatever the operation raised.
        """
        result = self._wait(method, self._operation(method), args)
        # No message shows the result: it may be a secret.
        if not isinstance(result, (bytes, bytearray, memoryview)):
            if isinstance(result, Coroutine):
                result.close()  # nobody will await it
            raise EngineError(
                f"{self!r} could not {method}: the operation returned a"
                f" {type(result).__qualname__}, not bytes"
            )
        result = bytes(result)
        if size_bytes is not None and len(result) != size_bytes:
            raise EngineError(
                f"{self!r} could not {method}: the operation returned {len(result)} bytes, and"
                f" {size_bytes} are what this key yields; does it use this key?"
            )
        return result

    def _operation(self, method: str) -> Callable[..., Any]:
        """Return what the engine is to call for a method."""
        raise NotImplementedError

    def _wait(self, method: str, operation: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        if self._engine is None:
            pending = operation(*args)
            return wait_for(pending) if _is_pending(pending) else pending
        call = getattr(self._engine, "call", None)
        if call is not None:  # of pausable's own engines: it tries again when they are busy
            return call(operation, *args)
        try:
            pending = self._engine.submit(operation, *args)
        except PausableError:
            raise  # the engine's own refusal says what to do
        except Exception as exc:
            raise EngineError(
                f"{self!r} could not {method}: {self._engine!r} refused it ({exc!r}); use an engine"
                " that is open and has room"
            ) from exc
        if not _is_pending(pending):
            raise EngineError(
                f"{self!r} could not {method}: submit of {self._engine!r} returned a"
                f" {type(pending).__qualname__}; it has to return a future (something with done(),"
                " result() and add_done_callback())"
            )
        try:
            return wait_for(pending)
        except CancelledError as exc:
            raise EngineError(
                f"{self!r} could not {method}: {self._engine!r} dropped it; use an engine that"
                " stays open while its keys are in use"
            ) from exc

    # -- what never leaves -----------------------------------------------------------------------

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,  # noqa: A002  # their name
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> bytes:
        """Refuse.

        Raises:
            NotImplementedError: always.
        """
        self._stays("private_bytes")

    def _stays(self, what: str) -> NoReturn:
        raise NotImplementedError(
            f"{self!r} has no {what}(): its private part is not here. Pass public_key() where the"
            " public part will do; for libraries that want more there is pausable.keys.adapters"
        )

    def __copy__(self) -> NoReturn:
        self._is_one("copied; share it, any number of jobs and threads can use it")

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        self._is_one("copied; share it, any number of jobs and threads can use it")

    def __reduce_ex__(self, _protocol: SupportsIndex) -> NoReturn:
        self._is_one("pickled; make it anew in the process that needs it")

    def _is_one(self, what: str) -> NoReturn:
        raise TypeError(f"{self!r} cannot be {what}")

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__}: {_described(self._public_key)}>"


def _is_pending(x: object) -> TypeGuard[Completable[Any] | Awaitable[Any]]:
    return hasattr(x, "__await__") or (
        hasattr(x, "done") and hasattr(x, "result") and hasattr(x, "add_done_callback")
    )


def _described(public_key: Any) -> str:
    kind = type(public_key).__name__.strip("_").removesuffix("PublicKey")
    curve = getattr(public_key, "curve", None)
    if curve is not None:
        return f"EC {curve.name}"
    size_bits = getattr(public_key, "key_size", None)
    return kind if size_bits is None else f"{kind} {size_bits} bits"
