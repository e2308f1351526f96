"""Where the key's operations are done: threads, worker processes, a dask cluster."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PASSPHRASE = "correct horse"

#: A cluster that lives until its standard input is closed.
CLUSTER = """
import os, sys
if __name__ == "__main__":
    os.environ["KEY_PASS"] = sys.argv[1]
    from distributed import LocalCluster
    options = dict(n_workers=int(sys.argv[2]), threads_per_worker=4, dashboard_address=None)
    with LocalCluster(**options, host="127.0.0.1", silence_logs=50) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def start_cluster(tmp_path_factory):
    """Start a LocalCluster as a process; return it and what --engine takes."""
    pytest.importorskip("distributed")
    program = tmp_path_factory.mktemp("cluster") / "cluster.py"
    program.write_text(CLUSTER)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    started = []

    def start(workers):
        command = [sys.executable, program, PASSPHRASE, str(workers)]
        process = subprocess.Popen(command, text=True, **pipes)
        started.append(process)
        return process, "dask://" + process.stdout.readline().strip().removeprefix("tcp://")

    yield start
    for process in started:
        with process:  # closes its input, and waits
            pass


@pytest.fixture(scope="module")
def dask(start_cluster):
    return start_cluster(2)[1]


@pytest.fixture(params=["threads", "processes", "dask"])
def engine(request):
    """Every --engine in turn."""
    return request.getfixturevalue("dask") if request.param == "dask" else request.param


def _children(process):
    return [
        int(pid)
        for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ]


def _has_ended(fd):
    return bool(select.select([fd], [], [], 30)[0])


def _start_and_see_some_signed(spawn, keys, paths, *args):
    names = [path.name for path in paths]
    process = spawn("sign", "--key", keys["p256"], "--latency-ms", "20", *args, *names)
    for _ in range(10):
        assert process.stdout.readline().startswith("signed")
    return process


@pytest.mark.parametrize(("kind", "batch"), [("rsa", 1), ("p384", 16), ("ed25519", 4)])
def test_openssl_accepts_what_every_engine_signs(pausable_cli, keys, files, engine, kind, batch):
    paths = files(30)
    args = ["--engine", engine, "--batch", batch, "--json", *paths]
    ended = pausable_cli("sign", "--key", keys[kind], *args)
    report = json.loads(ended.out)
    assert (ended.code, ended.err, report["signed"]) == (0, "", 30)
    assert report["engine"] == engine.partition(":")[0]
    assert all(keys.accepts(kind, path, f"{path}.sig") for path in paths)


def test_signatures_of_every_engine_are_identical(pausable_cli, keys, text, signature, engine):
    made = []
    for chosen in ("threads", engine):
        assert pausable_cli("sign", "--key", keys["rsa"], "--engine", chosen, text).code == 0
        made.append(signature.read_bytes())
        signature.unlink()
    assert made[0] == made[1]


def test_every_engine_uses_a_key_with_a_passphrase(
    pausable_cli, keys, text, signature, monkeypatch, engine
):
    monkeypatch.setenv("KEY_PASS", PASSPHRASE)
    args = ["--key", keys["encrypted"], "--passin", "env:KEY_PASS", "--engine", engine]
    assert pausable_cli("sign", *args, text).code == 0
    assert keys.accepts("encrypted", text, signature)


def test_operations_go_together_and_the_report_says_so(pausable_cli, keys, files, engine):
    paths = files(60)
    args = ["--jobs", "20", "--batch", "5", "--engine", engine, "--latency-ms", "5", "--json"]
    report = json.loads(pausable_cli("sign", "--key", keys["p256"], *args, *paths).out)
    fill = {int(size): times for size, times in report["operations_per_trip"].items()}
    assert sum(size * times for size, times in fill.items()) == 60
    assert max(fill) == 5
    ended = pausable_cli("sign", "--key", keys["rsa"], "--batch", "5", *paths)
    assert "trips to the key, " in ended.out.splitlines()[-1]
    assert " of at most 5 in each" in ended.out.splitlines()[-1]


def test_killed_run_is_continued_with_every_engine(
    pausable_cli, spawn, keys, files, leftovers, engine
):
    paths = files(100)
    args = ["--engine", engine, "--batch", "4", "--jobs", "16"]
    process = _start_and_see_some_signed(spawn, keys, paths, *args)
    children = [os.pidfd_open(pid) for pid in _children(process)]
    process.kill()
    process.wait()
    assert all(_has_ended(child) for child in children)
    done = [path for path in paths if Path(f"{path}.sig").exists()]
    assert 10 <= len(done) < 100
    ended = pausable_cli("sign", "--key", keys["p256"], "--json", *args, *paths)
    report = json.loads(ended.out)
    assert (ended.code, report["skipped"], report["failed"]) == (0, len(done), 0)
    assert all(keys.accepts("p256", path, f"{path}.sig") for path in paths)
    assert leftovers() == []


@pytest.mark.parametrize("to", ["group", "process"])
def test_ctrl_c_leaves_no_process_and_no_partial_file(spawn, keys, files, leftovers, engine, to):
    paths = files(500)
    args = ["--engine", engine, "--jobs", "16"]
    start = lambda *args: spawn(*args, start_new_session=True)  # noqa: E731
    process = _start_and_see_some_signed(start, keys, paths, *args)
    children = [os.pidfd_open(pid) for pid in _children(process)]
    if to == "group":  # as a terminal does it
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    signed = [path for path in paths if Path(f"{path}.sig").exists()]
    assert process.returncode == 130
    assert err == f"pausable: interrupted; {len(signed)} files were signed; run it again to go on\n"
    assert all(_has_ended(child) for child in children)
    assert all(keys.accepts("p256", path, f"{path}.sig") for path in signed)
    assert leftovers() == []


def test_ctrl_c_ends_processes_in_a_slow_operation_at_once(spawn, keys, files):
    (path,) = files(1)
    args = ["--engine", "processes", "--latency-ms", "3600000", "--json", path]
    process = spawn("sign", "--key", keys["rsa"], *args)
    while len(_children(process)) < 2:  # the worker, and what the standard library has besides
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, err.count("\n")) == (130, 1)
    assert json.loads(out)["interrupted"] is True


def test_worker_that_dies_costs_what_was_under_way(spawn, keys, files, leftovers, pausable_cli):
    paths = files(60)
    args = ["--engine", "processes", "--workers", "1", "--jobs", "8"]
    process = _start_and_see_some_signed(spawn, keys, paths, *args)
    for pid in _children(process):
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    out, err = process.communicate()
    failed = err.splitlines()
    assert process.returncode == 1
    assert 1 <= len(failed) <= 8
    assert all("the executor broke" in line for line in failed)
    assert f"{60 - len(failed)} signed, 0 skipped, {len(failed)} failed" in out
    assert pausable_cli("sign", "--key", keys["p256"], *paths).code == 0
    assert all(keys.accepts("p256", path, f"{path}.sig") for path in paths)
    assert leftovers() == []


def test_big_file_for_ed25519_is_sent_up_to_a_limit(pausable_cli, keys, files):
    fits, too_big = files(2)
    fits.write_bytes(os.urandom(1_000_000))
    with too_big.open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    args = ["--key", keys["ed25519"], "--engine", "processes", fits, too_big]
    ended = pausable_cli("sign", *args)
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "sign it with --engine threads" in ended.err
    assert keys.accepts("ed25519", fits, f"{fits}.sig")


def test_speed_is_measured_on_a_cluster(pausable_cli, dask):
    args = ["--engine", dask, "--latency-ms", "5", "--bytes", "100", "--seconds", "0.05", "--json"]
    ended = pausable_cli("speed", *args, "--async-jobs", "3", "rsa2048-decrypt", "x25519", "sha256")
    assert (ended.code, ended.err) == (0, "")
    report = json.loads(ended.out)
    assert report["engine"] == dask
    assert [result["failure"] for result in report["results"]] == [None] * 15  # in five ways each
    assert all(result["p50_ms"] >= 5 for result in report["results"])


# -- clusters that will not do ---------------------------------------------------------------------


@pytest.fixture
def refused(pausable_cli, text, listing):
    """Run `pausable sign` with one file; return the one line that it is refused with."""

    def call(*args):
        before = listing()
        ended = pausable_cli("sign", *args, text)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert listing() == before
        return ended.err

    return call


def test_scheduler_that_is_not_there_is_refused(refused, keys):
    pytest.importorskip("distributed")
    line = refused("--key", keys["rsa"], "--engine", "dask://127.0.0.1:1")
    assert "dask://127.0.0.1:1: no scheduler answers there (Connection refused)" in line


def test_missing_distributed_is_named(python, keys, text):
    code = (
        "import sys; sys.modules['distributed'] = None; from pausable.__main__ import main; main()"
    )
    args = ["sign", "--key", keys["rsa"], "--engine", "dask://127.0.0.1:1", text]
    ended = python("-c", code, *args)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "needs distributed: pip install 'pausable[dask]'" in ended.err


def test_cluster_without_workers_is_refused(refused, keys, start_cluster):
    _, address = start_cluster(0)
    assert "has no workers" in refused("--key", keys["rsa"], "--engine", address)


def test_cluster_whose_workers_lack_the_key_is_refused(refused, keys, dask):
    line = refused("--key", "/proc/self/fd/0", "--engine", dask)
    assert "/proc/self/fd/0" in line


def test_key_that_was_replaced_is_noticed_by_the_workers(pausable_cli, keys, files, tmp_path, dask):
    key, paths = tmp_path / "key.pem", files(2)
    for kind, path in zip(("rsa", "p256"), paths, strict=True):
        key.write_bytes(keys[kind].read_bytes())
        assert pausable_cli("sign", "--key", key, "--engine", dask, path).code == 0
        assert keys.accepts(kind, path, f"{path}.sig")


def test_passphrase_that_the_workers_lack_is_refused(refused, keys, monkeypatch, dask):
    monkeypatch.setenv("OTHER_PASS", PASSPHRASE)
    args = ["--key", keys["encrypted"], "--passin", "env:OTHER_PASS", "--engine", dask]
    assert "no environment variable 'OTHER_PASS'; export it there" in refused(*args)


def test_workers_are_not_for_clusters(refused, keys, dask):
    line = refused("--key", keys["rsa"], "--engine", dask, "--workers", "3")
    assert "--workers is for threads and processes" in line


def test_killed_cluster_ends_the_run_and_the_next_one_goes_on(
    pausable_cli, spawn, keys, files, start_cluster
):
    paths = files(300)
    cluster, address = start_cluster(1)
    process = _start_and_see_some_signed(spawn, keys, paths, "--engine", address, "--jobs", "4")
    cluster.kill()
    _, err = process.communicate()
    assert process.returncode == 1
    assert err.count("\n") > 0
    ended = pausable_cli("sign", "--key", keys["p256"], *paths)
    assert ended.code == 0
    assert all(keys.accepts("p256", path, f"{path}.sig") for path in paths)
