"""Random programs on both sides: the real libcrypto and `pausable.openssl` must print the same.

    python tests/scenario/differential.py --seconds 60 [--seed N]
    python tests/scenario/differential.py --programs 20000 [--seed N]

A trace counts up to the first act that is undefined in OpenSSL. Of a difference, the smallest
script that still shows it is printed, with both traces; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from oracle import oracle
from scenario import interpreter
from scenario.generator import generate
from scenario.shrink import shrink

__all__ = ["Report", "compare", "explain"]

BATCH = 200


class Report(NamedTuple):
    """What a run of random programs came to."""

    programs: int
    lines: int
    different: list[int]  # seeds


def expected_part(trace: list[str]) -> list[str]:
    """Return a trace of libcrypto up to what is undefined there."""
    for number, line in enumerate(trace):
        if " -> UNDEFINED " in line:
            return trace[:number]
    return trace


def ours(lines: Sequence[str], length: int) -> list[str]:
    return interpreter.run("\n".join(lines))[:length]


def differs(lines: Sequence[str], theirs: list[str] | None = None) -> bool:
    """Tell whether a program's traces differ."""
    if theirs is None:
        theirs = oracle.run("\n".join(lines))
    expected = expected_part(theirs)
    return ours(lines, len(expected)) != expected


def compare(seeds: Sequence[int]) -> Report:
    """Run the programs of these seeds on both sides."""
    programs = [generate(seed) for seed in seeds]
    traces = oracle.run_many(["\n".join(lines) for lines in programs])
    length = sum(len(expected_part(trace)) for trace in traces)
    different = [
        seed
        for seed, lines, trace in zip(seeds, programs, traces, strict=True)
        if differs(lines, trace)
    ]
    return Report(len(programs), length, different)


def explain(seed: int) -> str:
    """Shrink the program of a seed and show where its traces part."""
    lines = shrink(generate(seed), differs)
    expected = expected_part(oracle.run("\n".join(lines)))
    got = ours(lines, len(expected))
    pairs = [*zip(expected, got, strict=False)]
    same = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
    return "\n".join(
        [
            f"seed {seed}, shrunk to {len(lines)} lines:",
            *(f"    {line}" for line in lines),
            "the traces are the same up to",
            *(f"    {line}" for line in expected[max(0, same - 3) : same]),
            f"libcrypto: {expected[same] if same < len(expected) else '(nothing)'}",
            f"ours:      {got[same] if same < len(got) else '(nothing)'}",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="compare random programs with libcrypto")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--programs", type=int, help="how many, instead of how long")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default: 0)")
    options = parser.parse_args()
    if (reason := oracle.unavailable()) is not None:
        print(f"no libcrypto to compare with: {reason}", file=sys.stderr)
        return 2

    print(f"against {oracle.version()}, from seed {options.seed}")
    end = time.monotonic() + options.seconds
    programs = lines = 0
    different: list[int] = []
    while programs < options.programs if options.programs else time.monotonic() < end:
        first = options.seed + programs
        report = compare(range(first, first + BATCH))
        programs += report.programs
        lines += report.lines
        different += report.different
        if sys.stderr.isatty():
            print(f"\r{programs:,} programs", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)
    print(f"{programs:,} programs, {lines:,} trace lines, {len(different)} differences")
    for seed in different[:3]:
        print(explain(seed))
    return 1 if different else 0


if __name__ == "__main__":
    raise SystemExit(main())
