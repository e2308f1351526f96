"""A call stack that can be set aside, on greenlet: the reference, for every platform.

Rules:

* One fibre serves one call after another (`run` is a loop): a fresh greenlet costs many times a
  switch, so fibres are pooled and never end of their own accord.
* An idle fibre holds nothing of the call it served. It idles outside `except`, for a frame that
  waits in there keeps that exception, its traceback and all their locals alive.
* Control goes back to `resumer`, who entered last, never to greenlet's `parent`: the one who
  started a call need not be the one who resumed it.
* A call may be set aside while a greenlet of somebody else's runs inside it (gevent, SQLAlchemy):
  `point` is the greenlet to enter again, the fibre itself only in the plain case.
* `greenlet.throw` and `GreenletExit` are not used: `GreenletExit` is returned, not raised, by a
  switch, and means to us that the interpreter is disposing of the stack.
* A gevent hub that was made in a call is a child of its fibre for good. It runs greenlets for the
  whole thread, so they are in no call; and what it throws at its parent is meant for the root.

Rejected: a greenlet per call (20 times slower); generators (cannot suspend below the first frame);
`parent` as the way back (its setter costs as much as a switch's bookkeeping).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

import greenlet as _greenlet

from pausable._frames import hide, summary, visible
from pausable._state import State

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
    "root",
    "stack_memory",
]

ENDED = State.ENDED
RUNNING = State.RUNNING

#: What greenlet raises when a stack cannot be entered: another thread's, or a dead thread's.
FibreError = _greenlet.error
#: What a stack sees when the interpreter disposes of it.
FibreExit = _greenlet.GreenletExit
#: The stack that is running, a `Fibre` or somebody else's greenlet. Any thread.
current: Callable[[], Any] = _greenlet.getcurrent


class Fibre(_greenlet.greenlet):
    """One call stack, used for one call after another.

    `switch(fn, args, kwargs)` enters an idle fibre and returns when the call was set aside or has
    ended (`state` tells which); `point.switch()` enters a call that was set aside.
    """

    __slots__ = ("dying", "exc", "point", "resumer", "state", "value")

    state: State
    resumer: Any
    point: Any
    value: Any
    exc: BaseException | None
    dying: bool

    def __init__(self) -> None:
        # Not a child of whoever happens to need a new fibre: that would keep it alive.
        super().__init__(parent=root())
        self.state = State.READY
        self.resumer = None
        self.point = self
        self.value = None
        self.exc = None
        self.dying = False

    def run(self) -> None:
        """Serve calls for ever (the greenlet's body). A first, empty switch gets it here."""
        fn: Any
        while True:
            try:
                while True:
                    if self.dying:  # first: after a branch 3.14 would leave `try` to jump back
                        return
                    self.state = ENDED
                    fn = args = kwargs = None
                    # Inside `try`, for Ctrl-C can hit on the way in or out: that may end the call,
                    # but never the fibre.
                    fn, args, kwargs = self.resumer.switch()
                    self.state = RUNNING
                    self.value = fn(*args, **kwargs) if kwargs else fn(*args)
            except BaseException as exc:
                if self.dying or (self.state is ENDED and isinstance(exc, FibreExit)):
                    return
                if self.state is ENDED and self.resumer is None:  # idle: nobody called anything
                    self.resumer = _Relay(self, exc)
                else:
                    self.exc = exc

    here = staticmethod(current)

    def warm_up(self) -> None:
        """Make the stack of a new fibre, with nothing: a greenlet never lets go of that."""
        self.resumer = current()
        self.switch()
        self.resumer = None

    def retire(self) -> None:
        """End an idle fibre. Forgetting it would free nothing: its own frame holds it."""
        self.dying = True
        try:
            self.parent = current()  # where control goes when a greenlet ends
            self.switch(_nothing, (), None)
        except (FibreError, ValueError):  # its thread has ended, and its stack with it
            pass

    def stack(self) -> StackSummary:
        """Return where a call was set aside, outermost frame first.

        Threads: any; of a call that runs meanwhile in its own thread it is a snapshot.
        """
        return summary(self.frames())

    def frames(self) -> list[tuple[FrameType, int]]:
        """Return where a call was set aside as (frame, line), innermost first. Any thread."""
        frames = []
        part = self.point
        while part is not None:  # somebody else's greenlets, then the fibre itself
            frames += visible(part.gr_frame)
            part = part.parent if part is not self else None
        return frames

    def outer_frames(self) -> list[tuple[FrameType, int]] | None:
        """Return the frames of a call that has entered another fibre, or None if it has not."""
        frame = self.gr_frame
        return None if frame is None else visible(frame)

    def saved_bytes(self) -> int | None:
        """Return how much of the C stack was set aside with the call, if it is all its own."""
        return int(self._stack_saved) if self.point is self else None


class Pool:
    """What a pool of fibres is based on."""

    __slots__ = ()


class _Relay:
    """Hands on what a stranger threw into an idle fibre, which stays idle meanwhile."""

    def __init__(self, fibre: Fibre, exc: BaseException) -> None:
        self._fibre = fibre
        self._exc = [exc]

    def switch(self) -> Any:
        self._fibre.resumer = None
        return root().throw(self._exc.pop())


def _nothing() -> None:
    pass


hide(Fibre.run.__code__)


class Relay:
    """Stands in for `resumer` for one pause, so that whoever resumes is looked at closely."""

    __slots__ = ("switch",)

    def __init__(self, resumer: Any) -> None:
        self.switch = resumer.switch


def root() -> Any:
    """Return the greenlet at the bottom of this thread."""
    here = current()
    while here.parent is not None:
        here = here.parent
    return here


def enclosing(kind: type[Fibre]) -> Any:
    """Return the innermost fibre of type `kind` that the running code is inside of, or None.

    Only needed when `current()` is not a fibre itself: then somebody else's greenlet runs, and it
    is inside a fibre if one is among its parents.
    """
    here = current()
    hub = getattr(sys.modules.get("gevent.hub"), "Hub", ())
    while here is not None and type(here) is not kind:
        here = None if isinstance(here, hub) else here.parent
    return here


def stack_memory(fibres: list[Any]) -> tuple[int, int]:
    """Return bytes of (address space, memory) of stacks: 0, and what was copied away at pauses."""
    return 0, sum(fibre._stack_saved for fibre in fibres)
