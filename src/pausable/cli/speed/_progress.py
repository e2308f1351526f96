"""What is seen while `pausable speed` measures."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["SpeedProgress"]


class SpeedProgress:
    """A bar on stderr, if that is a terminal; else nothing.

    It is redrawn between measurements alone: a thread that did it meanwhile would be measured too.
    """

    def __init__(self, total: int) -> None:
        self._bar: Any = None
        if sys.stderr is None or not sys.stderr.isatty():
            return
        from rich import console, progress

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            console=console.Console(stderr=True),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._bar.add_task("", total=total)

    def show(self, done: int, doing: str) -> None:
        """Show what is being measured."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=doing, refresh=True)

    def __enter__(self) -> SpeedProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._bar is not None:
            self._bar.stop()
