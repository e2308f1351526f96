"""Telling of completions, but never on the stack of somebody who is just submitting.

An engine may complete operations while one is being submitted: this one, or others that waited for
it (a batch that is full). Whoever asked to be told of those must not be called in there: the
submitter may hold a lock, or be half way through its bookkeeping. So the timer tells them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pausable import _report
from pausable._job import current_fibre
from pausable._thread_local import get_ident
from pausable._timer import call_later

__all__ = ["Submitting", "deliver"]

#: The stacks that are in a submit: (thread, job's fibre). Not the thread alone: `begin` may pause.
_stacks: set[tuple[int, object]] = set()


class Submitting:
    """Marks the running stack as one that submits: `with Submitting():`. Nests."""

    __slots__ = ("_stack",)

    def __enter__(self) -> None:
        stack = get_ident(), current_fibre()
        self._stack: tuple[int, object] | None = None
        if stack not in _stacks:
            self._stack = stack
            _stacks.add(stack)

    def __exit__(self, *_exc: object) -> None:
        if self._stack is not None:
            _stacks.discard(self._stack)


def deliver(callbacks: Sequence[Callable[[Any], object]], ticket: object) -> None:
    """Call each callback with the ticket, here or, in a submit, soon by another thread."""
    if not callbacks:
        return
    if _stacks and (get_ident(), current_fibre()) in _stacks:
        call_later(0.0, lambda: _call(callbacks, ticket))
    else:
        _call(callbacks, ticket)


def _call(callbacks: Sequence[Callable[[Any], object]], ticket: object) -> None:
    for callback in callbacks:
        try:
            callback(ticket)
        except Exception:  # it must neither stop the engine nor keep others from being told
            _report.callback_failed(callback, ticket)
