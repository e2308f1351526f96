"""The pool API of 2015: the wake level, and the descriptor that belongs to the job object."""

import resource
import select
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import pausable
from pausable.openssl import ASYNC_ERR, ASYNC_FINISH, ASYNC_NO_JOBS, ASYNC_PAUSE, Ref
from pausable.openssl.pre1_1 import (
    ASYNC_clear_wake,
    ASYNC_free_pool,
    ASYNC_get_current_job,
    ASYNC_get_wait_fd,
    ASYNC_init_pool,
    ASYNC_pause_job,
    ASYNC_start_job,
    ASYNC_wake,
    ERR_get_error,
    ERR_reason_error_string,
)


def pausing(_args):
    return ASYNC_pause_job()


def ready(job):
    return bool(select.select([ASYNC_get_wait_fd(job)], [], [], 0)[0])


@pytest.fixture
def slot():
    slot = Ref()
    assert ASYNC_start_job(slot, Ref(), pausing, None, 0) == ASYNC_PAUSE
    yield slot
    if slot.value is not None:
        ASYNC_start_job(slot, Ref(), None, None, 0)


def test_wake_is_a_level_of_one_bit(slot):
    ASYNC_wake(slot.value)
    ASYNC_wake(slot.value)
    assert ready(slot.value)
    ASYNC_clear_wake(slot.value)
    assert not ready(slot.value)
    ASYNC_clear_wake(slot.value)  # does not block


def test_a_wake_from_another_thread_makes_the_descriptor_readable(slot):
    thread = threading.Thread(target=ASYNC_wake, args=(slot.value,))
    thread.start()
    assert select.select([ASYNC_get_wait_fd(slot.value)], [], [], 10)[0]
    thread.join()


def test_the_descriptor_belongs_to_the_object_and_a_wake_left_set_is_inherited(slot):
    handle, fd = slot.value, ASYNC_get_wait_fd(slot.value)
    ASYNC_wake(handle)
    assert ASYNC_start_job(slot, Ref(), None, None, 0) == ASYNC_FINISH
    assert ASYNC_start_job(slot, Ref(), pausing, None, 0) == ASYNC_PAUSE
    assert slot.value is handle
    assert ASYNC_get_wait_fd(handle) == fd
    assert ready(handle)
    ASYNC_clear_wake(handle)


def test_free_pool_closes_the_descriptors_of_idle_jobs(slot):
    handle = slot.value
    ASYNC_start_job(slot, Ref(), None, None, 0)
    ASYNC_free_pool()
    assert ASYNC_get_wait_fd(handle) == -1
    ASYNC_wake(handle)  # late: nothing happens


def test_no_descriptor_means_no_jobs_with_an_error():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        result = ASYNC_start_job(Ref(), Ref(), pausing, None, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert result == ASYNC_NO_JOBS
    assert ERR_reason_error_string(ERR_get_error()) == "cannot create wait pipe"
    assert ASYNC_init_pool(1, 1) == 1


def test_wake_and_clear_refuse_null_and_strangers():
    for function in (ASYNC_wake, ASYNC_clear_wake, ASYNC_get_wait_fd):
        function(None)
        assert ERR_reason_error_string(ERR_get_error()) == "passed a null parameter"
        with pytest.raises(TypeError):
            function("job")


def test_a_pythonic_jobs_handle_has_no_descriptor():
    seen = []
    pausable.start(lambda: seen.append(ASYNC_get_wait_fd(ASYNC_get_current_job())))
    assert seen == [-1]
    assert ERR_reason_error_string(ERR_get_error()) == "internal error"


def test_an_engine_of_pausables_wakes_the_jobs_descriptor():
    with ThreadPoolExecutor(1) as executor:
        gate = threading.Event()
        slot, ret = Ref(), Ref()

        def engine(_args):
            return pausable.wait_for(executor.submit(lambda: gate.wait(10) and 42))

        assert ASYNC_start_job(slot, ret, engine, None, 0) == ASYNC_PAUSE
        assert not ready(slot.value)
        gate.set()
        assert select.select([ASYNC_get_wait_fd(slot.value)], [], [], 10)[0]
        handle = slot.value
        assert ASYNC_start_job(slot, ret, engine, None, 0) == ASYNC_FINISH
    assert ret.value == 42
    assert not ready(handle)


def test_a_nested_start_is_refused():
    ret = Ref()
    ASYNC_start_job(
        Ref(), ret, lambda _args: ASYNC_start_job(Ref(), Ref(), pausing, None, 0), None, 0
    )
    assert ret.value == ASYNC_ERR
    assert ERR_reason_error_string(ERR_get_error()) == "internal error"
