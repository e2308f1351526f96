"""Being busy: what a fake engine does that has no room for one more operation now."""

from __future__ import annotations

import pausable

__all__ = ["pause_busy"]


def pause_busy() -> bool:
    """Pause with the status EAGAIN, as an engine that is busy: its driver resumes the job soon.

    Pauses: once, where that is possible.
    Returns: True if the job was paused, False if nothing happened.
    """
    job = pausable.current_job() if pausable.can_pause() else None
    if job is None:
        return False
    ctx = job.wait_ctx
    del job  # a frame that held it while it is paused would keep a lost job from being noticed
    before = ctx.status
    ctx.status = pausable.Status.EAGAIN
    try:
        return pausable.pause()
    finally:
        ctx.status = before
