"""What the operations of a wait context cost with 1, 100 and 10,000 descriptors in it.

    python bench/wait_context.py

Each operation is done in a context that holds that many unchanged descriptors. A ratio is the cost
with that many divided by the cost with one: near 1.0 means that it does not grow. `naive` is a
list that is walked, as OpenSSL's own, for comparison.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable

import pausable

SIZES = (1, 100, 10_000)


def filled(size: int) -> pausable.Job:
    """Return a paused job whose context holds `size` descriptors and no changes."""

    def body():
        ctx = pausable.current_job().wait_ctx
        for key in range(size):
            ctx.set_wait_fd(key, key)
        while True:
            pausable.pause()

    job = pausable.start(body)
    job.resume()
    return job


def operations(job: pausable.Job, size: int) -> dict[str, Callable[[int], None]]:
    ctx = job.wait_ctx
    oldest = 0
    entries = [[key, key, False, False] for key in range(size)]

    def set_and_clear(count):
        for _ in range(count):
            ctx.set_wait_fd("new", 5)
            ctx.clear_fd("new")

    def get_oldest(count):
        for _ in range(count):
            ctx.get_fd(oldest)

    def changed(count):
        for _ in range(count):
            ctx.changed_fds()

    def resume_with_a_change(count):
        for _ in range(count):
            ctx.set_wait_fd("new", 5)
            job.resume()
            ctx.clear_fd("new")
            job.resume()

    def naive_get_oldest(count):
        for _ in range(count):
            for key, fd, _added, deleted in reversed(entries):
                if key == oldest and not deleted:
                    fd.bit_length()
                    break

    return {
        "set_wait_fd + clear_fd": set_and_clear,
        "get_fd": get_oldest,
        "changed_fds": changed,
        "set, resume, clear, resume": resume_with_a_change,
        "naive get_fd": naive_get_oldest,
    }


def best_ns(loop: Callable[[int], None], count: int, rounds: int = 30) -> float:
    best = float("inf")
    for _ in range(rounds):
        begin = time.perf_counter_ns()
        loop(count)
        best = min(best, (time.perf_counter_ns() - begin) / count)
    return best


def main() -> None:
    print(f"CPython {platform.python_version()}\n")
    print(f"{'descriptors':28}" + "".join(f"{size:>20,}" for size in SIZES))
    costs: dict[str, list[float]] = {}
    for size in SIZES:
        job = filled(size)
        for what, loop in operations(job, size).items():
            count = 5 if what.startswith("naive") and size > 100 else 1000
            costs.setdefault(what, []).append(best_ns(loop, count))
        job.close()
    for what, row in costs.items():
        print(f"{what:28}" + "".join(f"{ns:9.0f} ns {ns / row[0]:6.2f}x" for ns in row))


if __name__ == "__main__":
    main()
