"""What stands in for the reference in Python: it enters no Python code, and reads like it."""

from __future__ import annotations

import contextvars
import inspect
import sys
import threading

import pytest

import pausable
from core._support import finish
from native._support import needs_native, run
from pausable import _fibre, openssl

pytestmark = [
    needs_native,
    pytest.mark.skipif(
        not _fibre.NATIVE or pausable.backend().name != "native",
        reason="jobs run on greenlet here, by the reference",
    ),
]

LOCK = threading.Lock()
VARIABLE = contextvars.ContextVar("VARIABLE")


def nothing():
    return 1


def fails():
    raise ValueError("x")


def steps(count):
    for _ in range(count):
        pausable.pause()


def blocked():
    with pausable.pause_blocked():
        pausable.pause()


def guarded():
    with pausable.guarded(LOCK):
        pausable.pause()


def blocked_by_openssls_names():
    openssl.ASYNC_block_pause()
    pausable.pause()
    openssl.ASYNC_unblock_pause()


def asks():
    job = pausable.current_job()
    return job.paused, job.done(), pausable.can_pause(), job.wait_ctx


def read_failure():
    job = pausable.start(fails)
    assert job.exception() is not None
    with pytest.raises(ValueError, match="x"):
        job.result()


def read_at_every_state():
    job = pausable.start(steps, 1)
    assert (job.paused, job.done(), job.cancelled()) == (True, False, False)
    job.resume()
    assert (job.paused, job.done(), job.cancelled()) == (False, True, False)
    assert (job.exception(), job.result()) == (None, None)


def leave_when_ended():
    with pausable.start(nothing) as job:
        assert job.result() == 1


HOT = {
    "start and end": lambda _pool, _ctx: pausable.start(nothing),
    "pause, resume, end": lambda _pool, _ctx: finish(pausable.start(steps, 3)),
    "pause outside of jobs": lambda _pool, _ctx: pausable.pause(),
    "start of a pool": lambda pool, _ctx: pool.start(steps, 0),
    "start in a context": lambda pool, ctx: finish(pool.start_in(ctx, steps, 2)),
    "ask in a context": lambda pool, ctx: pool.start_in(ctx, asks),
    "descriptors that changed": lambda pool, ctx: finish(pool.start_in(ctx, steps, 2)),
    "a context variable": lambda _pool, _ctx: pausable.start(VARIABLE.set, object()),
    "an exception": lambda _pool, _ctx: read_failure(),
    "states and outcome": lambda _pool, _ctx: read_at_every_state(),
    "with": lambda _pool, _ctx: leave_when_ended(),
    "pause_blocked": lambda _pool, _ctx: pausable.start(blocked),
    "guarded": lambda _pool, _ctx: pausable.start(guarded),
    "ASYNC_block_pause": lambda _pool, _ctx: pausable.start(blocked_by_openssls_names),
}


def entered(call, *args):
    """Return the functions of ours that a call enters."""
    names = []

    def note(frame, event, _arg):
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.partition(".")[0] == "pausable":
            names.append(f"{module}.{frame.f_code.co_name}")

    sys.setprofile(note)
    try:
        call(*args)
    finally:
        sys.setprofile(None)
    return names


@pytest.mark.parametrize("what", HOT)
def test_the_hot_path_enters_no_python_code(what):
    pool = pausable.thread_pool()
    pool.reserve(3)
    finish(pausable.start(steps, 1))  # where greenlet is in the process, its interface is found
    with pausable.WaitContext() as ctx:
        if what == "descriptors that changed":
            ctx.set_wait_fd("kept", 0)
            ctx.set_wait_fd("cleared", 0)
            pool.start_in(ctx, steps, 1).resume()
            ctx.clear_fd("cleared")
            ctx.set_wait_fd("new", 0)
            assert ctx.changed_fds() == ([0], [0])
        assert entered(HOT[what], pool, ctx) == []
        assert ctx.changed_fds() == ([], [])
    assert "pausable._wait_context.close" in entered(pausable.WaitContext().close)


def test_builtins_read_like_what_they_stand_in_for():
    reference = run(DESCRIBE, "greenlet")
    assert reference[0] == 0
    assert run(DESCRIBE, "native") == reference
    assert inspect.getdoc(pausable.JobPool.start).startswith("Start a job from this pool")


DESCRIBE = """
import inspect, pausable
from pausable import openssl
owners = {"": pausable, "JobPool.": pausable.JobPool, "Job.": pausable.Job, "openssl.": openssl}
for name in ("start", "pause", "current_job", "can_pause", "JobPool.start", "JobPool.start_in",
             "Job.resume", "Job.done", "Job.result", "Job.exception", "Job.cancelled", "Job.paused",
             "Job.wait_ctx", "pause_blocked", "guarded", "openssl.ASYNC_block_pause",
             "openssl.ASYNC_unblock_pause"):
    owner, _, last = name.rpartition(".")
    it = getattr(owners[owner and owner + "."], last)
    try:
        signature = [(each.name, each.kind.name) for each in
                     inspect.signature(it).parameters.values() if each.name != "self"]
    except TypeError:
        signature = "a property"
    print(name, it.__doc__ and inspect.cleandoc(it.__doc__), signature)
"""


def test_what_the_core_has_no_methods_for_is_refused():
    from pausable import _native  # not there on every platform

    for kind in (int, object, _native.Stack, 3):
        with pytest.raises(TypeError, match="no methods for"):
            _native.take_over(kind)
    for kind in (int, 3, type("Plain", (), {"_added": 1})):
        with pytest.raises((TypeError, AttributeError)):
            _native.bind_wait_context(kind)
    ctx = pausable.WaitContext()
    assert pausable.thread_pool().start_in(ctx, int).result() == 0
