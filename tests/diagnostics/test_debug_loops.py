"""In debug mode programs of every event loop run as ever, and there is nothing to warn of."""

from __future__ import annotations

import importlib.util
import re

import pytest

from core._support import python

BODY = """
import concurrent.futures
import pausable
assert pausable.get_debug()

executor = concurrent.futures.ThreadPoolExecutor(1)

def sign(n):
    pausable.pause()
    return pausable.wait_for(executor.submit(abs, -n))
"""

RUN = {
    "asyncio": """
import asyncio
async def main():
    return await asyncio.gather(*(pausable.run(sign, n) for n in range(3)))
print(asyncio.run(main()))
""",
    "uvloop": """
import asyncio, uvloop
async def main():
    return await asyncio.gather(*(pausable.run(sign, n) for n in range(3)))
loop = uvloop.new_event_loop()
print(loop.run_until_complete(main()))
loop.close()
""",
    "trio": """
import trio
async def main():
    found = []
    async def one(n):
        found.append(await pausable.run(sign, n))
    async with trio.open_nursery() as nursery:
        for n in range(3):
            nursery.start_soon(one, n)
    return sorted(found)
print(trio.run(main))
""",
}
RUN |= {
    f"anyio on {backend}": f"""
import anyio
async def main():
    found = []
    async def one(n):
        found.append(await pausable.run(sign, n))
    async with anyio.create_task_group() as group:
        for n in range(3):
            group.start_soon(one, n)
    return sorted(found)
print(anyio.run(main, backend={backend!r}))
"""
    for backend in ("asyncio", "trio")
}

PORTAL = """
async def main():
    async with pausable.portal():
        return [sign(n) for n in range(3)]
"""
RUN |= {
    "portal in asyncio": PORTAL + "import asyncio\nprint(asyncio.run(main()))\n",
    "portal in trio": PORTAL + "import trio\nprint(trio.run(main))\n",
}


#: What asyncio's own debug mode says of each step that takes 0.1 s: a busy machine's do.
SLOW_STEP = re.compile(r"Executing <.*> took [0-9.]+ seconds$")


@pytest.mark.parametrize("what", RUN)
def test_programs_run_as_without_it(monkeypatch, what):
    for loop in {"uvloop", "trio", "anyio"} & set(what.split()):
        if importlib.util.find_spec(loop) is None:
            pytest.skip(f"no {loop} here")
    monkeypatch.setenv("PAUSABLE_DEBUG", "1")
    out, err = python(BODY + RUN[what])
    warned = [line for line in err.splitlines() if not SLOW_STEP.match(line)]
    assert (out, warned) == ("[0, 1, 2]\n", [])
