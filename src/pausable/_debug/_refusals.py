"""Where a job must not pause: in code that the interpreter calls in the middle of other code.

What it interrupted would stand still until the job is resumed, perhaps by the very code that was
interrupted. It is found in the frames from the pause down to the job's root.
"""

from __future__ import annotations

import atexit
import gc
import signal
import sys
from collections.abc import Iterable
from types import CodeType, FrameType
from typing import Any, Final

from pausable._fibre import current
from pausable._thread_local import get_ident
from pausable.errors import PauseRefused

__all__ = ["forget_collections", "refuse_bad_places", "watch_collections"]

_SIGNALS: Final = sorted(signal.valid_signals())

_COLLECTING: Final = (
    "during a garbage collection: until the job is resumed there would be no other one in the"
    " process; do what pauses later, from a job of its own"
)


def refuse_bad_places(name: str) -> None:
    """Refuse a pause of the running job where it must not pause.

    Raises:
        PauseRefused: it is in a signal handler, a `__del__`, a garbage collection or an import.
    """
    why = _why_not(sys._getframe(1))
    if why is not None:
        raise PauseRefused(f"job {name!r} cannot pause {why}")


def _why_not(frame: FrameType | None) -> str | None:
    if _collections.get(get_ident()) is current():
        return _COLLECTING
    handlers = set(_codes(signal.getsignal(signum) for signum in _SIGNALS))
    callbacks = set(_codes(gc.callbacks)) - _OWN
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__":
            return (
                f"in a __del__ ({_place(code)}): that may be called in the middle of any code; give"
                " the object a close() that pauses, and call that"
            )
        if code.co_filename.startswith("<frozen importlib._bootstrap"):
            return (
                "during an import: the module would be half made for this thread, and locked for"
                " others; import it before the job starts, or pause outside of its top level"
            )
        if code in handlers and _is_called_by_a_signal(frame):
            return (
                f"in a signal handler ({_place(code)}): what it interrupted would stand still; let"
                " the handler set a flag or fire a waker, and pause elsewhere"
            )
        if code in callbacks:
            return _COLLECTING
        frame = frame.f_back
    return None


def _codes(functions: Iterable[Any]) -> Iterable[CodeType]:
    """Yield the code of what is written in Python."""
    for function in functions:
        called = getattr(function, "func", function)  # functools.partial
        if not hasattr(called, "__code__"):  # no function, no method: an object with __call__
            called = type(called).__call__ if callable(called) else None
        code = getattr(called, "__code__", None)
        if code is not None:
            yield code


def _is_called_by_a_signal(frame: FrameType) -> bool:
    """Tell a signal's call from a plain one: it passes the frame that was interrupted."""
    values = list(frame.f_locals.values())
    values += [item for value in values if type(value) is tuple for item in value]  # *args
    return frame.f_back is not None and any(value is frame.f_back for value in values)


def _place(code: CodeType) -> str:
    return f"{code.co_filename}:{code.co_firstlineno}"


# -- garbage collections ---------------------------------------------------------------------------

#: thread -> the stack in which it collects garbage now.
_collections: dict[int, Any] = {}


def _begins(phase: str, _info: object) -> None:
    if phase == "start":
        _collections[get_ident()] = current()


def _ends(phase: str, _info: object) -> None:
    if phase == "stop":
        _collections.pop(get_ident(), None)


_OWN: Final = {_begins.__code__, _ends.__code__}


def watch_collections() -> None:
    """Note when the interpreter collects garbage."""
    forget_collections()
    gc.callbacks.insert(0, _begins)  # before the callbacks of others
    gc.callbacks.append(_ends)  # after them


def forget_collections() -> None:
    """Leave garbage collections alone."""
    gc.callbacks[:] = [each for each in gc.callbacks if each not in (_begins, _ends)]
    _collections.clear()


atexit.register(forget_collections)  # later there are collections, but no stacks to ask for
