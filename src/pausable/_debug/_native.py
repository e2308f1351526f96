"""Native frames under a pause, seen from how much of the C stack was set aside.

From Python 3.11 on calls from Python to Python need no C stack, so a job that paused below Python
code alone sets aside the same amount whatever its depth, and each call from C to Python (a sort
key, re.sub, a generator's next, a decorator in C) adds hundreds of bytes.
"""

from __future__ import annotations

import sys
from functools import cache
from types import FrameType
from typing import Any, Final

from pausable._debug._places import Place, warn_later
from pausable._fibre import Fibre, Relay, current, summary
from pausable._job import JobFibre
from pausable._state import State
from pausable.errors import NativeFrameWarning

__all__ = ["can_tell", "native_frames", "warn_of_native_frames"]

#: What a compiler may add here or there; one call from C to Python is more than twice as much.
SLACK_BYTES: Final = 200

can_tell: Final = sys.version_info >= (3, 11)


def native_frames(fibre: JobFibre) -> bool | None:
    """Tell whether a watched job that is paused has C frames on its stack; None: unknown."""
    saved = fibre.saved_bytes()
    if not can_tell or saved is None or fibre.state is not State.PAUSED:
        return None
    return saved > plain_bytes() + SLACK_BYTES


@cache
def plain_bytes() -> int:
    """Return what is set aside for a watched job without native frames."""
    fibre = Fibre()
    fibre.warm_up()
    fibre.resumer = current()
    fibre.switch(_run, (fibre, _pause, (fibre,), None), None)  # as _watch.begin has it
    saved = fibre.saved_bytes()
    fibre.switch()
    fibre.retire()
    assert saved is not None
    return saved


def _run(_fibre: Fibre, fn: Any, args: Any, kwargs: Any) -> Any:
    return fn(*args, **kwargs) if kwargs else fn(*args)


def _pause(fibre: Fibre) -> None:
    Relay(fibre.resumer).switch()


def warn_of_native_frames(fibre: JobFibre, name: str) -> None:
    """Warn of a job that was paused with native frames on its stack, and is about to be resumed.

    Where warnings are errors, it is logged: whoever resumes it, a loop's driver say, did not pause.
    """
    frames = fibre.frames()
    frame, line = next((pair for pair in frames if not _is_ours(pair[0])), frames[0])
    stack = summary(frames)
    warn_later(
        NativeFrameWarning,
        f"job {name!r} was paused with native frames on its stack ({fibre.saved_bytes()} bytes of C"
        f" stack are set aside for it, {plain_bytes()} for plain Python). That works, but each"
        " switch copies them, and cancelling may not get through: some C code swallows or converts"
        " exceptions. Pause above that call, if you can. It was paused at\n"
        f"{''.join(stack.format())}",
        Place(frame.f_code.co_filename, line),
    )


def _is_ours(frame: FrameType) -> bool:
    module: str = frame.f_globals.get("__name__", "")
    return module == "pausable" or module.startswith("pausable.")
