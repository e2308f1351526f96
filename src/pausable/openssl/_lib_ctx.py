"""The default library context of each thread (3.0): jobs keep their own across pauses."""

from __future__ import annotations

from pausable._thread_local import interpreters_local
from pausable.openssl._ref import expect

__all__ = [
    "OSSL_LIB_CTX",
    "OSSL_LIB_CTX_free",
    "OSSL_LIB_CTX_get0_global_default",
    "OSSL_LIB_CTX_new",
    "OSSL_LIB_CTX_set0_default",
]


class OSSL_LIB_CTX:
    """A library context. It holds nothing here; what counts is which one is the default."""

    __slots__ = ()


_global = OSSL_LIB_CTX()
_local = interpreters_local()


def OSSL_LIB_CTX_new() -> OSSL_LIB_CTX:
    """Return a new library context.

    See: OSSL_LIB_CTX_new(3)
    """
    return OSSL_LIB_CTX()


def OSSL_LIB_CTX_free(ctx: OSSL_LIB_CTX | None) -> None:
    """Free a library context; the global one and None are left alone.

    See: OSSL_LIB_CTX_free(3)
    """
    expect("ctx", ctx, OSSL_LIB_CTX)
    if ctx is not None and ctx is get_default():
        _local.default = _global


def OSSL_LIB_CTX_get0_global_default() -> OSSL_LIB_CTX:
    """Return the process's library context, which is each thread's default at first.

    See: OSSL_LIB_CTX_get0_global_default(3)
    """
    return _global


def OSSL_LIB_CTX_set0_default(libctx: OSSL_LIB_CTX | None) -> OSSL_LIB_CTX:
    """Make `libctx` the default of this thread (of this job, in a job); return the one before.

    Args:
        libctx: None changes nothing.
    See: OSSL_LIB_CTX_set0_default(3)
    """
    expect("libctx", libctx, OSSL_LIB_CTX)
    before = get_default()
    if libctx is not None:
        _local.default = libctx
    return before


def get_default() -> OSSL_LIB_CTX:
    """Return the thread's default."""
    default: OSSL_LIB_CTX = getattr(_local, "default", _global)
    return default
