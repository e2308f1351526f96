"""No job is lost in silence: dropped handles, threads that end, exit, fork."""

from __future__ import annotations

import concurrent.futures
import gc
import logging
import os
import sys
import threading
import warnings

import pytest

import pausable
from core._support import finish, in_child, in_thread, pauses, python

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def noting(log, tag="finally"):
    try:
        pausable.pause()
    finally:
        log.append(tag)


def lose(job_in_a_list):
    with pytest.warns(ResourceWarning, match="keep its handle(.|\n)*in noting"):
        job_in_a_list.clear()


@pytest.mark.hazard("H13")
def test_a_dropped_job_is_warned_of_at_once_and_unwound_at_the_next_start():
    log = []
    jobs = [pausable.start(noting, log)]
    lose(jobs)
    assert log == []
    pausable.start(log.append, "next job")
    assert log == ["finally", "next job"]


def test_a_lost_job_is_unwound_at_the_next_start_even_if_another_ended_before():
    log = []
    other = pausable.start(pauses, 1)
    lose([pausable.start(noting, log)])
    finish(other)
    pausable.start(log.append, "next job")
    assert log == ["finally", "next job"]


@pytest.mark.hazard("H13")
def test_a_job_dropped_after_a_resume_is_noticed_too():
    log = []

    def body():
        pausable.pause()
        noting(log)

    jobs = [pausable.start(body)]
    jobs[0].resume()
    lose(jobs)
    pausable.start(int)
    assert log == ["finally"]


def test_a_job_that_waits_for_something_is_noticed_too():
    log = []
    future = concurrent.futures.Future()

    def noting_wait():
        try:
            pausable.wait_for(future)
        finally:
            log.append("finally")

    jobs = [pausable.start(noting_wait)]
    with pytest.warns(ResourceWarning, match="noting_wait"):
        jobs.clear()
    pausable.start(int)
    assert log == ["finally"]
    assert future.cancelled()


def test_an_exception_that_is_on_its_way_passes_a_job_that_it_drops():
    log = []
    with pytest.warns(ResourceWarning, match="keep its handle"):
        with pytest.raises(TypeError, match=r"int\(\) argument"):
            int(pausable.start(noting, log))  # dropped by the interpreter, with the TypeError set
    pausable.start(int)
    assert log == ["finally"]


def test_a_lost_jobs_cleanup_may_start_jobs_while_others_are_lost():
    log = []

    def body(tag):
        try:
            pausable.pause()
        finally:
            log.append((tag, pausable.start(str, "nested").result()))

    jobs = [pausable.start(body, n) for n in range(3)]
    with pytest.warns(ResourceWarning, match="keep its handle"):
        jobs.clear()
    assert pausable.start(str, "next").result() == "next"
    assert sorted(log) == [(n, "nested") for n in range(3)]


@pytest.mark.hazard("H13")
def test_a_lost_jobs_cleanup_may_pause():
    log = []

    def body():
        try:
            noting(log)
        finally:
            assert pausable.pause()
            log.append("after the pause")

    jobs = [pausable.start(body)]
    lose(jobs)
    pausable.start(int)
    assert log == ["finally"]  # a start never waits for it
    pausable.start(int)
    assert log == ["finally", "after the pause"]


@pytest.mark.hazard("H13")
def test_a_job_dropped_in_another_thread_is_unwound_in_its_own():
    log = []

    def body():
        try:
            pausable.pause()
        finally:
            log.append(threading.current_thread().name)

    jobs = [pausable.start(body)]
    with pytest.warns(ResourceWarning):
        in_thread(jobs.clear)
    assert log == []
    pausable.start(int)
    assert log == ["MainThread"]


@pytest.mark.hazard("H13")
def test_a_job_in_a_cycle_is_noticed_by_the_collector():
    log = []
    cycle = [pausable.start(noting, log)]
    cycle.append(cycle)
    del cycle
    with pytest.warns(ResourceWarning):
        gc.collect()
    pausable.start(int)
    assert log == ["finally"]


def test_a_cancelled_job_that_is_dropped_while_cleaning_up_goes_on_cleaning_up():
    log = []

    def body():
        try:
            pausable.pause()
        finally:
            noting(log, "first")
            pausable.pause()
            log.append("second")

    jobs = [pausable.start(body)]
    assert jobs[0].cancel() is False
    lose(jobs)
    pausable.start(int)
    pausable.start(int)
    assert log == ["first", "second"]


@pytest.fixture
def pool_with_a_chain(request):
    """Make a pool with 2 idle fibres and 2 jobs: one is lost, whose cleanup drops the other."""

    def dropping(held):
        try:
            pausable.pause()
        finally:
            held.clear()

    pool = pausable.JobPool(max_size=request.param)
    ends = [pool.start(pauses, 1) for _ in range(2)]
    first = [pool.start(dropping, [pool.start(pauses, 1)])]
    for job in ends:
        assert job.resume()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        first.clear()
        yield pool
        pool.close(cancel=True)
    assert pool.stats().size == 0


@pytest.mark.hazard("H13")
@pytest.mark.parametrize("pool_with_a_chain", [4], indirect=True)
def test_a_lost_jobs_cleanup_may_drop_another_job_before_a_start(pool_with_a_chain):
    pool = pool_with_a_chain
    jobs = [pool.start(pauses, 1) for _ in range(4)]
    with pytest.raises(pausable.NoJobsAvailable):
        pool.start(pauses, 1)
    assert pool.stats()[:4] == (4, 0, 4, 0)
    assert set(pool.jobs()) == set(jobs)


@pytest.mark.hazard("H13")
@pytest.mark.parametrize("pool_with_a_chain", [8], indirect=True)
def test_a_lost_jobs_cleanup_may_drop_another_job_before_fibres_are_reserved(pool_with_a_chain):
    pool_with_a_chain.reserve(4)
    assert pool_with_a_chain.stats()[:4] == (5, 4, 1, 0)


@pytest.mark.hazard("H13")
@pytest.mark.parametrize("pool_with_a_chain", [8], indirect=True)
def test_a_lost_jobs_cleanup_may_drop_another_job_before_fibres_are_given_back(pool_with_a_chain):
    assert pool_with_a_chain.shrink(keep=1) == 2
    assert pool_with_a_chain.stats()[:4] == (2, 1, 1, 0)


@pytest.mark.hazard("H13")
def test_many_jobs_lost_at_once_are_all_unwound_and_no_fibre_is_used_twice():
    log = []
    with pausable.JobPool(max_size=20) as pool:
        jobs = [pool.start(noting, log, n) for n in range(20)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            jobs.clear()
        assert pool.start(int).result() == 0
        assert sorted(log) == list(range(20))
        assert pool.stats()[:5] == (20, 20, 0, 0, 20)
        assert len({id(fibre) for fibre in pool.idle}) == 20


def test_jobs_dropped_by_many_threads_at_once_leave_exact_books():
    # In a process of its own: coverage (7.17, with concurrency = greenlet) hangs where threads end
    # while another starts greenlets, pausable or not.
    out, err = python(
        EXIT
        + """
import warnings
warnings.simplefilter("ignore")
def note(log):
    try:
        pausable.pause()
    finally:
        log.append("finally")
log = []
with pausable.JobPool() as pool:
    for _ in range(10):
        jobs = [[pool.start(note, log)] for _ in range(8)]
        barrier = threading.Barrier(8)
        drop = lambda job: (barrier.wait(), job.clear())
        threads = [threading.Thread(target=drop, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert pool.start(int).result() == 0
        pool.reserve(0)
        assert len({id(fibre) for fibre in pool.idle}) == len(pool.idle) == pool.stats().idle
print(len(log))
"""
    )
    assert (out, err) == ("80\n", "")


@pytest.mark.hazard("H13")
def test_a_lost_job_whose_cleanup_never_ends_is_logged_not_raised(caplog):
    def body(stop):
        while not stop:
            try:
                pausable.pause()
            except BaseException:
                pass

    stop = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pausable.start(body, stop)
        assert pausable.start(int).result() == 0
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "could not be unwound" in record.message
    stop.append(1)
    for job in pausable.thread_pool().jobs():
        finish(job)


# -- threads that end ------------------------------------------------------------------------------


@pytest.mark.hazard("H15")
def test_a_thread_that_ends_unwinds_its_paused_jobs_itself():
    log, kept = [], []

    def body():
        try:
            pausable.pause()
        finally:
            log.append(threading.get_ident())

    ident = in_thread(lambda: (kept.append(pausable.start(body)), threading.get_ident())[1])
    assert log == [ident]
    assert kept[0].cancelled()


@pytest.mark.hazard("H15")
def test_a_thread_that_ends_unwinds_the_jobs_of_its_own_pools():
    log, kept = [], []
    in_thread(lambda: kept.append(pausable.JobPool().start(noting, log)))
    assert log == ["finally"]
    assert kept[0].done()


@pytest.mark.hazard("H15")
def test_an_executors_worker_unwinds_its_jobs_when_it_ends():
    log = []
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        job = executor.submit(pausable.start, noting, log).result()
        assert log == []
    assert log == ["finally"]
    assert job.cancelled()


@pytest.mark.hazard("H15")
def test_cleanup_that_pauses_is_served_at_the_threads_end():
    log, kept = [], []

    def body():
        try:
            noting(log)
        finally:
            pausable.pause()
            log.append("after the pause")

    in_thread(lambda: kept.append(pausable.start(body)))
    assert log == ["finally", "after the pause"]


@pytest.mark.hazard("H15")
def test_two_hundred_threads_that_end_at_once_lose_none():
    log, errors = [], []

    def body():
        try:
            kept.append(pausable.JobPool().start(noting, log))
            kept.append(pausable.start(noting, log))
        except BaseException as exc:
            errors.append(exc)

    kept = []
    threads = [threading.Thread(target=body) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(log) == 400
    assert all(job.done() for job in kept)


# -- wrong threads ---------------------------------------------------------------------------------


def test_resume_in_another_thread_is_refused_by_names_and_leaves_the_job_fine():
    job = pausable.start(pauses, 2, "fine")
    job.name = "sign-3"
    with pytest.raises(pausable.WrongThread, match=r"'sign-3' .*'MainThread'.*not in .*'helper'"):
        in_thread(job.resume)
    assert job.paused
    assert finish(job) == "fine"


def test_concurrent_misuse_leaves_the_job_fine_at_home():
    job = pausable.start(pauses, 500, "fine")
    stop, outcomes = [], set()

    def misuse():
        while not stop:
            for step in (job.resume, job.close):
                try:
                    step()
                except pausable.JobStateError as exc:
                    outcomes.add(type(exc))
            repr(job), job.done(), job.paused, job.stack()

    threads = [threading.Thread(target=misuse) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert finish(job) == "fine"
    stop.append(1)
    for thread in threads:
        thread.join()
    assert outcomes <= {pausable.WrongThread, pausable.JobStateError}


@pytest.mark.hazard("H15")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_job_whose_thread_ended_without_us_is_refused_and_named():
    # As a thread that was killed inside C would leave it: the end of the thread is not noticed.
    from pausable import _thread_local

    kept = []

    def body():
        kept.append(pausable.JobPool().start(pauses, 1))
        kept[0].name = "orphan"
        _thread_local._local.end.calls.clear()

    in_thread(body)
    [job] = kept
    for _ in range(20):  # some of these threads get the dead one's number
        with pytest.raises(pausable.WrongThread, match="orphan"):
            in_thread(job.resume)
    with pytest.raises(pausable.WrongThread, match="orphan"):
        job.resume()
    assert job.paused
    job._fibre.pool._fibres.clear()  # nobody can ever run it: keep the exit of the tests quiet


ORPHAN = """
import gc, sys, threading, pausable
from pausable import _thread_local
def body():
    kept.append(pausable.JobPool().start(lambda: pausable.pause()))
    _thread_local._local.end.calls.clear()              # as a thread that was killed inside C
def in_thread(fn):
    thread = threading.Thread(target=fn)
    thread.start()
    thread.join()
def resume():
    try:
        kept[0].resume()
    except pausable.WrongThread:
        numbers.append(kept[0]._fibre.pool.thread == threading.get_ident())
kept, numbers = [], []
in_thread(body)
"""


def test_resuming_a_dead_stack_takes_nothing_from_the_thread_that_tried():
    program = """
gc.freeze()                                             # greenlet cannot see who refers to it then
for _ in range(50):
    in_thread(resume)
gc.unfreeze()
for _ in range(5):
    in_thread(resume)
    gc.collect()
print(kept[0]._fibre.resumer, len(numbers), True in numbers)
kept[0]._fibre.pool._fibres.clear()
"""
    assert python(ORPHAN + program) == ("None 55 True\n", "")


def test_at_exit_a_job_whose_thread_ended_without_us_is_reported_once():
    out, err = python(ORPHAN)
    assert (out, err.count("could not be unwound"), err.count("Error")) == ("", 1, 0), err


# -- the interpreter's exit ------------------------------------------------------------------------

EXIT = """
import atexit, sys, threading, pausable
def noting(tag):
    try:
        pausable.pause()
    finally:
        print("finally", tag)
"""


@pytest.mark.hazard("H14")
def test_at_exit_the_main_threads_jobs_are_unwound():
    out, err = python(EXIT + "job = pausable.start(noting, 'main')\nprint('end')")
    assert out == "end\nfinally main\n"
    assert err == ""


@pytest.mark.hazard("H14")
def test_at_exit_jobs_of_explicit_pools_are_unwound():
    out, err = python(EXIT + "job = pausable.JobPool().start(noting, 'pool')")
    assert (out, err) == ("finally pool\n", "")


@pytest.mark.hazard("H14")
def test_exit_after_an_exception_unwinds_too():
    out, err = python(EXIT + "job = pausable.start(noting, 'main')\n1/0", code=1)
    assert out == "finally main\n"
    assert err.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.hazard("H14")
def test_at_exit_a_dropped_job_is_unwound_and_warned_of():
    out, err = python(EXIT + "pausable.start(noting, 'dropped')")
    assert out == "finally dropped\n"
    assert "ResourceWarning: a paused job was dropped" in err


@pytest.mark.hazard("H14")
def test_at_exit_jobs_of_daemon_threads_are_reported():
    out, err = python(
        EXIT
        + """
started, never = threading.Event(), threading.Event()
def body():
    global job
    job = pausable.start(noting, "daemon")
    started.set()
    never.wait()
threading.Thread(target=body, name="the daemon", daemon=True).start()
started.wait()
"""
    )
    assert out == ""
    assert "was left paused and could not be unwound" in err
    assert "thread 'the daemon'" in err
    assert "in noting" in err
    assert "Traceback" not in err


@pytest.mark.hazard("H14")
def test_at_exit_a_threads_own_end_comes_first():
    out, err = python(
        EXIT
        + """
def body():
    global job
    job = pausable.start(noting, "thread")
threading.Thread(target=body).start()
"""
    )
    assert (out, err) == ("finally thread\n", "")


@pytest.mark.hazard("H14")
def test_jobs_can_be_started_and_driven_in_atexit_handlers():
    out, err = python(
        EXIT
        + """
def late():
    with pausable.start(noting, "late") as job:
        job.resume()
atexit.register(late)
"""
    )
    assert (out, err) == ("finally late\n", "")


@pytest.mark.hazard("H14")
def test_nothing_is_printed_at_an_exit_with_nothing_left():
    program = EXIT + "pausable.start(int)\npausable.JobPool(init_size=3)\npausable.cleanup_thread()"
    assert python(program) == ("", "")


@pytest.mark.hazard("H14")
def test_exit_from_inside_a_job_unwinds_it():
    out, _err = python(
        EXIT
        + """
def body():
    inner = pausable.start(noting, "inner")
    try:
        sys.exit(3)
    finally:
        print("finally outer")
pausable.start(body)
""",
        code=3,
    )
    assert out == "finally outer\nfinally inner\n"


# -- fork ------------------------------------------------------------------------------------------


@pytest.mark.hazard("H16")
@needs_fork
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_inherited_jobs_are_dead_in_the_child_and_say_so():
    log = []
    job = pausable.start(noting, log)
    job.name = "sign-3"

    def child():
        with pytest.raises(pausable.ForkedJobError, match=r"resume.*'sign-3'.*os\.fork"):
            job.resume()
        with pytest.raises(pausable.ForkedJobError, match="outcome"):
            job.result()
        assert (job.done(), job.paused, list(job.stack())) == (False, False, [])
        assert "forked" in repr(job)
        job.cancel()
        job.close()
        assert log == []

    assert in_child(child) == "ok"
    job.close()
    assert log == ["finally"]


@pytest.mark.hazard("H16")
@needs_fork
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_dropping_an_inherited_job_runs_nothing_in_the_child():
    log = []
    jobs = [pausable.start(noting, log)]

    def child():
        jobs.clear()
        gc.collect()
        assert pausable.start(int).result() == 0
        assert log == []

    assert in_child(child) == "ok"
    jobs[0].close()


@pytest.mark.hazard("H16")
@needs_fork
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_child_has_a_fresh_pool_that_works():
    pool = pausable.init_thread(max_size=2, init_size=1)
    jobs = [pausable.start(pauses, 1) for _ in range(2)]

    def child():
        assert pausable.thread_pool().stats()[:5] == (0, 0, 0, 0, 2)
        mine = [pausable.start(pauses, 1, n) for n in range(2)]
        assert [finish(job) for job in mine] == [0, 1]
        assert in_thread(lambda: finish(pausable.start(pauses, 1, 5))) == 5

    assert in_child(child) == "ok"
    assert pool.stats()[:3] == (2, 0, 2)
    for job in jobs:
        finish(job)


@pytest.mark.hazard("H16")
@needs_fork
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_running_job_goes_on_in_the_child_as_a_plain_call():
    def child():
        assert not pausable.can_pause()
        assert pausable.pause() is False
        inner = pausable.start(pauses, 1, "inner")
        assert finish(inner) == "inner"

    job = pausable.start(lambda: (in_child(child), pausable.pause()))
    assert job.paused
    assert finish(job) == ("ok", True)


@pytest.mark.hazard("H16")
@needs_fork
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_parents_wake_descriptor_is_not_disturbed_by_the_child():
    ctx = pausable.WaitContext()
    job = pausable.thread_pool().start_in(ctx, pauses, 1)
    waker = ctx.waker()

    def child():
        waker.wake()
        waker.close()
        ctx.close()

    from core._support import readable

    assert in_child(child) == "ok"
    assert not readable(ctx.fds()[0])
    waker.wake()
    assert in_child(child) == "ok"
    assert readable(ctx.fds()[0])
    finish(job)


@pytest.mark.hazard("H16")
@needs_fork
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_running_jobs_waker_is_the_parents_in_the_child():
    from core._support import readable

    ctx = pausable.WaitContext()

    def body():
        with ctx.waker() as waker:
            waker.wake()
            told = in_child(lambda: (waker.clear(), waker.close()))
            return told, readable(ctx.fds()[0])

    assert pausable.thread_pool().start_in(ctx, body).result() == ("ok", True)


@pytest.mark.hazard("H16")
@needs_fork
def test_at_the_childs_exit_nothing_of_the_parents_runs():
    out, err = python(
        EXIT
        + """
import os
import sys
job = pausable.start(noting, "parent's")
sys.stdout.flush()
if os.fork() == 0:
    child = pausable.start(noting, "child's")
    sys.exit()
os.wait()
"""
    )
    assert sorted(out.splitlines()) == ["finally child's", "finally parent's"]
    assert err == ""


@pytest.mark.hazard("H16")
@needs_fork
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_in_another_thread_kills_the_main_threads_jobs_too():
    job = pausable.start(pauses, 1)

    def child():
        with pytest.raises(pausable.ForkedJobError):
            job.resume()
        assert pausable.start(int).result() == 0

    assert in_thread(lambda: in_child(child)) == "ok"
    finish(job)


@pytest.mark.hazard("H16")
@needs_fork
def test_in_the_child_the_threads_that_are_gone_end_in_silence():
    out, err = python(
        EXIT
        + """
import os
import sys
started, done = threading.Event(), threading.Event()
def body():
    global job
    job = pausable.start(noting, "thread")
    started.set()
    done.wait()
thread = threading.Thread(target=body)
thread.start()
started.wait()
if os.fork() == 0:
    assert pausable.start(int).result() == 0
    print("child", repr(job).split()[-1], flush=True)
    os._exit(0)
os.wait()
done.set()
thread.join()
"""
    )
    assert out == "child forked>\nfinally thread\n"
    assert err == ""


def test_a_job_that_exits_in_its_cleanup_does_not_keep_others_from_theirs():
    log = []

    def body(number):
        try:
            pausable.pause()
        finally:
            log.append(number)
            sys.exit(number)

    held = []
    in_thread(lambda: held.extend(pausable.start(body, number) for number in range(3)))
    assert log == [0, 1, 2]


def test_start_never_waits_for_the_cleanup_of_a_lost_job():
    gate = threading.Event()
    log = []

    def body():
        try:
            pausable.pause()
        finally:
            with concurrent.futures.ThreadPoolExecutor(1) as executor:
                pausable.wait_for(executor.submit(gate.wait, 10))
            log.append("cleaned up")

    with pytest.warns(ResourceWarning, match="keep its handle"):
        pausable.start(body)
    pausable.start(int)
    assert log == []
    gate.set()
    while not log:
        pausable.start(int)
