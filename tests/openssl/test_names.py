"""Every function and constant of the manual pages is there, in each generation's module."""

import inspect

import pytest

from pausable import openssl
from pausable.openssl import pre1_1, v1_1

JOBS = [
    "ASYNC_init_thread",
    "ASYNC_cleanup_thread",
    "ASYNC_start_job",
    "ASYNC_pause_job",
    "ASYNC_get_current_job",
    "ASYNC_get_wait_ctx",
    "ASYNC_block_pause",
    "ASYNC_unblock_pause",
    "ASYNC_is_capable",
    "ASYNC_ERR",
    "ASYNC_NO_JOBS",
    "ASYNC_PAUSE",
    "ASYNC_FINISH",
]

WAIT_CTX = [
    "ASYNC_WAIT_CTX_new",
    "ASYNC_WAIT_CTX_free",
    "ASYNC_WAIT_CTX_set_wait_fd",
    "ASYNC_WAIT_CTX_get_fd",
    "ASYNC_WAIT_CTX_get_all_fds",
    "ASYNC_WAIT_CTX_get_changed_fds",
    "ASYNC_WAIT_CTX_clear_fd",
]

SINCE_3 = [
    "ASYNC_WAIT_CTX_set_callback",
    "ASYNC_WAIT_CTX_get_callback",
    "ASYNC_WAIT_CTX_set_status",
    "ASYNC_WAIT_CTX_get_status",
    "ASYNC_STATUS_UNSUPPORTED",
    "ASYNC_STATUS_ERR",
    "ASYNC_STATUS_OK",
    "ASYNC_STATUS_EAGAIN",
    "ASYNC_set_mem_functions",
    "ASYNC_get_mem_functions",
]

POOL = [
    "ASYNC_init_pool",
    "ASYNC_free_pool",
    "ASYNC_start_job",
    "ASYNC_pause_job",
    "ASYNC_in_job",
    "ASYNC_get_wait_fd",
    "ASYNC_get_current_job",
    "ASYNC_wake",
    "ASYNC_clear_wake",
    "ASYNC_ERR",
    "ASYNC_NO_JOBS",
    "ASYNC_PAUSE",
    "ASYNC_FINISH",
]

QUEUE = [
    "ERR_get_error",
    "ERR_peek_error",
    "ERR_clear_error",
    "ERR_error_string",
    "ERR_print_errors",
]

#: Parameters in the manual's order.
SIGNATURES = {
    "ASYNC_init_thread": "max_size init_size",
    "ASYNC_start_job": "job ctx ret func args size",
    "ASYNC_get_wait_ctx": "job",
    "ASYNC_WAIT_CTX_set_wait_fd": "ctx key fd custom_data cleanup",
    "ASYNC_WAIT_CTX_get_fd": "ctx key fd custom_data",
    "ASYNC_WAIT_CTX_get_all_fds": "ctx fd numfds",
    "ASYNC_WAIT_CTX_get_changed_fds": "ctx addfd numaddfds delfd numdelfds",
    "ASYNC_WAIT_CTX_set_callback": "ctx callback callback_arg",
    "ASYNC_WAIT_CTX_get_callback": "ctx callback callback_arg",
    "ASYNC_WAIT_CTX_set_status": "ctx status",
    "ERR_error_string": "e buf",
}


@pytest.mark.parametrize(
    ("api", "names"),
    [
        (openssl, [*JOBS, *WAIT_CTX, *SINCE_3, *QUEUE]),
        (v1_1, [*JOBS, *WAIT_CTX, *QUEUE]),
        (pre1_1, [*POOL, *QUEUE]),
    ],
    ids=["3.x", "1.1", "2015"],
)
def test_every_name_of_the_manual_is_public_and_documented(api, names):
    assert set(names) <= set(api.__all__)
    functions = [getattr(api, name) for name in api.__all__ if name.startswith(("ASYNC_", "ERR_"))]
    assert all(inspect.getdoc(function) for function in functions if callable(function))


def test_what_came_later_is_not_in_the_older_modules():
    assert not set(SINCE_3) & set(v1_1.__all__)
    assert not {*WAIT_CTX, *SINCE_3, "ASYNC_block_pause"} & set(pre1_1.__all__)


@pytest.mark.parametrize("name", SIGNATURES)
def test_parameters_have_the_manuals_names_and_order(name):
    assert list(inspect.signature(getattr(openssl, name)).parameters) == SIGNATURES[name].split()
