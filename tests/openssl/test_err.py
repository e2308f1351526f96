"""The error queue: codes and texts are OpenSSL's."""

import io
import threading

import pytest

from pausable import openssl
from pausable.openssl import pre1_1, v1_1


def fail(api):
    init = api.ASYNC_init_pool if api is pre1_1 else api.ASYNC_init_thread
    assert init(1, 2) == 0


@pytest.mark.parametrize(
    ("api", "code", "text"),
    [
        (openssl, 0x19800067, "error:19800067:ASYNC routines::invalid pool size"),
        (v1_1, 0x33065067, "error:33065067:ASYNC routines:ASYNC_init_thread:invalid pool size"),
    ],
)
def test_codes_and_texts_are_openssls(api, code, text):
    fail(api)
    assert api.ERR_peek_error() == code
    assert api.ERR_get_error() == code
    assert api.ERR_error_string(code, None) == text
    assert (api.ERR_GET_LIB(code), api.ERR_GET_REASON(code)) == (51, 103)
    assert api.ERR_get_error() == api.ERR_peek_error() == 0


def test_internal_error_has_its_fatal_code():
    openssl.ASYNC_start_job(openssl.Ref(), None, openssl.Ref(), nested, None, 0)
    assert openssl.ERR_error_string(openssl.ERR_get_error(), None) == (
        "error:198C0103:ASYNC routines::internal error"
    )


def nested(_args):
    return openssl.ASYNC_start_job(openssl.Ref(), None, openssl.Ref(), nested, None, 0)


def test_a_text_is_written_to_a_buffer_with_a_nul():
    buf = bytearray(64)
    text = openssl.ERR_error_string(0x19800067, buf)
    assert buf[: len(text) + 1] == text.encode() + b"\0"
    with pytest.raises(TypeError):
        openssl.ERR_error_string(0x19800067, "buf")


def test_foreign_codes_are_named_by_number():
    assert openssl.ERR_error_string(0x0A000001, None) == "error:0A000001:lib(20)::reason(1)"
    assert openssl.ERR_lib_error_string(0x0A000001) is None
    assert openssl.ERR_reason_error_string(0x0A000001) is None


def test_the_queue_is_first_in_first_out_and_15_deep():
    fail(openssl)
    for _ in range(15):
        openssl.ASYNC_get_wait_ctx(None)
    codes = []
    while code := openssl.ERR_get_error():
        codes.append(openssl.ERR_reason_error_string(code))
    assert codes == ["passed a null parameter"] * 15


def test_each_thread_has_a_queue_and_jobs_share_it():
    fail(openssl)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(openssl.ERR_peek_error()))
    thread.start()
    thread.join()
    openssl.ASYNC_start_job(
        openssl.Ref(),
        None,
        openssl.Ref(),
        lambda _args: seen.append(openssl.ERR_get_error()) or 1,
        None,
        0,
    )
    assert seen == [0, 0x19800067]


def test_clear_empties_the_queue():
    fail(openssl)
    openssl.ERR_clear_error()
    assert openssl.ERR_peek_error() == 0


@pytest.mark.parametrize("name", ["ERR_print_errors", "ERR_print_errors_fp"])
def test_printing_tells_what_and_what_to_do_and_empties_the_queue(name):
    fail(openssl)
    fail(openssl)
    out = io.StringIO()
    getattr(openssl, name)(out)
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert "error:19800067:ASYNC routines:ASYNC_init_thread:invalid pool size" in lines[0]
    assert lines[0].endswith("init_size 2 is more than max_size 1; make it at most that")
    assert openssl.ERR_peek_error() == 0


def test_printing_goes_to_stderr_for_null(capsys):
    fail(pre1_1)
    pre1_1.ERR_print_errors(None)
    assert "invalid pool size" in capsys.readouterr().err
