"""Ctrl-C as a request, so that it strikes between steps and not inside one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Interrupted", "ctrl_c_calls"]


class Interrupted(Exception):
    """Ctrl-C was pressed: unwind."""


@contextmanager
def ctrl_c_calls(stop: Callable[[], object]) -> Iterator[None]:
    """Call `stop` at the first Ctrl-C; later ones do nothing, for the process is about to end.

    In a thread other than the main one, and where SIGINT is ignored (nohup), nothing changes.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before == signal.SIG_IGN:
        yield
        return

    def handle(_number: int, _frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stop()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is handle:
            signal.signal(signal.SIGINT, before)
