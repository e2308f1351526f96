"""What goes wrong with which operation, by seed: the same faults for the same operations."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Final, NamedTuple

from pausable import EngineError

__all__ = ["RATES", "FaultPlan", "Faults", "InjectedFault", "InjectedInterrupt"]

#: The kinds of faults that befall a share of operations. A new one comes last: which befall which
#: operation would change for all after it.
RATES: Final = (
    "error_rate",
    "again_rate",
    "early_wake_rate",
    "double_rate",
    "lose_rate",
    "pause_rate",
    "interrupt_rate",
)

#: What is counted.
KINDS: Final = (
    "operations",
    "again",
    "delayed",
    "errors",
    "early_wakes",
    "doubled",
    "lost",
    "pauses",
    "interrupts",
)

#: The most times in a row that an operation finds the engine busy.
STORM: Final = 5


class InjectedFault(EngineError):
    """A failure that a faulty engine made up, of the operation with this `number`."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"operation {number}: {what}")
        self.number = number


class InjectedInterrupt(BaseException):
    """What a faulty engine raised in submit, as Ctrl-C may, for the operation with this `number`.

    Nothing was begun. No `Exception`: code that catches those lets it pass.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"operation {number}: submit was interrupted, by seed")
        self.number = number


class Faults(NamedTuple):
    """What is to go wrong with one operation."""

    #: Its completion is told that much later than it could be.
    delay_s: float
    #: The work is done, but the answer is an `InjectedFault`.
    error: bool
    #: How often it is turned down (EAGAIN) before it is accepted.
    again: int
    #: Whoever asks to be told is called at once, complete or not.
    early_wake: bool
    #: Whoever asked to be told is called twice when it is complete.
    double: bool
    #: It never completes.
    lose: bool
    #: The job that submits it is paused in submit, once.
    pause: bool
    #: Submitting it raises an `InjectedInterrupt`.
    interrupt: bool


class FaultPlan:
    """Decides by seed and number alone, and counts what was done.

    Raises:
        TypeError, ValueError: a number is none or out of range.
    Threads: any.
    """

    def __init__(self, seed: int, *, max_delay_s: float, **rates: float) -> None:
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise TypeError(f"seed has to be an int, not {seed!r}")
        self._seed = seed
        self._max_delay_s = _number("max_delay_s", max_delay_s, threading.TIMEOUT_MAX)
        self._rates = [_number(name, rates[name]) for name in RATES]
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def faults(self, number: int) -> Faults:
        """Return what befalls the operation with that number."""
        draw = random.Random(f"{self._seed}:{number}")  # noqa: S311  # no secret
        # Each is drawn whatever its rate: one rate does not change what the others do.
        delay = draw.random()
        error, again, early, double, lose, pause, interrupt = (
            draw.random() < rate for rate in self._rates
        )
        return Faults(
            delay_s=delay * self._max_delay_s,
            error=error,
            again=draw.randint(1, STORM) if again else 0,
            early_wake=early,
            double=double,
            lose=lose,
            pause=pause,
            interrupt=interrupt,
        )

    @property
    def counts(self) -> dict[str, int]:
        """How often what was done."""
        with self._lock:
            return {kind: self._counts[kind] for kind in KINDS}

    def count(self, kind: str) -> int:
        """Count something; return how often it was done."""
        with self._lock:
            self._counts[kind] += 1
            return self._counts[kind]


def _number(name: str, value: float, most: float = 1.0) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name} has to be a number, not {value!r}")
    if not 0 <= value <= most:
        raise ValueError(f"{name} has to be between 0 and {most:g}, not {value!r}")
    return float(value)
