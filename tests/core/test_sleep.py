"""pausable.sleep: a delay that pauses."""

from __future__ import annotations

import asyncio
import math
import time

import pytest
import trio

import pausable
from core._support import Canary
from pausable.testing import FakeLoop


def test_it_goes_by_the_drivers_clock():
    with FakeLoop() as loop:
        job = loop.start(pausable.sleep, 3600)
        assert loop.advance(3599) == [job]
        loop.wake_early(job)
        assert loop.run_until_idle() == [job]
        assert loop.advance(1) == []


def test_others_go_on_meanwhile():
    order = []

    def body(delay_s):
        pausable.sleep(delay_s)
        order.append(delay_s)

    with FakeLoop() as loop:
        for delay_s in (3, 2, 1, 0):
            loop.start(body, delay_s)
        loop.run_until_idle()
        loop.advance(3)
    assert order == [0, 1, 2, 3]


@pytest.mark.parametrize("run", [
    lambda fn: fn(),
    pausable.run_blocking,
    lambda fn: asyncio.run(pausable.run(fn)),
    lambda fn: trio.run(pausable.run, fn),
])  # fmt: skip
def test_it_takes_at_least_that_long(run):
    begin = time.monotonic()
    run(lambda: pausable.sleep(0.01))
    assert time.monotonic() >= begin + 0.01


def test_no_delay_lets_others_go_on_once():
    job = pausable.start(pausable.sleep, 0)
    assert job.paused
    assert job.resume()


def test_a_job_that_sleeps_can_be_cancelled():
    with pausable.start(pausable.sleep, math.inf) as job:
        assert job.cancel()


@pytest.mark.parametrize("wrong", [-1, math.nan])
def test_the_delay_is_checked(wrong):
    with pytest.raises(ValueError, match="delay_s has to be 0 or more"):
        pausable.sleep(wrong)


def test_a_job_that_is_lost_while_it_sleeps_is_noticed():
    canary = Canary()
    with pytest.warns(ResourceWarning, match="a paused job was dropped"):
        pausable.start(lambda _: pausable.sleep(60), canary)
    pausable.start(int)  # unwinds it
