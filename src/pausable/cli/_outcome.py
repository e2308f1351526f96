"""What became of an item, and of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pausable.cli._interrupt import Interrupted
from pausable.cli._output import shown

__all__ = ["Outcome", "Unfit", "count", "deciding", "reason_of"]


class Unfit(Exception):
    """What is wanted cannot be done; the message says why, for people."""


@dataclass(frozen=True)
class Outcome:
    """What became of an item."""

    #: The file, or what else it is called.
    path: Path | str
    #: "signed", "issued", "skipped", "refused" or "failed".
    what: str
    #: Where its valid result is, if it has one.
    target: Path | None
    reason: str | None = None

    @property
    def bad(self) -> bool:
        """Whether it has no valid result."""
        return self.what in {"refused", "failed"}

    @property
    def name(self) -> str:
        """What it is called, for people."""
        return shown(self.path) if isinstance(self.path, Path) else self.path


def count(outcomes: Sequence[Outcome], what: str) -> int:
    """Return how many ended so."""
    return sum(outcome.what == what for outcome in outcomes)


def deciding(path: Path | str, decide: Callable[[], Outcome]) -> Outcome:
    """Return what `decide` returns; what goes wrong costs this item alone."""
    try:
        return decide()
    except Interrupted:
        raise
    except Unfit as exc:
        return Outcome(path, "failed", None, str(exc))
    except Exception as exc:
        return Outcome(path, "failed", None, reason_of(exc))


def reason_of(exc: Exception) -> str:
    """Say on one line what went wrong."""
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    text = " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__
