"""Figures about jobs for Prometheus."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import Future

import pytest

import pausable
from core._support import Canary, finish, pauses, python
from pausable.testing import FakeEngine, FakeLoop

prometheus_client = pytest.importorskip("prometheus_client", reason="needs the extra prometheus")

from pausable.prometheus import Collector  # noqa: E402  # after the skip


@pytest.fixture
def collector():
    with Collector(buckets_s=(0.1, 1, 10)) as collector:
        yield collector


@pytest.fixture
def value(collector):
    """Read a figure as a registry exports it."""
    registry = prometheus_client.CollectorRegistry()
    registry.register(collector)
    return lambda name, **labels: registry.get_sample_value(f"pausable_{name}", labels)


def raises():
    pausable.pause()
    raise OSError


def test_starts_and_ends_are_counted_by_outcome(value):
    for _ in range(3):
        finish(pausable.start(pauses, 2))
    with pytest.raises(OSError):
        finish(pausable.start(raises))
    with pausable.start(pauses, 1):
        assert value("jobs_started_total") == 5
    outcomes = ("returned", "raised", "cancelled")
    ended = [value("jobs_finished_total", outcome=outcome) for outcome in outcomes]
    assert ended == [3, 1, 1]


def test_paused_jobs_and_the_pool_are_as_they_are_now(value):
    def more_than(before):
        now = [value(name) for name in ("jobs_paused", "pool_size", "pool_idle")]
        return [b - a for a, b in zip(before, now, strict=True)]

    before = more_than([0, 0, 0])  # threads of other tests may have left pools
    with pausable.start(pauses, 1) as job, pausable.start(pauses, 1):
        assert more_than(before) == [2, 2, 0]
        job.resume()
        assert more_than(before) == [1, 2, 1]
    assert more_than(before) == [0, 2, 2]


def test_each_pause_is_a_figure_of_the_histogram(value):
    engine = FakeEngine()
    with FakeLoop() as loop:
        loop.start(lambda: [engine.call(name) for name in ("a", "b", "c", "d")])
        for name, delay_s in (("a", 0.05), ("b", 0.5), ("c", 1.0), ("d", 100.0)):
            loop.advance(delay_s)
            engine.finish(name)
            loop.step()
    bounds = ("0.1", "1.0", "10.0", "+Inf")
    assert [value("pause_seconds_bucket", le=le) for le in bounds] == [1, 3, 3, 4]
    assert value("pause_seconds_count") == 4
    assert value("pause_seconds_sum") == pytest.approx(101.55)


def test_jobs_under_way_when_it_is_made_are_paused_and_no_more():
    with pausable.start(pauses, 2) as job, Collector() as collector:
        job.resume()
        figures = {
            sample.name: sample.value for metric in collector.collect() for sample in metric.samples
        }
        assert figures["pausable_jobs_paused"] >= 1
        finish(job)
    figures = [sample for metric in collector.collect() for sample in metric.samples]
    assert {sample.value for sample in figures if "jobs_" in sample.name} == {0}


def test_what_stacks_take_is_told_of_all_pools(value):
    before = value("stack_resident_bytes")
    with pausable.JobPool() as pool:
        jobs = [pool.start(pauses, 1) for _ in range(50)]
        assert value("stack_resident_bytes") >= before + pool.stats().resident_bytes > before
        assert value("stack_mapped_bytes") >= pool.stats().mapped_bytes
        for job in jobs:
            finish(job)


def test_a_closed_collector_counts_no_new_jobs(collector, value):
    collector.close()
    collector.close()
    finish(pausable.start(pauses, 1))
    assert value("jobs_started_total") == 0


def test_it_keeps_no_job_alive(collector, value):
    canary = Canary()
    seen = weakref.ref(canary)
    job = pausable.start(lambda canary: pauses(1, canary), canary)
    del canary
    finish(job)
    del job
    gc.collect()
    assert seen() is None
    with pytest.warns(ResourceWarning, match="dropped"):
        pausable.start(pauses, 1)
    pausable.start(int)  # unwinds it
    assert value("jobs_finished_total", outcome="cancelled") == 1
    assert value("pause_seconds_count") == 1
    assert len(collector._paused_at) == 0


def test_threads_count_together_and_lose_nothing(value):
    def body():
        for _ in range(200):
            finish(pausable.start(pauses, 3))

    threads = [threading.Thread(target=body) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value("jobs_started_total") == 1600
    assert value("jobs_finished_total", outcome="returned") == 1600
    assert value("pause_seconds_count") == 4800


def test_a_signal_handler_may_run_jobs_while_its_thread_counts(collector, value):
    with collector._lock:
        finish(pausable.start(pauses, 1))
    assert value("jobs_started_total") == 1


def test_a_job_cancelled_at_its_pause_ends_that_pause_too(value):
    with FakeLoop() as loop:
        loop.start(pausable.wait_for, Future())
        loop.advance(5)
    assert value("pause_seconds_sum") == 5
    assert value("jobs_finished_total", outcome="cancelled") == 1


def test_two_collectors_count_the_same(collector, value):
    with Collector() as other:
        finish(pausable.start(pauses, 1))
        registry = prometheus_client.CollectorRegistry()
        registry.register(other)
        assert registry.get_sample_value("pausable_jobs_started_total") == 1
    assert value("jobs_started_total") == 1


@pytest.mark.parametrize("wrong", [(), (1, 1), (2, 1), (float("inf"),)])
def test_bounds_that_do_not_rise_are_refused_before_anything_is_hooked(wrong):
    with pytest.raises(ValueError, match="buckets_s has to have bounds"):
        Collector(buckets_s=wrong)


def test_without_prometheus_client_it_says_what_to_install():
    program = """
        import sys
        sys.modules["prometheus_client"] = None
        try:
            import pausable.prometheus
        except ModuleNotFoundError as exc:
            print(exc)
    """
    assert python(program)[0].endswith("pip install 'pausable[prometheus]'\n")


def test_the_text_that_is_exported(collector):
    registry = prometheus_client.CollectorRegistry()
    registry.register(collector)
    lines = prometheus_client.generate_latest(registry).decode().splitlines()
    assert 'pausable_jobs_finished_total{outcome="raised"} 0.0' in lines
    assert "# TYPE pausable_pause_seconds histogram" in lines
