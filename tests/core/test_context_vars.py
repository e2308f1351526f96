"""Context variables belong to the job while it is paused, and to its starter when it ended (H1)."""

from __future__ import annotations

import asyncio
import contextvars
import decimal

import pytest

import pausable
from core._support import finish

pytestmark = pytest.mark.hazard("H1")

var = contextvars.ContextVar("var")
other = contextvars.ContextVar("other")


@pytest.fixture(autouse=True)
def fresh():
    """Run each test's own code in the thread's context, with known values."""
    tokens = var.set("outside"), other.set("other")
    yield
    var.reset(tokens[0])
    other.reset(tokens[1])


class Hostile:
    """A value that must never be compared."""

    __hash__ = None

    def __eq__(self, other):
        raise AssertionError("compared")

    def __bool__(self):
        raise AssertionError("tested")


def test_a_job_starts_with_its_starters_values():
    assert pausable.start(var.get).result() == "outside"


def test_what_a_job_sets_is_unseen_while_it_is_paused_and_published_at_its_end():
    def body():
        var.set("job")
        pausable.pause()
        return var.get()

    job = pausable.start(body)
    assert var.get() == "outside"
    assert finish(job) == "job"
    assert var.get() == "job"


def test_what_a_job_sets_without_pausing_is_published():
    pausable.start(var.set, "direct")
    assert var.get() == "direct"


def test_what_the_starter_sets_meanwhile_is_unseen_in_the_job_and_stays():
    def body():
        seen = [var.get()]
        pausable.pause()
        other.set("jobs")
        return [*seen, var.get()]

    job = pausable.start(body)
    var.set("later")
    assert finish(job) == ["outside", "outside"]
    assert (var.get(), other.get()) == ("later", "jobs")


def test_whoever_sees_the_end_gets_the_values():
    def body():
        pausable.pause()
        var.set("job")

    job = pausable.start(body)
    context = contextvars.copy_context()
    context.run(job.resume)
    assert context[var] == "job"
    assert var.get() == "outside"


def test_publishing_goes_by_identity():
    same, equal = [1], [1]
    var.set(same)

    def body():
        pausable.pause()
        var.set(equal)

    finish(pausable.start(body))
    assert var.get() is equal


def test_values_are_never_compared():
    mine, theirs = Hostile(), Hostile()
    var.set(mine)

    def body():
        pausable.pause()
        other.set(theirs)
        return 1

    assert finish(pausable.start(body)) == 1
    assert var.get() is mine
    assert other.get() is theirs
    pausable.start(other.set, mine)
    assert other.get() is mine


def test_tokens_work_inside_the_job_across_pauses():
    def body():
        token = var.set("inner")
        pausable.pause()
        before = var.get()
        var.reset(token)
        return before, var.get()

    assert finish(pausable.start(body)) == ("inner", "outside")
    assert var.get() == "outside"


@pytest.mark.hazard("H12")
def test_decimal_contexts_of_two_interleaved_jobs_stay_apart():
    def body(digits):
        with decimal.localcontext() as context:
            context.prec = digits
            pausable.pause()
            return str(decimal.Decimal(1) / 3)

    three, five = pausable.start(body, 3), pausable.start(body, 5)
    assert str(decimal.Decimal(1) / 3) == "0.3333333333333333333333333333"
    assert (finish(five), finish(three)) == ("0.33333", "0.333")
    assert decimal.getcontext().prec == 28


def test_nested_jobs_hand_values_up_level_by_level():
    def inner():
        var.set("inner")
        pausable.pause()

    def outer():
        job = pausable.start(inner)
        seen = var.get()
        finish(job)
        return seen, var.get()

    assert pausable.start(outer).result() == ("outside", "inner")
    assert var.get() == "inner"


def test_a_failed_job_publishes_too():
    def body():
        var.set("set before it failed")
        raise ValueError

    pausable.start(body)
    assert var.get() == "set before it failed"


def test_many_jobs_interleaved_keep_their_own_values():
    def body(n):
        var.set(n)
        for _ in range(5):
            pausable.pause()
            assert var.get() == n
        return n

    jobs = [pausable.start(body, n) for n in range(20)]
    while not all(job.done() for job in jobs):
        for job in jobs[::-1]:
            if not job.done():
                job.resume()
        assert var.get() in ("outside", *range(20))
    assert [job.result() for job in jobs] == list(range(20))


def test_a_pause_inside_context_run_keeps_both_contexts_apart():
    inner = contextvars.Context()

    def within():
        var.set("within")
        pausable.pause()
        return var.get()

    job = pausable.start(lambda: (inner.run(within), var.get()))
    assert var.get() == "outside"
    assert finish(job) == ("within", "outside")
    assert var.get() == "outside"


def test_a_job_of_an_asyncio_task_shares_the_tasks_context_both_ways():
    log = []

    def body():
        log.append(var.get())
        var.set("job")
        pausable.pause()
        log.append(var.get())
        var.set("job again")

    async def main():
        var.set("task")
        await pausable.run(body)
        log.append(var.get())

    asyncio.run(main())
    assert log == ["task", "job", "job again"]
    assert var.get() == "outside"


def test_a_task_sees_what_its_paused_job_set():
    async def main():
        running = asyncio.current_task()
        seen = []

        def body():
            var.set("job")
            loop.call_soon(lambda: seen.append(var.get()), context=context)
            pausable.pause()

        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        await pausable.run(body)
        assert asyncio.current_task() is running
        return seen, var.get()

    assert asyncio.run(main()) == (["outside"], "job")


def test_a_lost_job_publishes_nothing_to_whoever_unwinds_it():
    def body():
        try:
            pausable.pause()
        finally:
            var.set("from the lost one")

    with pytest.warns(ResourceWarning):
        pausable.start(body)
    pausable.start(int)
    assert var.get() == "outside"


def test_each_job_on_a_used_stack_sees_its_own_starters_variables():
    with pausable.JobPool(max_size=1) as pool:
        pool.start(int)
        for value in ("first", "second"):
            var.set(value)
            assert pool.start(var.get).result() == value
        assert contextvars.Context().run(pool.start, var.get, "unset").result() == "unset"
