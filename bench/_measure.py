"""Measuring: variants in turns, resident memory, and processes of their own."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import TypeVar

#: Does an operation so many times; returns the ns it took, or None if it did not look at the clock.
Loop = Callable[[int], "int | None"]
Name = TypeVar("Name")

REPETITION_NS = 1_500_000  # long enough for the clock, short enough to fall between disturbances
FAILED_TAIL = 300  # characters of what a process said at last


def timed(loop: Loop, number: int) -> float:
    """Return ns per operation."""
    begin = time.perf_counter_ns()
    inside = loop(number)
    spent = time.perf_counter_ns() - begin
    return (spent if inside is None else inside) / number


def in_turns(
    variants: dict[Name, Loop], rounds: int, number: int | None = None, warm_up: int = 20
) -> dict[Name, list[float]]:
    """Return ns per operation of each variant in each round.

    Each is measured once per round, so that a disturbance hits all alike. Give all variants of a
    table at once: what lasts a second is soon disturbed as a whole.

    Args:
        variants: what is to be measured, by name.
        rounds: how often.
        number: of operations in a repetition; None: as many as take 1.5 ms, each variant its own.
        warm_up: operations before anything is measured.
    """
    numbers = {}
    for name, loop in variants.items():
        loop(warm_up)
        ns = min(timed(loop, warm_up) for _ in range(3))
        numbers[name] = number or max(5, int(REPETITION_NS / ns))
    gc.collect()
    times: dict[Name, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, loop in variants.items():
            times[name].append(timed(loop, numbers[name]))
    return times


def available(makers: dict[str, Callable], *arguments: object) -> tuple[dict, dict[str, str]]:
    """Return {name: what its maker returns} and {name: why it is absent}."""
    made, absent = {}, {}
    for name, make in makers.items():
        try:
            made[name] = make(*arguments)
        except (ImportError, Absent) as exc:
            absent[name] = str(exc)
    return made, absent


class Absent(Exception):
    """A peer is not here; the message says why."""


def fresh(fn: FunctionType) -> FunctionType:
    """Return a copy of a function that shares no inline caches with it.

    A code object that several variants run would be polymorphic, and slow for all of them.
    """
    return FunctionType(
        fn.__code__.replace(), fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__
    )


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    return import_module(name).new_event_loop()


def resident_kb(pid: int | str = "self") -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def in_fresh_process(
    script: str, *arguments: object, timeout_s: float = 300, env: dict[str, str] | None = None
) -> dict:
    """Return the JSON that a script prints, run in a process of its own, with `env` besides ours.

    Raises:
        Absent: it failed; the message is the last line that it said.
    """
    command = [sys.executable, script, *map(str, arguments)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            env={**os.environ, **(env or {})},
        )
    except subprocess.TimeoutExpired:
        raise Absent(f"not done after {timeout_s:g} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [""]
        raise Absent(f"exit code {done.returncode}: {said[-1][-FAILED_TAIL:]}")
    return json.loads(done.stdout)


def drain(items: Iterable[object]) -> None:
    for _ in items:
        pass
