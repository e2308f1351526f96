"""For tests of code that pauses: nothing in here sleeps, and nothing depends on luck.

* `FakeEngine`: does nothing until the test says `engine.finish("sign-1", signature)`.
* `FakeLoop`: runs jobs a step at a time, in an order and with a clock that are the test's.
* `FaultEngine` wraps an engine, and `FaultyEngine` an executor: delays, failures, EAGAIN, lost and
  doubled completions, spurious wakes, pauses and interrupts in submit, by seed.

Jobs, wait contexts and wakers are the real ones. The how-to page "Test code that pauses" is the
guide; for pytest there are fixtures and a check for jobs left behind in `pausable.pytest_plugin`.
"""

from pausable.testing._engine import FakeEngine
from pausable.testing._fault_engine import FaultEngine
from pausable.testing._faults import Faults, InjectedFault, InjectedInterrupt
from pausable.testing._faulty import FaultyEngine
from pausable.testing._loop import FakeLoop, JobsStuck
from pausable.testing._operation import Operation, UnfinishedOperations

__all__ = [
    "FakeEngine",
    "FakeLoop",
    "FaultEngine",
    "Faults",
    "FaultyEngine",
    "InjectedFault",
    "InjectedInterrupt",
    "JobsStuck",
    "Operation",
    "UnfinishedOperations",
]
