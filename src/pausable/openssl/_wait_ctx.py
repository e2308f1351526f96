"""ASYNC_WAIT_CTX under OpenSSL's names: a thin face over `WaitContext`.

Out-parameters are `Ref`s; an array is a list, filled in place from its beginning, or, for exactly
one descriptor, a `Ref`. Where OpenSSL would follow a NULL or freed pointer, these return 0 with an
error on the queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeGuard

from pausable._wait_context import Status, WaitContext
from pausable.openssl._err import ErrorQueue
from pausable.openssl._ref import Ref, expect, store

__all__ = [
    "ASYNC_STATUS_EAGAIN",
    "ASYNC_STATUS_ERR",
    "ASYNC_STATUS_OK",
    "ASYNC_STATUS_UNSUPPORTED",
    "ASYNC_WAIT_CTX",
    "OSSL_BAD_ASYNC_FD",
    "WaitCtxFunctions",
]

#: The type of a wait context: `pausable.WaitContext`.
ASYNC_WAIT_CTX = WaitContext

ASYNC_STATUS_UNSUPPORTED: Final = int(Status.UNSUPPORTED)
ASYNC_STATUS_ERR: Final = int(Status.ERR)
ASYNC_STATUS_OK: Final = int(Status.OK)
ASYNC_STATUS_EAGAIN: Final = int(Status.EAGAIN)
OSSL_BAD_ASYNC_FD: Final = -1

Cleanup = Callable[[WaitContext, Any, int, Any], object]
Array = list[int] | Ref


class _Pointer:
    """A key that is compared by identity, whatever its type thinks of equality."""

    __slots__ = ("target",)

    def __init__(self, target: object) -> None:
        self.target = target

    def __eq__(self, other: object) -> bool:
        return type(other) is _Pointer and other.target is self.target

    def __hash__(self) -> int:
        return id(self.target)


#: What C code casts to a pointer, or keeps one constant of.
_VALUES: Final = (int, str, bytes, type(None))


def _key(key: Any) -> Any:
    return key if type(key) in _VALUES else _Pointer(key)


class _Callback:
    """A callback and its argument."""

    __slots__ = ("arg", "fn")

    def __init__(self, fn: Callable[[Any], Any], arg: Any) -> None:
        self.fn = fn
        self.arg = arg

    def __call__(self) -> object:
        return self.fn(self.arg)


class _Ignoring:
    """A callback without an argument, for callers that have one."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call

    def __call__(self, _arg: object) -> object:
        return self._call()


class WaitCtxFunctions:
    """The ASYNC_WAIT_CTX functions, with errors on the queue of one generation of the API."""

    def __init__(self, errors: ErrorQueue) -> None:
        self._errors = errors

    def ASYNC_WAIT_CTX_new(self) -> WaitContext:
        """Return a new wait context: no descriptors, no callback, status 0.

        See: ASYNC_WAIT_CTX_new(3)
        """
        return WaitContext()

    def ASYNC_WAIT_CTX_free(self, ctx: WaitContext | None) -> None:
        """Call the cleanup routine of each descriptor, the newest first, and free the context.

        None is let pass.

        See: ASYNC_WAIT_CTX_free(3)
        Differs: freeing twice is an error on the queue instead of a crash.
        """
        if ctx is not None and self._usable(ctx, "ASYNC_WAIT_CTX_free"):
            ctx.close()

    def ASYNC_WAIT_CTX_set_wait_fd(
        self,
        ctx: WaitContext | None,
        key: Any,
        fd: int,
        custom_data: Any,
        cleanup: Cleanup | None,
    ) -> int:
        """Add a descriptor, before all others; none is replaced.

        Args:
            ctx: the context.
            key: compared as a pointer is: numbers, strings and None by value, else by identity.
            fd: an int, not checked.
            custom_data: what `ASYNC_WAIT_CTX_get_fd` gives back.
            cleanup: called as cleanup(ctx, key, fd, custom_data) by `ASYNC_WAIT_CTX_free`.
        Returns: 1; 0 for a NULL or freed context.
        See: ASYNC_WAIT_CTX_set_wait_fd(3)
        """
        if not self._usable(ctx, "ASYNC_WAIT_CTX_set_wait_fd"):
            return 0
        if cleanup is not None and not callable(cleanup):
            raise TypeError(f"cleanup has to be callable or None (NULL), not {cleanup!r}")
        known = _key(key)
        routine = cleanup
        if cleanup is not None and known is not key:

            def routine(ctx: WaitContext, _: Any, fd: int, data: Any) -> object:
                return cleanup(ctx, key, fd, data)

        ctx.set_wait_fd(known, fd, custom_data, routine)
        return 1

    def ASYNC_WAIT_CTX_get_fd(
        self, ctx: WaitContext | None, key: Any, fd: Ref | None, custom_data: Ref | None
    ) -> int:
        """Get the newest descriptor of `key` and its data.

        Returns: 1; 0 if there is none: then `fd` and `custom_data` are not touched.
        See: ASYNC_WAIT_CTX_get_fd(3)
        """
        name = "ASYNC_WAIT_CTX_get_fd"
        if not self._usable(ctx, name):
            return 0
        known = _key(key)
        if known not in ctx:
            return 0
        if not self._given(name, fd=fd, custom_data=custom_data):
            return 0
        number, data = ctx.get_fd(known)
        store(fd, number)
        store(custom_data, data)
        return 1

    def ASYNC_WAIT_CTX_get_all_fds(
        self, ctx: WaitContext | None, fd: Array | None, numfds: Ref | None
    ) -> int:
        """Get all descriptors, the newest first, and their number.

        Args:
            ctx: the context.
            fd: a list, filled in place; a Ref, if there is exactly one; None: only count.
            numfds: set to the number.
        Returns: 1.
        See: ASYNC_WAIT_CTX_get_all_fds(3)
        """
        name = "ASYNC_WAIT_CTX_get_all_fds"
        if not self._usable(ctx, name) or not self._given(name, numfds=numfds):
            return 0
        return int(self._fill(name, ("fd", fd, numfds, ctx.fds())))

    def ASYNC_WAIT_CTX_get_changed_fds(
        self,
        ctx: WaitContext | None,
        addfd: Array | None,
        numaddfds: Ref | None,
        delfd: Array | None,
        numdelfds: Ref | None,
    ) -> int:
        """Get what was added and deleted in this window, each the newest first.

        A window ends when a job that uses the context is resumed, and at no other time.

        Args:
            ctx: the context.
            addfd: as `fd` of ASYNC_WAIT_CTX_get_all_fds.
            numaddfds: set to the number of descriptors added.
            delfd: as `addfd`.
            numdelfds: set to the number of descriptors deleted.
        Returns: 1.
        See: ASYNC_WAIT_CTX_get_changed_fds(3)
        """
        name = "ASYNC_WAIT_CTX_get_changed_fds"
        if not self._usable(ctx, name):
            return 0
        if not self._given(name, numaddfds=numaddfds, numdelfds=numdelfds):
            return 0
        added, deleted = ctx.changed_fds()
        return int(
            self._fill(
                name, ("addfd", addfd, numaddfds, added), ("delfd", delfd, numdelfds, deleted)
            )
        )

    def ASYNC_WAIT_CTX_clear_fd(self, ctx: WaitContext | None, key: Any) -> int:
        """Remove the newest descriptor of `key`. Its cleanup routine is not called.

        Returns: 1; 0 if there is none.
        See: ASYNC_WAIT_CTX_clear_fd(3)
        """
        if not self._usable(ctx, "ASYNC_WAIT_CTX_clear_fd"):
            return 0
        known = _key(key)
        if known not in ctx:
            return 0
        ctx.clear_fd(known)
        return 1

    def ASYNC_WAIT_CTX_set_callback(
        self, ctx: WaitContext | None, callback: Callable[[Any], Any] | None, callback_arg: Any
    ) -> int:
        """Set what engines call, as callback(callback_arg), when the job should be resumed.

        The library itself never calls it.

        Args:
            ctx: the context.
            callback: None (NULL) unsets.
            callback_arg: its argument.
        Returns: 1; 0 for a NULL context.
        See: ASYNC_WAIT_CTX_set_callback(3)
        """
        if ctx is None or not self._usable(ctx, "ASYNC_WAIT_CTX_set_callback"):
            return 0
        if callback is not None and not callable(callback):
            raise TypeError(f"callback has to be callable or None (NULL), not {callback!r}")
        ctx.set_callback(None if callback is None else _Callback(callback, callback_arg))
        return 1

    def ASYNC_WAIT_CTX_get_callback(
        self, ctx: WaitContext | None, callback: Ref | None, callback_arg: Ref | None
    ) -> int:
        """Get the callback and its argument.

        Returns: 1; 0 if none is set: then the Refs are not touched.
        See: ASYNC_WAIT_CTX_get_callback(3)
        """
        name = "ASYNC_WAIT_CTX_get_callback"
        if not self._usable(ctx, name) or ctx.callback is None:
            return 0
        if not self._given(name, callback=callback, callback_arg=callback_arg):
            return 0
        held = ctx.callback
        if not isinstance(held, _Callback):  # set by a driver of pausable's
            held = _Callback(_Ignoring(held), None)
        store(callback, held.fn)
        store(callback_arg, held.arg)
        return 1

    def ASYNC_WAIT_CTX_set_status(self, ctx: WaitContext | None, status: int) -> int:
        """Store the engine's status: one of ASYNC_STATUS_..., any int in fact.

        Returns: 1.
        See: ASYNC_WAIT_CTX_set_status(3)
        """
        if not self._usable(ctx, "ASYNC_WAIT_CTX_set_status"):
            return 0
        if not isinstance(status, int):
            raise TypeError(f"status has to be an int, not {status!r}")
        ctx._status = int(status)
        return 1

    def ASYNC_WAIT_CTX_get_status(self, ctx: WaitContext | None) -> int:
        """Return the status last stored; 0 (ASYNC_STATUS_UNSUPPORTED) at first.

        See: ASYNC_WAIT_CTX_get_status(3)
        """
        if not self._usable(ctx, "ASYNC_WAIT_CTX_get_status"):
            return ASYNC_STATUS_ERR
        return ctx._status

    # -- where OpenSSL would crash ---------------------------------------------------------------

    def _usable(self, ctx: Any, function: str) -> TypeGuard[WaitContext]:
        expect("ctx", ctx, WaitContext)
        if not self._given(function, ctx=ctx):
            return False
        if ctx.closed:
            self._errors.refuse(function, "ctx was freed; make another with ASYNC_WAIT_CTX_new")
            return False
        return True

    def _given(self, function: str, **pointers: Any) -> bool:
        for name, pointer in pointers.items():
            if name != "ctx":
                expect(name, pointer, Ref)
            if pointer is None:
                self._errors.null(function, name)
                return False
        return True

    def _fill(self, function: str, *outputs: tuple[str, Any, Any, list[int]]) -> bool:
        for name, array, _, fds in outputs:
            expect(name, array, (list, Ref))
            if isinstance(array, Ref) and len(fds) > 1:
                self._errors.refuse(
                    function,
                    f"{name} is a Ref and has room for one, but there are {len(fds)}; pass a list",
                )
                return False
        for _, array, count, fds in outputs:
            count.value = len(fds)
            if isinstance(array, Ref):
                array.value = fds[0] if fds else array.value
            elif array is not None:
                array[: len(fds)] = fds
        return True
