"""ASYNC_start_job and its kin: results, arguments, pools, and every row of the misuse tables."""

import contextlib
import os
import threading

import pytest

import pausable
from core._support import on_greenlet
from pausable import openssl
from pausable.openssl import (
    ASYNC_ERR,
    ASYNC_FINISH,
    ASYNC_NO_JOBS,
    ASYNC_PAUSE,
    Ref,
    jobs_in_existence,
    pre1_1,
    v1_1,
)

INTERNAL = ["internal error"]


def pausing(_args):
    openssl.ASYNC_pause_job()
    return 7


def plain(_args):
    return 5


def start(api, func, *, slot=None, ctx=None, ret=None, args=None, size=0):
    slot = slot or Ref()
    return api.ASYNC_start_job(slot, ctx, ret or Ref(), func, args, size)


@pytest.fixture
def ctx(api):
    ctx = api.ASYNC_WAIT_CTX_new()
    yield ctx
    if not ctx.closed:
        api.ASYNC_WAIT_CTX_free(ctx)


@pytest.fixture
def paused(api, ctx):
    """A handle of a job that is paused; it is finished in the end, if it still can be."""
    slot = Ref()
    assert api.ASYNC_start_job(slot, ctx, None, pausing, None, 0) == ASYNC_PAUSE
    handle = slot.value
    yield slot
    while (job := handle._job) is not None:
        with contextlib.suppress(pausable.PausableError):
            job.close()
        handle._job = None
    openssl.ERR_clear_error()


# -- results --


def test_constants_are_those_of_the_header():
    assert (ASYNC_ERR, ASYNC_NO_JOBS, ASYNC_PAUSE, ASYNC_FINISH) == (0, 1, 2, 3)


def test_a_job_that_never_pauses_finishes_in_one_call(api):
    slot, ret = Ref(), Ref()
    assert api.ASYNC_start_job(slot, None, ret, plain, None, 0) == ASYNC_FINISH
    assert (slot.value, ret.value) == (None, 5)


def test_ret_is_written_by_the_call_that_finishes_and_by_no_other(api, paused):
    first, second = Ref("untouched"), Ref("untouched")
    assert first.value == "untouched"
    assert api.ASYNC_start_job(paused, None, second, None, None, 0) == ASYNC_FINISH
    assert (first.value, second.value) == ("untouched", 7)


def test_what_func_raises_comes_out_of_the_call_that_ran_it(api, ctx):
    def failing(_args):
        api.ASYNC_pause_job()
        raise LookupError("lost")

    slot = Ref()
    assert start(api, failing, slot=slot, ctx=ctx) == ASYNC_PAUSE
    with pytest.raises(LookupError, match="lost"):
        start(api, failing, slot=slot, ctx=ctx)
    assert slot.value is None
    assert start(api, plain) == ASYNC_FINISH


def test_ctrl_c_in_a_job_comes_out_and_frees_the_job(api):
    def interrupted(_args):
        raise KeyboardInterrupt

    api.ASYNC_init_thread(1, 0)
    with pytest.raises(KeyboardInterrupt):
        start(api, interrupted)
    assert start(api, plain) == ASYNC_FINISH


def test_func_has_to_return_an_int(api):
    with pytest.raises(TypeError, match="returned None; a job function has to return an int"):
        start(api, lambda _args: None)
    assert start(api, plain) == ASYNC_FINISH


@pytest.mark.parametrize("number", [0, -1, 2**31 - 1, -(2**31)])
def test_any_int_is_a_legal_result(api, number):
    ret = Ref()
    start(api, lambda _args: number, ret=ret)
    assert ret.value == number


# -- arguments --


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_func_gets_a_private_writable_copy_that_lives_until_it_returns(api, ctx, kind):
    buffer = bytearray(b"hello, world")
    seen = []

    def func(args):
        args[0] = ord("J")
        api.ASYNC_pause_job()
        seen.append(bytes(args))
        return 1

    slot = Ref()
    start(api, func, slot=slot, ctx=ctx, args=kind(buffer), size=5)
    buffer[:] = b"x" * len(buffer)
    start(api, func, slot=slot, ctx=ctx)
    assert seen == [b"Jello"]


def test_other_objects_are_passed_as_they_are(api):
    thing = object()
    seen = []

    def func(args):
        seen.append(args)
        return 1

    start(api, func, args=thing, size=8)
    assert seen[0] is thing


def test_null_arguments_stay_null_whatever_the_size(api):
    seen = []

    def func(args):
        seen.append(args)
        return 1

    assert start(api, func, args=None, size=100) == ASYNC_FINISH
    assert seen == [None]


def test_size_0_is_null_since_3_and_an_error_before(reasons):
    seen = []

    def func(args):
        seen.append(args)
        return 1

    assert start(openssl, func, args=b"text", size=0) == ASYNC_FINISH
    assert seen == [None]
    assert start(v1_1, func, args=b"text", size=0) == ASYNC_ERR
    assert reasons(v1_1) == ["malloc failure"]
    assert len(seen) == 1


def test_size_beyond_the_buffer_is_refused_and_the_job_object_kept(api, reasons):
    api.ASYNC_init_thread(1, 0)
    assert start(api, plain, args=b"four", size=5) == ASYNC_ERR
    assert reasons(api) == INTERNAL
    assert start(api, plain, args=b"four", size=4) == ASYNC_FINISH


# -- pools --


@pytest.mark.parametrize(("sizes", "result"), [((1, 2), 0), ((0, 1), 0), ((0, 0), 1), ((3, 3), 1)])
def test_init_size_must_not_exceed_max_size_not_even_no_limit(api, reasons, sizes, result):
    assert api.ASYNC_init_thread(*sizes) == result
    assert reasons(api) == ([] if result else ["invalid pool size"])


def test_negative_sizes_are_read_as_size_t(api, reasons):
    assert api.ASYNC_init_thread(-1, 0) == 1
    assert api.ASYNC_init_thread(0, -1) == 0
    assert reasons(api) == ["invalid pool size"]


def test_jobs_are_made_at_once_and_reused_last_in_first_out(api, ctx):
    before = jobs_in_existence()
    api.ASYNC_init_thread(2, 2)
    assert jobs_in_existence() == before + 2
    a, b = Ref(), Ref()
    start(api, pausing, slot=a, ctx=ctx)
    start(api, pausing, slot=b, ctx=ctx)
    first, second = a.value, b.value
    start(api, None, slot=a)
    start(api, None, slot=b)
    start(api, pausing, slot=a, ctx=ctx)
    assert a.value is second
    assert first is not second
    start(api, None, slot=a)
    api.ASYNC_cleanup_thread()
    assert jobs_in_existence() == before


def test_no_jobs_raises_no_error_and_leaves_all_alone(api, ctx, reasons):
    api.ASYNC_init_thread(1, 0)
    slot, other, ret = Ref(), Ref(), Ref("untouched")
    start(api, pausing, slot=slot, ctx=ctx)
    assert start(api, plain, slot=other, ret=ret) == ASYNC_NO_JOBS
    assert (other.value, ret.value, reasons(api)) == (None, "untouched", [])
    start(api, None, slot=slot)
    assert start(api, plain, slot=other, ret=ret) == ASYNC_FINISH


def test_a_second_init_replaces_the_pool_and_adopts_who_finishes(api, ctx):
    api.ASYNC_init_thread(1, 0)
    a, b, c = Ref(), Ref(), Ref()
    start(api, pausing, slot=a, ctx=ctx)
    assert api.ASYNC_init_thread(1, 0) == 1
    assert start(api, pausing, slot=b, ctx=ctx) == ASYNC_PAUSE
    assert start(api, pausing, slot=c, ctx=ctx) == ASYNC_NO_JOBS
    assert start(api, None, slot=a) == ASYNC_FINISH
    assert start(api, pausing, slot=c, ctx=ctx) == ASYNC_PAUSE  # uncounted: two under a limit of 1
    for slot in (b, c):
        assert start(api, None, slot=slot) == ASYNC_FINISH


def test_cleanup_forgets_the_limit_and_may_be_repeated(api, ctx):
    api.ASYNC_init_thread(1, 1)
    api.ASYNC_cleanup_thread()
    api.ASYNC_cleanup_thread()
    slots = [Ref(), Ref()]
    assert [start(api, pausing, slot=slot, ctx=ctx) for slot in slots] == [ASYNC_PAUSE] * 2
    for slot in slots:
        start(api, None, slot=slot)


def test_a_job_whose_handle_is_dropped_keeps_counting_and_is_not_collected(api, ctx):
    api.ASYNC_init_thread(1, 0)
    ended = []

    def func(_args):
        try:
            api.ASYNC_pause_job()
        finally:
            ended.append("finally")
        return 1

    def in_a_thread():
        api.ASYNC_init_thread(1, 0)
        start(api, func, ctx=ctx)  # nobody keeps the handle
        assert start(api, plain) == ASYNC_NO_JOBS
        assert ended == []

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    assert ended == ["finally"]  # at the thread's end; OpenSSL leaks it


def test_threads_have_pools_and_current_jobs_of_their_own(api):
    api.ASYNC_init_thread(1, 0)
    results = []

    def func(_args):
        thread = threading.Thread(
            target=lambda: results.append((api.ASYNC_get_current_job(), start(api, plain)))
        )
        thread.start()
        thread.join()
        return 1

    assert start(api, func) == ASYNC_FINISH
    assert results == [(None, ASYNC_FINISH)]


# -- in a job --


def test_current_job_is_the_handle_and_its_ctx_the_first_calls(api, ctx):
    seen = []

    def func(_args):
        seen.append(api.ASYNC_get_current_job())
        api.ASYNC_pause_job()
        seen.append(api.ASYNC_get_wait_ctx(api.ASYNC_get_current_job()))
        return 1

    slot = Ref()
    start(api, func, slot=slot, ctx=ctx)
    assert api.ASYNC_get_wait_ctx(slot.value) is ctx
    handle = slot.value
    start(api, plain, slot=slot, ctx=api.ASYNC_WAIT_CTX_new())
    assert seen == [handle, ctx]
    assert api.ASYNC_get_wait_ctx(handle) is None  # finished
    assert api.ASYNC_get_current_job() is None


def test_blocks_count_and_surplus_unblocks_give_no_credit(api):
    def func(_args):
        for _ in range(3):
            api.ASYNC_unblock_pause()
        api.ASYNC_block_pause()
        api.ASYNC_block_pause()
        api.ASYNC_pause_job()
        api.ASYNC_unblock_pause()
        return api.ASYNC_pause_job()

    assert start(api, func) == ASYNC_FINISH
    start(api, lambda _args: api.ASYNC_unblock_pause() or 1)


def test_a_block_outlives_its_job_and_stops_every_job_of_the_thread(api, ctx, paused):
    start(api, lambda _args: api.ASYNC_block_pause() or 1)
    assert start(api, pausing) == ASYNC_FINISH  # a new one does not pause

    assert api.ASYNC_start_job(paused, None, Ref(), None, None, 0) == ASYNC_FINISH
    start(api, lambda _args: api.ASYNC_unblock_pause() or 1)
    slot = Ref()
    assert start(api, pausing, slot=slot, ctx=ctx) == ASYNC_PAUSE
    start(api, None, slot=slot)


def test_blocks_outside_jobs_do_nothing_and_cleanup_resets_them(api, ctx):
    api.ASYNC_block_pause()
    slot = Ref()
    assert start(api, pausing, slot=slot, ctx=ctx) == ASYNC_PAUSE
    start(api, None, slot=slot)
    start(api, lambda _args: api.ASYNC_block_pause() or 1)
    api.ASYNC_cleanup_thread()
    assert start(api, pausing, slot=slot, ctx=ctx) == ASYNC_PAUSE
    start(api, None, slot=slot)


def test_pause_outside_a_job_returns_1_and_begins_no_window(api, ctx):
    api.ASYNC_WAIT_CTX_set_wait_fd(ctx, None, 3, None, None)
    assert api.ASYNC_pause_job() == 1
    assert ctx.changed_fds() == ([3], [])


def test_the_platform_is_capable():
    assert openssl.ASYNC_is_capable() == v1_1.ASYNC_is_capable() == 1


def test_memory_functions_are_refused_where_there_was_a_stack_or_there_are_none(api):
    start(api, plain)
    assert openssl.ASYNC_set_mem_functions(lambda num: None, lambda addr: None) == 0
    assert openssl.ASYNC_set_mem_functions(None, None) == 0
    alloc, free = Ref("untouched"), Ref("untouched")
    openssl.ASYNC_get_mem_functions(alloc, free)
    if on_greenlet():
        assert (alloc.value, free.value) == (None, None)
    else:
        assert callable(alloc.value)
        assert callable(free.value)


# -- misuse: refused with ASYNC_ERR, nothing lost --


@pytest.mark.parametrize("recycled", [False, True])
def test_nested_start_in_a_first_segment_is_refused(api, reasons, recycled):
    if recycled:
        start(api, plain)
    inner_ran = []

    def outer(_args):
        code = start(api, lambda _args: inner_ran.append(1) or 1)
        assert api.ASYNC_get_current_job() is not None
        return code

    ret = Ref()
    assert start(api, outer, ret=ret) == ASYNC_FINISH
    assert (ret.value, inner_ran, reasons(api)) == (ASYNC_ERR, [], INTERNAL)


def test_nested_start_in_a_resumed_job_is_an_error_without_an_error_since_3(reasons):
    for api, errors in ((openssl, []), (v1_1, INTERNAL)):

        def outer(_args, api=api):
            api.ASYNC_pause_job()
            code = start(api, plain)
            api.ASYNC_pause_job()
            return code + 10

        slot, ret, ctx = Ref(), Ref(), api.ASYNC_WAIT_CTX_new()
        results = [start(api, outer, slot=slot, ctx=ctx, ret=ret) for _ in range(3)]
        assert results == [ASYNC_PAUSE, ASYNC_PAUSE, ASYNC_FINISH]
        assert (ret.value, reasons(api)) == (ASYNC_ERR + 10, errors)


def test_a_job_cannot_resume_another_one(api, paused, reasons):
    ret = Ref()
    start(api, lambda _args: start(api, None, slot=paused), ret=ret)
    assert (ret.value, reasons(api)) == (ASYNC_ERR, INTERNAL)
    assert start(api, None, slot=paused) == ASYNC_FINISH


def test_a_job_cannot_resume_itself(api, reasons):
    def itself(_args):
        return start(api, None, slot=Ref(api.ASYNC_get_current_job()))

    ret = Ref()
    assert start(api, itself, ret=ret) == ASYNC_FINISH
    assert (ret.value, reasons(api)) == (ASYNC_ERR, INTERNAL)


def test_a_finished_handle_is_refused_and_never_pooled_twice(api, paused, reasons):
    stale = Ref(paused.value)
    start(api, None, slot=paused)
    assert start(api, plain, slot=stale) == ASYNC_ERR
    assert reasons(api) == INTERNAL


def test_a_stale_handle_means_the_job_that_runs_on_it_now(api, ctx, paused):
    stale = Ref(paused.value)
    start(api, None, slot=paused)
    newer, ret = Ref(), Ref()

    def func(_args):
        api.ASYNC_pause_job()
        return 99

    start(api, func, slot=newer, ctx=ctx)
    assert newer.value is stale.value
    assert start(api, None, slot=stale, ret=ret) == ASYNC_FINISH
    assert ret.value == 99


def test_another_threads_job_is_refused_and_goes_on_at_home(api, paused, reasons):
    results = []

    def elsewhere():
        results.append(start(api, None, slot=Ref(paused.value)))
        results.extend(reasons(api))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert results == [ASYNC_ERR, *INTERNAL]
    assert start(api, None, slot=paused) == ASYNC_FINISH


def test_a_job_without_ctx_cannot_be_resumed(api, reasons):
    slot = Ref()
    assert start(api, pausing, slot=slot, ctx=None) == ASYNC_PAUSE
    handle = slot.value
    assert start(api, None, slot=slot) == ASYNC_ERR
    assert slot.value is handle
    assert reasons(api) == INTERNAL
    handle._job.close()


def test_a_job_whose_ctx_was_freed_cannot_be_resumed(api, ctx, paused, reasons):
    cleaned = []
    api.ASYNC_WAIT_CTX_set_wait_fd(ctx, None, 3, None, lambda *args: cleaned.append(args))
    api.ASYNC_WAIT_CTX_free(ctx)
    assert cleaned == [(ctx, None, 3, None)]
    assert start(api, None, slot=paused) == ASYNC_ERR
    assert reasons(api) == INTERNAL


def test_a_job_paused_before_a_fork_is_the_parents(api, paused, reasons):
    pid = os.fork()
    if not pid:
        refused = start(api, None, slot=paused) == ASYNC_ERR and reasons(api) == INTERNAL
        os._exit(0 if refused and start(api, plain) == ASYNC_FINISH else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert start(api, None, slot=paused) == ASYNC_FINISH


def test_start_in_a_freed_ctx_is_refused(api, ctx, reasons):
    api.ASYNC_WAIT_CTX_free(ctx)
    assert start(api, plain, ctx=ctx) == ASYNC_ERR
    assert reasons(api) == INTERNAL


def test_finish_after_cleanup_is_an_error_but_the_result_is_not_lost(api, ctx, reasons):
    def twice(_args):
        api.ASYNC_pause_job()
        api.ASYNC_pause_job()
        return 7

    slot, ret = Ref(), Ref()
    start(api, twice, slot=slot, ctx=ctx)
    api.ASYNC_cleanup_thread()
    assert start(api, None, slot=slot) == ASYNC_PAUSE
    assert start(api, None, slot=slot, ret=ret) == ASYNC_ERR
    assert (slot.value, ret.value, reasons(api)) == (None, 7, INTERNAL)


def test_cleanup_in_a_job_is_refused(api, ctx, reasons):
    def func(_args):
        api.ASYNC_cleanup_thread()
        api.ASYNC_pause_job()
        return 1

    slot = Ref()
    assert start(api, func, slot=slot, ctx=ctx) == ASYNC_PAUSE
    assert reasons(api) == INTERNAL
    assert start(api, None, slot=slot) == ASYNC_FINISH


def test_init_in_a_job_replaces_the_pool_that_the_job_then_joins(api):
    before = jobs_in_existence()
    start(api, lambda _args: api.ASYNC_init_thread(1, 0))
    assert start(api, plain) == ASYNC_FINISH
    assert jobs_in_existence() == before + 1


def test_null_pointers_are_refused_by_name(api, reasons):
    null = ["passed a null parameter"]
    assert api.ASYNC_start_job(None, None, Ref(), plain, None, 0) == ASYNC_ERR
    assert reasons(api) == null
    assert start(api, None) == ASYNC_ERR
    assert reasons(api) == null
    assert api.ASYNC_start_job(Ref(), None, None, plain, None, 0) == ASYNC_ERR
    assert reasons(api) == null
    assert api.ASYNC_get_wait_ctx(None) is None
    assert reasons(api) == null


@pytest.mark.parametrize(
    "arguments",
    [
        ("job", None, Ref(), plain, None, 0),
        (Ref("job"), None, Ref(), plain, None, 0),
        (Ref(), "ctx", Ref(), plain, None, 0),
        (Ref(), None, 0, plain, None, 0),
        (Ref(), None, Ref(), "plain", None, 0),
        (Ref(), None, Ref(), plain, b"", "0"),
    ],
)
def test_what_no_compiler_would_take_is_a_type_error(api, arguments):
    with pytest.raises(TypeError):
        api.ASYNC_start_job(*arguments)


# -- together with the Pythonic API --


def test_a_c_named_engine_works_in_a_pythonic_job(api):
    def engine():
        ctx = api.ASYNC_get_wait_ctx(api.ASYNC_get_current_job())
        api.ASYNC_WAIT_CTX_set_wait_fd(ctx, None, 9, None, None)
        api.ASYNC_pause_job()
        return "done"

    job = pausable.start(engine)
    assert job.wait_ctx.fds() == [9]
    assert job.resume()
    assert job.result() == "done"


def test_a_pythonic_job_is_not_resumed_by_the_c_names(api, reasons):
    handles = []

    def engine():
        handles.append(api.ASYNC_get_current_job())
        pausable.pause()

    job = pausable.start(engine)
    assert start(api, None, slot=Ref(handles[0])) == ASYNC_ERR
    assert reasons(api) == INTERNAL
    job.close()
    assert api.ASYNC_get_wait_ctx(handles[0]) is None


def test_pausable_pause_respects_the_c_block(api):
    def func(_args):
        api.ASYNC_block_pause()
        paused = pausable.pause()
        api.ASYNC_unblock_pause()
        return int(paused)

    ret = Ref()
    assert start(api, func, ret=ret) == ASYNC_FINISH
    assert ret.value == 0


def test_in_job_tells(reasons):
    ret = Ref()
    pre1_1.ASYNC_start_job(Ref(), ret, lambda _args: pre1_1.ASYNC_in_job(), None, 0)
    assert (ret.value, pre1_1.ASYNC_in_job()) == (1, 0)
