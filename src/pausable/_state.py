"""The life of a job, as a table.

`_job` keeps a job's state and asks for nothing else on its fast path than `state is PAUSED`; every
refusal is worded from this table, and a test drives real jobs through every cell of it.

    READY --start--> RUNNING --pause--> PAUSED --resume--> RUNNING --end--> ENDED
                                        PAUSED --fork----> FORKED

A job that has resumed another job is still RUNNING: it is on the thread's stack, only not on top.
"""

from __future__ import annotations

import enum
from typing import Final

__all__ = ["TABLE", "State", "Step", "why_not"]


class State(enum.Enum):
    """What a job, or the fibre under it, is doing."""

    READY = "ready"
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"
    FORKED = "forked"


class Step(enum.Enum):
    """What can happen to a job."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    END = "end"
    READ = "read the outcome of"
    FORK = "fork"


#: (state now, step) -> state afterwards. What is not here is refused.
TABLE: Final[dict[tuple[State, Step], State]] = {
    (State.READY, Step.START): State.RUNNING,
    (State.RUNNING, Step.PAUSE): State.PAUSED,
    (State.RUNNING, Step.END): State.ENDED,
    (State.PAUSED, Step.RESUME): State.RUNNING,
    (State.PAUSED, Step.FORK): State.FORKED,
    (State.ENDED, Step.READ): State.ENDED,
}

_REMEDY: Final[dict[tuple[State, Step], str]] = {
    (State.RUNNING, Step.RESUME): (
        "it is running; only a paused job can be resumed, and not from inside itself"
        " or from a job that it started"
    ),
    (State.ENDED, Step.RESUME): "it has ended; read result() or start a new job",
    (State.RUNNING, Step.READ): "it is still running; read the outcome when it has ended",
    (State.PAUSED, Step.READ): "it is paused; resume it until done() is true",
    (State.FORKED, Step.RESUME): (
        "it was started before os.fork() and belongs to the parent process; start it anew here"
    ),
    (State.FORKED, Step.READ): (
        "it was started before os.fork() and ends, if it does, in the parent process"
    ),
}


def why_not(state: State, step: Step) -> str:
    """Say why `step` is refused in `state`, and what to do instead."""
    return _REMEDY.get((state, step), f"it is {state.value}")
