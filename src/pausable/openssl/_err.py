"""OpenSSL's error queue: one for each thread, 15 errors deep, the oldest lost first.

Entries are kept unpacked; each generation of the API packs them into its own codes.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import Any, Final, NamedTuple, TextIO

from pausable._thread_local import get_ident, interpreters_local
from pausable.openssl._ref import expect

__all__ = ["ERR_LIB_ASYNC", "Entry", "ErrorQueue", "Reason"]

ERR_LIB_ASYNC: Final = 51

#: OpenSSL's ring has 16 places, of which one stays empty.
DEPTH: Final = 15


class Reason(NamedTuple):
    """Why: the code in 3.x, the code before, the text."""

    code: int
    code_1_1: int
    text: str


_FATAL: Final = 0xC0000

CANNOT_CREATE_WAIT_PIPE: Final = Reason(100, 100, "cannot create wait pipe")
INVALID_POOL_SIZE: Final = Reason(103, 103, "invalid pool size")
INTERNAL_ERROR: Final = Reason(_FATAL | 259, 68, "internal error")
MALLOC_FAILURE: Final = Reason(_FATAL | 256, 65, "malloc failure")
PASSED_NULL_PARAMETER: Final = Reason(_FATAL | 258, 67, "passed a null parameter")

_REASONS: Final = (
    CANNOT_CREATE_WAIT_PIPE,
    INVALID_POOL_SIZE,
    INTERNAL_ERROR,
    MALLOC_FAILURE,
    PASSED_NULL_PARAMETER,
)

#: Function codes of 1.1; 3.x has names only.
_FUNCTIONS: Final = {
    "ASYNC_init_thread": 101,
    "ASYNC_init_pool": 101,
    "async_job_new": 102,
    "ASYNC_pause_job": 103,
    "async_start_func": 104,
    "ASYNC_start_job": 105,
    "ASYNC_WAIT_CTX_set_wait_fd": 106,
}


class Entry(NamedTuple):
    """One error."""

    reason: Reason
    function: str
    file: str
    line: int
    detail: str


_local = interpreters_local()


def _queue() -> deque[Entry]:
    """Return the calling thread's queue."""
    try:
        queue: deque[Entry] = _local.queue
    except AttributeError:
        queue = _local.queue = deque(maxlen=DEPTH)
    return queue


class ErrorQueue:
    """The ERR functions of one generation of the API, over the one queue of each thread.

    Threads: any; each has its own queue. It belongs to the thread, not to the job: what a job
    leaves in it is there after its pause.
    """

    def __init__(self, *, functions_have_codes: bool) -> None:
        self._old = functions_have_codes

    def put(self, reason: Reason, function: str, detail: str = "") -> None:
        """Add an error."""
        frame = sys._getframe(1)
        while frame.f_code.co_filename == __file__ and frame.f_back is not None:
            frame = frame.f_back
        file = frame.f_code.co_filename.rpartition("/")[2]
        _queue().append(Entry(reason, function, file, frame.f_lineno, detail))

    def refuse(self, function: str, what_now: str) -> int:
        """Add *internal error* for what OpenSSL leaves undefined; return 0 (ASYNC_ERR)."""
        self.put(INTERNAL_ERROR, function, what_now)
        return 0

    def null(self, function: str, parameter: str) -> int:
        """Add *passed a null parameter*; return 0 (ASYNC_ERR)."""
        self.put(PASSED_NULL_PARAMETER, function, f"{parameter} is NULL")
        return 0

    def ERR_get_error(self) -> int:
        """Return the earliest error's code and remove it; 0 if there is none.

        See: ERR_get_error(3)
        """
        queue = _queue()
        return self._pack(queue.popleft()) if queue else 0

    def ERR_peek_error(self) -> int:
        """Return the earliest error's code; 0 if there is none.

        See: ERR_peek_error(3)
        """
        queue = _queue()
        return self._pack(queue[0]) if queue else 0

    def ERR_clear_error(self) -> None:
        """Empty the queue.

        See: ERR_clear_error(3)
        """
        _queue().clear()

    def ERR_error_string(self, e: int, buf: bytearray | None) -> str:
        """Return the text of a code, as ``error:19800067:ASYNC routines::invalid pool size``.

        Args:
            e: a code of `ERR_get_error`.
            buf: None, or a bytearray that the text and a NUL are written to as well; it is made
                longer where needed.
        See: ERR_error_string(3)
        """
        expect("buf", buf, bytearray)
        text = self._text(e, self._function_name(e))
        if buf is not None:
            data = text.encode() + b"\0"
            buf[: len(data)] = data
        return text

    def ERR_print_errors(self, bp: TextIO | None) -> None:
        """Print all errors, one to a line, and empty the queue.

        A line has the thread, the text, where it was raised, and a detail: what was refused and
        what to do instead.

        Args:
            bp: a text file; None: stderr.
        See: ERR_print_errors(3)
        """
        queue = _queue()
        while queue:
            entry = queue.popleft()
            text = self._text(self._pack(entry), entry.function)
            where = f"{entry.file}:{entry.line}:{entry.detail}"
            print(f"{get_ident():X}:{text}:{where}", file=bp or sys.stderr)

    def ERR_print_errors_fp(self, fp: TextIO | None) -> None:
        """Do as `ERR_print_errors`.

        See: ERR_print_errors_fp(3)
        """
        self.ERR_print_errors(fp)

    def ERR_GET_LIB(self, e: int) -> int:
        """Return the library's number in a code (51: ASYNC).

        See: ERR_GET_LIB(3)
        """
        return (e >> 24) & 0xFF if self._old else (e >> 23) & 0xFF

    def ERR_GET_REASON(self, e: int) -> int:
        """Return the reason's number in a code.

        See: ERR_GET_REASON(3)
        """
        return e & 0xFFF if self._old else e & 0x7FFFFF

    def ERR_lib_error_string(self, e: int) -> str | None:
        """Return the library's name in a code, or None.

        See: ERR_lib_error_string(3)
        """
        return "ASYNC routines" if self.ERR_GET_LIB(e) == ERR_LIB_ASYNC else None

    def ERR_reason_error_string(self, e: int) -> str | None:
        """Return the reason's text in a code, or None.

        See: ERR_reason_error_string(3)
        """
        if self.ERR_GET_LIB(e) != ERR_LIB_ASYNC:
            return None
        number = self.ERR_GET_REASON(e)
        for reason in _REASONS:
            if number == (reason.code_1_1 if self._old else reason.code):
                return reason.text
        return None

    def _pack(self, entry: Entry) -> int:
        if self._old:
            function = _FUNCTIONS.get(entry.function, 0)
            return ERR_LIB_ASYNC << 24 | function << 12 | entry.reason.code_1_1
        return ERR_LIB_ASYNC << 23 | entry.reason.code

    def _function_name(self, e: int) -> str:
        if not self._old:
            return ""
        number = (e >> 12) & 0xFFF
        names = (name for name, code in _FUNCTIONS.items() if code == number)
        return next(names, f"func({number})")

    def _text(self, e: Any, function: str) -> str:
        library = self.ERR_lib_error_string(e) or f"lib({self.ERR_GET_LIB(e)})"
        reason = self.ERR_reason_error_string(e) or f"reason({self.ERR_GET_REASON(e)})"
        return f"error:{e:08X}:{library}:{function}:{reason}"
