"""Random programs in the scenario language, for comparing two implementations.

- The same seed gives the same program on every Python: only `Random.random` is used, the one
  method whose sequence is promised.
- A step is tried on the model first and dropped when it is not defined there, so that programs
  run long; about one in eight ends in a deliberate misdeed, for the stop rule.
- Each program draws its own mood (threads, limited pool, ids, shared context, ...): programs that
  do a bit of everything never get deep into anything.

`python tests/scenario/generator.py --stats 2000` shows what the programs do on the oracle;
`--show SEED` prints one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # run as a script: make the packages beside this one importable
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scenario.model import Model, Undefined
from scenario.shrink import shrink
from scenario.steps import BUFFERS, LIBS, RETURNS, THREADS, WORDS, StepMaker

if TYPE_CHECKING:
    from scenario.steps import Maker, Menu

__all__ = ["generate", "shrink"]

TRIES = 40  # a step that no menu can make defined: the program is finished
MISDEED_SHARE = 0.12


def generate(seed: int) -> list[str]:
    """Return the lines of the program of this seed: functions first, then the main program."""
    return _Writer(seed).program()


class _Writer(StepMaker):
    """Writes one program; `model` is the state after the lines of `main`."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.main: list[str] = []
        self.ends_badly = self._chance(MISDEED_SHARE)

    # ---- the program ----

    def program(self) -> list[str]:
        self._write_functions()
        self._prologue()
        while self.model.lines < self.trace_lines and self._add(self._main_step):
            pass
        if self.ends_badly:
            self._misdeed()
        elif self._chance(0.6):
            self._epilogue()
        return self._text()

    def _text(self) -> list[str]:
        lines: list[str] = []
        for name, body in self.bodies.items():
            lines += [f"func {name}", *(f" {line}" for line in body), "end"]
        return lines + self.main

    def _try(self, step: str) -> bool:
        """Append the step's lines if they are defined after what there is."""
        lines = step.split("\n")
        try:
            for line in lines:
                self.model.run(line)
        except Undefined:
            self.model = Model(self.bodies)
            for line in self.main:
                self.model.run(line)
            return False
        self.main += lines
        return True

    def _add(self, maker: Maker) -> bool:
        return any(self._try(maker()) for _ in range(TRIES))

    def _prologue(self) -> None:
        for context in self.contexts:
            self._try(f"newctx {context}")
        for library in LIBS if self.with_libs else []:
            self._try(f"newlib {library}")
        for buffer in BUFFERS:
            self._try(f"buf {buffer} {self._pick(WORDS)}")
        if self.limited:
            self._try(self._init())
        if self._chance(0.4):
            self._try("ids on")

    def _epilogue(self) -> None:
        """Finish what can be finished, in any order, and give everything back."""
        for _ in range(2 * len(self.slots)):
            self._add(lambda: self._serve([(3, self._resume), (1, self._look)]))
        for context in self.model.live_contexts():
            self._try(f"freectx {context}")
        for thread in list(self.model.threads):
            self._try(f"join {thread}")
        self._try("cleanup")
        self._try("live")

    def _misdeed(self) -> None:
        """Look for something undefined; what follows it must not matter."""
        for _ in range(TRIES):
            step = self._serve(self._misdeeds)
            if not self._try(step):
                self.main += [*step.split("\n"), "say not reached", "live"]
                return

    # ---- functions ----

    def _write_functions(self) -> None:
        """The last ones are leaves: calls go downwards, so that they end."""
        count = self._pick([3, 4, 5, 6])
        self.funcs = [f"f{i}" for i in range(count)]
        self._in_body = True
        for i, name in enumerate(self.funcs):
            self.callable = self.funcs[i + 1 :]
            self.bodies[name] = self._body()
        self._in_body = False
        self.callable = self.funcs
        self.bodies["fix"] = ["unblock", "unblock", "pause", "ret 9"]
        self.bodies["leak"] = ["block", "pause", "ret 8"]
        self.funcs += ["fix"] + ["leak"] * self.leaky
        if self.ends_badly:
            self.bodies["bad"] = [
                self._pick(["cleanup", "call bad", f"start z null {self.funcs[0]}"])
            ]

    def _body(self) -> list[str]:
        lines: list[str] = []
        for _ in range(self._pick([2, 4, 6, 8, 10])):
            lines += self._serve(self._body_menu).split("\n")
        if self._chance(0.7):
            lines.append("pause")
            lines += self._serve(self._body_menu).split("\n")
        if self._chance(0.8):
            lines.append(f"ret {self._pick(RETURNS)}")
        return lines

    @property
    def _body_menu(self) -> Menu:
        return [
            (16, lambda: "pause"),
            (30, self._context_step),
            (4, self._window),
            (5, self._blocked_part),
            (6, self._argument_step),
            (7, self._look),
            (4 if self.callable else 0, self._call),
            (2, self._say),
            (3, self._nested_start),
            (4 if self.with_libs else 0.1, self._library_step),
            (1.5, self._dirty),
            (3 if self.threads else 0, self._elsewhere),
            (1 if self.leaky else 0, lambda: "block"),
            (1 if self.leaky else 0, lambda: "unblock"),
            (2 if self.reckless else 0, self._reckless_step),
            (1, self._quiet),
            (0.5, self._init),
        ]

    def _blocked_part(self) -> str:
        """Blocks, counted and given back, around something that may pause."""
        count = self._pick([1, 1, 2])
        inner = self._serve(self._body_menu) if self._chance(0.5) else self._context_step()
        lines = ["block"] * count + ["pause", inner] + ["unblock"] * count
        return "\n".join(lines + ["unblock"] * self._chance(0.2))

    @property
    def _main_menu(self) -> Menu:
        model = self.model
        leak = 3.0 if model.main.blocked else 0.0
        return [
            (self.eagerness, self._start),
            (18, self._resume),
            (14, self._context_step),
            (4, self._argument_step),
            (8, self._look),
            (1, self._call),
            (1, self._say),
            (0.3, lambda: "pause"),
            (0.5, lambda: self._pick(["block", "unblock"])),
            (5 if self.with_libs else 0.1, self._library_step),
            (2, self._dirty),
            (20 if self.threads else 0, self._elsewhere),
            (2, self._quiet),
            (2.5 if self.reckless else 0.4, self._reckless_step),
            (1.5 if self.limited else 0.4, self._init),
            (0.3 if model.paused(model.main) else 1.5, lambda: "cleanup"),
            (leak, lambda: f"start {self._pick(self.slots)} {self._context()} fix"),
            (0.7 if model.threads else 0, lambda: f"join {self._pick(list(model.threads))}"),
        ]

    @property
    def _misdeeds(self) -> Menu:
        slot, func = self._pick(self.slots), self._pick(self.funcs)
        return [
            (3, lambda: f"start {slot} null null"),
            (2, lambda: f"@{self._pick(THREADS)} {self._resume()}"),
            (1, self._resume),
            (1, lambda: f"start {slot} zz {func}"),
            (1, lambda: f"start {slot} null {func} xxx 9"),
            (3, lambda: f"start {slot} {self._context()} bad"),
            (2, lambda: f"start z null leak\nstart z null {func}"),
            (4, self._use_of_finished_handle),
            (3, lambda: f"cleanup\n{self._resume()}"),
            (3, self._resume_after_free),
            (1, lambda: f"changed {self._pick(['null', '@', 'zz'])}"),
            (1, lambda: f"waitctx {self._pick([*self.slots, '@'])}"),
            (1, lambda: f"newctx {self._pick(self.contexts)}"),
            (1, lambda: f"join {self._pick(THREADS)}"),
            (1, lambda: f"poke b {self._pick([1, 4, 9])} z"),
            (0.5, lambda: "setarg 0 z"),
            (0.5, lambda: f"call {func}"),
        ]

    def _use_of_finished_handle(self) -> str:
        """Of a job that had a few pauses left; others may have its object by now."""
        slot = self._pick(self.model.paused(self.model.main) or self.slots)
        resumes = [f"start {slot} {self._context()} fix"] * self._pick([2, 4, 8])
        use = self._pick(["start z null null", "waitctx z"])
        return "\n".join([f"slotcopy z {slot}", *resumes, "slot z", "iscurrent z", use])

    def _resume_after_free(self) -> str:
        paused = self.model.paused(self.model.main)
        if not paused:
            return self._resume()
        context = self.model.slots[paused[0]].context
        name = self._context() if context is None else context.name
        again = [f"newctx {name}"] * self._chance(0.5)
        return "\n".join([f"freectx {name}", *again, f"start {paused[0]} {name} fix"])

    def _main_step(self) -> str:
        return self._serve(self._main_menu)


def _main(words: list[str]) -> None:
    if len(words) != 2 or words[0] not in ("--stats", "--show"):
        sys.exit("usage: generator.py --stats PROGRAMS | --show SEED")
    if words[0] == "--show":
        print("\n".join(generate(int(words[1]))))
    else:
        from scenario.stats import print_stats

        print_stats(int(words[1]))


if __name__ == "__main__":
    _main(sys.argv[1:])
