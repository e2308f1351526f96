"""What is seen while a run goes on."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Any, Protocol

from pausable.cli._outcome import Outcome
from pausable.cli._output import say, shown

__all__ = ["Progress", "make_progress"]


class Progress(AbstractContextManager[Any], Protocol):
    """Shows outcomes as they come; failures always, on stderr."""

    def show(self, outcome: Outcome) -> None:
        """Show what became of an item."""


def make_progress(doing: str, total: int | None, *, quiet: bool) -> Progress:
    """Return a progress bar if stderr is a terminal, else one that prints lines.

    Args:
        doing: what is done, "Signing".
        total: how many outcomes will come; None: nobody knows.
        quiet: nothing on stdout.
    """
    if sys.stderr is not None and sys.stderr.isatty():
        return _Bar(doing, total)
    return _Lines(quiet=quiet)


class _Lines(Progress):
    """A line for each item: on stdout, or on stderr if it has no result."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def show(self, outcome: Outcome) -> None:
        if outcome.bad:
            say(_failure(outcome), err=True)
        elif not self._quiet:
            say(_line(outcome))

    def __exit__(self, *_exc: object) -> None:
        pass


class _Bar(Progress):
    """A progress bar on stderr, with failures above it."""

    def __init__(self, doing: str, total: int | None) -> None:
        from rich import console, progress  # noqa: PLC0415  # slow to import

        self._progress = progress.Progress(
            progress.TextColumn(doing),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            console=console.Console(stderr=True),
        )
        self._task = self._progress.add_task("", total=total)

    def show(self, outcome: Outcome) -> None:
        if outcome.bad:
            self._progress.console.print(
                _failure(outcome), markup=False, highlight=False, soft_wrap=True
            )
        self._progress.advance(self._task)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._progress.stop()


def _failure(outcome: Outcome) -> str:
    return f"pausable: {outcome.name}: {outcome.reason}"


def _line(outcome: Outcome) -> str:
    if outcome.reason is None and outcome.target is not None:
        return f"{outcome.what} {outcome.name} in {shown(outcome.target)}"
    return f"{outcome.what} {outcome.name}: {outcome.reason}"
