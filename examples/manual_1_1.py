"""The example of ASYNC_start_job(3) of OpenSSL 1.1.0 and 1.1.1, ported line by line."""

import os
import select
from typing import Any

from pausable.openssl.v1_1 import (
    ASYNC_ERR,
    ASYNC_FINISH,
    ASYNC_NO_JOBS,
    ASYNC_PAUSE,
    ASYNC_WAIT_CTX,
    ASYNC_get_current_job,
    ASYNC_get_wait_ctx,
    ASYNC_pause_job,
    ASYNC_start_job,
    ASYNC_WAIT_CTX_free,
    ASYNC_WAIT_CTX_get_all_fds,
    ASYNC_WAIT_CTX_new,
    ASYNC_WAIT_CTX_set_wait_fd,
    Ref,
)

unique = object()


def cleanup(ctx: ASYNC_WAIT_CTX, key: object, r: int, vw: Any) -> None:
    w = vw
    os.close(r)
    os.close(w)


def jobfunc(arg: bytearray) -> int:
    currjob = ASYNC_get_current_job()
    if currjob is not None:
        print("Executing within a job")
    else:
        print("Not executing within a job - should not happen")
        return 0

    msg = arg
    print(f"Passed in message is: {msg.rstrip(bytes(1)).decode()}")

    try:
        pipefds = os.pipe()
    except OSError:
        print("Failed to create pipe")
        return 0
    wptr = pipefds[1]
    ASYNC_WAIT_CTX_set_wait_fd(ASYNC_get_wait_ctx(currjob), unique, pipefds[0], wptr, cleanup)

    # Normally some external event would cause this to happen at some later point - but we do it
    # here for demo purposes, i.e. immediately signalling that the job is ready to be woken up
    # after we return to main via ASYNC_pause_job().
    os.write(pipefds[1], b"X")

    # Return control back to main
    ASYNC_pause_job()

    # Clear the wake signal
    os.read(pipefds[0], 1)

    print("Resumed the job after a pause")
    return 1


def main() -> int:
    job, ret = Ref(None), Ref()
    waitfd, numfds = Ref(), Ref()
    msg = b"Hello world!\0"

    print("Starting...")

    ctx = ASYNC_WAIT_CTX_new()

    while True:
        result = ASYNC_start_job(job, ctx, ret, jobfunc, msg, len(msg))
        if result in (ASYNC_ERR, ASYNC_NO_JOBS):
            print("An error occurred")
            break
        if result == ASYNC_PAUSE:
            print("Job was paused")
        elif result == ASYNC_FINISH:
            print(f"Job finished with return value {ret.value}")
            break

        # Wait for the job to be woken
        print("Waiting for the job to be woken up")

        if not ASYNC_WAIT_CTX_get_all_fds(ctx, None, numfds) or numfds.value > 1:
            print("Unexpected number of fds")
            raise SystemExit(1)
        ASYNC_WAIT_CTX_get_all_fds(ctx, waitfd, numfds)
        select.select([waitfd.value], [], [])

    ASYNC_WAIT_CTX_free(ctx)
    print("Finishing")

    return 0


if __name__ == "__main__":
    raise SystemExit(main())
