"""Single steps of random programs in the scenario language, and the dice that choose them.

What is made here is well-formed, not always defined: the generator asks the model. A step may be
several lines, joined by newlines.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

from scenario.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Maker = Callable[[], str]
    Menu = Sequence[tuple[float, Maker]]

T = TypeVar("T")

SLOTS = ["j", "k", "l", "m", "n"]
CONTEXTS = ["c", "d", "e"]
KEYS = ["eng", "key", "null"]
DATA = ["one", "two", "null"]
CLEANUPS = ["X", "Y", "-"]
CALLBACKS = ["F", "G", "F", "null"]
WORDS = ["abcd", "wxyz", "hello"]
BUFFERS = ["b", "p"]
LIBS = ["L", "M"]
THREADS = ["T", "U"]
RETURNS = [0, 1, 2, 3, 5, -1, 42, 2147483647, -2147483648]
FDS = [3, 4, 5, 6, 7, 8, 9, 10, 50, -1]


class StepMaker:
    """Dice, a mood, and one method for each kind of step.

    `model` is the state that a step of the main program will meet; within a body it says nothing.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random
        self._draw_mood()
        self.bodies: dict[str, list[str]] = {}
        self.model = Model(self.bodies)
        self.funcs: list[str] = []
        self.callable: list[str] = []
        self._in_body = False

    def _draw_mood(self) -> None:
        self.threads = THREADS[: self._pick([0, 0, 1, 2])]
        self.with_libs = self._chance(0.3)
        self.limited = self._chance(0.5)
        self.contexts = CONTEXTS[: self._pick([1, 2, 2, 3])]
        self.slots = SLOTS[: self._pick([2, 3, 4, 5])]
        self.leaky = self._chance(0.3)  # blocks left behind
        self.reckless = self._chance(0.3)  # contexts freed, handles lost, pools replaced
        self.eagerness = self._pick([8, 14, 30])  # to start jobs, against 18 to resume them
        self.trace_lines = 15 + int(self._random() * 45)

    # ---- dice ----

    def _chance(self, share: float) -> bool:
        return self._random() < share

    def _pick(self, things: Sequence[T]) -> T:
        return things[int(self._random() * len(things))]

    def _serve(self, menu: Menu) -> str:
        at = self._random() * sum(weight for weight, _ in menu)
        for weight, maker in menu:
            at -= weight
            if at < 0:
                return maker()
        return menu[-1][1]()

    # ---- jobs ----

    def _start(self, thread: str = "main") -> str:
        """Most often into an empty slot, so that a job begins."""
        empty = [slot for slot in self.slots if slot not in self.model.slots] or self.slots
        context = "null" if self._chance(0.04) else self._context()
        func = self._pick(self.funcs)
        return f"start {self._pick(empty)} {context} {func}{self._argument()}"

    def _resume(self, thread: str = "main") -> str:
        """Any operands do: they are ignored."""
        paused = self.model.paused(self.model.thread(thread)) or self.slots
        rest = f"{self._context()} {self._pick(self.funcs)}"
        if self._chance(0.15):
            rest = f"{self._pick(['null', self._context()])} null null 99"
        return f"start {self._pick(paused)} {rest}"

    def _nested_start(self) -> str:
        """In a job that was resumed before, as only that is defined."""
        start = (
            f"start {self._pick(SLOTS)} {self._context()} {self._pick(self.callable or ['null'])}"
        )
        return f"pause\n{start}" if self._in_body and self._chance(0.7) else start

    def _argument(self) -> str:
        if self._chance(0.45):
            return ""
        argument = self._pick([*BUFFERS, *BUFFERS, *WORDS, "null"])
        return f" {argument} {self._pick([0, 1, 2, 3, 4])}" if self._chance(0.2) else f" {argument}"

    def _call(self) -> str:
        return f"call {self._pick(self.callable or ['fix'])}"

    def _init(self) -> str:
        sizes = ["1 0", "1 1", "2 0", "2 1", "2 2", "3 1", "3 3", "0 0", "1 2", "0 1", "4 0"]
        return f"init {self._pick(sizes)}"

    # ---- wait contexts ----

    def _context(self) -> str:
        return self._pick(self.model.live_contexts() or self.contexts)

    def _context_operand(self) -> str:
        return "@" if self._in_body and self._chance(0.75) else self._context()

    def _window(self) -> str:
        """What happens to one key around the end of a window."""
        context, key = self._context_operand(), self._pick(KEYS)
        change = [f"setfd {context} {key} {self._pick(FDS)} one X", f"clearfd {context} {key}"]
        lines = [self._pick(change), "pause", self._pick(change), self._pick(change)]
        return "\n".join([*lines, f"changed {context}"])

    def _context_step(self) -> str:
        context, key = self._context_operand(), self._pick(KEYS)
        return self._serve(
            [
                (12, lambda: self._setfd(context, key)),
                (5, lambda: f"clearfd {context} {key}"),
                (3, lambda: f"getfd {context} {key}"),
                (3, lambda: f"allfds {context}"),
                (8, lambda: f"changed {context}"),
                (2, lambda: f"setstatus {context} {self._pick([0, 1, 2, 3, 77, -1])}"),
                (2, lambda: f"getstatus {context}"),
                (3, lambda: f"setcb {context} {self._pick(CALLBACKS)} {self._pick(DATA)}"),
                (2, lambda: f"getcb {context}"),
                (2, lambda: f"callcb {context}"),
                (0.1, lambda: f"setcb null F {self._pick(DATA)}"),
            ]
        )

    def _setfd(self, context: str, key: str) -> str:
        line = f"setfd {context} {key} {self._pick(FDS)}"
        if self._chance(0.3):
            return line
        line += f" {self._pick(DATA)}"
        return f"{line} {self._pick(CLEANUPS)}" if self._chance(0.7) else line

    # ---- the rest ----

    def _argument_step(self) -> str:
        byte, letter = self._pick([0, 1, 2, 3]), self._pick("JQZ")
        return self._serve(
            [
                (4, lambda: "arg"),
                (4 if self._in_body else 0, lambda: f"setarg {byte} {letter}\narg"),
                (2, lambda: f"poke {self._pick(BUFFERS)} {byte} {letter}"),
                (2, lambda: f"showbuf {self._pick(BUFFERS)}"),
                (1, lambda: f"buf {self._pick(BUFFERS)} {self._pick(WORDS)}"),
            ]
        )

    def _look(self) -> str:
        slot = self._pick(self.slots)
        return self._serve(
            [
                (3, lambda: "current"),
                (2, lambda: f"slot {slot}"),
                (2, lambda: f"iscurrent {slot}"),
                (2, lambda: f"waitctx {'@' if self._in_body else slot}"),
                (3, lambda: "live"),
                (0.4, lambda: "capable"),
                (0.4, lambda: f"ids {self._pick(['on', 'off'])}"),
            ]
        )

    def _say(self) -> str:
        return f"say {self._pick(WORDS)}"

    def _library_step(self) -> str:
        if not self.with_libs:
            return "getlib"
        return self._pick(["getlib", f"setlib {self._pick([*LIBS, 'global'])}"])

    def _dirty(self) -> str:
        """Leave errors on the queue, now and then more than it keeps."""
        times = 17 if not self._in_body and self._chance(0.03) else self._pick([1, 1, 2])
        return "\n".join(["q init 1 2"] * times)

    def _quiet(self) -> str:
        return f"q {self._pick([self._context_step, self._look, self._argument_step])()}"

    def _reckless_step(self) -> str:
        slot, context = self._pick(self.slots), self._pick(self.contexts)
        free = [name for name in self.contexts if name not in self.model.contexts_in_use()]
        return self._serve(
            [
                (3, lambda: f"slotcopy {slot} {self._pick(self.slots)}"),
                (2, lambda: f"slotnull {slot}"),
                (0.3, lambda: f"freectx {context}"),
                (2 if free else 0, lambda: f"freectx {self._pick(free)}"),
                (2, lambda: f"newctx {context}"),
                (0.3, lambda: "freectx null"),
                (0.3 if self._in_body else 0, lambda: "freectx @"),
                (1, self._init),
            ]
        )

    def _elsewhere(self) -> str:
        thread = self._pick(self.threads)
        return f"@{thread} " + self._serve(
            [
                (8, lambda: self._start(thread)),
                (14, lambda: self._resume(thread)),
                (3, self._init),
                (2, self._look),
                (1, self._say),
                (4, self._foreign_context_step),
                (1, lambda: "q init 1 2"),
                (1, lambda: "cleanup"),
                (1, lambda: self._pick(["pause", "block", "unblock"])),
                (1 if self.with_libs else 0, self._library_step),
            ]
        )

    def _foreign_context_step(self) -> str:
        """By name: "@" would be the other thread's job."""
        context, key = self._context(), self._pick(KEYS)
        looks = [f"changed {context}", f"allfds {context}", f"getstatus {context}"]
        changes = [self._setfd(context, key), f"clearfd {context} {key}"]
        return self._pick([*looks, *changes])
