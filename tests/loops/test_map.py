"""Many jobs in flight in one thread of a plain script."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
import os
import threading
from pathlib import Path

import pytest

import pausable
from core._support import in_thread, one_pipe_after_another, pauses
from pausable.loops._blocking import ScriptLoop

FDS = Path("/proc/self/fd")


def test_results_come_in_the_order_of_the_arguments():
    def body(n):
        pauses(9 - n)
        return n

    assert list(pausable.map(body, range(10))) == list(range(10))


def test_arguments_are_taken_as_the_builtin_takes_them():
    calls = pausable.map(lambda *args: args, [1, 2, 3], "ab", itertools.count())
    assert list(calls) == [(1, "a", 0), (2, "b", 1)]


def test_at_most_so_many_jobs_are_in_flight():
    now, most = [0], []

    def body(n):
        now[0] += 1
        most.append(now[0])
        pauses(n % 5)
        now[0] -= 1
        return n

    assert list(pausable.map(body, range(100), jobs=7)) == list(range(100))
    assert max(most) == 7


def test_with_one_job_everything_happens_one_after_another():
    log = []

    def body(n):
        log.append((n, "begin"))
        pausable.pause()
        log.append((n, "end"))

    list(pausable.map(body, range(3), jobs=1))
    assert log == [(n, word) for n in range(3) for word in ("begin", "end")]


def test_nothing_happens_before_the_first_next():
    log = []
    results = pausable.map(log.append, iter([1, 2]))
    assert log == []
    next(results)
    assert log
    results.close()


def test_infinite_arguments_are_taken_only_as_jobs_are_started():
    taken = []

    def arguments():
        for n in itertools.count():
            taken.append(n)
            yield n

    with pausable.map(lambda n: pauses(1, n), arguments(), jobs=3) as results:
        assert [next(results) for _ in range(10)] == list(range(10))
        assert len(taken) <= 10 + 4 * 3 + 3


def test_a_slow_first_call_does_not_let_results_pile_up_for_ever():
    taken = []
    go_on = []

    def body(n):
        taken.append(n)
        if n == 0:
            while len(taken) < 8:
                pausable.pause()
            pauses(50)
        return n

    results = pausable.map(body, itertools.count(), jobs=2)
    assert next(results) == 0
    assert len(taken) <= 9
    results.close()
    assert go_on == []


def test_an_exception_comes_in_its_place_ends_the_iteration_and_unwinds_the_rest():
    log = []

    def body(n):
        try:
            if n == 2:
                raise OSError("the third")
            pauses(n and 1000)
            return n
        finally:
            log.append(n)

    results = pausable.map(body, [0, 2, 9, 9])
    assert next(results) == 0
    with pytest.raises(OSError, match="the third"):
        next(results)
    assert sorted(log) == [0, 2, 9, 9]
    assert list(results) == []


def test_an_exception_of_the_arguments_ends_the_iteration_and_unwinds_the_jobs():
    log = []

    def body(n):
        try:
            pauses(1000)
        finally:
            log.append(n)

    def arguments():
        yield 1
        raise OSError("arguments")

    with pytest.raises(OSError, match="arguments"):
        next(pausable.map(body, arguments()))
    assert log == [1]


@pytest.mark.hazard("H17")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_unwinds_every_job(kind):
    log = []

    def body(n):
        try:
            pauses(3)
            if n == 5:
                raise kind
            pauses(1000)
        finally:
            log.append(n)

    with pytest.raises(kind):
        list(pausable.map(body, range(10)))
    assert sorted(log) == list(range(10))
    assert pausable.thread_pool().stats().paused == 0


@pytest.mark.hazard("H7")
def test_stop_iteration_does_not_end_the_results_in_silence():
    def body(n):
        if n == 1:
            raise StopIteration
        return n

    results = pausable.map(body, range(3))
    assert next(results) == 0
    with pytest.raises(pausable.JobStateError, match="StopIteration") as info:
        next(results)
    assert isinstance(info.value.__cause__, StopIteration)


@pytest.mark.parametrize(
    ("jobs", "kind"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_bad_numbers_of_jobs_are_refused_at_once(jobs, kind):
    with pytest.raises(kind, match="jobs has to be"):
        pausable.map(int, [1], jobs=jobs)


def test_other_bad_arguments_are_refused_at_once():
    with pytest.raises(TypeError, match="fn has to be callable"):
        pausable.map(3, [1])
    with pytest.raises(TypeError, match="at least one iterable"):
        pausable.map(int)
    with pytest.raises(TypeError):
        pausable.map(int, 3)


def test_close_and_with_unwind_what_is_in_flight():
    log = []

    def body(n):
        try:
            pauses(n * 1000)
            return n
        finally:
            log.append(n)

    with pausable.map(body, range(4)) as results:
        assert next(results) == 0
        assert log == [0]
    assert sorted(log) == [0, 1, 2, 3]
    results.close()
    with pytest.raises(StopIteration):
        next(results)


def test_a_full_pool_holds_back_and_goes_on():
    pausable.init_thread(max_size=3)
    assert list(pausable.map(lambda n: pauses(2, n), range(20), jobs=10)) == list(range(20))


def test_a_pool_full_of_others_jobs_is_refused():
    pausable.init_thread(max_size=1)
    other = pausable.start(pauses, 1)
    with pytest.raises(pausable.NoJobsAvailable):
        next(pausable.map(int, [1]))
    other.resume()
    assert list(pausable.map(int, [1])) == [1]


def wait_in_a_pipe(n):
    """An engine with a descriptor for each operation."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    ctx = pausable.current_job().wait_ctx
    ctx.set_wait_fd("pipe", reader)
    threading.Thread(target=os.write, args=(writer, b"%d" % n)).start()
    while True:
        try:
            data = os.read(reader, 9)
            break
        except BlockingIOError:
            pausable.pause()
    ctx.clear_fd("pipe")
    os.close(reader)
    os.close(writer)
    return int(data)


def wait_for_the_callback(n):
    ctx = pausable.current_job().wait_ctx
    ctx.status = pausable.Status.OK
    done = []
    threading.Thread(target=lambda: (done.append(n), ctx.callback())).start()
    while not done:
        pausable.pause()
    return done[0]


def wait_by_polling(n):
    return pauses(n % 4, n)


def test_engines_of_every_kind_mix():
    with concurrent.futures.ThreadPoolExecutor(4) as executor:

        def wait_for_a_future(n):
            return pausable.wait_for(executor.submit(int, n))

        kinds = [wait_in_a_pipe, wait_for_the_callback, wait_by_polling, wait_for_a_future]
        results = pausable.map(lambda n: kinds[n % 4](n), range(200), jobs=40)
        assert list(results) == list(range(200))


def test_a_descriptor_that_was_closed_and_made_again_is_watched_again():
    [numbers] = pausable.map(one_pipe_after_another, [5])
    assert len(numbers) == 1


def test_one_descriptor_wakes_every_job_that_waits_for_it():
    reader, writer = os.pipe()
    paused = []

    def body(n):
        pausable.current_job().wait_ctx.set_wait_fd("shared", reader)
        paused.append(n)
        if len(paused) == 10:
            os.write(writer, b"x")
        pausable.pause()
        return n

    assert list(pausable.map(body, range(10))) == list(range(10))
    os.close(reader)
    os.close(writer)


def test_a_thousand_jobs_in_flight():
    assert sum(pausable.map(lambda n: pauses(2, n), range(1000), jobs=1000)) == 499500


def test_a_map_inside_a_job_of_a_map():
    def row(n):
        pausable.pause()
        return list(pausable.map(lambda m: pauses(1, n * m), range(3)))

    assert list(pausable.map(row, range(3))) == [[0, 0, 0], [0, 1, 2], [0, 2, 4]]


def test_a_wake_before_the_pause_is_not_lost():
    def body(_):
        with pausable.current_job().wait_ctx.waker() as waker:
            waker.wake()
            pausable.pause()
            return waker.is_set()

    assert list(pausable.map(body, [0])) == [True]


def test_a_job_cancelled_by_another_thread_is_resumed_at_once():
    jobs = []

    def body(_):
        jobs.append(pausable.current_job())
        with pausable.current_job().wait_ctx.waker():
            threading.Thread(target=jobs[0].cancel).start()
            pausable.pause()  # nobody fires it

    with pytest.raises(pausable.JobCancelled):
        next(pausable.map(body, [0]))
    assert jobs[0].cancelled()


@pytest.mark.skipif(not FDS.is_dir(), reason="no /proc here")
def test_no_descriptor_is_left_open():
    before = len(list(FDS.iterdir()))
    list(pausable.map(wait_by_polling, range(20)))
    pausable.map(int, [1]).close()
    assert len(list(FDS.iterdir())) == before


def test_another_thread_may_take_all_results_but_not_go_on_with_them():
    jobs = [pausable.start(int) for _ in range(3)]  # idle fibres of this thread
    assert all(job.done() for job in jobs)
    calls = pausable.map(lambda n: pauses(2, n), range(10), jobs=4)
    assert in_thread(lambda: list(calls)) == list(range(10))
    assert pausable.start(pauses, 0).done()  # this thread's pool is none the worse

    calls = pausable.map(lambda n: pauses(2, n), range(10), jobs=4)
    assert next(calls) == 0
    for use in (calls.__next__, calls.close):
        with pytest.raises(pausable.WrongThread, match="in the thread that took the first"):
            in_thread(use)
    assert list(calls) == list(range(1, 10))


def test_a_forked_child_that_closes_its_copy_leaves_the_parents_alone():
    reader, writer = os.pipe()

    def body():
        pausable.current_job().wait_ctx.set_wait_fd("engine", reader)
        pausable.pause()
        return os.read(reader, 1)

    with pausable.map(lambda _: body(), [0]) as calls:
        calls._driver = driver = ScriptLoop(pausable.thread_pool())
        calls._fill(driver)
        pid = os.fork()
        if not pid:
            with contextlib.suppress(BaseException):
                next(calls)
            os._exit(0 if calls._driver is None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        os.write(writer, b"x")
        assert list(calls) == [b"x"]
    os.close(reader)
    os.close(writer)


def test_a_descriptor_that_cannot_be_waited_for_is_polled(tmp_path):
    plain = (tmp_path / "plain").open("w+")

    def body():
        pausable.current_job().wait_ctx.set_wait_fd("engine", plain.fileno())
        pausable.pause()
        return "done"

    with plain:
        assert list(pausable.map(lambda _: body(), range(3))) == ["done"] * 3


def test_a_descriptor_that_becomes_a_plain_file_is_polled_from_then_on(tmp_path):
    reader, writer = os.pipe()
    plain = (tmp_path / "plain").open("w+")

    def body():
        ctx = pausable.current_job().wait_ctx
        ctx.set_wait_fd("engine", reader)
        os.write(writer, b"x")
        pausable.pause()
        os.dup2(plain.fileno(), reader)  # another file under the old number
        ctx.clear_fd("engine")
        ctx.set_wait_fd("engine", reader)
        pausable.pause()
        return "done"

    with plain:
        assert list(pausable.map(lambda _: body(), [0])) == ["done"]
    os.close(reader)
    os.close(writer)


def test_an_engines_old_word_does_not_hold_a_later_pause_up_for_ever():
    def body():
        ctx = pausable.current_job().wait_ctx
        ctx.status = pausable.Status.OK
        ctx.callback()
        pausable.pause()
        return pausable.pause()  # nobody will call for this one

    assert list(pausable.map(lambda _: body(), [0])) == [True]


def test_a_future_of_the_loop_that_map_blocks_is_refused():
    async def main():
        future = asyncio.get_running_loop().create_future()
        with pytest.raises(pausable.WouldDeadlock, match=r"await pausable\.run"):
            list(pausable.map(pausable.wait_for, [future]))

    asyncio.run(main())


# -- as they end -----------------------------------------------------------------------------------


def test_results_come_as_calls_end():
    calls = pausable.map(lambda n: pauses(2 * n, n), [3, 0, 2, 1], as_completed=True)
    assert list(calls) == [0, 1, 2, 3]


def test_as_completed_gives_every_result_once():
    calls = pausable.map(lambda n: pauses(n % 7, n), range(300), jobs=20, as_completed=True)
    assert sorted(calls) == list(range(300))


def test_as_completed_an_error_comes_when_its_call_ends():
    log = []

    def body(n):
        try:
            pauses(n)
            if n == 2:
                raise OSError("x")
            return n
        finally:
            log.append(n)

    calls = pausable.map(body, [900, 2, 0, 1, 901], as_completed=True)
    assert [next(calls), next(calls)] == [0, 1]
    with pytest.raises(OSError, match="x"):
        next(calls)
    assert sorted(log) == [0, 1, 2, 900, 901]
    assert list(calls) == []


def test_as_completed_takes_arguments_only_as_jobs_are_started():
    taken = []

    def arguments():
        for n in itertools.count():
            taken.append(n)
            yield n

    with pausable.map(lambda n: pauses(1, n), arguments(), jobs=3, as_completed=True) as calls:
        for given in range(1, 50):
            next(calls)
            assert len(taken) <= given + 5 * 3


def test_as_completed_a_slow_call_holds_nobody_up():
    go_on = []

    def body(n):
        while n == 0 and not go_on:
            pausable.pause()
        return n

    calls = pausable.map(body, range(50), jobs=2, as_completed=True)
    assert [next(calls) for _ in range(49)] == list(range(1, 50))
    go_on.append(True)
    assert list(calls) == [0]


def test_as_completed_close_unwinds_what_is_in_flight():
    log = []

    def body(n):
        try:
            pauses(n * 1000)
            return n
        finally:
            log.append(n)

    with pausable.map(body, range(4), as_completed=True) as calls:
        assert next(calls) == 0
    assert sorted(log) == [0, 1, 2, 3]
    assert list(calls) == []
