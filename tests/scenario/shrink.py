"""Make a failing script of the scenario language small.

Single lines are removed, of bodies and of the main program alike. Functions are written out only
while something still refers to them, so every candidate is well-formed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FUNCTION_OPERAND = {"start": 3, "call": 1}
FEWEST_WORDS = {"start": 4, "setfd": 4}  # what follows is optional


class Step(NamedTuple):
    owner: str  # the function's name, "" for the main program
    line: str


def shrink(lines: list[str], fails: Callable[[list[str]], bool]) -> list[str]:
    """Return a small script for which `fails` is still true.

    No line of the result can be left out, and no prefix or optional operand. The functions come
    first and comments are gone. `fails` must be true for the script itself and should be
    deterministic; it is called some hundred times.

    Raises:
        ValueError: `fails` is false for the script itself.
    """
    steps = _parse(lines)
    if not fails(_text(steps)):
        raise ValueError("the script to shrink does not fail")

    def still(candidate: list[Step]) -> bool:
        return fails(_text(candidate))

    before: list[Step] = []
    while steps != before:
        before = steps
        steps = _with_simpler_lines(_with_fewer_lines(steps, still), still)
    return _text(steps)


def _parse(lines: list[str]) -> list[Step]:
    steps, owner = [], ""
    for text in lines:
        words = text.split()
        comment = next((i for i, word in enumerate(words) if word.startswith("#")), len(words))
        words = words[:comment]
        if not words:
            continue
        if words[0] == "func":
            owner = words[1]
        elif words[0] == "end":
            owner = ""
        else:
            steps.append(Step(owner, " ".join(words)))
    return steps


def _text(steps: list[Step]) -> list[str]:
    used = _reachable(steps)
    lines: list[str] = []
    for name in used:
        lines += [f"func {name}", *(f" {step.line}" for step in steps if step.owner == name), "end"]
    return lines + [step.line for step in steps if not step.owner]


def _reachable(steps: list[Step]) -> list[str]:
    """The functions that the main program needs, in a stable order."""
    found: list[str] = [""]
    for owner in found:  # grows while it is walked
        for step in steps:
            func = _function(step.line) if step.owner == owner else None
            if func is not None and func not in found:
                found.append(func)
    return found[1:]


def _function(line: str) -> str | None:
    words = line.split()
    while words[0] == "q" or words[0].startswith("@"):
        words.pop(0)
    at = FUNCTION_OPERAND.get(words[0])
    return None if at is None or words[at] == "null" else words[at]


def _with_fewer_lines(steps: list[Step], still: Callable[[list[Step]], bool]) -> list[Step]:
    size = max(1, len(steps) // 2)
    while True:
        at = 0
        while at < len(steps):
            candidate = steps[:at] + steps[at + size :]
            if still(candidate):
                steps = candidate
            else:
                at += size
        if size == 1:
            return steps
        size //= 2


def _with_simpler_lines(steps: list[Step], still: Callable[[list[Step]], bool]) -> list[Step]:
    for at in range(len(steps)):
        for line in _simpler(steps[at].line):
            candidate = [*steps[:at], steps[at]._replace(line=line), *steps[at + 1 :]]
            if still(candidate):
                steps = candidate
                break
    return steps


def _simpler(line: str) -> Iterator[str]:
    words = line.split()
    if words[0] == "q" or words[0].startswith("@"):
        yield " ".join(words[1:])
    elif len(words) > FEWEST_WORDS.get(words[0], len(words)):
        yield " ".join(words[: FEWEST_WORDS[words[0]]])
        yield " ".join(words[:-1])
