"""The example program of ASYNC_start_job(3), with the Pythonic API."""

from __future__ import annotations

import os
import select

import pausable

__all__ = ["hello"]


def hello() -> None:
    """Start a job, wait until it is woken, resume it."""
    print("Starting...")
    with pausable.start(_greet, "Hello world!") as job:
        while not job.done():
            print("Job was paused")
            print("Waiting for the job to be woken up")
            select.select(job.wait_ctx.fds(), [], [])
            job.resume()
        print(f"Job finished with return value {job.result()}")
        job.wait_ctx.close()
    print("Finishing")


def _greet(message: str) -> int:
    print("Executing within a job")
    print(f"Passed in message is: {message}")
    job = pausable.current_job()
    assert job is not None
    readable, writable = os.pipe()
    job.wait_ctx.set_wait_fd("hello", readable, writable, _close_pipe)
    os.write(writable, b"X")  # a real engine does this from elsewhere, when it has the result
    pausable.pause()
    while not select.select([readable], [], [], 0)[0]:  # a resume is only a hint
        pausable.pause()
    os.read(readable, 1)
    print("Resumed the job after a pause")
    return 1


def _close_pipe(_ctx: object, _key: object, readable: int, writable: int) -> None:
    os.close(readable)
    os.close(writable)
