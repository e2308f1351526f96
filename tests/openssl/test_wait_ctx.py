"""ASYNC_WAIT_CTX: what the scenarios do not show: pointers, arrays, and what is refused."""

import pytest

from pausable import WaitContext, openssl
from pausable.openssl import Ref

NULL = ["passed a null parameter"]
INTERNAL = ["internal error"]


@pytest.fixture
def ctx(api):
    return api.ASYNC_WAIT_CTX_new()


def add(api, ctx, key, fd, data=None, cleanup=None):
    return api.ASYNC_WAIT_CTX_set_wait_fd(ctx, key, fd, data, cleanup)


def test_status_constants_are_those_of_the_header():
    names = ("UNSUPPORTED", "ERR", "OK", "EAGAIN")
    assert [getattr(openssl, f"ASYNC_STATUS_{name}") for name in names] == [0, 1, 2, 3]
    assert openssl.OSSL_BAD_ASYNC_FD == -1


def test_keys_are_compared_as_pointers(api, ctx):
    one, other = [1], [1]
    add(api, ctx, one, 3)
    assert api.ASYNC_WAIT_CTX_get_fd(ctx, other, Ref(), Ref()) == 0
    fd = Ref()
    assert api.ASYNC_WAIT_CTX_get_fd(ctx, one, fd, Ref()) == 1
    assert fd.value == 3
    assert api.ASYNC_WAIT_CTX_clear_fd(ctx, other) == 0
    assert api.ASYNC_WAIT_CTX_clear_fd(ctx, one) == 1


@pytest.mark.parametrize("key", [None, 0x1000, "engine", b"engine"])
def test_null_and_constants_are_keys_by_value(api, ctx, key):
    add(api, ctx, key, 4)
    same = key if key is None else type(key)(key)
    assert api.ASYNC_WAIT_CTX_get_fd(ctx, same, Ref(), Ref()) == 1


def test_cleanup_gets_the_key_it_was_given(api, ctx):
    key, calls = [1], []
    add(api, ctx, key, 3, "data", lambda *args: calls.append(args))
    api.ASYNC_WAIT_CTX_free(ctx)
    assert calls == [(ctx, key, 3, "data")]
    assert calls[0][1] is key


def test_get_fd_of_an_unknown_key_touches_nothing(api, ctx):
    fd, data = Ref("fd"), Ref("data")
    assert api.ASYNC_WAIT_CTX_get_fd(ctx, "none", fd, data) == 0
    assert (fd.value, data.value) == ("fd", "data")
    assert api.ASYNC_WAIT_CTX_get_fd(ctx, "none", None, None) == 0


def test_arrays_are_filled_in_place_from_the_beginning(api, ctx):
    for fd in (3, 4):
        add(api, ctx, fd, fd)
    room, numfds = [0, 0, 0], Ref()
    assert api.ASYNC_WAIT_CTX_get_all_fds(ctx, room, numfds) == 1
    assert (room, numfds.value) == ([4, 3, 0], 2)


def test_a_ref_is_an_array_of_one(api, ctx, reasons):
    fd, numfds = Ref("untouched"), Ref()
    assert api.ASYNC_WAIT_CTX_get_all_fds(ctx, fd, numfds) == 1
    assert (fd.value, numfds.value) == ("untouched", 0)
    add(api, ctx, 1, 3)
    api.ASYNC_WAIT_CTX_get_all_fds(ctx, fd, numfds)
    assert (fd.value, numfds.value) == (3, 1)
    add(api, ctx, 2, 4)
    assert api.ASYNC_WAIT_CTX_get_all_fds(ctx, fd, numfds) == 0
    assert reasons(api) == INTERNAL
    assert (fd.value, numfds.value) == (3, 1)


def test_either_array_of_changes_may_be_null(api, ctx):
    add(api, ctx, 1, 3)
    numadd, numdel, added = Ref(), Ref(), []
    assert api.ASYNC_WAIT_CTX_get_changed_fds(ctx, None, numadd, None, numdel) == 1
    assert (numadd.value, numdel.value) == (1, 0)
    assert api.ASYNC_WAIT_CTX_get_changed_fds(ctx, added, numadd, None, numdel) == 1
    assert added == [3]


def test_null_contexts_are_refused_but_free_and_set_callback_let_them_pass(api, reasons):
    api.ASYNC_WAIT_CTX_free(None)
    assert openssl.ASYNC_WAIT_CTX_set_callback(None, print, None) == 0
    assert reasons(api) == []
    assert add(api, None, "key", 3) == 0
    assert api.ASYNC_WAIT_CTX_get_fd(None, "key", Ref(), Ref()) == 0
    assert api.ASYNC_WAIT_CTX_get_all_fds(None, None, Ref()) == 0
    assert api.ASYNC_WAIT_CTX_get_changed_fds(None, None, Ref(), None, Ref()) == 0
    assert api.ASYNC_WAIT_CTX_clear_fd(None, "key") == 0
    assert openssl.ASYNC_WAIT_CTX_get_callback(None, Ref(), Ref()) == 0
    assert openssl.ASYNC_WAIT_CTX_set_status(None, 1) == 0
    assert openssl.ASYNC_WAIT_CTX_get_status(None) == openssl.ASYNC_STATUS_ERR
    assert reasons(api) == NULL * 8


def test_null_outputs_are_refused(api, ctx, reasons):
    add(api, ctx, "key", 3)
    assert api.ASYNC_WAIT_CTX_get_fd(ctx, "key", None, Ref()) == 0
    assert api.ASYNC_WAIT_CTX_get_fd(ctx, "key", Ref(), None) == 0
    assert api.ASYNC_WAIT_CTX_get_all_fds(ctx, [], None) == 0
    assert api.ASYNC_WAIT_CTX_get_changed_fds(ctx, [], None, [], Ref()) == 0
    assert api.ASYNC_WAIT_CTX_get_changed_fds(ctx, [], Ref(), [], None) == 0
    assert reasons(api) == NULL * 5


def test_a_freed_context_is_refused_and_freed_only_once(api, ctx, reasons):
    calls = []
    add(api, ctx, "key", 3, None, lambda *args: calls.append(args))
    api.ASYNC_WAIT_CTX_free(ctx)
    api.ASYNC_WAIT_CTX_free(ctx)
    assert add(api, ctx, "key", 3) == 0
    assert api.ASYNC_WAIT_CTX_clear_fd(ctx, "key") == 0
    assert len(calls) == 1
    assert reasons(api) == INTERNAL * 3


@pytest.mark.parametrize(
    "call",
    [
        lambda ctx: openssl.ASYNC_WAIT_CTX_set_wait_fd("ctx", None, 3, None, None),
        lambda ctx: openssl.ASYNC_WAIT_CTX_set_wait_fd(ctx, None, "3", None, None),
        lambda ctx: openssl.ASYNC_WAIT_CTX_set_wait_fd(ctx, None, 3, None, "cleanup"),
        lambda ctx: openssl.ASYNC_WAIT_CTX_get_all_fds(ctx, 3, Ref()),
        lambda ctx: openssl.ASYNC_WAIT_CTX_get_all_fds(ctx, None, 3),
        lambda ctx: openssl.ASYNC_WAIT_CTX_set_callback(ctx, "callback", None),
        lambda ctx: openssl.ASYNC_WAIT_CTX_set_status(ctx, "status"),
    ],
)
def test_what_no_compiler_would_take_is_a_type_error(call):
    with pytest.raises(TypeError):
        call(openssl.ASYNC_WAIT_CTX_new())


def test_callback_and_argument_are_kept_and_never_called_by_the_library():
    ctx, calls = openssl.ASYNC_WAIT_CTX_new(), []
    callback, arg = Ref("untouched"), Ref("untouched")
    assert openssl.ASYNC_WAIT_CTX_get_callback(ctx, callback, arg) == 0
    assert (callback.value, arg.value) == ("untouched", "untouched")
    openssl.ASYNC_WAIT_CTX_set_callback(ctx, calls.append, "arg")
    slot = Ref()
    for _ in range(2):
        openssl.ASYNC_start_job(slot, ctx, Ref(), lambda _args: openssl.ASYNC_pause_job(), None, 0)
    assert calls == []
    assert openssl.ASYNC_WAIT_CTX_get_callback(ctx, callback, arg) == 1
    callback.value(arg.value)
    assert calls == ["arg"]
    openssl.ASYNC_WAIT_CTX_set_callback(ctx, None, None)
    assert openssl.ASYNC_WAIT_CTX_get_callback(ctx, callback, arg) == 0


def test_a_callback_of_a_pythonic_driver_is_seen_by_a_c_named_engine():
    ctx, calls = WaitContext(), []
    ctx.set_callback(lambda: calls.append("woken"))
    callback, arg = Ref(), Ref()
    assert openssl.ASYNC_WAIT_CTX_get_callback(ctx, callback, arg) == 1
    callback.value(arg.value)
    assert calls == ["woken"]


def test_any_int_is_a_status_and_jobs_do_not_reset_it():
    ctx = openssl.ASYNC_WAIT_CTX_new()
    assert openssl.ASYNC_WAIT_CTX_get_status(ctx) == openssl.ASYNC_STATUS_UNSUPPORTED
    openssl.ASYNC_WAIT_CTX_set_status(ctx, -77)
    openssl.ASYNC_start_job(Ref(), ctx, Ref(), lambda _args: 1, None, 0)
    assert openssl.ASYNC_WAIT_CTX_get_status(ctx) == -77
