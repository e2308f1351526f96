"""Peers in processes of their own, asked what operations cost, so that they take turns with others.

For what cannot be in the process that measures: a program in C, and jobs on another kind of stack
than the one that this process has chosen.

    python bench/_asked.py MODULE PEER

answers, as bench/libcrypto_jobs.c does, each line "WHAT COUNT" with the ns that COUNT operations
took. Before that it says which whats the peer has. It ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module

from _measure import Absent, Loop

STUCK_S = 10  # more than it takes a process to end


class Asked:
    """A running program that answers."""

    def __init__(self, command: list[str], **environment: str) -> None:
        self._says = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed by close()
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._says,
            text=True,
        )

    def line(self) -> str:
        """Return the next line that it writes.

        Raises:
            Absent: it has ended instead; the message is the last line that it said.
        """
        line = self._process.stdout.readline()
        if not line:
            self._process.wait(STUCK_S)
            self._says.seek(0)
            said = self._says.read().strip().splitlines() or ["nothing said"]
            raise Absent(said[-1])
        return line

    def ask(self, what: str, count: int) -> float:
        try:
            self._process.stdin.write(f"{what} {count}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # line() tells why
        return float(self.line())

    def loops(self, whats: list[str] | tuple[str, ...]) -> dict[str, Loop]:
        """Return a loop for each of the whats."""
        return {what: lambda count, what=what: int(self.ask(what, count)) for what in whats}

    def close(self) -> None:
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended
        self._process.wait(STUCK_S)
        self._process.stdout.close()
        self._says.close()


def elsewhere(
    module: str, who: str, backend: str = "native", **environment: str
) -> dict[str, Loop]:
    """Return the loops of a peer of a module, run in a process of its own on that backend.

    Raises:
        Absent: it cannot be run; the message says why.
    """
    command = [sys.executable, __file__, module, who]
    asked = Asked(command, **environment, PAUSABLE_BACKEND=backend)
    return asked.loops(json.loads(asked.line()))


def on_native(module: str, who: str) -> Callable[..., dict[str, Loop]]:
    """Return what makes the loops of a peer on the native backend; an event loop is not needed."""
    return lambda *_loop: elsewhere(module, who)


def main() -> int:
    module, who = sys.argv[1:]
    arguments = [asyncio.new_event_loop()] if module == "_peers_loop" else []
    loops = import_module(module).PEERS[who](*arguments)
    print(json.dumps(list(loops)), flush=True)
    for line in sys.stdin:
        what, _, count = line.rpartition(" ")
        begin = time.perf_counter_ns()
        inside = loops[what](int(count))
        spent = time.perf_counter_ns() - begin
        print(spent if inside is None else inside, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
