"""Blocking until a wait context is ready: for callers that have no event loop."""

from __future__ import annotations

import select
import time
from typing import Final

from pausable._wait_context import WaitContext

__all__ = ["POLL_S", "check_timeout", "wait_until_awake"]

#: The longest wait between two looks at a job that nothing promises to wake.
POLL_S: Final = 0.01


def check_timeout(timeout_s: float | None, name: str = "timeout_s") -> None:
    """Refuse what is no time to wait.

    Raises:
        ValueError: it is negative, or no number.
    """
    if timeout_s is not None and not timeout_s >= 0:
        raise ValueError(f"{name} has to be 0 or more seconds, or None, not {timeout_s!r}")


def wait_until_awake(ctx: WaitContext | None, deadline: float) -> bool:
    """Block until a job that waits on `ctx` may be worth resuming, at most `POLL_S`.

    Args:
        deadline: as of time.monotonic().
    Returns: False if the deadline has passed.
    """
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        return False
    wait_s = min(POLL_S, left_s)
    fds = [fd for fd in ctx.fds() if fd >= 0] if ctx is not None else []
    if not fds:
        time.sleep(wait_s)
    elif hasattr(select, "poll"):
        poller = select.poll()
        for fd in fds:
            poller.register(fd, select.POLLIN)
        poller.poll(wait_s * 1000)
    else:  # Windows
        select.select(fds, [], [], wait_s)
    return True
