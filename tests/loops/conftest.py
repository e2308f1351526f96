"""Every test leaves its thread as it found it: no job under way, the default pool gone."""

from __future__ import annotations

import gc

import anyio
import pytest

import pausable
from loops._kinds import ALL, ASYNCIO


@pytest.fixture(autouse=True)
def nothing_left_under_way():
    yield
    gc.collect()
    left = pausable.thread_pool().jobs()
    pausable.cleanup_thread(cancel=True)
    assert left == []


@pytest.fixture(params=ASYNCIO)
def run_loop(request):
    """Run a coroutine in a new asyncio loop of each kind there is."""
    return request.param


@pytest.fixture(params=ALL)
def run_anywhere(request):
    """Run a coroutine in asyncio, in uvloop and in trio."""
    return request.param


@pytest.fixture(params=["asyncio", "trio"])
def run_anyio(request):
    """Run an async function in each backend of anyio."""

    def run(main):
        async def bounded():
            with anyio.fail_after(30):
                return await main()

        return anyio.run(bounded, backend=request.param)

    return run
