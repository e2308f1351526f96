"""What Ctrl-C and other threads do at the worst moment: the books are exact afterwards."""

from __future__ import annotations

import dis
import functools
import gc
import signal
import sys
import threading
import warnings
from pathlib import Path

import pytest

import pausable
from core._support import pauses, python
from pausable import _fibre, _job, _pool, _threads
from pausable._fibre import NATIVE


def whole(pool):
    """Check that every fibre is idle, in its place, once."""
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for job in pool.jobs():
            job.close()
        pool.reserve(0)
    stats = pool.stats()
    assert (stats.paused, stats.running) == (0, 0)
    assert len({id(fibre) for fibre in pool.idle}) == len(pool.idle)
    assert all(fibre.state is _job.ENDED for fibre in pool.idle)
    assert not any(fibre.callbacks or fibre.wait_ctx or fibre.alert for fibre in pool.idle)
    if pool.max_size is not None:  # all the room there is can be used again
        jobs = [pool.start(pauses, 1) for _ in range(pool.max_size)]
        assert pool.stats()[:4] == (pool.max_size, 0, pool.max_size, 0)
        for job in jobs:
            assert job.resume()


def drive(pool, jobs):
    """Start and resume for ever. (A function: 3.13 leaves some jumps back outside of their try.)"""
    while True:
        if len(jobs) < 4:
            job = pool.start(pauses, 3, "value")
            jobs[id(job)] = job
        for key in list(jobs):
            if jobs[key].resume():
                if jobs[key].exception() is None:
                    assert jobs[key].result() == "value"
                del jobs[key]


def interrupt_at_random_moments():
    """Hit jobs with a hundred Ctrl-C; fail if the books are not exact afterwards."""
    warnings.simplefilter("ignore", ResourceWarning)
    pool = pausable.JobPool(max_size=4)
    jobs, armed = {}, []

    def interrupt(*_):
        if armed:
            armed.clear()
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for n in range(100):
            try:
                armed.append(1)
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + n % 7 * 0.0001)
                drive(pool, jobs)  # room that was lost would raise NoJobsAvailable
            except KeyboardInterrupt:
                pass
            for key in list(jobs):
                assert jobs[key].done() or jobs[key].paused
                if jobs[key].done():
                    del jobs[key]
            gc.collect()
            pool.reserve(0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    jobs.clear()
    whole(pool)
    pool.close()
    print("whole")


@pytest.mark.hazard("H17")
def test_ctrl_c_at_random_moments_leaves_exact_books():
    # In a process of its own: a Ctrl-C inside the lock of coverage's tracer would stop it for good.
    tests = str(Path(__file__).parents[1])
    out, err = python(
        f"import sys; sys.path.insert(0, {tests!r})\n"
        "import core.test_races as races; races.interrupt_at_random_moments()"
    )
    assert (out, err) == ("whole\n", "")


OURS = {module.__file__ for module in (_job, _pool, _threads, _fibre)}


@functools.cache
def interruptible(code):
    """Return the offsets of the instructions before which CPython could handle a signal."""
    offsets, before = set(), "RESUME"
    for instruction in dis.get_instructions(code):
        if instruction.opname == "CACHE":
            continue
        if before.startswith(("CALL", "RESUME", "JUMP_BACKWARD", "JUMP_ABSOLUTE", "PRECALL")):
            offsets.add(instruction.offset)
        before = instruction.opname
    return offsets


def interrupted_at(moment, act):
    """Call act(); have KeyboardInterrupt raised at its n-th interruptible moment in our code."""
    count = 0

    def trace(frame, event, _arg):
        nonlocal count
        if frame.f_code.co_filename not in OURS:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode" and frame.f_lasti in interruptible(frame.f_code):
            count += 1
            if count == moment:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    return count >= moment


def scenario(pool, told):
    job = pool.start(pauses, 2, "value")
    told.append(job)
    job.add_done_callback(lambda _: None)
    job.resume()
    job.resume()


def failing_scenario(pool, told):
    def fails():
        pausable.pause()
        raise ValueError

    job = pool.start(fails)
    told.append(job)
    assert job.wait_ctx.fds() == []
    job.add_done_callback(lambda _: None)
    job.resume()


@pytest.mark.hazard("H17")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("max_size", [1, None])
@pytest.mark.parametrize("scenario", [scenario, failing_scenario])
def test_ctrl_c_at_each_moment_in_turn_leaves_exact_books(scenario, max_size):
    with pausable.JobPool() as pool:
        interrupted_at(0, lambda: scenario(pool, []))  # 3.12 traces opcodes from the next time on
    moment = 1
    while True:
        pool = pausable.JobPool(max_size=max_size)
        told = []
        hit = interrupted_at(moment, lambda args=(pool, told): scenario(*args))
        for job in told:
            assert job.done() or job.paused, moment
            while not job.done():
                job.resume()
            if job.exception() is None:
                assert job.result() == "value", moment
            else:
                assert isinstance(job.exception(), (KeyboardInterrupt, ValueError))
        job = None
        told.clear()
        whole(pool)
        pool.close()
        if not hit:
            break
        moment += 1
    assert moment > (2 if NATIVE else 6)  # 3.13 does not trace on after the first switch


def test_a_cancel_that_comes_too_late_hits_nobody_else():
    # Between taking the job's fibre and requesting, another thread's cancel can find it reused.
    first = pausable.start(pauses, 1)
    fibre = first._fibre
    first.resume()
    second = pausable.start(pauses, 1, "second")
    assert second._fibre is fibre
    fibre.request_cancel("too late", first)
    del first  # nobody can tell any more whom it was meant for
    assert second.resume() is True
    assert second.result() == "second"


def test_cancels_from_other_threads_hit_only_their_own_jobs():
    jobs, stop = [], []

    def canceller():
        while not stop:
            try:
                jobs[-1].cancel()
            except (IndexError, pausable.CancelSwallowed):
                pass

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=canceller)
    thread.start()
    try:
        for n in range(2000):
            victim = pausable.start(pauses, 1)
            jobs.append(victim)
            victim.resume()
            jobs.clear()
            bystander = pausable.start(pauses, 1, n)
            bystander.resume()
            assert bystander.result() == n
    finally:
        stop.append(1)
        thread.join()
        sys.setswitchinterval(before)


def test_a_list_that_was_set_aside_twice_hands_out_each_fibre_once():
    # What two threads do that drop a job each at the same moment.
    pool = pausable.thread_pool()
    pool.reserve(3)
    pool._set_aside.extend([pool.idle, pool.idle])
    busy = pool.idle.pop()
    jobs = [pool.start(pauses, 1) for _ in range(6)]
    assert len({id(job._fibre) for job in jobs} | {id(busy)}) >= 6
    assert len({id(job._fibre) for job in jobs}) == 6
    for job in jobs:
        job.resume()


def test_pools_made_and_listed_at_once_disturb_nobody():
    errors = []

    def make():
        try:
            for _ in range(200):
                pausable.JobPool()
                _pool.all_pools()
        except BaseException as exc:
            errors.append(exc)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(before)
    assert errors == []
