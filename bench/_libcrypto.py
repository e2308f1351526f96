"""libcrypto's own jobs, measured by a C program that is compiled when it is needed."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

from _asked import Asked
from _measure import Absent

SOURCE = Path(__file__).with_name("libcrypto_jobs.c")
COMPILERS = ("cc", "gcc", "clang")


@functools.cache
def program() -> Path:
    """Return the compiled program.

    Raises:
        Absent: there is no compiler, or no libcrypto with headers.
    """
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise Absent(f"no C compiler ({', '.join(COMPILERS)})")
    folder = tempfile.TemporaryDirectory(prefix="libcrypto_jobs_")
    atexit.register(folder.cleanup)
    made = Path(folder.name) / "libcrypto_jobs"
    command = [compiler, "-O2", "-o", str(made), str(SOURCE), "-lcrypto"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line] or [done.stderr]
        raise Absent(f"{compiler}: {errors[0].strip()}")
    return made


def libcrypto() -> Asked:
    """Return the running program, which measures what it is asked to.

    Raises:
        Absent: it cannot be compiled, or this libcrypto has no jobs.
    """
    return Asked([str(program())])
