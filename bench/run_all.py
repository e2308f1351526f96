"""Run all benchmarks, write their results, and make pictures and a table of them.

    python bench/run_all.py [--quick] [--folder FOLDER] [NAME...]

Each script writes FOLDER/NAME.json (default: bench/results). A script that fails is named at the
end, and the others run all the same; then the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from _results import RESULTS

HERE = Path(__file__).parent
NAMES = (
    "core",
    "native",
    "calls",
    "memory",
    "depth",
    "wait_context",
    "loops",
    "keys",
    "engines",
    "import_time",
    "teardown",
)


def script(name: str, *arguments: str) -> int:
    command = [sys.executable, str(HERE / f"{name}.py"), *arguments]
    # Of the scripts' own processes, into which peers bring greenlet. Rows "native" have others.
    env = {"PAUSABLE_BACKEND": "greenlet", **os.environ}
    return subprocess.run(command, env=env, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="fewer of everything")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="for the results")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in NAMES]:
        parser.error(f"there is no {unknown[0]!r}; there are {', '.join(NAMES)}")
    failed = []
    quick = ["--quick"] if options.quick else []
    for name in options.names or NAMES:
        print(f"== {name}", flush=True)
        begin = time.monotonic()
        if script(name, "--json", str(options.folder / f"{name}.json"), *quick):
            failed.append(name)
        print(f"== {name}: {time.monotonic() - begin:.0f} s\n", flush=True)
    if script("report", str(options.folder)):
        failed.append("report")
    if failed:
        print(f"FAILED: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
