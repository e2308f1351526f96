"""For tests of code that pauses: nothing in here sleeps, and nothing depends on luck.

* `FakeEngine`: does nothing until the test says `engine.finish("sign-1", signature)`.
* `FakeLoop`: runs jobs a step at a time, in an order and with a clock that are the test's.
* `FaultyEngine`: wraps a real engine and adds delays, failures and spurious wakes, by seed.

Jobs, wait contexts and wakers are the real ones. docs/testing.md is the guide; for pytest there
are fixtures and a check for jobs left behind in `pausable.pytest_plugin`.
"""

from pausable.testing._engine import FakeEngine
from pausable.testing._faulty import Faults, FaultyEngine, InjectedFault
from pausable.testing._loop import FakeLoop, JobsStuck
from pausable.testing._operation import Operation, UnfinishedOperations

__all__ = [
    "FakeEngine",
    "FakeLoop",
    "Faults",
    "FaultyEngine",
    "InjectedFault",
    "JobsStuck",
    "Operation",
    "UnfinishedOperations",
]
