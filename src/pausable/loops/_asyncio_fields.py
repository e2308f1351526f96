"""What a driver in an asyncio task keeps, and what its loop's hub does.

The reference. The native core's types of these names (src/native/drive.c) have the fields of the
base classes too, for the part of `AsyncioDrive.drive_on` that it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pausable._fibre import NATIVE

if TYPE_CHECKING:
    from pausable.loops._asyncio_cancel import TaskRequest

__all__ = ["DriveFields", "HubFields"]

if TYPE_CHECKING or not NATIVE:

    class HubFields:
        """What is looked at for each await."""

        driven: int
        loop: asyncio.AbstractEventLoop

    class DriveFields:
        """What `AsyncioDrive` keeps besides the fields of `Driver` and `Drive`."""

        #: Whether the hub counts this driver, and `leave` is still to be called.
        counted = False

        _awaiting = False  # directly: only the task's cancellation can end that
        _interrupted = False
        _cancelling = 0  # how often the task was already being cancelled when the job began
        _deadline: asyncio.TimerHandle | None = None
        _late: TaskRequest | None = None  # a cancellation that came together with a value
        _shield: asyncio.Future[Any] | None = None  # what cleanup code awaits
        # Weak references: the job's stack leads to this object, and no collector looks in there.
        # What led on to the task would keep the job from being noticed when its task is gone.
        _task: Callable[[], asyncio.Task[Any] | None] = staticmethod(lambda: None)
        _waiter: Callable[[], asyncio.Future[None] | None] = staticmethod(lambda: None)

else:
    from pausable._native import DriveFields, HubFields
