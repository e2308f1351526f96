"""The frames of a stack, as they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from traceback import StackSummary

__all__ = ["hidden", "hide", "is_hidden", "places", "summary", "summary_of", "visible"]

#: The code of frames that are ours and tell nobody anything, by id: to hash code takes much longer.
hidden: Final[dict[int, CodeType]] = {}


def hide(code: CodeType) -> None:
    """Leave the frames of `code` out of the stacks that are shown."""
    hidden[id(code)] = code


def is_hidden(frame: FrameType) -> bool:
    """Tell whether a frame is left out."""
    return id(frame.f_code) in hidden


def visible(frame: FrameType | None) -> list[tuple[FrameType, int]]:
    """Return a frame and those below it as (frame, line), innermost first."""
    frames = []
    while frame is not None:
        if not is_hidden(frame):
            frames.append((frame, frame.f_lineno))
        frame = frame.f_back
    return frames


def places(frame: FrameType | None) -> list[tuple[CodeType, int]]:
    """Return where a frame and those below it are: quickly, and without holding them."""
    return [(each.f_code, line) for each, line in visible(frame)]


def summary_of(places: Sequence[tuple[CodeType, int]]) -> StackSummary:
    """Return places (innermost first) as `traceback` has them, outermost first."""
    from traceback import StackSummary  # noqa: PLC0415  # as below

    return StackSummary.from_list(
        [(code.co_filename, line, code.co_name, None) for code, line in reversed(places)]
    )


def summary(frames: Sequence[tuple[FrameType, int]], **options: bool) -> StackSummary:
    """Return frames (innermost first) as `traceback` has them, outermost first."""
    from traceback import StackSummary  # noqa: PLC0415  # it costs an import of pausable much

    return StackSummary.extract(reversed(frames), **options)
