"""Native jobs and greenlet in one process: who imports what first, and what is refused."""

from __future__ import annotations

import pytest

from native._support import needs_native, run
from native.late import run_programs

pytestmark = needs_native

STEPS = """
import asyncio, pausable, sys
def steps(n, value=None):
    for _ in range(n):
        assert pausable.pause()
    return value
def kind(job):
    return type(job._fibre).__name__
"""


def test_greenlet_before_pausable_is_the_backend():
    assert run(f"import greenlet\n{STEPS}\nprint(*pausable.backend(), sep='|')", "auto") == (
        0,
        "greenlet|greenlet was imported before pausable\n",
        "",
    )


def test_greenlet_after_pausable_is_the_backend_of_new_jobs_only():
    program = f"""
{STEPS}
old = pausable.start(steps, 2, "old")
idle = pausable.start(steps, 0)
import greenlet
print(*pausable.backend(), sep="|")
new = pausable.start(steps, 2, "new")
print(kind(old), kind(new), pausable.thread_pool())
greenlet.greenlet(old.resume).switch()              # others' greenlets may drive both kinds
greenlet.greenlet(new.resume).switch()
print(old.resume(), new.resume(), old.result(), new.result(), pausable.thread_pool())
"""
    assert run(program, "auto") == (
        0,
        "greenlet|greenlet was imported after pausable\n"
        "JobFibre GreenletJobFibre <JobPool paused=2 idle=0 max_size=None>\n"
        "True True old new <JobPool paused=0 idle=1 max_size=None>\n",
        "",
    )


def test_after_a_late_import_what_is_asked_is_answered_of_both_kinds():
    program = f"""
{STEPS}
from pausable import openssl
from pausable._job import current_wait_ctx
def asks(ctx):
    seen = [current_wait_ctx() is pausable.current_job().wait_ctx is ctx]
    pausable.pause()
    with pausable.pause_blocked():
        openssl.ASYNC_block_pause()
        seen += [pausable.can_pause(), pausable.pause(), current_wait_ctx()]
        openssl.ASYNC_unblock_pause()
        with pausable.guarded(lock):
            seen.append(pausable.can_pause())
    return [*seen, pausable.can_pause(), current_wait_ctx() is ctx]
import threading
lock = threading.Lock()
pool, ctxs = pausable.JobPool(), [pausable.WaitContext() for _ in range(2)]
jobs = [pool.start_in(ctxs[0], asks, ctxs[0])]
import greenlet
jobs.append(pool.start_in(ctxs[1], asks, ctxs[1]))
for job, ctx in zip(jobs, ctxs):
    try:
        pool.start_in(ctx, int)
    except pausable.JobStateError as exc:
        print(str(exc)[-22:])
    print(kind(job), job.paused, job.done(), job.wait_ctx is ctx)
    with job:
        job.resume()
    print(job.paused, job.done(), job.cancelled(), job.exception(), job.result())
    print(job.wait_ctx is ctx, pool.start_in(ctx, int).result())
print(pool, current_wait_ctx(), openssl.ASYNC_block_pause(), pausable.pause_blocked().__enter__())
"""
    told = (
        "use a context for each\n"
        "{} True False True\n"
        "False True False None [True, False, False, None, False, True, True]\n"
        "True 0\n"
    )
    assert run(program, "auto") == (
        0,
        told.format("JobFibre")
        + told.format("GreenletJobFibre")
        + "<JobPool paused=0 idle=2 max_size=None> None None None\n",
        "",
    )


@pytest.mark.parametrize("backend", ["auto", "native"])
def test_after_a_late_import_native_frames_are_told_on_every_kind_of_stack(backend):
    program = f"""
{STEPS}
import json, warnings
def calls_back():
    return sorted([2, 1], key=lambda x: pausable.pause())
def told(job):
    return [row["native_frames"] for row in json.loads(pausable.dump("json"))["jobs"]
            if row["name"] == job.name][0], kind(job)
def of_new_jobs():
    jobs = [pausable.start(steps, 1), pausable.start(calls_back), pausable.start(deep, 50)]
    print(*[told(job) for job in jobs])
    for job in jobs:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            job.resume()
            while not job.done():
                job.resume()
        told_copies = ["each switch copies them" in str(each.message) for each in caught]
        print([each.category.__name__ for each in caught], *told_copies, end=" ")
    print()
    pausable.set_debug(True, slow_segment_s=3600)   # forget which places were reported
def deep(levels):
    return deep(levels - 1) if levels else pausable.pause()
def outer():
    of_new_jobs()
    pausable.pause()
    of_new_jobs()                                   # on its stack, whatever others run on
pausable.set_debug(True, slow_segment_s=3600)
old = pausable.start(outer)
import greenlet
of_new_jobs()
old.resume()
of_new_jobs()
"""
    native = (
        "(False, 'JobFibre') (True, 'JobFibre') (False, 'JobFibre')\n"
        "[] ['NativeFrameWarning'] False [] \n"
    )
    on_greenlet = native.replace("JobFibre", "GreenletJobFibre").replace("] False", "] True")
    later = native if backend == "native" else on_greenlet
    assert run(program, backend) == (0, native + later + native + later, "")


def test_an_import_of_greenlet_that_fails_changes_nothing():
    program = f"""
{STEPS}
sys.modules["greenlet"] = None
try:
    import greenlet
except ImportError:
    pass
del sys.modules["greenlet"]
class Nothing:
    def find_spec(self, name, *_):
        if name == "greenlet":
            raise ModuleNotFoundError("not installed", name=name)
sys.meta_path.insert(1, Nothing())                  # after the one that notices the attempt
try:
    import greenlet
except ImportError as exc:
    print(exc)
jobs = [pausable.start(steps, 1, n) for n in range(3)]
print({{kind(job) for job in jobs}}, [job.resume() for job in jobs], *pausable.backend())
print(pausable.thread_pool())
"""
    assert run(program, "auto") == (
        0,
        "not installed\n{'JobFibre'} [True, True, True] native PAUSABLE_BACKEND says so\n"
        "<JobPool paused=0 idle=3 max_size=None>\n",
        "",
    )


def test_a_native_job_that_meets_greenlet_ends_natively_and_is_refused_what_would_crash():
    program = f"""
{STEPS}
def meets():
    pausable.pause()
    import greenlet
    def inside():
        try:
            pausable.pause()
        except pausable.JobStateError as exc:
            return str(exc)[:58]
    print(greenlet.greenlet(inside).switch())
    nested = pausable.start(steps, 2, "nested")     # on its stack: native, too
    print(kind(nested))
    pausable.pause()
    try:
        outside.resume()
    except pausable.JobStateError as exc:
        print(str(exc).partition(" was started")[2][:49])
    nested.resume()
    nested.resume()
    return nested.result()
with pausable.JobPool(max_size=3) as pool:
    job = pausable.start(meets)
    job.resume()
    outside = pausable.start(steps, 1, "outside")
    print(kind(outside), job.resume(), job.result(), outside.resume(), outside.result())
print(pausable.thread_pool(), pausable.pause(), pausable.current_job(), pausable.can_pause())
"""
    assert run(program, "auto") == (
        0,
        "a job on a native stack cannot pause inside a greenlet tha\n"
        "JobFibre\n"
        " after greenlet was imported, and cannot be resum\n"
        "GreenletJobFibre True nested True outside\n"
        "<JobPool paused=0 idle=1 max_size=None> False None False\n",
        "",
    )


def test_a_pool_that_is_full_of_the_other_kind_makes_room():
    program = f"""
{STEPS}
def outer():
    import greenlet
    pausable.pause()
    return [pool.start(steps, 0, n).result() for n in range(3)]
pool = pausable.JobPool(max_size=2)
job = pool.start(outer)
print(pool.start(steps, 0, "on greenlet").result(), pool.stats()[:3])
print(job.resume(), job.result(), pool.stats()[:3])
print(pool.start(steps, 0, "again").result(), pool.stats()[:3])
pool.close()
"""
    assert run(program, "auto") == (
        0,
        "on greenlet (2, 1, 1)\nTrue [0, 1, 2] (0, 0, 0)\nagain (1, 1, 0)\n",
        "",
    )


def test_jobs_of_both_kinds_are_shown_cancelled_lost_and_unwound():
    program = f"""
{STEPS}
def noisy(name):
    try:
        steps(9)
    finally:
        print(name, "unwound")
old, lost, at_exit = (pausable.start(noisy, f"native {{n}}") for n in range(3))
import greenlet
new, new_at_exit = (pausable.start(noisy, f"greenlet {{n}}") for n in range(2))
print([frame.name for frame in old.stack()] == [frame.name for frame in new.stack()])
print(pausable.dump().count("is paused at"), len(pausable.jobs()))
print(old.cancel(), new.cancel())
del lost
pausable.start(steps, 0)
"""
    status, out, err = run(program, "auto")
    assert (status, err) == (0, "")
    assert sorted(out.splitlines()) == sorted([
        "True", "1 5", "True True", "native 0 unwound", "greenlet 0 unwound", "native 1 unwound",
        "native 2 unwound", "greenlet 1 unwound",
    ])  # fmt: skip


def test_a_lost_job_on_greenlet_waits_for_a_start_outside_of_native_jobs():
    program = f"""
{STEPS}
def noisy():
    try:
        steps(9)
    finally:
        print("unwound")
def native():
    pausable.pause()
    kept.clear()
    print([pausable.start(steps, 0, n).result() for n in "ab"])
old = pausable.start(native)
import greenlet
kept = [pausable.start(noisy)]
print(old.resume(), pausable.thread_pool())
print(pausable.start(steps, 0, "outside").result(), pausable.thread_pool())
"""
    assert run(program, "auto") == (
        0,
        "['a', 'b']\nTrue <JobPool paused=1 idle=0 max_size=None>\n"
        "unwound\noutside <JobPool paused=0 idle=1 max_size=None>\n",
        "",
    )


def test_threads_that_notice_greenlet_at_the_same_time_agree():
    program = f"""
{STEPS}
import greenlet, threading
both, turns, seen = threading.Barrier(2), [threading.Event() for _ in range(3)], []
def at_once(frame, event, arg):
    if frame.f_code.co_name == "_give_way":
        both.wait()
        turns[int(threading.current_thread().name)].wait()
def body():
    turn = int(threading.current_thread().name)
    job = pausable.start(steps, 1)
    turns[turn + 1].set()
    turns[2].wait()
    seen.append((kind(job), job.resume()))
threading.settrace(at_once)
threads = [threading.Thread(target=body, name=str(turn)) for turn in range(2)]
for thread in threads:
    thread.start()
turns[0].set()
for thread in threads:
    thread.join()
print(seen)
"""
    assert run(program, "auto") == (0, f"{[('GreenletJobFibre', True)] * 2}\n", "")


def test_a_start_while_another_thread_takes_the_idle_native_fibres_away():
    program = f"""
{STEPS}
import threading
reached, gone_on = threading.Event(), threading.Event()
def at_pools(frame, event, arg):
    if frame.f_code.co_name == "all_pools":
        reached.set()
        gone_on.wait()
def notice():
    sys.settrace(at_pools)
    print(pausable.start(steps, 0, "noticed").result())
print(pausable.start(steps, 0, "native").result())      # its fibre is idle now
import greenlet
thread = threading.Thread(target=notice)
thread.start()
reached.wait()
try:
    print(kind(pausable.start(steps, 1)))
finally:
    gone_on.set()
    thread.join()
"""
    assert run(program, "auto") == (0, "native\nGreenletJobFibre\nnoticed\n", "")


def test_loops_drive_both_kinds_side_by_side():
    pytest.importorskip("trio")
    program = f"""
{STEPS}
async def main():
    tasks = [asyncio.create_task(pausable.run(steps, 3, n)) for n in range(3)]
    await asyncio.sleep(0)
    import greenlet
    tasks += [asyncio.create_task(pausable.run(steps, 3, n)) for n in range(3, 6)]
    return await asyncio.gather(*tasks)
print(asyncio.run(main()))
import trio
print(trio.run(pausable.run, steps, 2, "trio"), list(pausable.map(str, range(3), jobs=2)))
"""
    assert run(program, "auto") == (0, "[0, 1, 2, 3, 4, 5]\ntrio ['0', '1', '2']\n", "")


def test_gevent_that_is_imported_late_runs_jobs():
    pytest.importorskip("gevent")
    program = f"""
{STEPS}
old = pausable.start(steps, 2, "old")
import gevent
def body(n):
    gevent.sleep(0)                                 # switches to the hub, out of the job
    assert pausable.pause()
    gevent.sleep(0.001)
    return n
jobs = [pausable.start(body, n) for n in range(5)]
print(gevent.spawn(old.resume).get(), [job.resume() for job in jobs[::-1]], old.resume())
"""
    assert run(program, "auto") == (0, "False [True, True, True, True, True] True\n", "")


def test_sqlalchemys_asyncio_that_is_imported_late_runs_jobs():
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("aiosqlite")
    program = f"""
{STEPS}
async def main():
    before = asyncio.create_task(pausable.run(steps, 2, "before"))
    await asyncio.sleep(0)
    import sqlalchemy, sqlalchemy.ext.asyncio as ext
    def in_session(connection):
        job = pausable.start(steps, 2, "job")
        while not job.done():
            job.resume()
        assert pausable.pause()                     # inside SQLAlchemy's greenlet, inside a job
        return connection.execute(sqlalchemy.text("select 40 + 2")).scalar(), job.result()
    engine = ext.create_async_engine("sqlite+aiosqlite://")
    async with engine.connect() as connection:
        def session():
            return pausable.wait_for(connection.run_sync(lambda c: c.execute(
                sqlalchemy.text("select 1")).scalar()))
        print(await pausable.run(session))
        async with pausable.portal():
            print(await connection.run_sync(in_session))
    await engine.dispose()
    return await before
print(asyncio.run(main()))
"""
    status, out, err = run(program, "auto")
    assert (status, out.splitlines()[:1], err) == (0, ["1"], ""), err
    assert out.splitlines()[1:] == ["(42, 'job')", "before"]


def test_greenback_that_is_imported_late_awaits_inside_jobs():
    pytest.importorskip("greenback")
    program = f"""
{STEPS}
import asyncio
async def main():
    before = asyncio.create_task(pausable.run(steps, 2, "before"))
    await asyncio.sleep(0)
    import greenback
    def body(tag):
        seen = []
        for step in range(3):
            seen.append(greenback.await_(asyncio.sleep(0, (tag, step))))
            assert pausable.pause()
        return seen
    async def task(tag):
        await greenback.ensure_portal()
        return await pausable.run(body, tag)
    print((await asyncio.gather(task("a"), task("b")))[1])
    return await before
print(asyncio.run(main()))
"""
    assert run(program, "auto") == (0, "[('b', 0), ('b', 1), ('b', 2)]\nbefore\n", "")


def test_forced_native_refuses_a_pause_in_a_foreign_greenlet_and_the_job_goes_on():
    program = f"""
{STEPS}
import greenlet
def body():
    try:
        greenlet.greenlet(pausable.pause).switch()
    except pausable.JobStateError as exc:
        print("refused")
    with pausable.pause_blocked():
        assert greenlet.greenlet(pausable.pause).switch() is False
    assert greenlet.greenlet(lambda: 5).switch() == 5
    return pausable.pause()
job = pausable.start(body)
print(*pausable.backend(), job.resume(), job.result())
"""
    assert run(program, "native") == (
        0,
        "refused\nnative PAUSABLE_BACKEND says so True True\n",
        "",
    )


def test_what_would_switch_to_greenlets_inside_a_native_job_is_put_off_or_refused():
    program = f"""
{STEPS}
def body():
    pausable.pause()
    import greenlet
    pausable.pause()
    pool.shrink()                                   # has an idle fibre on greenlet
    try:
        pool.reserve(3)
    except pausable.JobStateError as exc:
        print(str(exc)[:28])
    return pool.start(steps, 0, "native").result()
pool = pausable.JobPool()
job = pool.start(body)
job.resume()
print(kind(pool.start(steps, 1)), pool.start(steps, 0, 1).result(), pool.stats()[:3])
print(job.resume(), job.result(), pool.start(steps, 0, "on greenlet").result())
pool.close(cancel=True)
"""
    assert run(program, "auto") == (
        0,
        "GreenletJobFibre 1 (2, 1, 1)\ngreenlet was imported after \nTrue native on greenlet\n",
        "",
    )


def test_figures_tell_of_stacks_of_both_kinds():
    program = f"""
{STEPS}
pool = pausable.JobPool()
native = pool.start(steps, 1)
before = pool.stats()
import greenlet
other = pool.start(steps, 1)
after = pool.stats()
print(after.mapped_bytes == before.mapped_bytes > 0, after.resident_bytes > before.resident_bytes)
print(native.resume(), other.resume())
pool.close()
"""
    assert run(program, "auto") == (0, "True True\nTrue True\n", "")


def test_a_guard_may_be_entered_by_others_while_it_blocks_a_job_on_greenlet():
    program = f"""
{STEPS}
import threading
guard = pausable.guarded(threading.RLock())
def at_block(frame, event, arg):
    if event == "call" and frame.f_code.co_name == "block":
        sys.setprofile(None)
        guard.__enter__()
def body():
    sys.setprofile(at_block)
    with guard:
        seen = [pausable.can_pause()]
    seen.append(pausable.can_pause())
    guard.__exit__(None, None, None)
    return [*seen, pausable.can_pause()]
pausable.start(steps, 0)
import greenlet
print(pausable.start(body).result())
"""
    assert run(program, "auto") == (0, "[False, False, True]\n", "")


def test_random_jobs_of_both_kinds_are_all_unwound():
    assert run_programs(range(12)) == []
