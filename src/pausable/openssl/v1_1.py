"""OpenSSL's asynchronous jobs under their names of 1.1.0 and 1.1.1.

As `pausable.openssl`, without callbacks, statuses, library contexts and memory functions, and:

* arguments of size 0 are ASYNC_ERR with *malloc failure*;
* any nested start is refused (1.1 crashes or runs the outer function again; 3.0 defined one case);
* error codes hold a function code: ``error:33065067:ASYNC routines:ASYNC_init_thread:...``.
"""

from pausable.openssl._call import Dialect
from pausable.openssl._err import ERR_LIB_ASYNC, ErrorQueue
from pausable.openssl._handles import ASYNC_JOB, jobs_in_existence
from pausable.openssl._jobs import (
    ASYNC_ERR,
    ASYNC_FINISH,
    ASYNC_NO_JOBS,
    ASYNC_PAUSE,
    JobFunctions,
)
from pausable.openssl._ref import Ref
from pausable.openssl._wait_ctx import ASYNC_WAIT_CTX, OSSL_BAD_ASYNC_FD, WaitCtxFunctions

__all__ = [
    "ASYNC_ERR",
    "ASYNC_FINISH",
    "ASYNC_JOB",
    "ASYNC_NO_JOBS",
    "ASYNC_PAUSE",
    "ASYNC_WAIT_CTX",
    "ERR_GET_LIB",
    "ERR_GET_REASON",
    "ERR_LIB_ASYNC",
    "OSSL_BAD_ASYNC_FD",
    "ASYNC_WAIT_CTX_clear_fd",
    "ASYNC_WAIT_CTX_free",
    "ASYNC_WAIT_CTX_get_all_fds",
    "ASYNC_WAIT_CTX_get_changed_fds",
    "ASYNC_WAIT_CTX_get_fd",
    "ASYNC_WAIT_CTX_new",
    "ASYNC_WAIT_CTX_set_wait_fd",
    "ASYNC_block_pause",
    "ASYNC_cleanup_thread",
    "ASYNC_get_current_job",
    "ASYNC_get_wait_ctx",
    "ASYNC_init_thread",
    "ASYNC_is_capable",
    "ASYNC_pause_job",
    "ASYNC_start_job",
    "ASYNC_unblock_pause",
    "ERR_clear_error",
    "ERR_error_string",
    "ERR_get_error",
    "ERR_lib_error_string",
    "ERR_peek_error",
    "ERR_print_errors",
    "ERR_print_errors_fp",
    "ERR_reason_error_string",
    "Ref",
    "jobs_in_existence",
]

_errors = ErrorQueue(functions_have_codes=True)
_jobs = JobFunctions(
    Dialect(
        size_zero_is_null=False,
        nested_start_is_defined=False,
        has_lib_ctx=False,
        has_wake_fd=False,
        init_name="ASYNC_init_thread",
    ),
    _errors,
)
_wait_ctx = WaitCtxFunctions(_errors)

ASYNC_init_thread = _jobs.ASYNC_init_thread
ASYNC_cleanup_thread = _jobs.ASYNC_cleanup_thread
ASYNC_start_job = _jobs.ASYNC_start_job
ASYNC_pause_job = _jobs.ASYNC_pause_job
ASYNC_get_current_job = _jobs.ASYNC_get_current_job
ASYNC_get_wait_ctx = _jobs.ASYNC_get_wait_ctx
ASYNC_block_pause = _jobs.ASYNC_block_pause
ASYNC_unblock_pause = _jobs.ASYNC_unblock_pause
ASYNC_is_capable = _jobs.ASYNC_is_capable

ASYNC_WAIT_CTX_new = _wait_ctx.ASYNC_WAIT_CTX_new
ASYNC_WAIT_CTX_free = _wait_ctx.ASYNC_WAIT_CTX_free
ASYNC_WAIT_CTX_set_wait_fd = _wait_ctx.ASYNC_WAIT_CTX_set_wait_fd
ASYNC_WAIT_CTX_get_fd = _wait_ctx.ASYNC_WAIT_CTX_get_fd
ASYNC_WAIT_CTX_get_all_fds = _wait_ctx.ASYNC_WAIT_CTX_get_all_fds
ASYNC_WAIT_CTX_get_changed_fds = _wait_ctx.ASYNC_WAIT_CTX_get_changed_fds
ASYNC_WAIT_CTX_clear_fd = _wait_ctx.ASYNC_WAIT_CTX_clear_fd

ERR_get_error = _errors.ERR_get_error
ERR_peek_error = _errors.ERR_peek_error
ERR_clear_error = _errors.ERR_clear_error
ERR_error_string = _errors.ERR_error_string
ERR_print_errors = _errors.ERR_print_errors
ERR_print_errors_fp = _errors.ERR_print_errors_fp
ERR_GET_LIB = _errors.ERR_GET_LIB
ERR_GET_REASON = _errors.ERR_GET_REASON
ERR_lib_error_string = _errors.ERR_lib_error_string
ERR_reason_error_string = _errors.ERR_reason_error_string
