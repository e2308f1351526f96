"""What several tests need: jobs that take steps, threads that hand over what they raise."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any

import pausable

#: For programs that run greenlets of others in jobs: native stacks cannot, and need not, if they
#: are not demanded (docs/explanation/backends.md, "Beside greenlet").
BESIDE_GREENLET = "auto" if os.environ.get("PAUSABLE_BACKEND") == "native" else None


class Canary:
    """Something that can be watched dying."""


def on_greenlet() -> bool:
    """Tell whether jobs run on greenlet now."""
    return pausable.backend().name == "greenlet"


def finish(job: pausable.Job[Any]) -> Any:
    """Resume a job until it has ended; return its result."""
    while not job.done():
        job.resume()
    return job.result()


def pauses(count: int, value: Any = None) -> Any:
    """Pause `count` times and return `value`."""
    for _ in range(count):
        assert pausable.pause()
    return value


def in_thread(fn: Callable[[], Any]) -> Any:
    """Call fn() in a new thread; return its value or raise its exception here."""
    outcome: list[Any] = []

    def body() -> None:
        try:
            outcome.append((fn(), None))
        except BaseException as exc:
            outcome.append((None, exc))

    thread = threading.Thread(target=body, name="helper")
    thread.start()
    thread.join()
    value, exc = outcome[0]
    if exc is not None:
        raise exc
    return value


def readable(fd: int) -> bool:
    """Tell whether a descriptor is readable now."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(0))


def python(source: str, *, code: int = 0, backend: str | None = None) -> tuple[str, str]:
    """Run a program, on this backend unless told otherwise; return its stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore::DeprecationWarning", "-c",
         textwrap.dedent(source)],
        env={**os.environ, **({"PAUSABLE_BACKEND": backend} if backend is not None else {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def in_child(fn: Callable[[], object]) -> str:
    """Fork; return "ok" when fn() returned in the child, else what it raised."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            fn()
            told = b"ok"
        except BaseException as exc:
            told = f"{type(exc).__name__}: {exc}".encode()
        os.write(writer, told[:4000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told = pipe.read()
    os.waitpid(pid, 0)
    return told


def one_pipe_after_another(count: int) -> set[int]:
    """Be an engine with a descriptor for each operation; return the numbers that those had."""
    numbers = set()
    ctx = pausable.current_job().wait_ctx
    for _ in range(count):
        reader, writer = os.pipe()
        numbers.add(reader)
        ctx.set_wait_fd("pipe", reader)
        threading.Timer(0.001, os.write, (writer, b"x")).start()
        while not readable(reader):
            pausable.pause()
        ctx.clear_fd("pipe")
        os.close(reader)
        os.close(writer)
    return numbers
