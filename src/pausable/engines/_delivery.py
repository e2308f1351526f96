"""Telling of completions, but never on the stack of somebody who is just submitting.

An engine may complete operations while one is being submitted: this one, or others that waited for
it (a batch that is full). Whoever asked to be told of those must not be called in there: the
submitter may hold a lock, or be half way through its bookkeeping. So the timer tells them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from pausable import _report
from pausable._fibre import current
from pausable._timer import call_later

__all__ = ["SUBMITTING", "deliver", "this_stack"]

#: The stacks that are in a submit. Not threads: an engine may pause in there.
SUBMITTING: Final[set[int]] = set()


def this_stack() -> int:
    """Return a number for the running stack, which is its own as long as it lasts.

    Not the stack: greenlet frees the root of a thread that ends unless the collector tells it who
    refers to that, which it does not of what is just being collected (the frame of a submit that
    failed, say).
    """
    return id(current())


def deliver(callbacks: Sequence[Callable[[Any], object]], ticket: object) -> None:
    """Call each callback with the ticket, here or, in a submit, soon by another thread."""
    if SUBMITTING and callbacks and this_stack() in SUBMITTING:
        call_later(0.0, lambda: _call(callbacks, ticket))
    else:
        _call(callbacks, ticket)


def _call(callbacks: Sequence[Callable[[Any], object]], ticket: object) -> None:
    for callback in callbacks:
        try:
            callback(ticket)
        except Exception:  # it must neither stop the engine nor keep others from being told
            _report.callback_failed(callback, ticket)
