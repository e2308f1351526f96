"""OpenSSL's asynchronous jobs as they were in 2015, before 1.1.0: the pool API.

There are no wait contexts: each pooled job object has a descriptor and a wake level of one bit.
Both belong to the object, not to the call it serves: the next job on it has the same descriptor,
and starts out ready if a wake was left set.
"""

from typing import Any

from pausable.openssl._call import Dialect, JobFunction
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
from pausable.openssl._wake import WakeFunctions

__all__ = [
    "ASYNC_ERR",
    "ASYNC_FINISH",
    "ASYNC_JOB",
    "ASYNC_NO_JOBS",
    "ASYNC_PAUSE",
    "ERR_GET_LIB",
    "ERR_GET_REASON",
    "ERR_LIB_ASYNC",
    "ASYNC_clear_wake",
    "ASYNC_free_pool",
    "ASYNC_get_current_job",
    "ASYNC_get_wait_fd",
    "ASYNC_in_job",
    "ASYNC_init_pool",
    "ASYNC_pause_job",
    "ASYNC_start_job",
    "ASYNC_wake",
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
        has_wake_fd=True,
        init_name="ASYNC_init_pool",
    ),
    _errors,
)
_wake = WakeFunctions(_errors)

ASYNC_pause_job = _jobs.ASYNC_pause_job
ASYNC_in_job = _wake.ASYNC_in_job
ASYNC_get_current_job = _jobs.ASYNC_get_current_job
ASYNC_get_wait_fd = _wake.ASYNC_get_wait_fd
ASYNC_wake = _wake.ASYNC_wake
ASYNC_clear_wake = _wake.ASYNC_clear_wake

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


def ASYNC_init_pool(max_size: int, init_size: int) -> int:
    """Give this thread a pool of jobs; as ASYNC_init_thread of later versions.

    See: the manual of 2015
    """
    return _jobs.ASYNC_init_thread(max_size, init_size)


def ASYNC_free_pool() -> None:
    """Free this thread's pool; as ASYNC_cleanup_thread of later versions.

    See: the manual of 2015
    """
    _jobs.ASYNC_cleanup_thread()


def ASYNC_start_job(
    job: Ref | None, ret: Ref | None, func: JobFunction | None, args: Any, size: int
) -> int:
    """Start a job, or resume the one in `job`; as later, but without a wait context.

    See: the manual of 2015
    """
    return _jobs.ASYNC_start_job(job, None, ret, func, args, size)
