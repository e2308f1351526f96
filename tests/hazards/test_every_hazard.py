"""Every known hazard of pausing has a test that carries its number."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: Prints, for each test that it collects, the numbers that it carries.
COLLECT = """
import sys, pytest
class Numbers:
    def pytest_collection_modifyitems(self, items):
        for item in items:
            for mark in item.iter_markers("hazard"):
                print("hazard", *mark.args)
options = ["--collect-only", "-qq", "-p", "no:cacheprovider"]
sys.exit(pytest.main([*options, *sys.argv[1:]], plugins=[Numbers()]))
"""

#: C5, C8 and C9 are of engines and devices, which are not here.
NUMBERS = {*(f"H{n}" for n in range(1, 23)), "C1", "C2", "C3", "C4", "C6", "C7", "C10"}
NOT_YET = {"C10"}


def test_tests_carry_the_number_of_every_hazard_and_no_other():
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if ".hazard(" in path.read_text()]
    done = subprocess.run(
        [sys.executable, "-c", COLLECT, *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    carried = {number for line in lines if line[:1] == ["hazard"] for number in line[1:]}
    assert carried == NUMBERS - NOT_YET
