"""`pausable speed` ends: when an operation never does, fails or is wrong, and after Ctrl-C."""

import json
import os
import pty
import signal
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

import pytest

import pausable
from pausable.cli._options import EngineOptions
from pausable.cli.speed._algorithms import Algorithm
from pausable.cli.speed._measurement import Step
from pausable.cli.speed._place import open_place
from pausable.cli.speed._report import Report
from pausable.cli.speed._run import measure_all
from pausable.cli.speed._watchdog import Watchdog

#: An operation that nobody can end, after one that can be measured.
HANGS = """
import threading
from pausable.cli._options import EngineOptions
from pausable.cli.speed._algorithms import Algorithm
from pausable.cli.speed._measurement import Step
from pausable.cli.speed._place import open_place
from pausable.cli.speed._report import Report
from pausable.cli.speed._run import measure_all
from pausable.cli.speed._watchdog import Watchdog

def tell():
    print(len(report.results), watchdog.why)

engine = EngineOptions("threads", "", None, 1, 0.0)
report = Report(engine, 0.01, False)
fine = Algorithm("fine", None, lambda engine: lambda: b"x", b"x".__eq__)
hangs = Algorithm("hangs", None, lambda engine: threading.Event().wait, b"x".__eq__)
with Watchdog(0.6, tell, grace_s=0.1) as watchdog, open_place(engine, watchdog) as place:
    measure_all([Step(fine, 1, "to_thread"), Step(hangs, 1, "to_thread")], place, watchdog, report)
print("not reached")
"""


@pytest.fixture
def measure():
    """Measure operations of ours; return the report and the watchdog."""
    engine = EngineOptions("threads", "", None, 1, 0.0)

    def call(make, way="pausable", jobs=3, patience_s=30.0):
        report = Report(engine, 0.01, False)
        algorithm = Algorithm("ours", None, make, b"right".__eq__)
        watchdog = Watchdog(patience_s, lambda: None)
        with watchdog, open_place(engine, watchdog) as place:
            measure_all([Step(algorithm, jobs, way)] * 2, place, watchdog, report)
        return report, watchdog

    return call


def wait_for_what_never_comes():
    return pausable.wait_for(Future())


def test_operation_that_never_completes_is_named_with_where_it_is_paused(measure):
    report, watchdog = measure(lambda _engine: wait_for_what_never_comes, patience_s=0.2)
    assert (report.results, pausable.jobs()) == ([], [])
    headline, *stack = watchdog.why.splitlines()
    assert headline.startswith("ours, pausable jobs, 3 at once: stuck; the oldest of 3 operations")
    assert "in job 'ours-" in headline
    assert headline.endswith(", which is paused at")
    assert any("in wait_for_what_never_comes" in line for line in stack)


def test_one_that_never_completes_among_others_is_found(measure):
    def make(engine):
        calls = []

        def call():
            calls.append(None)
            return wait_for_what_never_comes() if len(calls) == 2 else engine.call(bytes, b"right")

        return call

    report, watchdog = measure(make, patience_s=0.2)
    assert report.results == []
    assert "the oldest of 3 operations" in watchdog.why
    assert "in wait_for_what_never_comes" in watchdog.why


@pytest.mark.parametrize("way", ["pausable", "blocking", "thread", "to_thread", "to_thread_wide"])
def test_wrong_result_ends_the_run_and_has_no_speed(measure, way):
    report, _ = measure(lambda _engine: lambda: b"wrong", way)
    assert report.results == []
    assert "ours" in report.failure
    assert "the result of an operation is wrong, and its speed is not told" in report.failure


def test_result_that_becomes_wrong_is_noticed(measure):
    results = iter([b"right"] * 3)
    report, _ = measure(lambda _engine: lambda: next(results, b"wrong"), jobs=1)
    assert report.results == []
    assert "the result of an operation is wrong" in report.failure


def test_failed_operation_ends_the_run_with_its_reason(measure):
    report, _ = measure(lambda _engine: lambda: 1 / 0)
    assert report.failure == "ours, pausable jobs, 3 at once: ZeroDivisionError: division by zero"


def test_way_that_fails_is_a_result_of_its_own(measure):
    report, _ = measure(lambda _engine: lambda: 1 / 0, "thread")
    assert [result.figures for result in report.results] == [
        "ZeroDivisionError: division by zero"
    ] * 2
    assert report.failure is None


def test_engine_that_is_gone_ends_the_run_whatever_the_way(measure):
    def gone():
        raise pausable.EngineError("the workers are gone")

    report, _ = measure(lambda _engine: gone, "thread")
    assert report.results == []
    assert report.failure.endswith("EngineError: the workers are gone")


def test_worker_that_is_killed_ends_the_run(spawn):
    args = ["--engine", "processes", "--workers", "1", "--seconds", "60", "--no-compare"]
    process = spawn("speed", *args, "ed25519")
    os.kill(_worker_of(process), signal.SIGKILL)
    out, err = process.communicate()
    assert (process.returncode, out, err.count("\n")) == (1, "", 1)
    assert "ed25519, pausable jobs, 64 at once: EngineError: " in err
    assert "the executor broke" in err


def test_process_ends_even_if_an_operation_cannot_be_ended(python):
    ended = python("-c", HANGS)
    assert ended.code == 1
    assert ended.out.startswith(
        "1 hangs, asyncio.to_thread, 1 at once: stuck; an operation has not"
    )
    assert "in thread " in ended.out
    assert "waiter.acquire()" in ended.out
    assert "not reached" not in ended.out
    assert ended.err == "pausable: what is under way does not end, and is left to itself\n"


def _worker_of(process):
    """Return the process id of the worker, once it is there."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        for pid in children.read_text().split():
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
    raise AssertionError(process.communicate())


def test_worker_that_stands_still_is_not_waited_for(spawn):
    args = ["--engine", "processes", "--workers", "1", "--stuck-after-s", "0.5", "--no-compare"]
    process = spawn("speed", *args, "--seconds", "60", "ed25519")
    worker = _worker_of(process)
    os.kill(worker, signal.SIGSTOP)
    assert "stuck; the oldest of 64 operations has not completed" in process.stderr.readline()
    os.kill(worker, signal.SIGCONT)
    assert "pausable.wait_for(ticket)" in process.stderr.read()
    assert (process.wait(), process.stdout.read()) == (1, "")


class Terminal:
    """A `pausable speed` whose stderr is a terminal."""

    def __init__(self, *args):
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pausable", "speed", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
        )
        os.close(theirs)
        self.shown = ""

    def read(self, until=None):
        """Read what is shown, until that is, or until the end."""
        while until is None or until not in self.shown:
            try:
                self.shown += os.read(self._ours, 10_000).decode()
            except OSError:  # the other side is closed
                break

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.process.kill()
        with self.process:
            os.close(self._ours)


def test_terminal_gets_a_bar_that_says_what_is_measured():
    with Terminal("--seconds", "0.01", "--async-jobs", "2", "ed25519") as terminal:
        terminal.read()
        assert terminal.process.wait() == 0
        assert "ed25519, a thread per operation, 2 at once" in terminal.shown
        assert "4/5" in terminal.shown


def test_ctrl_c_prints_what_was_measured():
    with Terminal("--sweep", "--seconds", "0.1", "--json", "ed25519", "rsa2048") as terminal:
        terminal.read("2/135")
        terminal.process.send_signal(signal.SIGINT)
        terminal.read()
        out, _ = terminal.process.communicate()
        assert terminal.process.returncode == 130
    report = json.loads(out)
    assert report["interrupted"] is True
    assert [result["way"] for result in report["results"]][:2] == ["blocking", "pausable"]
    made = f"interrupted; {len(report['results'])} of 135 measurements were made"
    assert made in terminal.shown


def test_ctrl_c_ends_slow_operations_at_once(spawn):
    args = ["--engine", "processes", "--workers", "1", "--latency-ms", "3600000", "ed25519"]
    process = spawn("speed", "--seconds", "1", *args)
    _worker_of(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err == "pausable: interrupted; 0 of 5 measurements were made\n"
