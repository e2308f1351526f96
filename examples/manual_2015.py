"""The example of the 2015 manual (pool API, before OpenSSL 1.1.0), ported line by line."""

import select

from pausable.openssl.pre1_1 import (
    ASYNC_ERR,
    ASYNC_FINISH,
    ASYNC_NO_JOBS,
    ASYNC_PAUSE,
    ASYNC_clear_wake,
    ASYNC_free_pool,
    ASYNC_get_current_job,
    ASYNC_get_wait_fd,
    ASYNC_init_pool,
    ASYNC_pause_job,
    ASYNC_start_job,
    ASYNC_wake,
    Ref,
)


def jobfunc(arg: bytearray) -> int:
    currjob = ASYNC_get_current_job()
    if currjob is not None:
        print("Executing within a job")
    else:
        print("Not executing within a job - should not happen")
        return 0

    msg = arg
    print(f"Passed in message is: {msg.rstrip(bytes(1)).decode()}")

    # Normally some external event would cause this to happen at some later point - but we do it
    # here for demo purposes, i.e. immediately signalling that the job is ready to be woken up
    # after we return to main via ASYNC_pause_job().
    ASYNC_wake(currjob)

    # Return control back to main
    ASYNC_pause_job()

    # Clear the wake signal
    ASYNC_clear_wake(currjob)

    print("Resumed the job after a pause")
    return 1


def main() -> int:
    job, ret = Ref(None), Ref()
    msg = b"Hello world!\0"

    # We're only expecting 1 job to be used here so we're only creating a pool of 1
    if not ASYNC_init_pool(1, 1):
        print("Error creating pool")
        return end()

    print("Starting...")
    while True:
        result = ASYNC_start_job(job, ret, jobfunc, msg, len(msg))
        if result in (ASYNC_ERR, ASYNC_NO_JOBS):
            print("An error occurred")
            return end()
        if result == ASYNC_PAUSE:
            print("Job was paused")
        elif result == ASYNC_FINISH:
            print(f"Job finished with return value {ret.value}")
            return end()

        # Wait for the job to be woken
        print("Waiting for the job to be woken up")
        waitfd = ASYNC_get_wait_fd(job.value)
        select.select([waitfd], [], [])


def end() -> int:
    print("Finishing")
    ASYNC_free_pool()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
