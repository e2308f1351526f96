"""Ways to have slow operations done in an asyncio program: as pausable jobs, and without.

Each is a context manager that yields a function for asyncio tasks; it is entered in the loop.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import pausable

__all__ = ["DEFAULT_THREADS", "WAY_FUNCTIONS", "Way"]

#: What `asyncio.to_thread` has at most, by its documentation.
DEFAULT_THREADS: Final = min(32, (getattr(os, "process_cpu_count", os.cpu_count)() or 1) + 4)

Call = Callable[[], bytes]
#: Takes a call and its number of workers, if it has some.
Way = Callable[[int], Any]


@contextmanager
def _as_jobs(_workers: int) -> Iterator[Callable[[Call], Awaitable[bytes]]]:
    yield pausable.run


@contextmanager
def _blocking(_workers: int) -> Iterator[Callable[[Call], Awaitable[bytes]]]:
    import asyncio

    async def call(fn: Call) -> bytes:
        await asyncio.sleep(0)  # other tasks run in between
        return fn()

    yield call


@contextmanager
def _in_own_thread(_workers: int) -> Iterator[Callable[[Call], Awaitable[bytes]]]:
    import asyncio

    loop = asyncio.get_running_loop()

    def work(fn: Call, done: asyncio.Future[bytes]) -> None:
        try:
            result, exc = fn(), None
        except BaseException as raised:
            result, exc = b"", raised
        try:
            loop.call_soon_threadsafe(tell, done, result, exc)
        except RuntimeError:  # the loop is closed: the run was stopped
            pass

    def tell(done: asyncio.Future[bytes], result: bytes, exc: BaseException | None) -> None:
        if done.done():  # cancelled
            return
        if exc is None:
            done.set_result(result)
        else:
            done.set_exception(exc)

    async def call(fn: Call) -> bytes:
        done = loop.create_future()
        threading.Thread(target=work, args=(fn, done), daemon=True).start()
        return await done  # type: ignore[no-any-return]

    yield call


@contextmanager
def _to_thread(_workers: int) -> Iterator[Callable[[Call], Awaitable[bytes]]]:
    import asyncio

    yield asyncio.to_thread


@contextmanager
def _to_thread_wide(workers: int) -> Iterator[Callable[[Call], Awaitable[bytes]]]:
    import asyncio

    # Shut down by asyncio.run(), as its own would be.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(workers))
    yield asyncio.to_thread


WAY_FUNCTIONS: Final[dict[str, Way]] = {
    "pausable": _as_jobs,
    "blocking": _blocking,
    "thread": _in_own_thread,
    "to_thread": _to_thread,
    "to_thread_wide": _to_thread_wide,
}
