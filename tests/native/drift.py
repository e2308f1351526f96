"""Whether jobs leave references or memory behind: a million of them, of each way to end.

    PAUSABLE_BACKEND=native python tests/native/drift.py [JOBS]

On a debug build of CPython (Debian: python3-dbg) all references of the interpreter are counted;
elsewhere its blocks of memory. Anything that is left is an error.
"""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Callable

import pausable


def plain(arg: object) -> object:
    return arg


def pauses(arg: object, *, named: object = None) -> object:
    pausable.pause()
    return [arg, named]


def fails(arg: object) -> None:
    pausable.pause()
    raise ValueError(arg)


def cleans_up(arg: object) -> None:
    try:
        pausable.pause()
    finally:
        job = pausable.current_job()
        assert job is not None
        with job.wait_ctx.waker() as waker:
            waker.wake()  # or close() would wait a little before it goes on
            pausable.pause()


def nests(arg: object) -> object:
    inner = pausable.start(pauses, arg)
    pausable.pause()
    inner.resume()
    return inner.result()


def ends() -> None:
    pausable.start(plain, "x").result()


def pauses_and_ends() -> None:
    job = pausable.start(pauses, "x", named="y")
    job.resume()
    job.result()


def raises() -> None:
    job = pausable.start(fails, "x")
    job.resume()
    job.exception()


def is_cancelled() -> None:
    pausable.start(fails, "x").cancel()


def is_closed() -> None:
    with pausable.start(cleans_up, "x"):
        pass


def is_nested() -> None:
    job = pausable.start(nests, "x")
    job.resume()
    job.result()


def has_a_wait_context() -> None:
    job = pausable.start(pauses, "x")
    job.wait_ctx.status  # made when it is asked for
    job.resume()


def is_dropped() -> None:
    pausable.start(fails, "x")
    pausable.start(plain, "x")  # unwinds what was lost


WAYS: tuple[Callable[[], None], ...] = (
    ends,
    pauses_and_ends,
    raises,
    is_cancelled,
    is_closed,
    is_nested,
    has_a_wait_context,
    is_dropped,
)


def counted() -> int:
    pausable.cleanup_thread(cancel=True)  # what was dropped and nobody has unwound yet
    gc.collect()
    gc.collect()
    return getattr(sys, "gettotalrefcount", sys.getallocatedblocks)()


def left_by(way: Callable[[], None], jobs: int) -> int:
    """Return how many references or blocks more there are after jobs than before.

    The least of three rounds: a leak is in each, what is made once and kept is in the first.
    """
    rounds = []
    for _ in range(3):
        before = counted()
        for _ in range(jobs // 3):
            way()
        rounds.append(counted() - before)
    return min(rounds)


def main() -> None:
    """Be the command."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    what = "references" if hasattr(sys, "gettotalrefcount") else "blocks of memory"
    print(
        f"{jobs} jobs on {pausable.backend().name}, {sys.version.split()[0]}: {what} that are left"
    )
    warnings.simplefilter("ignore", ResourceWarning)  # of jobs that are dropped
    leaks = False
    each = jobs // len(WAYS)
    for way in WAYS:
        left = left_by(way, each)
        print(f"{way.__name__:20} {left:+}", flush=True)
        leaks = leaks or left > 10  # the counting itself
    sys.exit(leaks)


if __name__ == "__main__":
    main()
