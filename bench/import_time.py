"""What `import pausable` takes, next to the import of greenlet, which it needs.

    python bench/import_time.py [--processes N]

Fresh processes, in turn, so that what else the machine does hits all alike. The time is that of the
import statement alone, with bytecode; the least of all is the figure, the median shows the noise,
and the least processor time is what is left of it on a machine that is busy.
The goal is 1.3 times greenlet and 20 ms more: typing, which nearly every program has imported, is
half of it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

BARE = {
    "greenlet": "import greenlet",
    "typing": "import typing",
    "pausable": "import pausable",
    "pausable, first job": "import pausable; pausable.start(int)",
    "pausable, asyncio": "import pausable, asyncio; asyncio.run(pausable.run(int))",
    "asyncio": "import asyncio; asyncio.run(asyncio.sleep(0))",
}
PROGRAM = """
import time
begun, ran = time.perf_counter(), time.process_time()
{}
print(time.perf_counter() - begun, time.process_time() - ran)
"""


def measure(statement: str, env: dict[str, str]) -> tuple[float, float]:
    """Return what a statement takes in a process of its own, and of the processor, in ms."""
    command = [sys.executable, "-c", PROGRAM.format(statement)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    took, ran = done.stdout.split()
    return float(took) * 1e3, float(ran) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=30, help="how many of each")
    count = parser.parse_args().processes
    if count < 1:
        parser.error(f"--processes has to be 1 or more, not {count}")
    times: dict[str, list[tuple[float, float]]] = {what: [] for what in BARE}
    with tempfile.TemporaryDirectory() as bytecode:
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = bytecode
        for statement in BARE.values():
            measure(statement, env)  # writes the bytecode
        for _ in range(count):
            for what, statement in BARE.items():
                times[what].append(measure(statement, env))
    least = {what: min(took for took, _ in runs) for what, runs in times.items()}
    processor = {what: min(ran for _, ran in runs) for what, runs in times.items()}
    print(f"{sys.version.split()[0]}, {os.cpu_count()} cores, {count} processes each\n")
    for name, figures in (("time", least), ("processor time", processor)):
        goal = 1.3 * figures["greenlet"] + 20
        print(f"{figures['pausable'] / goal:.2f} of the goal, {goal:.1f} ms, by {name}")
    print("\n| | / greenlet | least ms | median ms | processor ms |\n|---|---|---|---|---|")
    for what, runs in times.items():
        ratio = least[what] / least["greenlet"]
        median = statistics.median(took for took, _ in runs)
        print(
            f"| {what} | {ratio:.1f} | {least[what]:.1f} | {median:.1f} | {processor[what]:.1f} |"
        )


if __name__ == "__main__":
    main()
