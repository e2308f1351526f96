"""What is under way: every job of every thread, for people and for machines.

Rules:

* Nothing here takes a lock or asks objects of users for their `repr`: it has to work in a signal
  handler, from another thread, and while jobs run. What changes meanwhile is seen before or after.
* Nothing here may hold its own frame: that would keep the frames of running jobs alive.
* A service may have thousands of jobs at few places, so a stack is formatted once for each place.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Final, TextIO

from pausable import _report
from pausable._frames import summary, visible
from pausable._job import Job, JobFibre
from pausable._pool import all_pools
from pausable._state import State
from pausable._watch import wanted
from pausable.errors import WrongThread

if TYPE_CHECKING:
    from traceback import StackSummary

__all__ = ["VERSION", "dump", "dump_on_signal", "jobs"]

#: Of the JSON form: it changes when a key changes its meaning or goes, not when one is added.
VERSION: Final = 1

_BUSY: Final = (State.PAUSED, State.RUNNING)


def jobs() -> list[Job[Any]]:
    """Return the jobs that are under way, paused or running, of all threads.

    Jobs that were dropped and wait for being unwound have no handle; `dump` shows them too.

    Threads: any.
    """
    return [job for pool in all_pools() for job in pool.jobs()]


def dump(format: str = "text", file: TextIO | None = None) -> str:  # noqa: A002  # says it
    """Describe every job that is under way, in all threads: what it is, where it is, why it waits.

    Works while jobs run, with thousands of them, and in a signal handler; a job that changes
    meanwhile is shown as it was before or after, or not at all. Since when a job is paused is
    known of jobs that were started with debug mode or hooks; where it was started, and whether
    native frames are under its pause, with debug mode.

    Threads: any.

    Args:
        format: "text", for people, or "json", for machines; its keys are on
            the how-to page "Seeing what goes on".
        file: where to write it too; a text file.

    Returns: the description; it ends with a newline.

    Raises:
        ValueError: `format` is neither.
    """
    _check_format(format)
    here = _Moment()
    found = [_describe(fibre, here) for pool in all_pools() for fibre in list(pool._fibres)]
    rows = [row for row in found if row is not None]
    text = _as_json(rows, here) if format == "json" else _as_text(rows, here)
    if file is not None:
        file.write(text)
    return text


def dump_on_signal(
    signum: int | None = None,
    file: TextIO | None = None,
    format: str = "text",  # noqa: A002  # as of dump
) -> Any:
    """Write a `dump` whenever the process gets a signal, `kill -USR1` for example.

    The handler replaces the one that was there, and calls it not; it is returned, and
    `signal.signal(signum, previous)` puts it back. Python runs handlers in the main thread, when
    that runs Python code: while it blocks in C, the dump waits. What cannot be written (the file is
    closed, its reader gone, a non-blocking pipe full) is left out in silence.

    Threads: the main thread.

    Args:
        signum: which signal; None: `signal.SIGUSR1`.
        file: where to write it; None: `sys.stderr` at that time. A descriptor is written to if
            `file` has one, because the signal may have come in the middle of another write.
        format: as of `dump`.

    Returns: the previous handler, as `signal.signal`.

    Raises:
        WrongThread: this is not the main thread.
        ValueError: `format` is unknown, or the platform has no SIGUSR1 (Windows).
    """
    import signal  # noqa: PLC0415  # as json

    _check_format(format)
    if signum is None:
        signum = getattr(signal, "SIGUSR1", None)
        if signum is None:
            raise ValueError(
                f"signum=None means SIGUSR1, which {sys.platform} has not; pass a signal that it"
                " has, signal.SIGBREAK for example"
            )
    if threading.current_thread() is not threading.main_thread():
        raise WrongThread(
            f"dump_on_signal() was called in thread {threading.current_thread().name!r}, but only"
            " the main thread can set signal handlers; call it there, when the program starts"
        )
    _report.prepare()  # now, and json: a handler may interrupt an import
    if format == "json":
        import json  # noqa: F401, PLC0415

    def write_dump(_signum: int, _frame: FrameType | None) -> None:
        target = file if file is not None else sys.stderr
        if target is None:  # pythonw has no stderr
            return
        try:
            _write(dump(format), target)
        except Exception:
            pass  # a full or broken pipe, say: it would be raised in whatever the signal came into

    return signal.signal(signum, write_dump)


def _check_format(wished: str) -> None:
    if wished not in {"text", "json"}:
        raise ValueError(f"format has to be 'text' or 'json', not {wished!r}")


def _write(text: str, file: TextIO) -> None:
    """Write to the descriptor under a file: its buffers may be in use below this very call."""
    try:
        fd = file.fileno()
    except (AttributeError, OSError, ValueError):  # io.StringIO and its kind
        file.write(text)
        return
    data = text.encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(fd, data) :]


class _Moment:
    """What is the same for all jobs of one dump."""

    def __init__(self) -> None:
        self.time = time.time()
        # Not threading.enumerate(): its lock may be held by the code that a signal interrupted.
        known = list(getattr(threading, "_active", {}).items())
        self.threads: dict[int, str] = {ident: thread.name for ident, thread in known}
        self._stacks: dict[tuple[tuple[CodeType, int], ...], StackSummary] = {}

    def stack(self, frames: list[tuple[FrameType, int]]) -> StackSummary:
        """Return frames (innermost first) as a summary; the same one for the same place."""
        place = tuple((frame.f_code, line) for frame, line in frames)
        stack = self._stacks.get(place)
        if stack is None:
            stack = self._stacks[place] = summary(frames)
        return stack


def _top_frame(thread: int) -> FrameType | None:
    """Return the innermost frame of a thread, but none of this module."""
    frame = sys._current_frames().get(thread)
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return frame


def _describe(fibre: JobFibre, here: _Moment) -> dict[str, Any] | None:
    """Return what the JSON form says of a job, with its stacks as summaries."""
    state = fibre.state
    if state not in _BUSY:
        return None
    job, watch, ctx, thread = fibre.handle(), fibre.watch, fibre.wait_ctx, fibre.pool.thread
    probe = watch.probe if watch is not None else None
    name = job.name if job is not None else watch.name if watch is not None else None
    return {
        "name": name,
        "state": state.value,
        "lost": job is None,
        "cancelled": fibre.cancel is not None,
        "thread": {"id": thread, "name": here.threads.get(thread)},
        "paused_since": watch.paused_since if watch is not None else None,
        "created": probe.created if probe is not None else None,
        "waits_for": ctx._snapshot() if ctx is not None else None,
        "native_frames": probe.native_frames(fibre) if probe is not None else None,
        "stack": here.stack(_frames(fibre, state)),
    }


def _frames(fibre: JobFibre, state: State) -> list[tuple[FrameType, int]]:
    if state is State.PAUSED:
        return fibre.frames()
    frames = fibre.outer_frames()
    if frames is None:  # it is on top of its thread
        frames = visible(_top_frame(fibre.pool.thread))
    return frames


# -- the two forms ---------------------------------------------------------------------------------


def _as_json(rows: list[dict[str, Any]], here: _Moment) -> str:
    import json  # noqa: PLC0415  # costs an import of pausable what few need

    for row in rows:
        row["stack"] = _frame_list(row["stack"])
        if row["created"] is not None:
            row["created"] = _frame_list(row["created"])
    whole = {
        "version": VERSION,
        "pid": os.getpid(),
        "time": here.time,
        "debug": wanted.probe is not None,
        "jobs": rows,
    }
    return json.dumps(whole) + "\n"


def _frame_list(stack: StackSummary) -> list[dict[str, Any]]:
    return [
        {"file": frame.filename, "line": frame.lineno, "function": frame.name} for frame in stack
    ]


def _as_text(rows: list[dict[str, Any]], here: _Moment) -> str:
    paused = sum(row["state"] == State.PAUSED.value for row in rows)
    parts = [f"pausable: {len(rows)} jobs under way in process {os.getpid()}, {paused} paused\n"]
    seen: dict[tuple[object, ...], str] = {}  # what, where -> the job that it was shown for
    for row in rows:
        name = row["name"] or "(dropped, name unknown)"
        parts.append(f"\n{name}: {_headline(row, here)}\n")
        if row["waits_for"] is not None:
            parts.append(f"  waits for: {_waits_text(row['waits_for'])}\n")
        if row["native_frames"]:
            parts.append("  native frames are under its pause\n")
        verb = "is paused" if row["state"] == State.PAUSED.value else "is"
        for what, stack in (("was started", row["created"]), (verb, row["stack"])):
            if stack is not None:
                place = (what, *((frame.filename, frame.lineno, frame.name) for frame in stack))
                before = seen.setdefault(place, name)
                parts.append(
                    f"  {what} where {before} {what.split()[0]}\n"
                    if before != name
                    else f"  {what} at\n{_indented(stack.format())}"
                )
    return "".join(parts)


def _headline(row: dict[str, Any], here: _Moment) -> str:
    thread = row["thread"]
    facts = [row["state"]]
    if row["paused_since"] is not None:
        facts[0] += f" for {max(0.0, here.time - row['paused_since']):.3f} s"
    facts.append(f"thread {thread['name']!r}" if thread["name"] else f"thread {thread['id']}")
    if row["cancelled"]:
        facts.append("cancelled")
    if row["lost"]:
        facts.append("dropped: it will be unwound at its thread's next start")
    return ", ".join(facts)


def _waits_text(waits: dict[str, Any]) -> str:
    facts = [f"fds {waits['fds']}", f"status {waits['status']}"]
    if waits["callback"] is not None:
        facts.append(f"callback {waits['callback']}")
    if waits["wakers"]:
        facts.append(f"{waits['wakers']} wakers")
    return ", ".join(facts)


def _indented(lines: list[str]) -> str:
    return "".join(f"  {line}\n" for entry in lines for line in entry.splitlines())
