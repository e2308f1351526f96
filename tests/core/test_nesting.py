"""Jobs that start and drive jobs, in every order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

import pausable
from core._support import finish, pauses

# A plan is the body of a job: "p" pauses, "r" resumes its oldest unfinished job (if any), a nested
# list starts a job with that plan.
plans = st.recursive(
    st.lists(st.sampled_from("pr"), max_size=4),
    lambda inner: st.lists(st.one_of(st.sampled_from("pr"), inner), max_size=5),
    max_leaves=12,
)


def real(plan, path, log):
    started = []
    for number, step in enumerate(plan):
        log.append((path, number))
        if step == "p":
            assert pausable.pause()
        elif step == "r":
            live = [job for job in started if not job.done()]
            if live:
                live[0].resume()
        else:
            started.append(pausable.start(real, step, (*path, number), log))
    for job in started:
        finish(job)
    log.append((path, "end"))
    return path


def model(plan, path, log):
    """The same as a generator: what Python itself does for suspension."""
    started = []

    def step_on(gen):
        try:
            next(gen)
        except StopIteration:
            started.remove(gen)

    for number, step in enumerate(plan):
        log.append((path, number))
        if step == "p":
            yield
        elif step == "r":
            if started:
                step_on(started[0])
        else:
            gen = model(step, (*path, number), log)
            started.append(gen)
            step_on(gen)
    for gen in list(started):
        while gen in started:
            step_on(gen)
    log.append((path, "end"))


@given(st.lists(plans, min_size=1, max_size=4), st.lists(st.integers(0, 3), max_size=30))
@settings(deadline=None)
def test_jobs_of_jobs_run_in_the_order_of_generators_of_generators(top, order):
    real_log, model_log = [], []
    jobs = [pausable.start(real, plan, (i,), real_log) for i, plan in enumerate(top)]
    gens = [model(plan, (i,), model_log) for i, plan in enumerate(top)]
    alive = [next(gen, "end") is None for gen in gens]
    for pick in [*order, *range(len(top)), *range(len(top))] * 20:
        if pick < len(top) and alive[pick]:
            alive[pick] = next(gens[pick], "end") is None
            assert jobs[pick].resume() is not alive[pick]
    for i, job in enumerate(jobs):
        while not job.done():
            assert alive[i]
            alive[i] = next(gens[i], "end") is None
            job.resume()
        assert job.result() == (i,)
    assert real_log == model_log
    assert pausable.thread_pool().stats()[2:4] == (0, 0)


def test_inner_pauses_while_outer_runs_three_deep():
    log = []

    def level(n):
        job = pausable.start(level, n - 1) if n else None
        log.append(f"down {n}")
        pausable.pause()
        if job is not None:
            finish(job)
        log.append(f"up {n}")

    finish(pausable.start(level, 2))
    assert log == ["down 0", "down 1", "down 2", "up 0", "up 1", "up 2"]


def test_outer_pauses_while_inner_is_paused_and_another_job_finishes_the_inner():
    inners = []

    def outer():
        inners.append(pausable.start(pauses, 2, "v"))
        pausable.pause()
        return inners[0].result()

    job = pausable.start(outer)
    assert pausable.start(lambda: finish(inners[0])).result() == "v"
    job.resume()
    assert job.result() == "v"


def test_a_job_survives_the_end_of_the_job_that_started_it():
    orphan = pausable.start(lambda: pausable.start(pauses, 3, "late")).result()
    assert orphan.paused
    assert finish(orphan) == "late"


def test_one_hundred_jobs_deep():
    def level(n):
        if n:
            return pausable.start(level, n - 1).result() + 1
        return 0

    assert pausable.start(level, 100).result() == 100
