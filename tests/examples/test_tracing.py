"""The tracing example: jobs' spans, their pauses, and what is below what."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the example needs opentelemetry-sdk")

EXAMPLE = Path(__file__).parents[2] / "examples" / "tracing_opentelemetry.py"

TREES = """\
request one
    job, pause, resume
    digest
    use the key
request two
    job, pause, resume
    digest
    use the key
request refused
    job, pause, resume, exception
    digest
    use the key, exception
"""


def test_each_request_has_its_jobs_span_and_its_codes_spans_below_it():
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", EXAMPLE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (TREES, "")
