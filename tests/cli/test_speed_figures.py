"""What is made of the measurements of `pausable speed`."""

import pytest

from pausable.cli.speed._result import Figures, find_knee
from pausable.cli.speed._run import sweep_jobs
from pausable.cli.speed._window import Window


@pytest.mark.parametrize(
    ("curve", "jobs", "best_jobs"),
    [
        ({1: 50, 2: 100, 4: 200, 8: 390, 16: 400, 32: 395}, 8, 16),  # rises, then is flat
        ({1: 100, 2: 200, 4: 400}, 4, 4),  # still rises
        ({1: 100, 2: 100, 4: 100}, 1, 1),  # jobs bring nothing
        ({1: 100, 2: 60, 4: 30}, 1, 1),  # they do harm
        ({1: 10, 2: 89.9, 4: 90, 8: 100}, 4, 8),  # 90 % is enough, and less is not
        ({8: 100, 1: 10, 4: 95}, 4, 8),  # in any order
    ],
)
def test_knee_is_the_smallest_number_near_the_best(curve, jobs, best_jobs):
    knee = find_knee(curve)
    assert (knee.jobs, knee.best_jobs) == (jobs, best_jobs)
    assert (knee.per_s, knee.best_per_s) == (curve[jobs], curve[best_jobs])
    assert knee.share == curve[jobs] / curve[best_jobs]


@pytest.mark.parametrize(
    ("most", "counts"), [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8])]
)
def test_sweep_ends_with_the_most_jobs(most, counts):
    assert sweep_jobs(most) == counts
    assert len(sweep_jobs(1024)) == 11


def test_percentiles_are_times_that_were_measured():
    figures = Figures.of([number / 1000 for number in range(100, 0, -1)], 2.0, 0.0, None)
    assert (figures.p50_s, figures.p99_s, figures.per_s) == (0.05, 0.099, 50)
    alone = Figures.of([0.5], 0.5, 0.0, None)
    assert (alone.p50_s, alone.p99_s, alone.per_s) == (0.5, 0.5, 2)


def test_window_is_whole_rounds_after_the_first():
    import asyncio

    opened = []

    async def measure():
        window = Window(2, 1e-9, lambda: opened.append(True))
        for slot in (0, 0, 1):  # the first round: it ends when both have had a turn
            assert opened == []
            window.note(slot, 0.0)
        for slot in (1, 1, 1):
            window.note(slot, 0.0)
            assert not window.over
        window.note(0, 0.0)
        assert window.over
        window.note(1, 0.0)  # too late to count
        return window

    window = asyncio.run(measure())
    assert (opened, len(window.durations_s)) == ([True], 4)
    assert window.elapsed_s > 0


def test_others_that_go_on_do_not_hide_a_slot_that_is_stuck():
    window = Window(2, 1.0, lambda: None)
    since = window.last_s
    for _ in range(40):
        window.note(0, 0.0)
    assert window.last_s > since
    since = window.last_s
    for _ in range(1000):
        window.note(0, 0.0)
    assert window.last_s == since
