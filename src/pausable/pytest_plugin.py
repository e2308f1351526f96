"""A pytest plugin: a test that leaves jobs behind fails, and spoils nothing for the next one.

Active wherever pausable is installed (`-p no:pausable` disables it). A job counts as left behind
if it is paused at the end of a test and was not when the test's own fixtures began: so one of a
module's or a session's fixture does not. It is told with its stack, then unwound.

Settings, for all tests by the ini option `pausable_leaks`, for some by the marker of that name
(`@pytest.mark.pausable_leaks("off")`):

* error (the default): the test has an error in its teardown. One that failed anyway (as expected
  or not) gets a section in its report instead: its traceback holds its locals, and so its jobs.
* warn: a `PausableLeakWarning`.
* off: nothing is looked at, and nothing unwound.

Fixtures: `pausable_engine` (a `FakeEngine`) and `pausable_loop` (a `FakeLoop`).
"""

from __future__ import annotations

import gc
import warnings
import weakref
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

from pausable import Job
from pausable._pool import JobPool, all_pools
from pausable._report import thread_name
from pausable._state import State
from pausable._thread_local import get_ident

if TYPE_CHECKING:
    from pausable._job import JobFibre
    from pausable.testing import FakeEngine, FakeLoop

__all__ = [
    "PausableLeakWarning",
    "pausable_engine",
    "pausable_loop",
    "pytest_addoption",
    "pytest_configure",
    "pytest_runtest_makereport",
]

#: How long the cleanup code of a job that was left behind may be paused.
CLOSE_TIMEOUT_S: Final = 1.0

MODES: Final = ("off", "warn", "error")

_ended_early: weakref.WeakSet[pytest.Item] = weakref.WeakSet()


class PausableLeakWarning(pytest.PytestWarning):
    """A test left jobs behind, and the setting is "warn"."""


# -- for users' tests ------------------------------------------------------------------------------


@pytest.fixture
def pausable_engine() -> Iterator[FakeEngine]:
    """A `pausable.testing.FakeEngine`: its operations end when the test says so."""
    from pausable.testing import FakeEngine  # noqa: PLC0415  # tests without it pay nothing

    with FakeEngine() as engine:
        yield engine


@pytest.fixture
def pausable_loop() -> Iterator[FakeLoop]:
    """A `pausable.testing.FakeLoop`, whose jobs are unwound when the test is over."""
    from pausable.testing import FakeLoop  # noqa: PLC0415  # tests without it pay nothing

    with FakeLoop() as loop:
        yield loop


# -- pytest's hooks --------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini option."""
    parser.addini(
        "pausable_leaks",
        "what a test gets that leaves pausable's jobs behind: off, warn or error",
        default="error",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and refuse a wrong setting at once."""
    config.addinivalue_line(
        "markers",
        'pausable_leaks(mode): "off", "warn" or "error": what this test gets if it leaves'
        " pausable's jobs behind",
    )
    _check_mode(config.getini("pausable_leaks"), "the ini option pausable_leaks")


# Not wrapper=True, which pytest 7 does not know: whoever has that need not have asked for us.
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Note whether the test failed before its teardown, as expected or not, or was skipped."""
    report = (yield).get_result()
    if report.when != "teardown" and not report.passed:
        _ended_early.add(item)


# A fixture, not a hook, and the plugin's, not an object's that is registered later: so of all the
# test's own fixtures it begins first and ends last, and those of its module and session enclose it.
@pytest.fixture(autouse=True)
def _pausable_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    mode = _mode_of(request.node)
    if mode == "off":
        yield
        return
    before = _paused()
    yield
    left = _left_since(before)
    if left:
        _tell(request.node, mode, left)


def _tell(node: pytest.Item, mode: str, left: list[str]) -> None:
    jobs = "1 job" if len(left) == 1 else f"{len(left)} jobs"
    text = (
        f"{node.nodeid} left {jobs} paused; use `with pausable.start(...) as job:`, or resume until"
        " done():\n"
    ) + "\n".join(left)
    if node in _ended_early:
        node.add_report_section("teardown", "jobs left behind", text)
    elif mode == "warn":
        warnings.warn(PausableLeakWarning(text), stacklevel=2)
    else:
        pytest.fail(text, pytrace=False)


def _mode_of(node: pytest.Item) -> str:
    marker = node.get_closest_marker("pausable_leaks")
    if marker is None:
        return str(node.config.getini("pausable_leaks"))
    if len(marker.args) != 1 or marker.kwargs:
        raise pytest.UsageError(
            f'{node.nodeid}: the marker takes one mode, as in pausable_leaks("off")'
        )
    return _check_mode(marker.args[0], f"{node.nodeid}: the marker pausable_leaks")


def _check_mode(mode: object, where: str) -> str:
    if mode not in MODES:
        raise pytest.UsageError(f"{where} has to be one of {', '.join(MODES)}, not {mode!r}")
    return str(mode)


# -- looking for jobs ------------------------------------------------------------------------------

#: What is paused: (pool, fibre), and which job is on it, for fibres are used again.
_Paused = dict["tuple[JobPool, JobFibre]", "weakref.ref[Job[Any]] | None"]


def _paused() -> _Paused:
    """Return what is paused now, in every thread; a lost job has no handle."""
    paused: _Paused = {}
    for pool in all_pools():
        for fibre in list(pool._fibres):
            if fibre.state is State.PAUSED:
                job = fibre.handle()
                paused[pool, fibre] = None if job is None else weakref.ref(job)
    return paused


def _new(before: _Paused) -> list[tuple[JobPool, JobFibre]]:
    nobody = object()
    return [key for key, job in _paused().items() if before.get(key, nobody) != job]


def _left_since(before: _Paused) -> list[str]:
    """Unwind what is paused and was not before; return a description of each."""
    if not _new(before):
        return []  # collecting garbage takes long, and could only tell which of them are lost
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "a paused job was dropped", ResourceWarning)
        gc.collect()
    left = _new(before)
    return [_describe(pool, fibre) + _unwind(pool, fibre) for pool, fibre in left]


def _describe(pool: JobPool, fibre: JobFibre) -> str:
    job = fibre.handle()
    what = "a job whose handle was dropped" if job is None else repr(job)
    where = "" if pool.thread == get_ident() else f" in {thread_name(pool.thread)}"
    stack = "".join(fibre.stack().format())
    return f"{what}{where}, paused at\n{stack}"


def _unwind(pool: JobPool, fibre: JobFibre) -> str:
    """End a job that was left; return what has to be said about that."""
    job = fibre.handle()
    try:
        if pool.thread != get_ident():
            if job is not None:
                job.cancel()  # its own thread does it, if it still drives the job
            return ""
        if job is None:
            pool.reserve(0)  # unwinds what was lost; what pauses again has a handle then
            job = fibre.handle()
        if job is not None:
            job.close(CLOSE_TIMEOUT_S)
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # also SystemExit: it is the job's, and the tests go on
        if job is None or not job.done():
            return f"It could not be unwound: {exc}\n"
    return ""
