"""What a script of the scenario language may do: a model of what is defined, and nothing else.

The generator runs it beside the program that it writes, so that programs stay defined until they
are meant not to be. It knows handles, threads, pools and which contexts live, because these
decide what is undefined; it knows nothing of descriptors, marks, values and errors, because the
oracle and the interpreter are compared on those, and a third opinion would only hide the first.

The rules are those of tests/oracle/world.c; a generated program that the oracle stops where the
model did not is a bug in one of the two (test_generator.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Steps = Generator[None, None, None]  # yields where the job really pauses

MAX_CALL_DEPTH = 16  # the oracle's: deeper does not fit a fibre stack


class Undefined(Exception):
    """The step just run is not defined; the model is of no further use."""


@dataclass
class Context:
    name: str
    freed: bool = False


@dataclass
class Pool:
    max_size: int
    made: int
    idle: int

    def take(self) -> bool:
        if self.idle:
            self.idle -= 1
        elif self.max_size and self.made >= self.max_size:
            return False
        else:
            self.made += 1
        return True


@dataclass
class Thread:
    name: str
    blocked: int = 0
    epoch: int = 0  # cleanups so far
    pool: Pool | None = None
    busy: bool = False


@dataclass(eq=False)
class Run:
    """One run of a job function."""

    func: str
    thread: Thread
    epoch: int
    context: Context | None
    arg_size: int  # 0: func gets NULL
    resumed: bool = False
    finished: bool = False
    fibre: Steps | None = None


@dataclass
class Place:
    """Where a step is executed: a frame of the oracle's."""

    thread: Thread
    run: Run | None = None
    depth: int = 0
    returned: bool = field(default=False)


class Model:
    """Run the main program line by line; `Undefined` is raised by the first undefined one.

    `lines` counts the trace lines printed so far, routines' lines excepted.
    """

    def __init__(self, bodies: dict[str, list[str]]) -> None:
        self.bodies = bodies
        self.main = Thread("main", busy=True)
        self.threads: dict[str, Thread] = {}
        self.slots: dict[str, Run] = {}
        self.contexts: dict[str, Context] = {}
        self.buffers: dict[str, int] = {}
        self.libs: set[str] = set()
        self.lines = 0

    def run(self, line: str) -> None:
        for _ in self._step(line, Place(self.main)):
            raise AssertionError("the main program cannot pause")

    # ---- what the generator likes to know ----

    def thread(self, name: str) -> Thread:
        return self.threads.get(name) or (self.main if name == "main" else Thread(name))

    def paused(self, thread: Thread) -> list[str]:
        """The slots whose jobs this thread may resume."""
        return [slot for slot, run in self.slots.items() if self._resumable(run, thread)]

    def live_contexts(self) -> list[str]:
        return [name for name, context in self.contexts.items() if not context.freed]

    def contexts_in_use(self) -> list[str]:
        return [
            run.context.name
            for run in self.slots.values()
            if run.context is not None and not run.finished
        ]

    @staticmethod
    def _resumable(run: Run, thread: Thread) -> bool:
        return (
            not run.finished
            and run.thread is thread
            and run.epoch == thread.epoch
            and run.context is not None
            and not run.context.freed
        )

    # ---- running ----

    def _body(self, name: str, place: Place) -> Steps:
        for line in self.bodies[name]:
            yield from self._step(line, place)
            if place.returned:
                return

    def _step(self, line: str, place: Place) -> Steps:
        words = line.split()
        quiet, thread = False, ""
        while words[0] == "q" or words[0].startswith("@"):
            prefix = words.pop(0)
            quiet, thread = (True, thread) if prefix == "q" else (quiet, prefix[1:])
        self.lines += not quiet
        if thread:
            self._elsewhere(thread, words)
        elif words[0] == "pause":
            if place.run is not None and not place.thread.blocked:
                yield
        elif words[0] == "call":
            yield from self._call(words[1], place)
        else:
            act: Callable[[Place, list[str]], None] = getattr(self, f"_{words[0]}", self._other)
            act(place, words)

    def _call(self, func: str, place: Place) -> Steps:
        if place.depth == MAX_CALL_DEPTH:
            raise Undefined(func)
        yield from self._body(func, Place(place.thread, place.run, place.depth + 1))

    def _elsewhere(self, name: str, words: list[str]) -> None:
        thread = self.threads.setdefault(name, Thread(name))
        self._want(not thread.busy, "busy")
        thread.busy = True
        self.lines -= 1  # the step below counts itself
        for _ in self._step(" ".join(words), Place(thread)):
            raise AssertionError("a thread's main level cannot pause")
        thread.busy = False

    @staticmethod
    def _want(defined: bool, why: str) -> None:
        if not defined:
            raise Undefined(why)

    # ---- jobs, threads and pools ----

    def _start(self, place: Place, words: list[str]) -> None:
        slot, context, func = words[1:4]
        run = self.slots.get(slot)
        if place.run is not None:  # nested: ERR, or undefined
            self._want(run is None and place.run.resumed, "nested")
            return
        if run is None:
            run = self._new_run(place.thread, context, func, words[4:])
            if run is None:
                return
        else:
            self._want(self._resumable(run, place.thread), "resume")
            run.resumed = True
        self._segment(run, slot)

    def _new_run(self, thread: Thread, context: str, func: str, args: list[str]) -> Run | None:
        self._want(func != "null", "function")
        owner = None if context == "null" else self._context(context, None)
        if thread.pool is None:
            thread.pool = Pool(0, 0, 0)
        size = self._arg_size(args)
        if not thread.pool.take():
            return None
        run = Run(func, thread, thread.epoch, owner, size)
        run.fibre = self._body(func, Place(thread, run))
        return run

    def _arg_size(self, args: list[str]) -> int:
        if not args or args[0] == "null":
            return 0
        length = self.buffers.get(args[0], len(args[0]))
        size = int(args[1]) if len(args) > 1 else length
        self._want(size <= length, "size")
        return size

    def _segment(self, run: Run, slot: str) -> None:
        assert run.fibre is not None
        try:
            next(run.fibre)
        except StopIteration:
            run.finished = True
            assert run.thread.pool is not None
            run.thread.pool.idle += 1
            self.slots.pop(slot, None)
        else:
            self.slots[slot] = run

    def _block(self, place: Place, words: list[str]) -> None:
        if place.run is not None:
            place.thread.blocked += 1

    def _unblock(self, place: Place, words: list[str]) -> None:
        if place.run is not None and place.thread.blocked:
            place.thread.blocked -= 1

    def _ret(self, place: Place, words: list[str]) -> None:
        place.returned = True

    def _init(self, place: Place, words: list[str]) -> None:
        max_size, init_size = int(words[1]), int(words[2])
        if init_size <= max_size:
            place.thread.pool = Pool(max_size, init_size, init_size)

    def _cleanup(self, place: Place, words: list[str]) -> None:
        self._want(place.run is None, "in a job")
        place.thread.pool = None
        place.thread.blocked = 0
        place.thread.epoch += 1

    def _join(self, place: Place, words: list[str]) -> None:
        thread = self.threads.pop(words[1], None)
        self._want(thread is not None and not thread.busy, "join")

    # ---- handles, arguments, contexts, libraries ----

    def _slotcopy(self, place: Place, words: list[str]) -> None:
        run = self.slots.get(words[2])
        if run is None:
            self.slots.pop(words[1], None)
        else:
            self.slots[words[1]] = run

    def _slotnull(self, place: Place, words: list[str]) -> None:
        self.slots.pop(words[1], None)

    def _waitctx(self, place: Place, words: list[str]) -> None:
        if words[1] == "@":
            self._context("@", place)
            return
        run = self.slots.get(words[1])
        self._want(run is not None and not run.finished, "handle")
        assert run is not None
        self._want(run.context is None or not run.context.freed, "freed")

    def _setarg(self, place: Place, words: list[str]) -> None:
        self._want(place.run is not None and int(words[1]) < place.run.arg_size, "no such byte")

    def _buf(self, place: Place, words: list[str]) -> None:
        self.buffers[words[1]] = len(words[2])

    def _poke(self, place: Place, words: list[str]) -> None:
        self._want(int(words[2]) < self.buffers.get(words[1], 0), "no such byte")

    def _showbuf(self, place: Place, words: list[str]) -> None:
        self._want(words[1] in self.buffers, "no such buffer")

    def _newctx(self, place: Place, words: list[str]) -> None:
        old = self.contexts.get(words[1])
        self._want(old is None or old.freed, "exists")
        self.contexts[words[1]] = Context(words[1])

    def _freectx(self, place: Place, words: list[str]) -> None:
        context = self._context(words[1], place)
        if context is not None:
            context.freed = True

    def _setcb(self, place: Place, words: list[str]) -> None:
        self._context(words[1], place)

    def _newlib(self, place: Place, words: list[str]) -> None:
        self._want(words[1] not in self.libs, "exists")
        self.libs.add(words[1])

    def _setlib(self, place: Place, words: list[str]) -> None:
        self._want(words[1] == "global" or words[1] in self.libs, "no such library context")

    def _context(self, word: str, place: Place | None) -> Context | None:
        if word == "null":
            return None
        if word == "@":
            self._want(place is not None and place.run is not None, "no current job")
            assert place is not None
            assert place.run is not None
            context = place.run.context
        else:
            context = self.contexts.get(word)
            self._want(context is not None, "no such context")
        self._want(context is None or not context.freed, "freed")
        return context

    def _other(self, place: Place, words: list[str]) -> None:
        """Everything else is defined unless its context operand is not."""
        if words[0] in CONTEXT_OPS:
            self._want(self._context(words[1], place) is not None, "NULL context")


CONTEXT_OPS = frozenset(
    ("setfd", "clearfd", "getfd", "allfds", "changed", "getcb", "callcb", "setstatus", "getstatus")
)
