"""A call stack that can be set aside, on C stacks of our own (`pausable._native`).

The same interface as `_fibre_greenlet`, which is the reference. What differs: a fibre's stack stays
where it is, so a switch costs the same at any depth; it is bounded (`size_bytes`); and somebody
else's greenlets must not be switched inside of it, for greenlet takes all stacks of a thread to be
parts of one.
"""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

from pausable._backend import greenlet_is_in, when_greenlet_comes
from pausable._frames import summary, visible
from pausable._native import Fibre as _Fibre
from pausable._native import (
    FibreError,
    Pool,
    bind_states,
    current,
    current_stack,
    set_guard,
    watch_greenlet,
)
from pausable._native import stack_memory as native_stack_memory
from pausable._state import State
from pausable.errors import JobStateError

if TYPE_CHECKING:
    from traceback import StackSummary

__all__ = [
    "Fibre",
    "FibreError",
    "FibreExit",
    "Pool",
    "Relay",
    "current",
    "enclosing",
    "stack_memory",
]

bind_states(State)


def _choose_guards() -> None:
    """Heed PAUSABLE_STACK_GUARD: for the process, since it is about the system that it runs on."""
    wish = os.environ.get("PAUSABLE_STACK_GUARD") or "auto"
    if wish == "none":
        set_guard("none")
    elif wish != "auto":
        raise ValueError(f"PAUSABLE_STACK_GUARD has to be 'auto' or 'none', not {wish!r}")


_choose_guards()


def _getcurrent() -> Any:
    """Return the greenlet that runs, or None while greenlet is being imported."""
    getcurrent = getattr(sys.modules.get("greenlet"), "getcurrent", None)
    return getcurrent() if getcurrent is not None else None


def _refused(_fibre: Fibre) -> JobStateError:
    return JobStateError(
        "a job on a native stack cannot pause inside a greenlet that was switched to in the job"
        " (gevent, SQLAlchemy's asyncio and greenback use them): greenlet would use its memory"
        " meanwhile; import greenlet before the job starts, or set PAUSABLE_BACKEND=greenlet"
    )


when_greenlet_comes(lambda: watch_greenlet(_getcurrent, _refused))


class FibreExit(BaseException):
    """Never raised: the interpreter does not dispose of these stacks."""


class Fibre(_Fibre):
    """One call stack, used for one call after another.

    `switch(fn, args, kwargs)` enters an idle fibre and returns when the call was set aside or has
    ended (`state` tells which); `point.switch()` enters a call that was set aside.
    """

    #: The stack that is running: what `resumer` has to be.
    here = staticmethod(current_stack)

    def stack(self) -> StackSummary:
        """Return where a call was set aside, outermost frame first.

        Threads: any; of a call that runs meanwhile in its own thread it is a snapshot.
        """
        return summary(self.frames())

    def frames(self) -> list[tuple[FrameType, int]]:
        """Return where a call was set aside as (frame, line), innermost first. Any thread."""
        return visible(self.gr_frame)

    def outer_frames(self) -> list[tuple[FrameType, int]] | None:
        """Return the frames of a call that has entered another fibre, or None if it has not."""
        frame = self.gr_frame
        return None if frame is None else visible(frame)


class Relay:
    """Stands in for `resumer` for one pause, so that whoever resumes is looked at closely."""

    __slots__ = ("stack", "switch")

    def __init__(self, resumer: Any) -> None:
        self.stack = resumer
        self.switch = resumer.switch


def enclosing(kind: type[Fibre]) -> Any:
    """Return the fibre of type `kind` that the running code is on, or None."""
    here = current()
    return here if type(here) is kind else None


def stack_memory(fibres: list[Any]) -> tuple[int, int]:
    """Return bytes of (address space, memory) of stacks, of those on greenlet too."""
    mapped, resident = native_stack_memory(fibres)
    if greenlet_is_in():
        resident += sum(getattr(fibre, "_stack_saved", 0) for fibre in fibres)
    return mapped, resident
