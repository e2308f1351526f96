"""An interpreter of the scenario language over the public C-named functions.

    WHO: op operands -> result [err=[LIB:reason; ...]]

It knows the language and nothing else: whatever an operation does is done by a function of
`pausable.openssl` (or `pausable.openssl.pre1_1`), and what it prints is what that returned. Threads
are real ones; an operation of another thread is waited for.
"""

from __future__ import annotations

import queue
import select
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from pausable import openssl
from pausable.openssl import Ref, pre1_1

__all__ = ["ScriptError", "run"]


class ScriptError(Exception):
    """The script is not in the language."""


class _Return(Exception):
    """Leaves a job function's body."""


def run(script: str, *, pool_api: bool = False) -> list[str]:
    """Run a script and return its trace.

    Args:
        script: the program.
        pool_api: it is one of the API of 2015.
    """
    dialect = _PoolApi() if pool_api else _Interpreter()
    return dialect.run(script)


class _Worker:
    """A thread of the script."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._busy = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def do(self, call: Callable[[], None]) -> None:
        if self._busy:
            raise ScriptError("the thread waits for another one")
        self._busy = True
        self._calls.put(call)
        exc = self._done.get()
        self._busy = False
        if exc is not None:
            raise exc

    def join(self) -> None:
        if self._busy:
            raise ScriptError("the thread waits for another one")
        self._calls.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except BaseException as exc:
                self._done.put(exc)
            else:
                self._done.put(None)
            del call


class _Interpreter:
    api: ModuleType = openssl

    def __init__(self) -> None:
        self.trace: list[str] = []
        self.bodies: dict[str, list[list[str]]] = {}
        self.functions: dict[str, Callable[[Any], int]] = {}
        self.slots: dict[str, Ref] = {}
        self.contexts: dict[str, Any] = {}
        self.buffers: dict[str, bytearray] = {}
        self.libraries: dict[str, Any] = {}
        self.callbacks: dict[str, Callable[[Any], int]] = {}
        self.cleanups: dict[str, Callable[..., None]] = {}
        self.threads: dict[str, _Worker] = {}
        self.ids = False
        self.seen: dict[int, int] = {}
        self.handles: list[Any] = []  # so that no id() is given twice
        self.stacks_before = self.api.jobs_in_existence()
        self.local = threading.local()

    # -- the program -----------------------------------------------------------------------------

    def run(self, script: str) -> list[str]:
        main = self._parse(script)
        worker = _Worker("main")  # a fresh thread is what a fresh process is to OpenSSL
        end = "END"
        try:
            worker.do(lambda: self._run_main(main))
        except _Return:  # in the main program it ends the program
            pass
        except Exception as exc:  # as the oracle shows a crash
            end = f"*** {exc!r}"
        trace = [*self.trace, end]
        for other in [*self.threads.values(), worker]:
            other.join()
        return trace

    def _run_main(self, main: list[list[str]]) -> None:
        self._enter_thread("")
        self._execute(main)

    def _parse(self, script: str) -> list[list[str]]:
        main: list[list[str]] = []
        body: list[list[str]] | None = None
        for line in script.splitlines():
            words = _strip(line)
            if not words:
                continue
            if words[0] == "func":
                body = self.bodies[words[1]] = []
            elif words[0] == "end":
                body = None
            else:
                (main if body is None else body).append(words)
        return main

    def _execute(self, lines: list[list[str]]) -> None:
        for words in lines:
            self._do(words)

    def _do(self, words: list[str]) -> None:
        if words[0].startswith("@") and len(words[0]) > 1:
            self._do_elsewhere(words[0][1:], words[1:])
            return
        quiet = words[0] == "q"
        if quiet:
            words = words[1:]
        if words[0].startswith("@") and len(words[0]) > 1:
            self._do_elsewhere(words[0][1:], ["q", *words[1:]])
            return
        self.local.quiet = quiet
        op, *operands = words
        method = getattr(self, f"op_{op}", None)
        if method is None:
            raise ScriptError(f"unknown operation {op!r}")
        outcome = method(*operands)
        if outcome is not None and not quiet:
            self._print(words, outcome)
        if op == "ret":
            raise _Return(int(operands[0]))

    def _do_elsewhere(self, name: str, words: list[str]) -> None:
        if name not in self.threads:
            self.threads[name] = _Worker(name)
            self.threads[name].do(lambda: self._enter_thread(f"{name}/"))
        self.threads[name].do(lambda: self._do(words))

    def _enter_thread(self, prefix: str) -> None:
        self.local.prefix = prefix
        self.local.who = ["main"]
        self.local.args = [None]
        self.local.quiet = False

    def _print(self, words: list[str], outcome: str) -> None:
        who = f"{self.local.prefix}{self.local.who[-1]}"
        arrow = f" -> {outcome}" if outcome else ""
        self.trace.append(f"{who}: {' '.join(words)}{arrow}{self._drain()}")

    def _drain(self) -> str:
        errors = []
        while code := self.api.ERR_get_error():
            library = (self.api.ERR_lib_error_string(code) or "?").split()[0]
            errors.append(f"{library}:{self.api.ERR_reason_error_string(code)}")
        return f" err=[{'; '.join(errors)}]" if errors else ""

    # -- names -----------------------------------------------------------------------------------

    def _slot(self, name: str) -> Ref:
        return self.slots.setdefault(name, Ref(None))

    def _handle(self, handle: Any) -> str:
        if handle is None:
            return "NULL"
        if not self.ids or self.local.quiet:
            return "JOB"
        if id(handle) not in self.seen:
            self.seen[id(handle)] = len(self.seen) + 1
            self.handles.append(handle)
        return f"job#{self.seen[id(handle)]}"

    def _context(self, name: str) -> Any:
        if name == "null":
            return None
        if name == "@":
            return self.api.ASYNC_get_wait_ctx(self.api.ASYNC_get_current_job())
        return self.contexts[name]

    def _context_name(self, ctx: Any) -> str:
        if ctx is None:
            return "NULL"
        return next((name for name, known in self.contexts.items() if known is ctx), "?")

    def _job(self, name: str) -> Any:
        return self.api.ASYNC_get_current_job() if name == "@" else self._slot(name).value

    def _function(self, name: str) -> Callable[[Any], int]:
        if name not in self.functions:

            def call(args: Any) -> int:
                return self._run_body(name, args)

            self.functions[name] = call
        return self.functions[name]

    def _run_body(self, name: str, args: Any) -> int:
        # Read again at each step: a job's own are pushed and popped as it pauses and is resumed.
        self.local.who.append(name)
        self.local.args.append(args)
        try:
            self._execute(self.bodies[name])
        except _Return as returned:
            return int(returned.args[0])
        finally:
            self.local.who.pop()
            self.local.args.pop()
        return 0

    # -- jobs ------------------------------------------------------------------------------------

    def op_init(self, max_size: str, init_size: str) -> str:
        return str(self.api.ASYNC_init_thread(int(max_size), int(init_size)))

    def op_cleanup(self) -> str:
        self.api.ASYNC_cleanup_thread()
        return "ok"

    def op_capable(self) -> str:
        return str(self.api.ASYNC_is_capable())

    def op_start(
        self, slot: str, ctx: str, function: str, arg: str = "null", size: str = ""
    ) -> str:
        data: Any = None
        if arg != "null":
            data = self.buffers.get(arg, arg.encode())
        length = int(size) if size else len(data or b"")
        ref, ret = self._slot(slot), Ref(_UNSET)
        # The job, when it pauses, leaves its own place in the script behind.
        who, args, quiet = self.local.who[:], self.local.args[:], self.local.quiet
        fresh = ref.value is None and self.api.ASYNC_get_current_job() is None
        context = self._context(ctx) if fresh else self.contexts.get(ctx)
        code = self._start(ref, context, ret, self._function(function), data, length)
        self.local.who, self.local.args, self.local.quiet = who, args, quiet
        text = {0: "ERR", 1: "NO_JOBS", 2: "PAUSE", 3: "FINISH"}[code]
        if code == self.api.ASYNC_FINISH:
            return f"{text} ret={ret.value} {slot}={self._handle(ref.value)}"
        written = "" if ret.value is _UNSET else f" retset={ret.value}"
        return f"{text} {slot}={self._handle(ref.value)}{written}"

    def _start(self, ref: Ref, ctx: Any, ret: Ref, function: Any, data: Any, size: int) -> int:
        return self.api.ASYNC_start_job(ref, ctx, ret, function, data, size)

    def op_pause(self) -> str:
        who, args = self.local.who[:], self.local.args[:]
        code = self.api.ASYNC_pause_job()
        self.local.who, self.local.args = who, args
        return str(code)

    def op_block(self) -> str:
        self.api.ASYNC_block_pause()
        return "ok"

    def op_unblock(self) -> str:
        self.api.ASYNC_unblock_pause()
        return "ok"

    def op_ret(self, value: str) -> str:
        return ""  # _do leaves the body

    def op_call(self, name: str) -> str:
        return str(self._run_body(name, self.local.args[-1]))

    def op_say(self, *words: str) -> str:
        return ""

    def op_current(self) -> str:
        return self._handle(self.api.ASYNC_get_current_job())

    def op_iscurrent(self, slot: str) -> str:
        return str(int(self._slot(slot).value is self.api.ASYNC_get_current_job()))

    def op_slot(self, slot: str) -> str:
        return self._handle(self._slot(slot).value)

    def op_waitctx(self, slot: str) -> str:
        return self._context_name(self.api.ASYNC_get_wait_ctx(self._job(slot)))

    def op_slotcopy(self, target: str, source: str) -> str:
        self._slot(target).value = self._slot(source).value
        return ""

    def op_slotnull(self, slot: str) -> str:
        self._slot(slot).value = None
        return ""

    def op_live(self) -> str:
        return str(self.api.jobs_in_existence() - self.stacks_before)

    def op_ids(self, switch: str) -> str:
        self.ids = switch == "on"
        return ""

    # -- arguments -------------------------------------------------------------------------------

    def op_arg(self) -> str:
        data = self.local.args[-1]
        return "NULL" if data is None else f"'{data.decode()}'"

    def op_setarg(self, index: str, char: str) -> str:
        self.local.args[-1][int(index)] = ord(char)
        return ""

    def op_buf(self, name: str, text: str) -> str:
        self.buffers[name] = bytearray(text.encode())
        return ""

    def op_poke(self, name: str, index: str, char: str) -> str:
        self.buffers[name][int(index)] = ord(char)
        return ""

    def op_showbuf(self, name: str) -> str:
        return self.buffers[name].decode()

    # -- wait contexts ---------------------------------------------------------------------------

    def op_newctx(self, name: str) -> str:
        self.contexts[name] = self.api.ASYNC_WAIT_CTX_new()
        return "ok"

    def op_freectx(self, name: str) -> str:
        self.api.ASYNC_WAIT_CTX_free(self._context(name))
        return "ok"

    def op_setfd(self, ctx: str, key: str, fd: str, data: str = "null", cleanup: str = "-") -> str:
        routine = None if cleanup == "-" else self._cleanup(cleanup)
        return str(
            self.api.ASYNC_WAIT_CTX_set_wait_fd(
                self._context(ctx), _null(key), int(fd), _null(data), routine
            )
        )

    def _cleanup(self, name: str) -> Callable[..., None]:
        if name not in self.cleanups:

            def cleanup(ctx: Any, key: Any, fd: int, data: Any) -> None:
                where = self._context_name(ctx)
                what = f"key={_or_null(key)} fd={fd} data={_or_null(data)}"
                self.trace.append(f"*cleanup {name} ctx={where} {what}")

            self.cleanups[name] = cleanup
        return self.cleanups[name]

    def op_clearfd(self, ctx: str, key: str) -> str:
        return str(self.api.ASYNC_WAIT_CTX_clear_fd(self._context(ctx), _null(key)))

    def op_getfd(self, ctx: str, key: str) -> str:
        fd, data = Ref(), Ref()
        if not self.api.ASYNC_WAIT_CTX_get_fd(self._context(ctx), _null(key), fd, data):
            return "0"
        return f"1 fd={fd.value} data={_or_null(data.value)}"

    def op_allfds(self, ctx: str) -> str:
        counted, listed = Ref(), Ref()
        fds: list[int] = []
        context = self._context(ctx)
        self.api.ASYNC_WAIT_CTX_get_all_fds(context, None, counted)
        code = self.api.ASYNC_WAIT_CTX_get_all_fds(context, fds, listed)
        assert counted.value == listed.value == len(fds)
        return f"{code} n={listed.value} [{' '.join(map(str, fds))}]"

    def op_changed(self, ctx: str) -> str:
        numadd, numdel = Ref(), Ref()
        added: list[int] = []
        deleted: list[int] = []
        code = self.api.ASYNC_WAIT_CTX_get_changed_fds(
            self._context(ctx), added, numadd, deleted, numdel
        )
        add = f"add={numadd.value}[{' '.join(map(str, added))}]"
        return f"{code} {add} del={numdel.value}[{' '.join(map(str, deleted))}]"

    def op_setcb(self, ctx: str, name: str, arg: str) -> str:
        callback = None if name == "null" else self._callback(name)
        return str(self.api.ASYNC_WAIT_CTX_set_callback(self._context(ctx), callback, _null(arg)))

    def _callback(self, name: str) -> Callable[[Any], int]:
        if name not in self.callbacks:

            def callback(arg: Any) -> int:
                self.trace.append(f"*callback {name} arg={_or_null(arg)}")
                return ord(name[0])

            self.callbacks[name] = callback
        return self.callbacks[name]

    def op_getcb(self, ctx: str) -> str:
        callback, arg = Ref(), Ref("untouched")
        code = self.api.ASYNC_WAIT_CTX_get_callback(self._context(ctx), callback, arg)
        known = [name for name, function in self.callbacks.items() if function is callback.value]
        return f"{code} cb={known[0] if known else '-'} arg={_or_null(arg.value)}"

    def op_callcb(self, ctx: str) -> str:
        callback, arg = Ref(), Ref()
        if not self.api.ASYNC_WAIT_CTX_get_callback(self._context(ctx), callback, arg):
            return "0"
        return f"1 returned={callback.value(arg.value)}"

    def op_setstatus(self, ctx: str, status: str) -> str:
        return str(self.api.ASYNC_WAIT_CTX_set_status(self._context(ctx), int(status)))

    def op_getstatus(self, ctx: str) -> str:
        return str(self.api.ASYNC_WAIT_CTX_get_status(self._context(ctx)))

    # -- library contexts ------------------------------------------------------------------------

    def op_newlib(self, name: str) -> str:
        self.libraries[name] = self.api.OSSL_LIB_CTX_new()
        return "ok"

    def op_setlib(self, name: str) -> str:
        if name == "global":
            library = self.api.OSSL_LIB_CTX_get0_global_default()
        else:
            library = self.libraries[name]
        self.api.OSSL_LIB_CTX_set0_default(library)
        return "ok"

    def op_getlib(self) -> str:
        return self._library_name(self.api.OSSL_LIB_CTX_set0_default(None))

    def _library_name(self, library: Any) -> str:
        return next((name for name, known in self.libraries.items() if known is library), "global")

    # -- threads ---------------------------------------------------------------------------------

    def op_join(self, name: str) -> str:
        self.threads.pop(name).join()
        return "ok"


class _PoolApi(_Interpreter):
    """The API of 2015."""

    api = pre1_1

    def __init__(self) -> None:
        super().__init__()
        self.wait_fds: dict[int, int] = {}

    def _context(self, name: str) -> None:
        """There are none."""

    def op_init(self, max_size: str, init_size: str) -> str:
        return str(pre1_1.ASYNC_init_pool(int(max_size), int(init_size)))

    def op_cleanup(self) -> str:
        pre1_1.ASYNC_free_pool()
        return "ok"

    def _start(self, ref: Ref, ctx: Any, ret: Ref, function: Any, data: Any, size: int) -> int:
        return pre1_1.ASYNC_start_job(ref, ret, function, data, size)

    def op_wake(self, slot: str) -> str:
        pre1_1.ASYNC_wake(self._job(slot))
        return "ok"

    def op_clearwake(self, slot: str) -> str:
        pre1_1.ASYNC_clear_wake(self._job(slot))
        return "ok"

    def op_ready(self, slot: str) -> str:
        poller = select.poll()
        poller.register(pre1_1.ASYNC_get_wait_fd(self._job(slot)), select.POLLIN)
        return str(len(poller.poll(0)))

    def op_waitfd(self, slot: str) -> str:
        fd = pre1_1.ASYNC_get_wait_fd(self._job(slot))
        return f"fd#{self.wait_fds.setdefault(fd, len(self.wait_fds) + 1)}"


_UNSET = object()


def _strip(line: str) -> list[str]:
    """Return a line's words up to a comment."""
    words: list[str] = []
    for word in line.split():
        if word.startswith("#"):
            break
        words.append(word)
    return words


def _null(word: str) -> str | None:
    return None if word == "null" else word


def _or_null(word: str | None) -> str:
    return "NULL" if word is None else word
