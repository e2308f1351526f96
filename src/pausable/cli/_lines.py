"""Lines of a file or a pipe, read by jobs that take turns."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final

import pausable
from pausable.cli._files import open_regular
from pausable.cli._interrupt import Interrupted
from pausable.cli._output import Refusal, shown
from pausable.cli._run import Run

__all__ = ["MAX_LINE_BYTES", "Lines"]

#: What is longer is cut there, and nobody's claims.
MAX_LINE_BYTES: Final = 256 * 1024

_CHUNK_BYTES: Final = 64 * 1024


class Lines:
    """The lines of a file, or of standard input, which may be a pipe that is slow.

    Iterate over it for numbers, and have the job of each number call `next`: jobs get the lines in
    the order of their calls, while those before are served. There may be numbers left over.

    Args:
        path: the file; "-": standard input.
        run: whose jobs they are for; when it is stopped, a job that waits for a line is unwound.

    Raises:
        Refusal: the file cannot be read.
    """

    def __init__(self, path: Path, run: Run) -> None:
        self._run = run
        self._fd, self._owned = _open(path)
        self._buffer = bytearray()
        self._at_end = False
        self._reader = ThreadPoolExecutor(1, "pausable-lines")
        self._wake_fd, self._stop_fd = os.pipe()
        run.at_stop(lambda: os.write(self._stop_fd, b"x"))

    def __iter__(self) -> Iterator[int]:
        for number in count(1):
            if self._at_end and not self._buffer:
                return
            yield number

    def next(self) -> bytes | None:
        """Return the next line, without its end; None if there is none.

        At most MAX_LINE_BYTES + 1 of it: then it was longer.

        Pauses: until there is one.

        Raises:
            Interrupted: the run was stopped.
            OSError: the input cannot be read any more.
        """
        self._run.check()
        # Not counted as paused: those that wait for a line have nothing under way.
        return pausable.wait_for(self._reader.submit(self._read))

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._reader.shutdown()
        for fd in (self._wake_fd, self._stop_fd, *([self._fd] if self._owned else [])):
            os.close(fd)

    def _read(self) -> bytes | None:
        """Run in the reader's thread."""
        looked_at = 0
        while (end := self._buffer.find(b"\n", looked_at)) < 0 and not self._at_end:
            looked_at = len(self._buffer)
            if looked_at > 2 * MAX_LINE_BYTES:  # keep what tells that it is too long
                del self._buffer[MAX_LINE_BYTES + 1 :]
                looked_at = len(self._buffer)
            self._read_more()
        if end < 0:
            if not self._buffer:
                return None
            end = len(self._buffer)
        line = bytes(self._buffer[: min(end, MAX_LINE_BYTES + 1)])
        del self._buffer[: end + 1]
        return line

    def _read_more(self) -> None:
        ready, _, _ = select.select([self._fd, self._wake_fd], [], [])
        if self._wake_fd in ready:
            raise Interrupted
        chunk = os.read(self._fd, _CHUNK_BYTES)
        self._buffer += chunk
        self._at_end = not chunk


def _open(path: Path) -> tuple[int, bool]:
    if str(path) == "-":
        if sys.stdin is None:
            raise Refusal("--claims - is standard input, which is closed; name a file")
        return sys.stdin.fileno(), False
    try:
        with open_regular(path) as file:
            return os.dup(file.fileno()), True
    except IsADirectoryError:
        raise Refusal(f"--claims {shown(path)} is a directory; name a file") from None
    except OSError as exc:
        raise Refusal(
            f"--claims {shown(path)} cannot be read: {exc.strerror}; name a file, or - for"
            " standard input"
        ) from exc
