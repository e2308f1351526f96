"""What to wait for while a job is paused: one decision for all drivers."""

from __future__ import annotations

from typing import Final

from pausable._patience import POLL_S
from pausable._wait_context import Status, WaitContext

__all__ = ["FIRST_DELAY_S", "must_poll", "next_delay_s"]

#: The first wait of a job that nothing promises to wake: let others run, then look again.
FIRST_DELAY_S: Final = 0.0

_STEP_S: Final = 0.0005


def must_poll(ctx: WaitContext) -> bool:
    """Tell whether nobody promised to wake the job, so that it has to be resumed to find out.

    So it is too when an engine was busy (EAGAIN) or failed (ERR): no wake comes from it.
    """
    if ctx.awaits_wake():
        return False
    return ctx._status in (Status.ERR, Status.EAGAIN) or not ctx.fds()


def next_delay_s(delay_s: float) -> float:
    """Return the delay after `delay_s`: it doubles, up to 10 ms."""
    return min(POLL_S, max(_STEP_S, delay_s * 2))
