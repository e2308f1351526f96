"""Misuse of what is no interface: wrong types and orders raise, and never crash."""

from __future__ import annotations

from native._support import needs_native, run

BEGIN = """
import gc
import pausable
from pausable import _job, _native

odd = [None, 3, "x", b"", (), [], {}, object(), int, len, _native.Fibre(), pausable.Job(),
       pausable.JobPool(), _native.current_stack(), lambda: 1]
refused = 0

def attempt(function, *args):
    global refused
    try:
        function(*args)
    except Exception:
        refused += 1
"""
END = """
gc.collect()
print(refused > 10, pausable.start(int, "3").result())
"""


def survives(program: str) -> None:
    status, out, err = run(BEGIN + program + END)
    assert (status, out, err[-500:]) == (0, "True 3\n", "")


@needs_native
def test_functions_of_the_core_refuse_wrong_types():
    survives("""
for name in ("instead_of", "set_guard", "watch_greenlet", "stats", "current", "current_stack"):
    attempt(getattr(_native, name))
    for value in odd:
        attempt(getattr(_native, name), value)
for kind in (_native.Stack, type(_native.current_stack()), _native.Fibre, _native.Pool,
             pausable.Job):
    attempt(kind, 1)
    attempt(type, "Derived", (kind,), {})
""")


@needs_native
def test_fibres_refuse_wrong_values_and_calls():
    survives("""
names = [name for name in dir(_native.Fibre) if not name.startswith("_")]
for first in odd:
    for second in odd:
        fibre = _native.Fibre()
        attempt(fibre.switch, first)
        attempt(fibre.switch, first, second, None)
        attempt(fibre.switch, first, second, {})
        for name in names:
            attempt(setattr, fibre, name, first)
            attempt(getattr, fibre, name)
            attempt(delattr, fibre, name)
        attempt(fibre.switch)
""")


@needs_native
def test_jobs_made_by_hand_refuse_what_they_cannot_do():
    survives("""
fields = ("_fibre", "_name", "_full_name", "_value", "_exc", "_traceback", "_wait_ctx")
for value in odd:
    job = pausable.Job()
    for field in fields:
        attempt(setattr, job, field, value)
    for method in ("resume", "cancel", "close", "done", "result", "exception", "stack", "__repr__"):
        attempt(getattr(job, method))
    del job
""")


@needs_native
def test_pools_with_strange_contents_refuse_to_start():
    survives("""
for stranger in (*odd, _job.JobFibre.__new__(_job.JobFibre)):
    pool = pausable.JobPool()
    pool.idle.append(stranger)
    attempt(pool.start, int)
    attempt(pool.start, pausable.pause)
    pool.idle = stranger
    attempt(pool.start, int)
    del pool.idle
    attempt(pool.start, int)
    pool.idle = []
    attempt(pausable.start)
    attempt(pausable.pause, stranger)
    for place in range(3):
        args = [pausable.thread_pool(), None, None, int, (), None]
        args[place] = stranger
        attempt(_job.launch, *args)
attempt(_job.launch, _native.Pool(), None, None, int, (), None)
""")


@needs_native
def test_a_running_or_paused_job_cannot_be_switched_by_hand():
    survives("""
def body():
    fibre = pausable.current_job()._fibre
    for _ in range(3):
        attempt(fibre.switch)
        attempt(fibre.retire)
        attempt(fibre.switch, int, (), None)
        attempt(setattr, fibre, "gr_context", None)
        attempt(setattr, fibre, "size_bytes", 1 << 20)
    assert (fibre.saved_bytes(), fibre.gr_frame) == (0, None)
    return pausable.pause()

job = pausable.start(body)
attempt(job._fibre.retire)
attempt(job._fibre.switch, int, (), None)
assert job.resume() and job.result()
""")


@needs_native
def test_contexts_blocks_and_guards_with_strange_contents_never_crash():
    survives("""
pool = pausable.JobPool()
slots = ("_added", "_deleted", "_jobs", "_generation", "_wakers", "_fired", "_closed")

def steps(ctx):
    pausable.pause()
    with pausable.pause_blocked() as block:
        return pausable.can_pause()

def drive(ctx):
    job = pool.start_in(ctx, steps, ctx)
    while not job.done():
        job.resume()

for slot in slots:
    for value in (*odd, -1, 1 << 80, [1], {1: 2}):
        ctx = pausable.WaitContext()
        job = pool.start_in(ctx, pausable.pause)
        attempt(setattr, ctx, slot, value)
        attempt(job.resume)
        attempt(drive, ctx)
    ctx = pausable.WaitContext()
    delattr(ctx, slot)
    attempt(drive, ctx)
    ctx._live = {}
for value in odd:
    for kind in (_native.Block, _native.Guard, pausable.guarded, pausable.pause_blocked):
        attempt(kind, value)
        made = kind.__new__(kind)
        attempt(made.__enter__, value)
        attempt(made.__enter__)
        attempt(made.__exit__, value)
        attempt(made.__exit__, value, value, value)
        attempt(made.__init__, value)
    attempt(setattr, pool, "thread", value)
    attempt(pool.start, int)
    pool.thread = pausable.thread_pool().thread
    for name in ("block", "wait_in"):
        attempt(getattr(_job.JobFibre, name), value, 1)
        attempt(getattr(_job.JobFibre(pool, depth=0, transient=False), name), value)
    attempt(_native.take_over, value)
    attempt(_job.Job.result, value)
    attempt(setattr, _job.JobFibre(pool, depth=0, transient=False), "blocks", value)
fibre = _job.JobFibre(pool, depth=0, transient=False)
for by in (-1, 1 << 62, 1 << 62, 1 << 62, -(1 << 63), 1 << 80):
    attempt(fibre.block, by)
    assert fibre.blocks >= 0, fibre.blocks
pausable._native.bind_wait_context(pausable.WaitContext)
""")


@needs_native
def test_a_stack_that_is_in_use_is_not_used_for_another_job():
    survives("""
pool = pausable.thread_pool()
for turn in range(20):
    job = pausable.start(pausable.pause)
    pool.idle.append(job._fibre)
    attempt(pausable.start, int)
    assert job.resume() and job.result()
""")


@needs_native
def test_a_stack_of_another_thread_is_not_entered():
    survives("""
import threading

def elsewhere():
    attempt(_job.launch, pool, None, None, int, (), None)
    attempt(fibre.switch, int, (), None)

pool = pausable.JobPool(init_size=1)
fibre = pool.idle[0]
for turn in range(10):
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert pool.start(int, "3").result() == 3
""")


@needs_native
def test_what_is_bound_has_to_be_a_dict_and_whole_where_that_is_needed():
    survives("""
for bind in _native.bind_hooks, _native.bind_run, _native.bind_asyncio:
    for what in odd:
        if what != {}:
            attempt(bind, what)
for bind in _native.bind_run, _native.bind_asyncio:
    try:
        bind({})
    except KeyError as exc:
        assert exc.args[0] in ("coroutine", "cancelling"), exc
    else:
        raise AssertionError(bind)
_native.bind_hooks({})
""")
