"""Runs of asyncio that the native core drives: what only it can get wrong."""

from __future__ import annotations

import pytest

from native._support import needs_native, run

pytestmark = needs_native


@pytest.mark.parametrize("backend", ["auto", "native"])
def test_runs_go_on_where_they_began_when_greenlet_comes_late(backend):
    pytest.importorskip("greenlet")
    program = """
        import asyncio, pausable
        from pausable import run, wait_for
        async def main():
            loop = asyncio.get_running_loop()
            def soon(value):
                future = loop.create_future()
                loop.call_soon(future.set_result, value)
                return future
            def body(gate):
                found = [wait_for(gate), wait_for(soon(2)), wait_for(asyncio.sleep(0, 3))]
                pausable.pause()
                return [*found, wait_for(soon(4))]
            gate, never = loop.create_future(), loop.create_future()
            before = asyncio.ensure_future(run(body, gate))
            await asyncio.sleep(0)
            import greenlet
            after = asyncio.ensure_future(run(body, gate))
            cancelled = asyncio.ensure_future(run(body, never))
            await asyncio.sleep(0)
            cancelled.cancel()
            gate.set_result(1)
            print(await before, await after, await run(lambda: wait_for(run(body, soon(1)))))
            await asyncio.wait([cancelled])
            print(cancelled.cancelled(), loop._pausable_hub.driven)
        asyncio.run(main())
    """
    assert run(program, backend) == (
        0,
        f"{[1, 2, 3, 4]} {[1, 2, 3, 4]} {[1, 2, 3, 4]}\nTrue 0\n",
        "",
    )


def test_what_a_task_awaits_refuses_to_be_run_by_others_meanwhile():
    program = """
        import asyncio, pausable
        def body(box):
            pausable.wait_for(asyncio.sleep(0))
            for method, *args in (("send", None), ("close",), ("throw", OSError())):
                try:
                    getattr(box[0], method)(*args)
                except ValueError as exc:
                    print(exc)
            return 5
        async def main():
            await pausable.run(int)  # the first one in a loop is the reference's
            box = []
            coroutine = pausable.run(body, box)
            coroutine.send(None)
            box.append(coroutine.cr_await)
            try:
                box[0].result()
            except RuntimeError as exc:
                print(exc)
            try:
                coroutine.send(None)
            except StopIteration as end:
                print(end.value, list(box[0]), box[0].close())
            try:
                type(box[0])()
            except TypeError:
                print("refused")
        asyncio.run(main())
    """
    busy = "the wait for this job is going on already\n" * 3
    expected = f"there is no result to be had here\n{busy}5 [] None\nrefused\n"
    assert run(program) == (0, expected, "")


def test_runs_in_runs_end_in_a_recursion_error():
    program = """
        import asyncio, pausable
        async def nest(levels):
            return levels and await pausable.run(lambda: pausable.wait_for(nest(levels - 1)))
        async def main():
            print(await nest(50))
            try:
                await nest(3000)
            except RecursionError:
                print("RecursionError", asyncio.get_running_loop()._pausable_hub.driven)
            print(await nest(50))
        asyncio.run(main())
    """
    assert run(program) == (0, "0\nRecursionError 0\n0\n", "")
