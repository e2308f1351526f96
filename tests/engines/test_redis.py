"""BatchEngine with a real redis-server: many jobs' commands in one pipeline."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from core._support import in_thread
from engines._support import in_asyncio, in_map, needs
from pausable.engines import BatchEngine, ExecutorEngine, guard

pytestmark = [
    needs("redis"),
    pytest.mark.skipif(
        shutil.which("redis-server") is None,
        reason="needs redis-server (scripts/system-packages)",
    ),
]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    import redis

    folder = tmp_path_factory.mktemp("redis")
    path = folder / "socket"
    command = ["redis-server", "--port", "0", "--unixsocket", str(path), "--dir", str(folder)]
    server = subprocess.Popen(
        [*command, "--save", "", "--appendonly", "no"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for line in server.stdout:
            if "connections" in line.lower() and "accept" in line.lower():
                break
        with redis.Redis(unix_socket_path=str(path)) as client:
            client.ping()
            yield client
    finally:
        server.terminate()
        server.communicate()


@pytest.fixture
def pipelined(client):
    def execute(commands):
        """Send many commands at once; an error is its own command's only."""
        pipeline = client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return pipeline.execute(raise_on_error=False)

    with BatchEngine(execute, max_batch=100) as engine:
        yield engine


def test_each_command_gets_its_own_answer(place, pipelined, wrap):
    engine = wrap(pipelined)

    def set_and_get(number):
        engine.call(("SET", f"key-{number}", number))
        return int(engine.call(("GET", f"key-{number}")))

    assert place(set_and_get, range(20)) == list(range(20))


def test_a_command_that_is_refused_fails_alone(place, pipelined):
    import redis

    def call(number):
        pipelined.call(("SET", "a-string", "x"))
        with pytest.raises(redis.ResponseError):
            pipelined.call(("LPUSH", "a-string", "x"))
        return pipelined.call(("GET", "a-string"))

    assert place(call, range(4)) == [b"x"] * 4


def test_jobs_commands_share_round_trips(pipelined):
    for place in (in_asyncio, in_map):
        place(lambda n: pipelined.call(("SET", f"k{n}", n)), range(64))
    stats = pipelined.stats()
    assert (stats.requests, stats.batches) == (128, 2)


def test_a_server_that_is_gone_is_a_connection_error_and_the_guard_falls_back(place, tmp_path):
    import redis

    gone = redis.Redis(unix_socket_path=str(tmp_path / "nobody"), retry=None)

    def execute(commands):
        pipeline = gone.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return pipeline.execute(raise_on_error=False)

    with BatchEngine(execute, 10) as engine, ExecutorEngine() as threads:
        with pytest.raises(redis.ConnectionError):
            in_thread(lambda: engine.call(("GET", "x")))
        here = BatchEngine(lambda commands: [b"from here"] * len(commands), 10, engine=threads)
        transient = (redis.ConnectionError,)
        with here, guard(engine, fallback=here, transient=transient) as guarded:
            assert place(guarded.call, [("GET", "x")]) == [b"from here"]
