"""What is under way is seen from anywhere: other threads, signal handlers, running jobs."""

from __future__ import annotations

import concurrent.futures
import contextlib
import gc
import io
import json
import os
import signal
import subprocess
import sys
import threading
import weakref

import pytest

import pausable
from core._support import Canary, finish, in_thread, pauses

needs_sigusr1 = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no SIGUSR1 here")


def rows(**expected):
    """Return the jobs of the JSON form."""
    return json.loads(pausable.dump("json"))["jobs"]


def functions(row):
    return [frame["function"] for frame in row["stack"]]


def test_jobs_lists_the_paused_and_running_ones_of_all_threads():
    seen = []

    def running():
        seen.extend(pausable.jobs())

    mine = pausable.start(pauses, 1)
    started, go = threading.Event(), threading.Event()
    theirs = []

    def other():
        theirs.append(pausable.start(pauses, 1))
        started.set()
        go.wait()
        finish(theirs[0])

    thread = threading.Thread(target=other)
    thread.start()
    started.wait()
    runner = pausable.start(running)
    assert set(seen) == {mine, theirs[0], runner}
    assert in_thread(lambda: set(pausable.jobs())) == {mine, theirs[0]}
    go.set()
    thread.join()
    finish(mine)
    assert pausable.jobs() == []


def test_the_text_says_who_is_where():
    job = pausable.start(pauses, 1)
    job.name = "sign-3"
    text = pausable.dump()
    finish(job)
    assert text.startswith(f"pausable: 1 jobs under way in process {os.getpid()}, 1 paused\n")
    assert "\nsign-3: paused, thread 'MainThread'\n  is paused at\n" in text
    assert "in pauses\n" in text
    assert "assert pausable.pause()" in text


def test_the_same_place_is_written_once_and_all_jobs_are_named():
    jobs = [pausable.start(pauses, 1) for _ in range(2000)]
    text = pausable.dump()
    assert text.count("in pauses\n") == 1
    assert text.count(f"is paused where {jobs[0].name} is\n") == 1999
    assert all(f"\n{job.name}: paused" in text for job in jobs)
    assert len(rows()) == 2000
    for job in jobs:
        finish(job)


def test_the_json_form_is_as_documented():
    job = pausable.start(pauses, 1)
    whole = json.loads(pausable.dump("json"))
    finish(job)
    [row] = whole.pop("jobs")
    assert whole.pop("time") > 0
    assert whole == {"version": 1, "pid": os.getpid(), "debug": False}
    stack = row.pop("stack")
    assert [sorted(frame) for frame in stack] == [["file", "function", "line"]]
    assert row == {
        "name": job.name,
        "state": "paused",
        "lost": False,
        "cancelled": False,
        "thread": {"id": threading.get_ident(), "name": "MainThread"},
        "paused_since": None,
        "created": None,
        "waits_for": None,
        "native_frames": None,
    }


def test_it_says_what_a_job_waits_for():
    future = concurrent.futures.Future()
    job = pausable.start(pausable.wait_for, future)
    job.wait_ctx.status = pausable.Status.OK
    [row] = rows()
    assert row["waits_for"] == {
        "fds": job.wait_ctx.fds(),
        "status": "OK",
        "callback": None,
        "wakers": 1,
    }
    assert "  waits for: fds [" in pausable.dump()
    future.set_result(None)
    finish(job)


def test_callbacks_are_named_without_being_asked():
    class Callback:
        def __call__(self):
            pass

        def __repr__(self):
            raise AssertionError("must not be called")

    with pausable.WaitContext() as ctx:
        job = pausable.thread_pool().start_in(ctx, pauses, 1)
        ctx.set_callback(Callback())
        assert rows()[0]["waits_for"]["callback"].endswith("Callback")
        ctx.set_callback(test_callbacks_are_named_without_being_asked)
        assert rows()[0]["waits_for"]["callback"].endswith(
            "test_callbacks_are_named_without_being_asked"
        )
        finish(job)


def test_a_running_job_is_shown_where_it_is_also_below_another():
    def inner():
        return rows()

    def outer():
        return pausable.start(inner).result()

    found = pausable.start(outer).result()
    ours = {"start", "launch"}  # builtins have no frames
    shown = [[name for name in functions(row) if name not in ours] for row in found]
    assert [row["state"] for row in found] == ["running", "running"]
    assert shown == [["outer"], ["inner", "rows"]]


def test_a_running_job_of_another_thread_is_shown_where_it_is():
    inside, go = threading.Event(), threading.Event()

    def busy():
        inside.set()
        go.wait()

    thread = threading.Thread(target=pausable.start, args=(busy,), name="worker")
    thread.start()
    inside.wait()
    [row] = rows()
    go.set()
    thread.join()
    assert (row["state"], row["thread"]["name"]) == ("running", "worker")
    assert functions(row)[0] == "busy"


def test_since_when_it_is_paused_is_known_of_watched_jobs(hooked):
    hooked(type("Hooks", (), {"on_start": lambda self, job: None})())
    job = pausable.start(pauses, 2)
    first = rows()[0]["paused_since"]
    job.resume()
    second = rows()[0]["paused_since"]
    finish(job)
    assert 0 < first <= second


def test_a_dropped_job_is_shown_until_it_is_unwound():
    jobs = [pausable.start(pauses, 1)]
    with pytest.warns(ResourceWarning):
        jobs.clear()
    [row] = rows()
    assert (row["lost"], row["name"], functions(row)) == (True, None, ["pauses"])
    assert "(dropped, name unknown): paused" in pausable.dump()
    pausable.start(int)
    assert rows() == []


def test_a_cancelled_job_that_cleans_up_says_so():
    def body():
        try:
            pausable.pause()
        finally:
            pausable.pause()

    job = pausable.start(body)
    job.cancel()
    assert rows()[0]["cancelled"]
    assert ": paused, thread 'MainThread', cancelled\n" in pausable.dump()
    finish_cancelled(job)


def finish_cancelled(job):
    job.resume()
    assert job.cancelled()


def test_it_is_written_to_a_file_too():
    file = io.StringIO()
    assert pausable.dump(file=file) == file.getvalue() != ""


@pytest.mark.parametrize(
    "call", [pausable.dump, lambda name: pausable.dump_on_signal(10, format=name)]
)
def test_an_unknown_format_is_refused(call):
    with pytest.raises(ValueError, match="format has to be 'text' or 'json', not 'yaml'"):
        call("yaml")


def test_it_holds_nothing_afterwards():
    refs = []

    def body():
        canary = Canary()
        refs.append(weakref.ref(canary))
        pausable.dump()
        pausable.dump("json")
        pausable.pause()

    gc.collect()
    gc.disable()
    try:
        job = pausable.start(body)
        pausable.dump()
        finish(job)
        assert refs[0]() is None
    finally:
        gc.enable()


def test_it_works_while_other_threads_start_and_end_jobs():
    stop, errors = threading.Event(), []

    def worker():
        try:
            while not stop.is_set():
                jobs = [pausable.start(pauses, 2) for _ in range(20)]
                for job in jobs:
                    job.wait_ctx.waker()
                    finish(job)
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=worker) for _ in range(3)]
    for thread in threads:
        thread.start()
    names = set()
    while len(names) < 200:
        names.update(row["name"] for row in rows())
        assert pausable.dump().startswith("pausable: ")
        pausable.jobs()
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []


# -- on a signal -----------------------------------------------------------------------------------


@needs_sigusr1
def test_a_signal_writes_it_and_the_previous_handler_comes_back():
    file = io.StringIO()
    previous = pausable.dump_on_signal(file=file)
    assert previous is signal.SIG_DFL
    try:
        job = pausable.start(pauses, 1)
        signal.raise_signal(signal.SIGUSR1)
        finish(job)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert f"\n{job.name}: paused" in file.getvalue()


@needs_sigusr1
def test_a_signal_in_the_middle_of_a_running_job_shows_where_it_is():
    file = io.StringIO()

    def body():
        signal.raise_signal(signal.SIGUSR1)

    previous = pausable.dump_on_signal(file=file, format="json")
    try:
        pausable.start(body)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    [row] = json.loads(file.getvalue())["jobs"]
    assert (row["state"], functions(row)) == ("running", ["body"])


@needs_sigusr1
@pytest.mark.parametrize("what", ["full", "broken", "closed"])
def test_a_file_that_takes_nothing_harms_nobody(what):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    job = pausable.start(pauses, 1)
    with open(reader, "rb", buffering=0) as read, open(writer, "w") as file:  # noqa: PTH123
        previous = pausable.dump_on_signal(file=file)
        try:
            if what == "full":
                with contextlib.suppress(BlockingIOError):
                    while os.write(writer, b"." * 4096):
                        pass
            else:
                (read if what == "broken" else file).close()
            signal.raise_signal(signal.SIGUSR1)
        finally:
            signal.signal(signal.SIGUSR1, previous)
    finish(job)


def test_other_threads_cannot_set_it_and_are_told_why():
    with pytest.raises(pausable.WrongThread, match="in thread 'helper', but only the main thread"):
        in_thread(lambda: pausable.dump_on_signal(signal.SIGTERM))


def test_a_platform_without_the_signal_is_told_what_to_pass(monkeypatch):
    monkeypatch.delattr(signal, "SIGUSR1", raising=False)
    with pytest.raises(ValueError, match=r"which .* has not; pass a signal .*SIGBREAK"):
        pausable.dump_on_signal()


@needs_sigusr1
def test_a_service_can_be_asked_from_outside():
    program = """
import sys, pausable
pausable.dump_on_signal()
jobs = [pausable.start(pausable.pause) for _ in range(3000)]
print("ready", flush=True)
while sys.stderr.write("busy\\n"):  # the signal comes in the middle of such a write
    pass
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        for _ in range(5):
            process.send_signal(signal.SIGUSR1)
            lines = iter(process.stderr.readline, "")
            assert next(line for line in lines if "3000 jobs" in line).startswith("pausable: ")
            assert next(line for line in lines if line.startswith("pause-3000: paused"))
        process.kill()
