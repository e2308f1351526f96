"""ExecutorEngine over a dask cluster whose scheduler is a process of its own, which is killed."""

from __future__ import annotations

import gc
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest

import pausable
from engines._support import in_asyncio, needs
from pausable.engines import ExecutorEngine, Retry, guard

#: How long the client looks for its scheduler; each test that has it give up takes so long.
TIMEOUT_S = 2.0

pytestmark = [
    needs("distributed"),
    pytest.mark.filterwarnings("default"),  # the cluster dies, and dask warns of it, its own way
    pytest.mark.timeout(120),
]


@contextmanager
def running(program, *options, **pipes):
    """Run one of dask's programs; kill it in the end."""
    command = [sys.executable, "-m", f"distributed.cli.dask_{program}", "--no-dashboard"]
    with subprocess.Popen([*command, *options], text=True, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


class Cluster:
    """A scheduler and a worker that can be killed, and started again at the same address."""

    def __init__(self):
        self._stack = ExitStack()
        self.port = 0
        self.start()

    def start(self):
        options = ("--host", "127.0.0.1", "--port", str(self.port), "--no-show")
        scheduler = running("scheduler", *options, stderr=subprocess.PIPE)
        self.scheduler = self._stack.enter_context(scheduler)
        for line in self.scheduler.stderr:
            if found := re.search(r"Scheduler at:\s+tcp://127.0.0.1:(\d+)", line):
                self.port = int(found[1])
                break
        options = ("--no-nanny", "--nthreads", "2", self.address)
        self._stack.enter_context(running("worker", *options, stderr=subprocess.DEVNULL))

    @property
    def address(self):
        return f"tcp://127.0.0.1:{self.port}"

    def kill_scheduler(self):
        self.scheduler.kill()  # SIGKILL
        self.scheduler.communicate()

    def close(self):
        self._stack.close()


@pytest.fixture
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture
def engine_of(caplog):
    """Return a function that makes an engine of a client of a cluster, with a timeout."""
    import distributed

    caplog.set_level("CRITICAL")  # dask logs what befalls it
    with ExitStack() as stack:

        def make(cluster, timeout_s):
            client = distributed.Client(cluster.address, timeout=timeout_s, set_as_default=False)
            stack.callback(close, client)
            return stack.enter_context(ExecutorEngine(client))

        yield make
    gc.collect()  # what is left of a client that could not be closed: its warnings belong here


def close(client):
    try:
        client.close()
    except Exception:  # what its task that listens died of: dask leaves it half closed then
        client.status = "closed"
        client._loop_runner.stop()


def lose(cluster, engine):
    """Kill the scheduler, and return when the client has noticed."""
    engine.call(int)
    under_way = engine.submit(time.sleep, 30)
    cluster.kill_scheduler()
    with pytest.raises(pausable.EngineError, match=r"lost or cancelled.*submit it again"):
        under_way.result(timeout_s=50)


def test_what_is_submitted_until_the_client_gives_up_fails_with_what_to_do(cluster, engine_of):
    engine = engine_of(cluster, TIMEOUT_S)
    lose(cluster, engine)

    def submit_until_refused():
        try:
            while True:
                tickets.append(engine.submit(pow, 2, 3))
        except pausable.EngineError as exc:
            refusals.append(str(exc))

    tickets, refusals = [], []
    # several: some of them have to submit just when it gives up
    threads = [threading.Thread(target=submit_until_refused) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refusals) == 3
    for ticket in tickets:
        with pytest.raises(pausable.EngineError, match=r"make a new Client|submit it again"):
            ticket.result(timeout_s=50)
    assert engine.pending == 0


def test_what_is_submitted_meanwhile_goes_on_when_the_scheduler_is_back(cluster, engine_of):
    engine = engine_of(cluster, 30)
    lose(cluster, engine)
    before = engine.submit(pow, 2, 10)
    cluster.start()
    assert in_asyncio(lambda n: engine.call(pow, n, 2), range(5)) == [0, 1, 4, 9, 16]
    assert before.result(timeout_s=50) == 1024


def test_a_guard_submits_again_what_was_under_way(cluster, engine_of):
    engine = engine_of(cluster, 30)
    engine.call(int)
    with guard(engine, retry=Retry(9, budget=None)) as guarded:
        tickets = [guarded.submit(pow, n, 2) for n in range(50)]
        tickets[0].result(timeout_s=50)
        tickets.append(guarded.submit(time.sleep, 0.2))
        cluster.kill_scheduler()
        cluster.start()
        results = [ticket.result(timeout_s=50) for ticket in tickets]
    assert results == [*(n * n for n in range(50)), None]


@contextmanager
def somebody_else_at(cluster, answer):
    """Listen where the scheduler was; send each who connects an answer."""
    with socket.create_server(("127.0.0.1", cluster.port)) as server, ExitStack() as connections:

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:  # closed
                    return
                connections.enter_context(connection)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


#: Dask waits for the first for ever; its task that listens dies of the other.
@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9])
def test_somebody_else_at_the_schedulers_address_keeps_nobody_waiting(cluster, engine_of, answer):
    engine = engine_of(cluster, TIMEOUT_S)
    lose(cluster, engine)
    with somebody_else_at(cluster, answer):
        job = pausable.start(pausable.run_blocking, engine.call, int)
        assert job.done()
        with pytest.raises(pausable.EngineError, match="make a new Client, and an engine of it"):
            job.result()
        # and so those after it, each in its time
        with pytest.raises(pausable.EngineError):
            engine.submit(int).result(timeout_s=50)
