"""The manual pages' programs print what the pages say, to the letter."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

PAGES_TEXT = """\
Starting...
Executing within a job
Passed in message is: Hello world!
Job was paused
Waiting for the job to be woken up
Resumed the job after a pause
Job finished with return value 1
Finishing
"""


def output(*command):
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("name", ["manual_2015.py", "manual_1_1.py", "manual_3.py"])
def test_the_program_prints_the_pages_text(name):
    assert output(EXAMPLES / name) == PAGES_TEXT


def test_the_callback_program_needs_no_descriptor():
    assert output(EXAMPLES / "callback_3.py").splitlines() == [
        "Starting...",
        "Executing within a job",
        "The engine was busy: resuming the job",
        "Job was paused",
        "The engine called back: complete",
        "Job finished with return value 42",
        "Finishing",
    ]


def test_pausable_hello_prints_it_too():
    assert output("-m", "pausable", "hello") == PAGES_TEXT
