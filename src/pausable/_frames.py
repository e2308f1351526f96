"""The frames of a stack, as they are shown."""

from __future__ import annotations

from types import CodeType, FrameType
from typing import Final

__all__ = ["hide", "is_hidden", "visible"]

#: Frames that are ours and tell nobody anything.
_hidden: Final[set[CodeType]] = set()


def hide(code: CodeType) -> None:
    """Leave the frames of `code` out of the stacks that are shown."""
    _hidden.add(code)


def is_hidden(frame: FrameType) -> bool:
    """Tell whether a frame is left out."""
    return frame.f_code in _hidden


def visible(frame: FrameType | None) -> list[tuple[FrameType, int]]:
    """Return a frame and those below it as (frame, line), innermost first."""
    frames = []
    while frame is not None:
        if not is_hidden(frame):
            frames.append((frame, frame.f_lineno))
        frame = frame.f_back
    return frames
