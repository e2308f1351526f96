"""Pauses where there is no job."""

from __future__ import annotations

import sys

from pausable._debug._places import place_of, warn
from pausable.errors import PauseOutsideJobWarning

__all__ = ["warn_outside"]


def warn_outside() -> bool:
    """Be a pause outside of jobs: warn of it, and do nothing."""
    warn(
        PauseOutsideJobWarning,
        "pause() was called outside of jobs, where it does nothing; start what calls it with"
        " pausable.start(), run() or map(), or ask pausable.can_pause() first",
        place_of(sys._getframe(1)),
    )
    return False
