"""A call stack that can be set aside: of the kind that this process has (`_backend`).

`_fibre_greenlet` is the reference, and for everywhere; `_fibre_native` has C stacks of their own
for jobs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pausable._backend import NATIVE

__all__ = [
    "NATIVE",
    "Fibre",
    "FibreError",
    "FibreExit",
    "Pool",
    "Relay",
    "current",
    "enclosing",
    "stack_memory",
]

if TYPE_CHECKING or not NATIVE:
    from pausable._fibre_greenlet import (
        Fibre,
        FibreError,
        FibreExit,
        Pool,
        Relay,
        current,
        enclosing,
        stack_memory,
    )
else:
    from pausable._fibre_native import (
        Fibre,
        FibreError,
        FibreExit,
        Pool,
        Relay,
        current,
        enclosing,
        stack_memory,
    )
