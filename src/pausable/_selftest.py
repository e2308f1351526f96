"""Whether the native core does here what it was written for: tried once, when it is imported.

A compiler, a CPython with patches or an emulator may differ from those that it was tested on. What
is wrong in a plain way is seen here, and jobs run on greenlet then.
"""

from __future__ import annotations

import sys
from typing import Any

from pausable._native import Fibre, bind_states, current_stack
from pausable._state import State

__all__ = ["fault"]


def fault() -> str | None:
    """Try it; return what is wrong, or None."""
    try:
        return _switch_to_and_fro()
    except Exception as exc:  # there may be no address space for stacks (ulimit -v)
        return f"{type(exc).__name__}: {exc}"


def _switch_to_and_fro() -> str | None:
    bind_states(State)
    fibre = Fibre()
    log: list[Any] = []
    try:
        raise OSError("the starter's")
    except OSError as own:
        fibre.resumer = current_stack()
        fibre.switch(_body, (fibre, log), {"last": "end"})
        if log != ["begun"] or sys.exc_info()[1] is not own:
            return "a call that paused did not come back to who started it"
        frame = fibre.gr_frame
        if frame is None or frame.f_code is not _body.__code__ or frame.f_back is not None:
            return "the frames of a call that paused are not where they were expected"
        del frame
        fibre.switch()
        if log != ["begun", "end"] or sys.exc_info()[1] is not own:
            return "a call that was resumed did not go on where it had paused"
    outcome, fibre.exc = fibre.exc, None
    if type(outcome) is not ValueError or type(outcome.__context__) is not KeyError:
        return "what a call raised did not come out of it"
    fibre.retire()
    return None


def _body(fibre: Fibre, log: list[Any], *, last: str) -> None:
    try:
        raise KeyError("the job's")
    except KeyError as exc:
        log.append("begun")
        fibre.resumer.switch()
        if sys.exc_info()[1] is exc and _deep(60) == 60:
            log.append(last)
        raise ValueError("of the call") from None


def _deep(levels: int) -> int:
    """Recurse, partly by way of C."""
    return sum(map(_deep, [levels - 1])) + 1 if levels else 0
