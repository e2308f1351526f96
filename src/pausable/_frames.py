"""The frames of a stack, as they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from traceback import StackSummary

__all__ = ["hidden", "hide", "is_hidden", "summary", "visible"]

#: Frames that are ours and tell nobody anything.
hidden: Final[set[CodeType]] = set()


def hide(code: CodeType) -> None:
    """Leave the frames of `code` out of the stacks that are shown."""
    hidden.add(code)


def is_hidden(frame: FrameType) -> bool:
    """Tell whether a frame is left out."""
    return frame.f_code in hidden


def visible(frame: FrameType | None) -> list[tuple[FrameType, int]]:
    """Return a frame and those below it as (frame, line), innermost first."""
    frames = []
    while frame is not None:
        if not is_hidden(frame):
            frames.append((frame, frame.f_lineno))
        frame = frame.f_back
    return frames


def summary(frames: Sequence[tuple[FrameType, int]], **options: bool) -> StackSummary:
    """Return frames (innermost first) as `traceback` has them, outermost first."""
    from traceback import StackSummary  # noqa: PLC0415  # it costs an import of pausable much

    return StackSummary.extract(reversed(frames), **options)
