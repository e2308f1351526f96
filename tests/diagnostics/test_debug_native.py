"""Debug mode tells of native frames under a pause, from Python 3.11 on."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import json
import re
import sys

import greenlet
import pytest

import pausable
from core._support import finish, in_thread, pauses

pytestmark = pytest.mark.usefixtures("debug")

needs_311 = pytest.mark.skipif(sys.version_info < (3, 11), reason="cannot be told before 3.11")


def native_frames():
    return [row["native_frames"] for row in json.loads(pausable.dump("json"))["jobs"]]


def deep(depth):
    return deep(depth - 1) if depth else pausable.pause()


class Calls:
    def method(self):
        pausable.pause()

    @classmethod
    def class_method(cls):
        pausable.pause()


PLAIN = {
    "function": lambda: [pausable.pause()],
    "arguments": functools.partial(pauses, 1),
    "keywords": functools.partial(pauses, count=1, value=2),
    "deep": functools.partial(deep, 100),
    "method": Calls().method,
    "class method": Calls.class_method,
}
NATIVE = {
    "sort": lambda: sorted([2, 1], key=lambda x: pausable.pause()),
    "re": lambda: re.sub("a", lambda m: str(pausable.pause()), "a"),
    "filter": lambda: list(filter(lambda x: pausable.pause(), [1])),
    "reduce": lambda: functools.reduce(lambda a, b: pausable.pause(), [1, 2]),
    "json": lambda: json.dumps(object(), default=lambda o: pausable.pause()),
}


@needs_311
@pytest.mark.parametrize("what", PLAIN)
def test_plain_python_has_none(what):
    job = pausable.start(PLAIN[what])
    assert native_frames() == [False]
    finish(job)


@needs_311
def test_a_wait_has_none():
    future = concurrent.futures.Future()
    job = pausable.start(pausable.wait_for, future, timeout_s=60)
    assert native_frames() == [False]
    future.set_result(1)
    assert finish(job) == 1


@needs_311
@pytest.mark.parametrize("what", NATIVE)
def test_c_code_that_calls_back_is_seen_at_the_pause_and_warned_of_at_the_resume(what):
    job = pausable.start(NATIVE[what])
    assert native_frames() == [True]
    assert "  native frames are under its pause\n" in pausable.dump()
    with pytest.warns(pausable.NativeFrameWarning, match="was paused with native frames") as caught:
        finish(job)
    assert caught[0].filename == __file__
    assert "in <lambda>" in str(caught[0].message)


@needs_311
def test_each_place_is_reported_once():
    with pytest.warns(pausable.NativeFrameWarning) as caught:
        assert [finish(pausable.start(NATIVE["sort"])) for _ in range(3)] == [[2, 1]] * 3
    assert len(caught) == 1


@needs_311
def test_it_is_the_same_in_other_threads_and_in_jobs_of_jobs():
    def body():
        inner = pausable.start(pauses, 1)
        found = native_frames()
        finish(inner)
        return found

    assert in_thread(lambda: pausable.start(body).result()) == [None, False]


@needs_311
def test_where_warnings_are_errors_it_is_logged_and_the_job_goes_on(caplog):
    job = pausable.start(NATIVE["sort"])
    assert job.resume() is False
    assert finish(job) == [2, 1]
    assert f"NativeFrameWarning: job {job.name!r} was paused with native frames" in caplog.text


@needs_311
def test_where_warnings_are_errors_a_loop_drives_the_job_to_its_end(caplog):
    assert asyncio.run(pausable.run(NATIVE["sort"])) == [2, 1]
    assert caplog.text.count("NativeFrameWarning: ") == 1


def test_below_a_portals_own_frames_it_is_unknown_also_when_the_portal_is_cut_short(caplog):
    found = []

    def body():
        try:
            pausable.wait_for(asyncio.sleep(60))
        finally:
            found.extend(native_frames())
            pausable.pause()

    async def main():
        async with pausable.portal():
            asyncio.current_task().get_loop().call_soon(lambda: found.extend(native_frames()))
            asyncio.current_task().get_loop().call_soon(asyncio.current_task().cancel)
            body()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert found == [None, None]
    assert caplog.text == ""


@pytest.mark.greenlet_only
def test_in_a_foreign_greenlet_it_is_unknown():
    job = pausable.start(lambda: greenlet.greenlet(pausable.pause).switch())
    assert native_frames() == [None]
    finish(job)


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="it can be told")
def test_before_311_it_is_unknown():
    job = pausable.start(NATIVE["sort"])
    assert native_frames() == [None]
    finish(job)
