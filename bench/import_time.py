"""What `import pausable` takes, next to the import of greenlet, which it needs.

    python bench/import_time.py [--rounds N] [--quick] [--json FILE]

Fresh processes, in turn, so that what else the machine does hits all alike. The time is that of the
statement alone, with bytecode; processor time is what is left of it on a machine that is busy. The
goal is 1.3 times greenlet and 20 ms more: typing, which nearly every program has imported, is half
of it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile

from _program import parser_of, rounds_option, run
from _results import Results, ratio_of

STATEMENTS = {
    "greenlet": "import greenlet",
    "typing": "import typing",
    "pausable": "import pausable",
    "pausable, first job": "import pausable; pausable.start(int)",
    "pausable, asyncio": "import pausable, asyncio; asyncio.run(pausable.run(int))",
    "asyncio": "import asyncio; asyncio.run(asyncio.sleep(0))",
}
PROGRAM = """
import time
begun, ran = time.perf_counter_ns(), time.process_time_ns()
{}
print(time.perf_counter_ns() - begun, time.process_time_ns() - ran)
"""
GOAL = "<= 1"


def measure(statement: str, env: dict[str, str]) -> list[int]:
    """Return what a statement takes in a process of its own, and of the processor, in ns."""
    command = [sys.executable, "-c", PROGRAM.format(statement)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return [int(figure) for figure in done.stdout.split()]


def imports(options: argparse.Namespace, results: Results) -> None:
    times: dict[str, list[list[int]]] = {who: [] for who in STATEMENTS}
    with tempfile.TemporaryDirectory() as bytecode:
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = bytecode
        for statement in STATEMENTS.values():
            measure(statement, env)  # writes the bytecode
        for _ in range(options.rounds):
            for who, statement in STATEMENTS.items():
                times[who].append(measure(statement, env))
    table = results.table(
        "imports", ratio="its time / 1.3 times that of greenlet and 20 ms", worse="higher"
    )
    for column, what in enumerate(("time", "processor time")):
        goals = [1.3 * run[column] + 20e6 for run in times["greenlet"]]
        for who, runs in times.items():
            figures = [run[column] for run in runs]
            goal = GOAL if who == "pausable" else None
            table.add(who, what, figures, ratio_of(figures, goals), goal)


def main() -> int:
    parser = parser_of(__doc__)
    rounds_option(parser, 30, 5)
    return run("import_time", parser, {"imports": imports})


if __name__ == "__main__":
    sys.exit(main())
