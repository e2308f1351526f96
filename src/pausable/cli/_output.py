"""Lines for people, whatever their terminal can show."""

from __future__ import annotations

import sys
from pathlib import Path

import click

__all__ = ["Refusal", "say", "shown"]


class Refusal(click.ClickException):
    """What was asked for cannot be done; the message says what to do. Nothing was done."""

    exit_code = 2


def shown(path: Path | str) -> str:
    """Return a file name in quotes, on one line: line breaks and undecodable bytes escaped."""
    return repr(str(path))


def say(line: str, *, err: bool = False) -> None:
    """Print a line. What the stream cannot encode is escaped."""
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"
    click.echo(line.encode(encoding, "backslashreplace").decode(encoding), err=err)
