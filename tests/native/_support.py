"""Programs that run on a backend of the test's choice, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import pausable
from pausable._backend import why_not_native

needs_native = pytest.mark.skipif(
    why_not_native() is not None, reason=f"no native core: {why_not_native()}"
)

SOURCES = str(Path(pausable.__file__).parents[1])


def run(program: str, backend: str = "native", **env: str) -> tuple[int, str, str]:
    """Run a program; return its status, what it printed, and what it complained about."""
    paths = [SOURCES, os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "PAUSABLE_BACKEND": backend,
            **env,
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr
