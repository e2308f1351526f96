"""Calls that are started, paused and resumed by hand, without an event loop: ours and others.

Each function returns {what: loop} for what the peer can do. Each has functions of its own: code
objects that several peers run would make the interpreter's inline caches polymorphic. They count
with `repeat`, as timeit does: the integers of a `range` cost as much as a tenth of a native job.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import _libcrypto
from _asked import on_native
from _measure import Loop, drain

START = "start+finish"
FULL = "start+pause+resume+finish"
PAIR = "pause/resume pair"


def job() -> dict[str, Loop]:
    from pausable import pause, start

    def nothing():
        return 1

    def once():
        pause()
        return 1

    def for_ever():
        while True:
            pause()

    paused = start(for_ever)

    def start_finish(count):
        for _ in repeat(None, count):
            start(nothing)

    def full(count):
        for _ in repeat(None, count):
            start(once).resume()

    def pair(count):
        for _ in repeat(None, count):
            paused.resume()

    return {START: start_finish, FULL: full, PAIR: pair}


def c_named() -> dict[str, Loop]:
    """Our API under OpenSSL's names, as a program in C would use it."""
    from pausable.openssl import ASYNC_pause_job, ASYNC_start_job, ASYNC_WAIT_CTX_new, Ref

    ctx = ASYNC_WAIT_CTX_new()
    ret = Ref()

    def nothing(_arg):
        return 1

    def once(_arg):
        ASYNC_pause_job()
        return 1

    def for_ever(_arg):
        while True:
            ASYNC_pause_job()

    def start_finish(count):
        for _ in repeat(None, count):
            ASYNC_start_job(Ref(None), ctx, ret, nothing, None, 0)

    def full(count):
        for _ in repeat(None, count):
            job = Ref(None)
            ASYNC_start_job(job, ctx, ret, once, None, 0)
            ASYNC_start_job(job, ctx, ret, once, None, 0)

    paused, its_ctx = Ref(None), ASYNC_WAIT_CTX_new()  # a context serves one job at a time
    ASYNC_start_job(paused, its_ctx, ret, for_ever, None, 0)

    def pair(count):
        for _ in repeat(None, count):
            ASYNC_start_job(paused, its_ctx, ret, for_ever, None, 0)

    return {START: start_finish, FULL: full, PAIR: pair}


def libcrypto() -> dict[str, Loop]:
    """The original, in C: no Python runs in the job or outside."""
    asked = _libcrypto.libcrypto()
    asked.ask("start_finish", 1)  # whether it has jobs
    loops = asked.loops(("start_finish", "full", "pair")).values()
    return dict(zip((START, FULL, PAIR), loops, strict=True))


def greenlet_pooled() -> dict[str, Loop]:
    """The floor: no state, no context of its own, no error handling."""
    from greenlet import getcurrent, greenlet

    main = getcurrent()

    def worker(fn, args):
        while True:
            result = fn(*args)
            fn, args = main.switch(result)

    def nothing():
        return 1

    def once():
        main.switch()
        return 1

    def for_ever():
        while True:
            main.switch()

    idle = [greenlet(worker)]
    idle[0].switch(nothing, ())
    paused = greenlet(worker)
    paused.switch(for_ever, ())

    def start_finish(count):
        for _ in repeat(None, count):
            g = idle.pop()
            g.switch(nothing, ())
            idle.append(g)

    def full(count):
        for _ in repeat(None, count):
            g = idle.pop()
            g.switch(once, ())
            g.switch()
            idle.append(g)

    def pair(count):
        for _ in repeat(None, count):
            paused.switch()

    return {START: start_finish, FULL: full, PAIR: pair}


def greenlet_new() -> dict[str, Loop]:
    """As greenlet's documentation does it: one for each call."""
    from greenlet import getcurrent, greenlet

    main = getcurrent()

    def nothing():
        return 1

    def once():
        main.switch()
        return 1

    def start_finish(count):
        for _ in repeat(None, count):
            greenlet(nothing).switch()

    def full(count):
        for _ in repeat(None, count):
            g = greenlet(once)
            g.switch()
            g.switch()

    return {START: start_finish, FULL: full}


def generator() -> dict[str, Loop]:
    """Does less: it pauses in its own frame only; every caller in between has to be one too."""

    def nothing():
        return 1
        yield

    def once():
        yield
        return 1

    def for_ever():
        while True:
            yield

    paused = for_ever()

    def start_finish(count):
        for _ in repeat(None, count):
            drain(nothing())

    def full(count):
        for _ in repeat(None, count):
            call = once()
            next(call)
            drain(call)

    def pair(count):
        resume = paused.__next__
        for _ in repeat(None, count):
            resume()

    return {START: start_finish, FULL: full, PAIR: pair}


class _Yield:
    """What a coroutine awaits to be paused once."""

    def __await__(self):
        yield


def coroutine() -> dict[str, Loop]:
    """Does less, as a generator: `async def` all the way. Driven by hand."""
    once_paused = _Yield()

    async def nothing():
        return 1

    async def once():
        await once_paused
        return 1

    async def for_ever():
        while True:
            await once_paused

    paused = for_ever()

    def start_finish(count):
        for _ in repeat(None, count):
            try:
                nothing().send(None)
            except StopIteration:
                pass

    def full(count):
        for _ in repeat(None, count):
            call = once()
            call.send(None)
            try:
                call.send(None)
            except StopIteration:
                pass

    def pair(count):
        resume = paused.send
        for _ in repeat(None, count):
            resume(None)

    return {START: start_finish, FULL: full, PAIR: pair}


class _Turns:
    """Two locks, by which a thread hands over to another and waits until it is resumed."""

    __slots__ = ("go", "paused")

    def __init__(self) -> None:
        self.go, self.paused = threading.Lock(), threading.Lock()
        self.go.acquire()
        self.paused.acquire()

    def pause(self) -> None:
        self.paused.release()
        self.go.acquire()

    def resume(self) -> None:
        self.go.release()
        self.paused.acquire()


def thread_new() -> dict[str, Loop]:
    """Does more: threads run at the same time, where the interpreter lets them."""
    Thread = threading.Thread  # noqa: N806

    def nothing():
        return 1

    def start_finish(count):
        for _ in repeat(None, count):
            thread = Thread(target=nothing)
            thread.start()
            thread.join()

    def full(count):
        for _ in repeat(None, count):
            turns = _Turns()
            thread = Thread(target=turns.pause)
            thread.start()
            turns.paused.acquire()
            turns.go.release()
            thread.join()

    def for_ever(turns):
        while True:
            turns.pause()

    turns = _Turns()
    Thread(target=for_ever, args=(turns,), daemon=True).start()
    turns.paused.acquire()

    def pair(count):
        for _ in repeat(None, count):
            turns.resume()

    return {START: start_finish, FULL: full, PAIR: pair}


def thread_pooled() -> dict[str, Loop]:
    """The standard library's pool of threads. Its pair is that of any thread."""
    submit = ThreadPoolExecutor(1).submit

    def nothing():
        return 1

    def start_finish(count):
        for _ in repeat(None, count):
            submit(nothing).result()

    def full(count):
        for _ in repeat(None, count):
            turns = _Turns()
            future = submit(turns.pause)
            turns.paused.acquire()
            turns.go.release()
            future.result()

    return {START: start_finish, FULL: full}


OURS = "job"
NATIVE = "job, native"
_C_NAMED = "job, OpenSSL's names"
_HERE = "_peers_plain"
PEERS: dict[str, Callable[[], dict[str, Loop]]] = {
    OURS: job,
    NATIVE: on_native(_HERE, OURS),
    _C_NAMED: c_named,
    f"{_C_NAMED}, native": on_native(_HERE, _C_NAMED),
    "libcrypto (C)": libcrypto,
    "greenlet, pooled": greenlet_pooled,
    "greenlet, new each time": greenlet_new,
    "generator": generator,
    "native coroutine": coroutine,
    "thread, new each time": thread_new,
    "ThreadPoolExecutor": thread_pooled,
}
#: Those that make a call stack for each call.
STACK_EACH = ("greenlet, new each time", "thread, new each time")
