"""The callback and status method of ASYNC_WAIT_CTX_set_callback(3), OpenSSL 3.

The application sets a callback, and no descriptor is needed: the engine dispatches the operation to
its hardware (here a thread), sets the status to ASYNC_STATUS_OK and pauses the job; when the
operation is complete it calls the callback, which has the application resume the job. The first
time, the hardware's queue is full: ASYNC_STATUS_EAGAIN, resume the job and it will try again.
"""

import queue
import threading

from pausable.openssl import (
    ASYNC_FINISH,
    ASYNC_PAUSE,
    ASYNC_STATUS_EAGAIN,
    ASYNC_STATUS_OK,
    ASYNC_get_current_job,
    ASYNC_get_wait_ctx,
    ASYNC_pause_job,
    ASYNC_start_job,
    ASYNC_WAIT_CTX_free,
    ASYNC_WAIT_CTX_get_callback,
    ASYNC_WAIT_CTX_get_status,
    ASYNC_WAIT_CTX_new,
    ASYNC_WAIT_CTX_set_callback,
    ASYNC_WAIT_CTX_set_status,
    Ref,
)


class Hardware:
    """Doubles numbers in its own time; its queue is full at first."""

    def __init__(self) -> None:
        self.full = True
        self.submitted: list[tuple[int, Ref, Ref, Ref]] = []

    def submit(self, number: int, answer: Ref, callback: Ref, callback_arg: Ref) -> bool:
        if self.full:
            self.full = False
            return False
        self.submitted.append((number, answer, callback, callback_arg))
        return True

    def work(self) -> None:
        number, answer, callback, callback_arg = self.submitted.pop()
        answer.value = 2 * number
        callback.value(callback_arg.value)


hardware = Hardware()


def engine_double(number: int) -> int:
    """Double a number on the hardware: an operation of an engine."""
    ctx = ASYNC_get_wait_ctx(ASYNC_get_current_job())
    answer, callback, callback_arg = Ref(None), Ref(), Ref()
    if not ASYNC_WAIT_CTX_get_callback(ctx, callback, callback_arg):
        return 2 * number  # nobody to notify: do it here

    while not hardware.submit(number, answer, callback, callback_arg):
        ASYNC_WAIT_CTX_set_status(ctx, ASYNC_STATUS_EAGAIN)
        ASYNC_pause_job()
    ASYNC_WAIT_CTX_set_status(ctx, ASYNC_STATUS_OK)
    while answer.value is None:  # a resume is only a hint
        ASYNC_pause_job()
    return int(answer.value)


def jobfunc(arg: bytearray) -> int:
    print("Executing within a job")
    return engine_double(arg[0])


def notify(arg: "queue.SimpleQueue[str]") -> int:
    """Run by the engine's thread: be short, do not block."""
    arg.put("complete")
    return 1


def main() -> int:
    job, ret = Ref(None), Ref()
    events: queue.SimpleQueue[str] = queue.SimpleQueue()
    ctx = ASYNC_WAIT_CTX_new()
    ASYNC_WAIT_CTX_set_callback(ctx, notify, events)

    print("Starting...")
    while (result := ASYNC_start_job(job, ctx, ret, jobfunc, b"\x15", 1)) == ASYNC_PAUSE:
        if ASYNC_WAIT_CTX_get_status(ctx) == ASYNC_STATUS_EAGAIN:
            print("The engine was busy: resuming the job")
            continue
        print("Job was paused")
        threading.Thread(target=hardware.work).start()
        print(f"The engine called back: {events.get()}")
    if result == ASYNC_FINISH:
        print(f"Job finished with return value {ret.value}")
    else:
        print("An error occurred")

    ASYNC_WAIT_CTX_free(ctx)
    print("Finishing")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
