"""`pausable speed`: short real runs, their reports, and what is refused."""

import csv
import io
import json

import pytest

WAYS = ["blocking", "pausable", "thread", "to_thread", "to_thread_wide"]
SHORT = ["--seconds", "0.05", "--async-jobs", "3"]


@pytest.fixture
def speed(pausable_cli):
    """Run `pausable speed` for a short time; return what it prints on stdout."""

    def call(*args):
        ended = pausable_cli("speed", *SHORT, *args)
        assert ended.err == ""
        assert ended.code == 0
        return ended.out

    return call


@pytest.fixture
def refused(pausable_cli, listing):
    """Run `pausable speed`; return the one line that it is refused with."""

    def call(*args):
        ended = pausable_cli("speed", *args)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert listing() == []
        return ended.err

    return call


def case_of(result):
    return result["algorithm"], result["bytes"]


def test_every_algorithm_is_measured(pausable_cli):
    args = ["--seconds", "0.01", "--async-jobs", "2", "--no-compare", "--bytes", "16,1000"]
    report = json.loads(pausable_cli("speed", *args, "--json").out)
    rsa = [f"rsa{bits}-{what}" for bits in (2048, 3072, 4096) for what in ("sign", "decrypt")]
    plain = [(name, None) for name in [*rsa, "ecdsap256", "ecdsap384", "ed25519", "x25519"]]
    blocks = [(name, size) for name in ("aes-gcm", "sha256") for size in (16, 1000)]
    assert [case_of(result) for result in report["results"]] == plain + blocks
    assert all(result["operations"] >= 2 for result in report["results"])


def test_json_tells_every_way_in_the_same_run(speed):
    report = json.loads(speed("--json", "ed25519"))
    assert sorted(result["way"] for result in report["results"]) == WAYS
    for result in report["results"]:
        assert result["failure"] is None
        assert result["operations"] / result["elapsed_s"] == pytest.approx(
            result["operations_per_s"], rel=1e-3
        )
        assert 0 < result["p50_ms"] <= result["p99_ms"]
        assert result["longest_stall_ms"] >= 0
    ours = next(result for result in report["results"] if result["way"] == "pausable")
    assert 1 <= ours["most_paused_at_once"] <= ours["jobs"] == 3
    assert (report["engine"], report["interrupted"], report["failure"]) == ("threads", False, None)
    assert report["versions"]["packages"]["cryptography"]


def test_csv_has_the_same_figures_as_json_has_keys(speed):
    rows = list(csv.DictReader(io.StringIO(speed("--csv", "--bytes", "64", "sha256"))))
    report = json.loads(speed("--json", "--bytes", "64", "sha256"))
    assert sorted(row["way"] for row in rows) == WAYS
    assert list(rows[0]) == list(report["results"][0])
    for row in rows:
        rate = float(row["operations_per_s"])
        assert float(row["mb_per_s"]) == pytest.approx(rate * 64 / 1e6, abs=1e-3)
        assert (row["most_paused_at_once"] == "") == (row["way"] != "pausable")


def test_latency_is_in_every_operation_and_jobs_share_it(speed):
    args = ["--latency-ms", "20", "--json", "ed25519"]
    results = {result["way"]: result for result in json.loads(speed(*args))["results"]}
    assert all(result["p50_ms"] >= 20 for result in results.values())
    assert results["blocking"]["operations_per_s"] <= 50
    assert results["blocking"]["longest_stall_ms"] > 15
    assert results["pausable"]["most_paused_at_once"] == 3


def test_sweep_doubles_jobs_and_has_a_knee(speed):
    args = ["--sweep", "--async-jobs", "6", "--latency-ms", "5", "--json", "x25519"]
    report = json.loads(speed(*args))
    for way in set(WAYS) - {"blocking"}:
        jobs = [result["jobs"] for result in report["results"] if result["way"] == way]
        assert jobs == [1, 2, 4, 6]
    (knee,) = report["knees"]
    assert knee["algorithm"] == "x25519"
    assert knee["jobs"] in {1, 2, 4, 6}
    assert 0.9 <= knee["share_of_best"] <= 1


def test_table_has_a_line_for_each_way(speed):
    lines = speed("ecdsap256").splitlines()
    (head,) = (line.split("  ") for line in lines if "ops/s" in line)
    names = [name.strip() for name in head if name]
    assert names == ["ops/s", "x blocking", "p50 ms", "p99 ms", "paused", "stall ms"]
    labels = [line.strip().split("  ")[0] for line in lines if line.startswith("  ")]
    assert labels[1:4] == ["pausable jobs", "blocking, one by one", "a thread per operation"]


def test_columns_that_would_be_empty_are_left_out(speed):
    assert "x blocking" not in speed("--no-compare", "ed25519")
    assert "MB/s" not in speed("--no-compare", "ed25519")
    assert "MB/s" in speed("--no-compare", "--bytes", "16", "sha256")


def test_table_of_a_sweep_marks_the_knee(speed):
    lines = speed("--sweep", "--no-compare", "ecdsap256").splitlines()
    (marked,) = (line for line in lines if line.endswith("<- knee"))
    (told,) = (line for line in lines if line.startswith("Knee: "))
    assert told.split()[1] == marked.split()[0]


def test_processes_do_the_operations_of_every_way(speed):
    args = ["--engine", "processes", "--workers", "1", "--bytes", "100", "--json"]
    results = json.loads(speed(*args, "rsa2048", "aes-gcm"))["results"]
    assert len(results) == 3 * len(WAYS)
    assert {result["failure"] for result in results} == {None}


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (["rsa1024"], "algorithm 'rsa1024' is unknown; known are rsa2048-sign, "),
        (["--json", "--csv"], "--json and --csv both want stdout; choose one"),
        (["--bytes", "16", "ed25519"], "--bytes is for aes-gcm and sha256, and neither is asked"),
        (["--bytes", "16,,32"], "'' is not a size from 1 to 1048576; write 64 or 64,1024."),
        (["--bytes", "00000000099999999999"], "is not a size from 1 to 1048576"),
        (["--bytes", "²"], "is not a size from 1 to 1048576"),
        (["--seconds", "0"], "0.0 is not in the range 0<x<=60"),
        (["--seconds", "nan"], "nan is not a number"),
        (["--stuck-after-s", "nan"], "nan is not a number"),
        (["--async-jobs", "0"], "0 is not in the range 1<=x<=10000"),
        (["--latency-ms", "inf"], "inf is not in the range"),
        (["--engine", "carrier-pigeon"], "is not threads, processes or dask://HOST:PORT"),
        (["--engine", "dask://127.0.0.1:1"], "no scheduler answers there"),
        (["--engine", "dask://127.0.0.1:1", "--workers", "2"], "--workers is for threads and"),
    ],
)
def test_bad_arguments_are_refused_on_one_line(refused, args, what):
    assert what in refused(*args)
