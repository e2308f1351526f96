"""What goes wrong with which operation, by seed: the same faults for the same operations."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Final, NamedTuple

from pausable import EngineError

__all__ = ["FaultPlan", "Faults", "InjectedFault"]

#: The most times in a row that an operation finds the engine busy.
STORM: Final = 5


class InjectedFault(EngineError):
    """A failure that a faulty engine made up, of the operation with this `number`."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"operation {number}: {what}")
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


class FaultPlan:
    """Decides by seed and number alone, and counts what was done.

    Raises:
        TypeError, ValueError: a number is none or out of range.
    Threads: any.
    """

    def __init__(
        self,
        seed: int,
        *,
        max_delay_s: float,
        error_rate: float,
        again_rate: float,
        early_wake_rate: float,
        double_rate: float,
        lose_rate: float,
    ) -> None:
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise TypeError(f"seed has to be an int, not {seed!r}")
        self._seed = seed
        self._max_delay_s = _number("max_delay_s", max_delay_s, threading.TIMEOUT_MAX)
        self._error_rate = _number("error_rate", error_rate)
        self._again_rate = _number("again_rate", again_rate)
        self._early_wake_rate = _number("early_wake_rate", early_wake_rate)
        self._double_rate = _number("double_rate", double_rate)
        self._lose_rate = _number("lose_rate", lose_rate)
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def faults(self, number: int) -> Faults:
        """Return what befalls the operation with that number."""
        draw = random.Random(f"{self._seed}:{number}")  # noqa: S311  # no secret
        # Each is drawn whatever its rate: one rate does not change what the others do.
        delay, error, again, early, double, lose = (draw.random() for _ in range(6))
        return Faults(
            delay_s=delay * self._max_delay_s,
            error=error < self._error_rate,
            again=draw.randint(1, STORM) if again < self._again_rate else 0,
            early_wake=early < self._early_wake_rate,
            double=double < self._double_rate,
            lose=lose < self._lose_rate,
        )

    @property
    def counts(self) -> dict[str, int]:
        """How often what was done."""
        kinds = ("operations", "again", "delayed", "errors", "early_wakes", "doubled", "lost")
        with self._lock:
            return {kind: self._counts[kind] for kind in kinds}

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
