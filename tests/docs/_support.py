"""The pages, and the fenced blocks in them."""

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>.*)$")


class Block(NamedTuple):
    line: int  # of its first line, from 1
    language: str
    text: str


def blocks_of(page):
    """Return all fenced blocks; whatever cannot be told for sure is an error."""
    found = []
    opened = None
    lines = page.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        match = FENCE.match(line)
        if opened is None and match:
            opened = number, match
        elif opened is not None and line.strip() == opened[1]["fence"]:
            start, opening = opened
            text = textwrap.dedent("\n".join(lines[start : number - 1])) + "\n"
            found.append(Block(start + 1, opening["info"].strip(), text))
            opened = None
    assert opened is None, f"{page}: the block of line {opened[0]} has no end"
    return found


def outside_of_blocks(page):
    """Return the lines that are in no block."""
    lines = page.read_text().splitlines()
    for block in blocks_of(page):
        start = block.line - 2  # the fence's
        lines[start : block.line + block.text.count("\n")] = [""] * (block.text.count("\n") + 2)
    return lines


def name(page):
    return str(page.relative_to(ROOT))
