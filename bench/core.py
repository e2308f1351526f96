"""What a call costs that is started, paused, resumed and ended: ours next to all peers, in one run.

    python bench/core.py [--plain] [--loop] [--stacks] [--rounds N] [--number N] [--quick]
                         [--json FILE]

Three tables: calls that are driven by hand; calls in an event loop, where a pause is one turn of
the loop; and a bare job next to all that make a call stack for each call. A ratio is a peer's time
divided by ours (`job`, or `pausable.run` in a loop), so more than 1 is in our favour. Ratios and
times are the best of many short repetitions, taken in turns.

A process has one backend. Here it is greenlet, which most peers need; the rows "native" are of
processes of their own, as is that of libcrypto, which is a program in C. They take their turns too.

`greenlet, pooled` is the floor of what can be built on greenlet: a worker from a list used as a
stack, which calls what it is sent and goes back on the list; no state, context or error handling.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator

import _peers_loop
import _peers_plain
from _measure import available, in_turns
from _peers_plain import FULL, PAIR, START
from _program import parser_of, positive, rounds_option, run
from _results import Results, Table, ratio_of

OURS = _peers_plain.OURS, _peers_plain.NATIVE
OURS_IN_LOOP = _peers_loop.OURS, _peers_loop.NATIVE
GOAL_STACK_EACH = ">= 6"
GOAL_FLOOR = ">= 0.5"  # a pair no slower than 2.0 times the raw one
GOAL_BRIDGE = ">= 1"


def measure(table: Table, made: dict, ours: str, goals: dict, options: argparse.Namespace) -> None:
    loops = {
        (who, what): loop
        for what in (START, FULL, PAIR)
        for who, whats in made.items()
        if (loop := whats.get(what)) is not None
    }
    times = in_turns(loops, options.rounds, options.number, min(20, options.number or 20))
    for (who, what), figures in times.items():
        ratio = ratio_of(figures, times[ours, what])
        table.add(who, what, figures, ratio, goals.get((who, what)))


def plain(options: argparse.Namespace, results: Results) -> None:
    made, absent = available(_peers_plain.PEERS)
    results.absent.update(absent)
    table = results.table("driven by hand", note="No event loop; a pause returns to the caller.")
    goals = {("greenlet, pooled", PAIR): GOAL_FLOOR}
    measure(table, made, _peers_plain.OURS, goals, options)


def loop(options: argparse.Namespace, results: Results) -> None:
    with loop_and_peers(results) as made:
        table = results.table("in an event loop", note="A pause is one turn of the loop.")
        whats = START, FULL, PAIR
        goals = {(who, what): GOAL_BRIDGE for who in _peers_loop.BRIDGES for what in whats}
        measure(table, made, _peers_loop.OURS, goals, options)


def stacks(options: argparse.Namespace, results: Results) -> None:
    """Compare with all that make a call stack for each call, whatever drives them."""
    plain_made, _ = available({who: _peers_plain.PEERS[who] for who in _peers_plain.STACK_EACH})
    ours, _ = available({who: _peers_plain.PEERS[who] for who in OURS})
    with loop_and_peers(results) as made:
        asked = *_peers_loop.STACK_EACH, *OURS_IN_LOOP
        in_loop = {who: made[who] for who in asked if who in made}
        starts = {
            who: {START: whats[START]} for who, whats in {**ours, **plain_made, **in_loop}.items()
        }
        table = results.table(
            "a stack for each call", note="A bare job next to peers that make a stack per call."
        )
        goals = {
            (who, START): GOAL_STACK_EACH for who in starts if who not in (*ours, *OURS_IN_LOOP)
        }
        measure(table, starts, "job", goals, options)


@contextlib.contextmanager
def loop_and_peers(results: Results) -> Iterator[dict]:
    its_loop = asyncio.new_event_loop()
    made, absent = available(_peers_loop.PEERS, its_loop)
    results.absent.update(absent)
    try:
        yield made
    finally:
        its_loop.run_until_complete(its_loop.shutdown_default_executor())
        its_loop.close()


def main() -> int:
    os.environ["PAUSABLE_BACKEND"] = "greenlet"  # of this process; pausable is not imported yet
    parts = {"plain": plain, "loop": loop, "stacks": stacks}
    parser = parser_of(__doc__, parts)
    rounds_option(parser, 100, 10)
    parser.add_argument("--number", type=positive, help="operations in a repetition (1.5 ms worth)")
    return run("core", parser, parts)


if __name__ == "__main__":
    sys.exit(main())
