"""Coverage and debuggers, with the settings that docs/how-to/diagnostics.md calls right."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pausable
from core._support import finish, pauses

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "diagnostics.md").read_text()

PROGRAM = """\
import pausable


def deep():
    before = 1
    pausable.pause()
    after = 2
    return before + after


def body():
    value = deep()
    return value + 1


def driver():
    jobs = [pausable.start(body) for _ in range(3)]
    for job in jobs:
        while not job.done():
            job.resume()
    return [job.result() for job in jobs]


def never():
    return 1


assert driver() == [4, 4, 4]
"""
NEVER = 25  # the one line that is not run


def run(arguments, folder, **environment):
    source = Path(pausable.__file__).parents[1]
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(source), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


@pytest.mark.parametrize(
    ("core", "concurrency"),
    [
        ("ctrace", ["greenlet", "thread"]),
        pytest.param("ctrace", ["thread"], marks=pytest.mark.native_only),
        pytest.param(
            "sysmon",
            ["thread"],
            marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="needs sys.monitoring"),
        ),
    ],
)
def test_coverage_sees_every_line_after_a_pause_with_the_setting_of_the_page(
    tmp_path, core, concurrency
):
    pytest.importorskip("coverage")
    assert f"`concurrency = {json.dumps(concurrency)}`" in PAGE
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "pyproject.toml").write_text(
        f"[tool.coverage.run]\ninclude = ['program.py']\nconcurrency = {json.dumps(concurrency)}\n"
    )
    rc = "--rcfile=pyproject.toml"
    run(["-m", "coverage", "run", rc, "program.py"], tmp_path, COVERAGE_CORE=core)
    run(["-m", "coverage", "json", rc, "-o", "report.json"], tmp_path)
    [report] = json.loads((tmp_path / "report.json").read_text())["files"].values()
    assert report["missing_lines"] == [NEVER]


@pytest.mark.parametrize("debug", ["0", "1"])
def test_pdb_steps_over_a_pause_and_stops_at_the_jobs_next_line(tmp_path, debug):
    (tmp_path / "program.py").write_text(
        """\
import sys
import pausable

def body():
    breakpoint()
    pausable.pause()
    first = "first line"
    return first

job = pausable.start(body)
traced = sys.gettrace() is not None
job.resume()
print("result:", job.result(), "traced meanwhile:", traced)
"""
    )
    # On some versions the debugger stops at breakpoint() itself, on some at the line after it.
    (tmp_path / ".pdbrc").write_text("until 6\nnext\nwhere\ncontinue\n")
    out = run(["program.py"], tmp_path, PAUSABLE_DEBUG=debug, HOME=str(tmp_path))
    assert re.search(r"program.py\(7\)body\(\)\n-> first = ", out), out
    traced = debug == "0" and sys.version_info < (3, 14)  # then pdb does without a trace function
    assert f"result: first line traced meanwhile: {traced}" in out


def test_the_keys_of_the_json_form_are_those_of_the_page():
    job = pausable.start(pauses, 1)
    [row] = json.loads(pausable.dump("json"))["jobs"]
    finish(job)
    assert re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE) == list(row)


def test_every_debug_warning_is_on_the_page():
    warnings = [each.__name__ for each in pausable.DebugWarning.__subclasses__()]
    assert [name for name in warnings if f"| `{name}` |" not in PAGE] == []
