"""What compare.py and report.py make of results, and that core.py, native.py and calls.py run."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def bench(script, *arguments):
    return subprocess.run(
        [sys.executable, ROOT / "bench" / f"{script}.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def row(who, ratio, low, high, goal=None):
    figure = ratio or 1
    return {
        "who": who, "what": "start+finish", "best": 1000 * figure, "median": 1100 * figure,
        "rounds": 5, "ratio": ratio, "low": low, "high": high, "goal": goal,
    }  # fmt: skip


def result_file(folder, *rows, worse="lower", python="CPython 3.11.7"):
    folder.mkdir(exist_ok=True)
    table = {
        "title": "driven by hand", "unit": "ns", "ratio": "its cost / ours", "worse": worse,
        "plot": "bars", "axis": "", "note": "A note.", "rows": list(rows),
    }  # fmt: skip
    machine = {"python": python, "system": "Linux", "cores": 2, "versions": {"greenlet": "3.5.6"}}
    results = {
        "name": "core", "about": "About it.", "command": "python bench/core.py", "when": "today",
        "machine": machine, "absent": {"eventlet": "No module named 'eventlet'"},
        "tables": [table],
    }  # fmt: skip
    path = folder / "core.json"
    path.write_text(json.dumps(results))
    return path


@pytest.fixture
def old(tmp_path):
    return result_file(tmp_path / "old", row("job", 1, 1, 1), row("gevent", 10, 9.8, 10.2, ">= 6"))


def test_what_changed_for_the_worse_is_named_and_the_exit_code_is_1(tmp_path, old):
    new = result_file(tmp_path / "new", row("job", 1, 1, 1), row("gevent", 5, 4.9, 5.1, ">= 6"))
    done = bench("compare", old, new)
    assert done.returncode == 1
    assert "core, driven by hand: gevent, start+finish: 10x -> 5x, 100 % worse" in done.stdout
    assert "Goals that were met and are missed now:" in done.stdout


def test_the_same_the_other_way_round_is_better(tmp_path, old):
    new = result_file(tmp_path / "new", row("gevent", 5, 4.9, 5.1))
    done = bench("compare", new, old)
    assert (done.returncode, "50 % better" in done.stdout) == (0, True)
    assert "Only in the new:\n  core, driven by hand: job, start+finish" in done.stdout


def test_a_table_says_which_way_is_worse(tmp_path):
    old = result_file(tmp_path / "old", row("engine", 1.1, 1.0, 1.2), worse="higher")
    new = result_file(tmp_path / "new", row("engine", 2.2, 2.0, 2.4), worse="higher")
    assert bench("compare", old, new).returncode == 1
    assert bench("compare", new, old).returncode == 0


def test_another_face_of_ours_is_worse_when_it_gets_dearer(tmp_path):
    old = result_file(tmp_path / "old", row("job", 1, 1, 1), row("pausable.run", 2, 2, 2))
    new = result_file(tmp_path / "new", row("job", 1, 1, 1), row("pausable.run", 3, 3, 3))
    assert bench("compare", old, new).returncode == 1
    assert bench("compare", new, old).returncode == 0


def test_what_is_within_the_noise_is_not_worse(tmp_path, old):
    new = result_file(tmp_path / "new", row("gevent", 5, 4, 9.9))
    done = bench("compare", old, new)
    assert (done.returncode, "Within the noise:" in done.stdout) == (0, True)


def test_the_threshold_is_an_option(tmp_path, old):
    new = result_file(tmp_path / "new", row("gevent", 5, 4.9, 5.1))
    assert bench("compare", old, new, "--threshold", "99").returncode == 1
    assert bench("compare", old, new, "--threshold", "101").returncode == 0


def test_folders_are_compared_and_another_python_is_named(tmp_path, old):
    new = result_file(tmp_path / "new", row("job", 1, 1, 1), python="CPython 3.13.1")
    done = bench("compare", old.parent, new.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert "python: CPython 3.11.7 -> CPython 3.13.1" in done.stdout


@pytest.mark.parametrize("text", ["", "{}", "[]", "not JSON", '{"tables": [{"rows": 3}]}'])
def test_what_is_no_result_is_refused(tmp_path, old, text):
    other = tmp_path / "other.json"
    other.write_text(text)
    done = bench("compare", old, other)
    assert done.returncode == 2
    assert "is no result file of bench/" in done.stderr


def test_what_is_not_there_is_refused(tmp_path, old):
    missing = bench("compare", old, tmp_path / "missing.json")
    assert (missing.returncode, "missing.json" in missing.stderr) == (2, True)
    (tmp_path / "empty").mkdir()
    empty = bench("compare", old, tmp_path / "empty")
    assert (empty.returncode, "has no result files" in empty.stderr) == (2, True)


def test_results_with_nothing_in_common_are_not_called_equal(tmp_path, old):
    new = result_file(tmp_path / "new", row("threads", 5, 4.9, 5.1))
    done = bench("compare", old, new)
    assert (done.returncode, "nothing to compare" in done.stderr) == (2, True)


def test_a_report_has_ratios_first_missed_goals_and_who_is_absent(tmp_path):
    rows = row("job", 1, 1, 1), row("gevent", 10, 9, 11, ">= 6"), row("threads", 5, 4, 6, ">= 6")
    old = result_file(tmp_path / "old", *rows)
    done = bench("report", old.parent)
    assert done.returncode == 0, done.stderr
    page = (old.parent / "results.md").read_text()
    assert "| gevent | 10.0x, 10.0 µs |" in page
    assert "* 1 of 2 goals met" in page
    assert "* MISSED: threads, start+finish: 5x, goal >= 6x" in page
    assert "* eventlet is absent: No module named 'eventlet'" in page
    assert "CPython 3.11.7, 2 cores, Linux; greenlet 3.5.6." in page


def test_a_goal_may_be_of_the_figure_itself_and_those_that_are_met_listed(tmp_path):
    small = {**row("job, native", None, None, None, "<= 4.5 KB"), "best": 4.48}
    large = {**row("job", None, None, None, "<= 4.5 KB"), "best": 7.1}
    path = result_file(tmp_path / "old", small, large)
    results = json.loads(path.read_text())
    results["tables"][0].update(unit="KB", tells="all", plot=None)
    path.write_text(json.dumps(results))
    assert bench("report", path).returncode == 0
    page = (path.parent / "results.md").read_text()
    assert "* 1 of 2 goals met" in page
    assert "* met: job, native, start+finish: 4.48 KB, goal <= 4.5 KB" in page
    assert "* MISSED: job, start+finish: 7.1 KB, goal <= 4.5 KB" in page


def test_a_report_has_a_picture_of_each_table(old):
    pytest.importorskip("matplotlib")
    bench("report", old.parent)
    picture = old.parent / "core-driven-by-hand.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"]({picture.name})" in (old.parent / "results.md").read_text()


def test_core_measures_and_writes_what_compare_can_read(tmp_path):
    path = tmp_path / "results" / "core.json"
    done = bench("core", "--plain", "--rounds", "1", "--number", "10", "--json", path)
    assert (done.returncode, done.stderr) == (0, "")
    results = json.loads(path.read_text())
    ours = [row for row in results["tables"][0]["rows"] if row["who"] == "job"]
    assert [row["ratio"] for row in ours] == [1, 1, 1]
    assert all(row["best"] > 0 for row in results["tables"][0]["rows"])
    assert bench("compare", path, path).returncode == 0
    others = {row["who"] for row in results["tables"][0]["rows"]} | results["absent"].keys()
    assert {"job, native", "libcrypto (C)"} <= others  # in processes of their own


@pytest.mark.skipif(find_spec("pausable._native") is None, reason="no native core")
def test_native_tells_of_each_goal(tmp_path):
    path = tmp_path / "native.json"
    parts = ["--speed", "--depth", "--memory", "--stacks", "--endurance"]
    done = bench("native", *parts, "--quick", "--rounds", "1", "--json", path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [row for table in json.loads(path.read_text())["tables"] for row in table["rows"]]
    aims = [row for row in rows if row["goal"] is not None]
    assert len(aims) >= 8  # and three more with libcrypto
    assert done.stdout.count("goal <=") + done.stdout.count("goal >=") == len(aims)


@pytest.mark.skipif(find_spec("pausable._native") is None, reason="no native core")
def test_calls_measures_each_backend_and_what_was_before(tmp_path):
    path = tmp_path / "calls.json"
    before = "--before", ROOT / "src"
    done = bench("calls", "--asking", *before, "--rounds", "1", "--json", path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(path.read_text())["tables"][0]["rows"]
    assert {row["what"] for row in rows} == {"native", "greenlet", "before"}
    assert all(row["best"] > 0 and row["ratio"] > 0 for row in rows)
    assert bench("compare", path, path).returncode == 0


def test_a_peer_that_cannot_run_elsewhere_says_why():
    program = "from _asked import elsewhere; elsewhere('_peers_plain', 'nobody')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'bench'}{os.pathsep}{ROOT / 'src'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Absent: KeyError: 'nobody'" in done.stderr


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--number", "-1"], ["--rounds", "x"]])
def test_a_bad_number_is_refused(arguments):
    done = bench("core", *arguments)
    assert done.returncode == 2
    assert arguments[0] in done.stderr


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("core", ["--plain", "--loop", "--stacks"]),
        ("native", ["--speed", "--depth", "--memory", "--stacks", "--endurance"]),
        ("calls", ["--starting", "--asking", "--blocking", "--before"]),
        ("memory", ["--plain", "--loop"]),
        ("depth", ["--speed", "--memory"]),
        ("wait_context", ["--rounds"]),
        ("loops", ["--speed", "--floor", "--memory", "--latency"]),
        ("engines", ["--overhead", "--dask", "--batch", "--faults"]),
        ("keys", ["--count", "--only"]),
        ("teardown", ["--races", "--seed", "--loop"]),
    ],
)
def test_each_script_has_the_options_that_its_documentation_names(script, options):
    pytest.importorskip("cryptography")
    done = bench(script, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for option in [*options, "--quick", "--json"]:
        assert option in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_said_and_is_no_success():
    done = bench("core", "--plain", "--rounds", "1", "--number", "10", "--json", "/dev/full")
    assert done.returncode == 1
    assert "the results cannot be written: [Errno 28]" in done.stderr
