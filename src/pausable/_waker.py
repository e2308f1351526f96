"""A wake-up that any thread may give, late, early or twice, without harm.

OpenSSL leaves this to each engine, and engines have crashed on it: a completion that arrives after
its connection is gone writes into freed memory. Here a waker carries the number of the generation
that it was made in; the context moves on to the next one when a job ends or the context is closed,
and whatever holds an older number wakes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pausable._wait_context import WaitContext
    from pausable._wakefd import WakeFd

__all__ = ["NUDGE", "Waker"]

#: Stands for a wake that came without a waker; the next one that is cleared takes it along.
NUDGE: Final = "nudge"


class Waker:
    """A handle that any thread may fire, at any time, any number of times.

    * Fired early (before the pause), it makes the next wait return at once: the level stays set
      until `clear()`.
    * Fired twice, it wakes once.
    * Fired late (after `close()`, after the end of the job or of the context), it does nothing.

    A wake is a hint, not a proof: whoever is resumed checks, and pauses again if need be.

    Pauses: never.
    Threads: `wake` any, also from a signal handler; the rest the job's own.
    """

    __slots__ = ("_ctx", "_fd", "_generation", "_level")

    def __init__(self, ctx: WaitContext) -> None:
        self._ctx: WaitContext | None = ctx
        self._generation = ctx._generation
        self._level = False
        self._fd = ctx._wake_fd() if ctx._callback is None else None
        ctx._wakers += 1

    def wake(self) -> None:
        """Have the job resumed."""
        ctx = self._ctx
        if ctx is None or self._level or self._generation != ctx._generation:
            return
        self._level = True
        callback = ctx._callback
        if callback is not None:
            callback()
            return
        if self._fd is None:  # there was a callback when this waker was made; it was unset since
            self._fd = ctx.existing_wake_fd()
        if self._fd is not None:  # else the context was closed meanwhile
            ctx._fired[self] = None
            self._fd.set()
            if self._ctx is None or self._generation != ctx._generation:
                self._lower(ctx, self._fd)  # closed meanwhile: nobody else would

    def is_set(self) -> bool:
        """Tell whether it was fired and not cleared since."""
        return self._level

    def clear(self) -> None:
        """Take back a wake, so that the next one counts again. Then check, then pause."""
        self._level = False
        ctx = self._ctx
        if self._fd is not None and ctx is not None and self._generation == ctx._generation:
            self._lower(ctx, self._fd)

    def close(self) -> None:
        """Make every later `wake()` harmless. Closing twice does nothing."""
        ctx = self._ctx
        if ctx is not None and self._generation == ctx._generation:
            ctx._wakers -= 1
            self.clear()
        self._ctx = None

    def _lower(self, ctx: WaitContext, fd: WakeFd) -> None:
        """Take back what this waker did to the descriptor, which it shares with others."""
        ctx._fired.pop(self, None)
        ctx._fired.pop(NUDGE, None)
        fd.clear()
        if ctx._fired:  # looked at last: another thread's wake comes before or after all this
            fd.set()

    def __enter__(self) -> Waker:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
