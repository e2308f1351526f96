"""What `import pausable` takes, next to the import of greenlet, which it needs.

    python bench/import_time.py [--processes N]

Fresh processes, in turn, so that what else the machine does hits all alike. The time is that of the
import statement alone, with bytecode; the least of all is the figure, the median shows the noise.
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
begun = time.perf_counter()
{}
print(time.perf_counter() - begun)
"""


def measure(statement: str, env: dict[str, str]) -> float:
    """Return how long a statement takes in a process of its own, in ms."""
    command = [sys.executable, "-c", PROGRAM.format(statement)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return float(done.stdout) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=30, help="how many of each")
    count = parser.parse_args().processes
    if count < 1:
        parser.error(f"--processes has to be 1 or more, not {count}")
    times: dict[str, list[float]] = {what: [] for what in BARE}
    with tempfile.TemporaryDirectory() as bytecode:
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = bytecode
        for statement in BARE.values():
            measure(statement, env)  # writes the bytecode
        for _ in range(count):
            for what, statement in BARE.items():
                times[what].append(measure(statement, env))
    least = {what: min(all_of_it) for what, all_of_it in times.items()}
    bound = 1.3 * least["greenlet"] + 20
    print(f"{sys.version.split()[0]}, {os.cpu_count()} cores, {count} processes each\n")
    print(f"{least['pausable'] / bound:.2f} of the goal, {bound:.1f} ms\n")
    print("| | / greenlet | least ms | median ms |\n|---|---|---|---|")
    for what, took in times.items():
        ratio = least[what] / least["greenlet"]
        print(f"| {what} | {ratio:.1f} | {least[what]:.1f} | {statistics.median(took):.1f} |")


if __name__ == "__main__":
    main()
