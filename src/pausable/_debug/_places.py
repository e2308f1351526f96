"""Warnings of debug mode: once for each place, and attributed to it."""

from __future__ import annotations

import sys
import warnings
from types import FrameType
from typing import NamedTuple

from pausable import _report
from pausable.errors import DebugWarning

__all__ = ["Place", "forget", "place_of", "warn", "warn_later"]


class Place(NamedTuple):
    """A line of somebody's code."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


_reported: set[tuple[object, ...]] = set()


def forget() -> None:
    """Report every place anew."""
    _reported.clear()


def place_of(frame: FrameType | None, *, beside: str = "pausable") -> Place:
    """Return the innermost place, from `frame` on, that is neither ours nor in module `beside`."""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module not in {"pausable", beside} and not module.startswith("pausable."):
            return Place(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return Place(sys.executable or "python", 0)


def warn(category: type[DebugWarning], message: str, at: Place, *key: object) -> None:
    """Warn of a place (and `key`), once."""
    whole = (category, at, *key)
    if whole not in _reported:
        _reported.add(whole)
        warnings.warn_explicit(message, category, at.file, at.line)


def warn_later(category: type[DebugWarning], message: str, at: Place, *key: object) -> None:
    """Warn of what has happened already: where warnings are errors, it is logged instead."""
    try:
        warn(category, message, at, *key)
    except DebugWarning as exc:
        _report.warned(exc)
