"""ExecutorEngine over a real dask cluster: worker processes on this machine."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time

import pytest

import pausable
from engines._support import needs, square
from pausable.engines import BatchEngine, ExecutorEngine

#: Workers are killed on purpose, and functions fail on purpose; dask warns of both, its own way.
pytestmark = [
    needs("distributed"),
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(60),
]


@pytest.fixture(scope="module")
def cluster():
    import dask
    import distributed

    # The scheduler asks a worker that was just killed for results for so long, 30 s by itself.
    patience = {"distributed.comm.timeouts.connect": "1s"}
    with (
        dask.config.set(patience),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=4,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
        ) as cluster,
    ):
        yield cluster


@pytest.fixture(scope="module")
def client(cluster):
    import distributed

    with distributed.Client(cluster) as client:
        yield client


@pytest.fixture(params=["client", "executor"])
def engine(client, request):
    executor = client if request.param == "client" else client.get_executor()
    with ExecutorEngine(executor) as engine:
        yield engine


def test_a_key_that_may_be_sent_goes_by_way_of_the_scheduler(engine):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    from pausable.keys import pausing

    local = ec.generate_private_key(ec.SECP256R1())
    key = pausing(local, engine, send_key=True)
    signature = pausable.run_blocking(key.sign, b"message", ec.ECDSA(hashes.SHA256()))
    local.public_key().verify(signature, b"message", ec.ECDSA(hashes.SHA256()))


def test_operations_return_their_own_results(place, engine, wrap):
    wrapped = wrap(engine, timeout_s=1.5)
    assert place(lambda n: wrapped.call(square, n), range(20)) == [n * n for n in range(20)]


def test_the_work_is_done_in_worker_processes(engine):
    assert engine.call(os.getpid) != os.getpid()


def test_what_a_function_raises_is_raised_as_it_is(place, engine):
    def call(text):
        with pytest.raises(ValueError, match="invalid literal"):
            engine.call(int, text)
        return True

    assert place(call, ["x"]) == [True]


def test_two_calls_with_the_same_arguments_are_two(engine):
    tickets = [engine.submit(os.urandom, 8) for _ in range(10)]
    assert len({ticket.result() for ticket in tickets}) == 10


def key_and_workers(key, workers):
    return key, workers


def test_keyword_arguments_are_the_functions_and_not_dasks(engine):
    assert engine.call(key_and_workers, key="k", workers=3) == ("k", 3)


def test_results_do_not_come_back_by_blocking_the_loop_or_the_clients(engine):
    stacks = set()

    def note(_ticket):
        stacks.add(threading.current_thread().name)

    async def main():
        def submit(number):
            ticket = engine.submit(square, number)
            ticket.add_done_callback(note)
            return ticket.result()

        return await asyncio.gather(*[pausable.run(submit, n) for n in range(50)])

    assert asyncio.run(main()) == [n * n for n in range(50)]
    # all on the client's loop: the callback threads of dask had nothing to do
    assert len(stacks) == 1
    assert "IO loop" in stacks.pop()


def go_on_when_told(name):
    import distributed

    distributed.Event(f"{name} begun").set()
    distributed.Event(f"{name} go on").wait()


def test_a_cancelled_job_cancels_the_operation_on_the_cluster(cluster, client, engine, request):
    import distributed

    def at_the_scheduler():
        return [key for key in list(cluster.scheduler.tasks) if key.startswith("go_on_when_told")]

    job = pausable.start(engine.call, go_on_when_told, request.node.name)
    assert distributed.Event(f"{request.node.name} begun", client=client).wait(timeout=20)
    assert len(at_the_scheduler()) == 1
    job.cancel()
    assert job.cancelled()
    assert engine.pending == 0
    for _ in range(2):  # the second one is sent to the scheduler after the cancellation
        assert engine.call(square, 3) == 9
    assert at_the_scheduler() == []
    distributed.Event(f"{request.node.name} go on", client=client).set()


def test_a_cancelled_dask_future_is_an_engine_error(client):
    with ExecutorEngine(client) as engine:
        ticket = engine.submit(time.sleep, 0.05)
        ticket.data.future.cancel()
        with pytest.raises(pausable.EngineError, match="lost or cancelled"):
            ticket.result()


def square_when_told(number, name):
    """Say which process has begun, and go on when it is told to."""
    import distributed

    distributed.Event(f"{name} begun in {os.getpid()}").set()
    distributed.Event(f"{name} go on").wait()
    return number * number


def test_a_worker_that_is_killed_loses_nothing(cluster, client, engine, request):
    import distributed

    def event(what):
        return distributed.Event(f"{request.node.name} {what}", client=client)

    tickets = [engine.submit(square_when_told, n, request.node.name) for n in range(40)]
    victim = next(iter(cluster.workers.values())).pid
    assert event(f"begun in {victim}").wait(timeout=20)
    os.kill(victim, signal.SIGKILL)
    event("go on").set()
    with pausable.map(pausable.wait_for, tickets) as results:
        assert list(results) == [n * n for n in range(40)]


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_too_many_workers_died_of_is_an_engine_error(cluster, engine, monkeypatch):
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    with pytest.raises(pausable.EngineError, match="too many workers died of it") as info:
        engine.submit(die).result(timeout_s=50)
    assert type(info.value.__cause__).__name__ == "KilledWorker"


def test_batches_go_to_the_cluster(place, engine):
    with BatchEngine(lambda numbers: [n + 1 for n in numbers], 10, engine=engine) as batches:
        assert place(batches.call, range(20)) == list(range(1, 21))


def test_a_client_that_was_closed_is_an_engine_error(cluster):
    import distributed

    with distributed.Client(cluster) as client:
        engine = ExecutorEngine(client)
        assert engine.call(square, 2) == 4
    with pytest.raises(pausable.EngineError):
        engine.submit(square, 3).result(timeout_s=10)
