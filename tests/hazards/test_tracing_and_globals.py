"""What belongs to the thread or the process, and so to nobody's job (H11, H12)."""

from __future__ import annotations

import contextlib
import decimal
import io
import os
import sys
import traceback
import warnings
from pathlib import Path

import pytest

import pausable
from core._support import finish, in_thread, pauses, python

# -- tracing ---------------------------------------------------------------------------------------


@pytest.mark.hazard("H11")
@pytest.mark.parametrize("kind", ["trace", "profile"])
def test_a_trace_function_set_in_a_job_is_the_threads_until_it_is_unset(kind):
    out, err = python(f"""
        import sys, pausable
        def hook(*_):
            return None
        def body():
            sys.set{kind}(hook)
            pausable.pause()
            sys.set{kind}(None)
        job = pausable.start(body)
        while_paused = sys.get{kind}()
        job.resume()
        print(while_paused is hook, sys.get{kind}())
    """)
    assert (out, err) == ("True None\n", "")


@pytest.mark.hazard("H11")
def test_a_job_started_under_a_trace_function_is_traced_after_its_pauses_too():
    out, err = python("""
        import sys, pausable
        lines = []
        def hook(frame, event, arg):
            if frame.f_code is body.__code__ and event == "line":
                lines.append(frame.f_lineno - body.__code__.co_firstlineno)
            return hook
        def body():
            first = 1
            pausable.pause()
            second = 2
            pausable.pause()
            return 3
        sys.settrace(hook)
        job = pausable.start(body)
        job.resume()
        job.resume()
        sys.settrace(None)
        print(lines)
    """)
    assert (out, err) == ("[1, 2, 3, 4, 5]\n", "")


@pytest.mark.hazard("H11")
@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is of 3.12")
def test_monitoring_sees_a_job_start_and_return_and_none_of_its_pauses():
    out, err = python("""
        import sys, pausable
        def body():
            pausable.pause()
        seen = []
        events = sys.monitoring.events
        sys.monitoring.use_tool_id(3, "test")
        for name in ("PY_START", "PY_RETURN", "PY_YIELD", "PY_RESUME"):
            sys.monitoring.register_callback(
                3, getattr(events, name), lambda code, *_, name=name: seen.append(name)
            )
            sys.monitoring.set_local_events(
                3, body.__code__, sys.monitoring.get_local_events(3, body.__code__)
                | getattr(events, name)
            )
        job = pausable.start(body)
        job.resume()
        print(seen)
    """)
    assert (out, err) == ("['PY_START', 'PY_RETURN']\n", "")


@pytest.mark.hazard("H11")
def test_a_paused_job_is_in_no_list_of_the_interpreters_frames_but_shows_its_stack():
    def hidden():
        pausable.pause()

    def frames_seen():
        seen = set()
        for frame in sys._current_frames().values():
            seen.update(below.f_code for below, _ in traceback.walk_stack(frame))
        return seen

    job = pausable.start(hidden)
    assert hidden.__code__ not in frames_seen()
    places = in_thread(job.stack)
    assert [frame.name for frame in places] == ["hidden"]
    assert places[0].lineno == hidden.__code__.co_firstlineno + 1
    finish(job)


@pytest.mark.hazard("H11")
def test_memory_that_jobs_take_is_traced_to_their_own_lines():
    out, err = python("""
        import tracemalloc, pausable
        def body(n):
            pausable.pause()
            kept = bytearray(100_000)
            pausable.pause()
            return kept
        pausable.thread_pool()  # imports what it needs
        tracemalloc.start()
        jobs = [pausable.start(body, n) for n in range(3)]
        for job in jobs:
            job.resume()
        line = body.__code__.co_firstlineno + 2
        found = [s for s in tracemalloc.take_snapshot().statistics("lineno")
                 if s.size >= 300_000]
        print([(s.traceback[0].lineno - line, s.count >= 3) for s in found])
        for job in jobs:
            job.resume()
    """)
    assert (out, err) == ("[(0, True)]\n", "")


# -- process-wide context managers -----------------------------------------------------------------


@pytest.fixture
def filters():
    """Bring the warning filters back, whatever becomes of them."""
    with warnings.catch_warnings():
        yield lambda: list(warnings.filters)


def ignoring(category):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category)
        pausable.pause()


@pytest.mark.hazard("H12")
def test_caught_warnings_are_everybodys_while_the_job_is_paused(filters):
    before = filters()
    job = pausable.start(ignoring, UserWarning)
    warnings.warn("not raised, although warnings are errors here", UserWarning, stacklevel=1)
    finish(job)
    assert filters() == before


@pytest.mark.hazard("H12")
def test_interleaved_catch_warnings_leave_wrong_filters_and_blocked_ones_do_not(filters):
    before = filters()
    for kind in (UserWarning, ImportWarning):
        assert pausable.start(pausable.pause_blocked()(ignoring), kind).done()
    assert filters() == before
    for job in [pausable.start(ignoring, kind) for kind in (UserWarning, ImportWarning)]:
        finish(job)
    assert filters() != before


@pytest.mark.hazard("H12")
def test_redirected_output_is_everybodys_while_the_job_is_paused(capsys):
    def body():
        with contextlib.redirect_stdout(io.StringIO()) as text:
            print("job")
            pausable.pause()
            return text.getvalue()

    job = pausable.start(body)
    print("starter")
    assert finish(job) == "job\nstarter\n"
    assert pausable.start(pausable.pause_blocked()(body)).result() == "job\n"
    print("after")
    assert capsys.readouterr().out == "after\n"


@pytest.mark.hazard("H12")
def test_the_working_directory_and_the_umask_are_the_processs(tmp_path):
    def body():
        seen = Path.cwd(), os.umask(0o077)
        os.chdir(tmp_path)
        pausable.pause()
        os.chdir(seen[0])
        os.umask(seen[1])

    before = Path.cwd()
    job = pausable.start(body)
    (tmp_path / "private").touch()
    assert Path("private").stat().st_mode & 0o077 == 0
    finish(job)
    assert Path.cwd() == before


@pytest.mark.hazard("H12")
def test_what_is_kept_in_context_variables_is_the_jobs_own():
    def body(prec):
        with decimal.localcontext() as context:
            context.prec = prec
            context.traps[decimal.Inexact] = False
            pauses(3)
            return decimal.getcontext().prec

    before = decimal.getcontext().prec
    jobs = [pausable.start(body, prec) for prec in range(2, 12)]
    assert decimal.getcontext().prec == before
    assert in_thread(lambda: decimal.getcontext().prec) == before
    assert [finish(job) for job in jobs[::-1]] == list(range(2, 12))[::-1]
    assert decimal.getcontext().prec == before
