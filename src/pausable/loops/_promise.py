"""How long to wait while a job is paused: one decision for all drivers."""

from __future__ import annotations

from typing import Final

from pausable._patience import POLL_S
from pausable._wait_context import Status, WaitContext

__all__ = ["Patience"]

_STEP_S: Final = 0.0005

#: An engine's word (a descriptor, the status OK) is believed that long. It may have been meant for
#: an earlier pause of the same job; a resume that comes too early does no harm.
BELIEF_S: Final = 1.0


class Patience:
    """How long a job may be left alone, if nothing wakes it."""

    __slots__ = ("_delay_s",)

    def __init__(self) -> None:
        self._delay_s = 0.0

    def delay_s(self, ctx: WaitContext | None, *, all_watched: bool) -> float | None:
        """Return the seconds until the job has to be resumed to see; None: it will be woken.

        Where nobody promised anything, that is 0 at first (let others run), then doubles up to
        10 ms. So it is too when an engine was busy (EAGAIN) or failed (ERR): no wake comes from it.

        Args:
            ctx: where the job waits; None: nowhere.
            all_watched: the driver waits for every descriptor; else one may be ready unseen.
        """
        delay_s = self._promised_s(ctx)
        if not all_watched:
            delay_s = POLL_S if delay_s is None else min(delay_s, POLL_S)
        return delay_s

    def _promised_s(self, ctx: WaitContext | None) -> float | None:
        if ctx is not None:
            if ctx.has_wakers():
                self._delay_s = 0.0
                return None
            status = ctx.status
            busy = status in {Status.EAGAIN, Status.ERR}
            if status == Status.OK or (ctx.has_fds() and not busy):
                self._delay_s = 0.0
                return BELIEF_S
        delay_s = self._delay_s
        self._delay_s = min(POLL_S, max(_STEP_S, delay_s * 2))
        return delay_s
