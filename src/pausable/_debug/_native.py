"""Native frames under a pause, seen from how much of the C stack was set aside.

From Python 3.11 on calls from Python to Python need no C stack, so a job that paused below Python
code alone sets aside the same amount whatever its depth, and each call from C to Python (a sort
key, re.sub, a generator's next, a decorator in C) adds hundreds of bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from pausable._debug._places import Place, warn_later
from pausable._fibre import NATIVE, Fibre, Relay
from pausable._frames import summary
from pausable._job import JobFibre, pause
from pausable._pool import JobPool
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
    return saved > plain_bytes(type(fibre)) + SLACK_BYTES


_plain: Final[dict[type, int]] = {}


def plain_bytes(kind: type[JobFibre]) -> int:
    """Return what is set aside for a watched job on such a fibre without native frames."""
    if kind not in _plain:
        _plain[kind] = _measured(kind)
    return _plain[kind]


def _measured(kind: type[JobFibre]) -> int:
    fibre: Fibre
    call: Callable[[Fibre], None]
    if kind is JobFibre:
        fibre, call = Fibre(), _pause
    else:  # on greenlet beside the native core, whose pause() is a native frame itself
        fibre, call = kind(JobPool(), depth=0, transient=True), _pause_as_job
    fibre.warm_up()
    fibre.resumer = Relay(fibre.here())
    fibre.switch(_run, (fibre, call, (fibre,), None), None)  # as _watch.begin has it
    saved = fibre.saved_bytes()
    fibre.switch()
    fibre.retire()
    assert saved is not None
    return saved


def _run(_fibre: Fibre, fn: Any, args: Any, kwargs: Any) -> Any:
    return fn(*args, **kwargs) if kwargs else fn(*args)


def _pause(fibre: Fibre) -> None:
    fibre.resumer.switch()


def _pause_as_job(_fibre: Fibre) -> None:
    pause()


def warn_of_native_frames(fibre: JobFibre, name: str) -> None:
    """Warn of a job that was paused with native frames on its stack, and is about to be resumed.

    Where warnings are errors, it is logged: whoever resumes it, a loop's driver say, did not pause.
    """
    frames = fibre.frames()
    if not frames:  # a call in C alone: there is no place to warn of
        return
    plain = plain_bytes(type(fibre))
    frame, line = next((pair for pair in frames if not _is_ours(pair[0])), frames[0])
    stack = summary(frames)
    warn_later(
        NativeFrameWarning,
        f"job {name!r} was paused with native frames on its stack ({fibre.saved_bytes()} bytes of C"
        f" stack are set aside for it, {plain} for plain Python). That works, but{_copied(fibre)}"
        " cancelling may not get through: some C code swallows or converts"
        " exceptions. Pause above that call, if you can. It was paused at\n"
        f"{''.join(stack.format())}",
        Place(frame.f_code.co_filename, line),
    )


def _copied(fibre: JobFibre) -> str:
    return "" if NATIVE and isinstance(fibre, JobFibre) else " each switch copies them, and"


def _is_ours(frame: FrameType) -> bool:
    module: str = frame.f_globals.get("__name__", "")
    return module == "pausable" or module.startswith("pausable.")
