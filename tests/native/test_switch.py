"""The switch of C stacks by itself, compiled as a program of its own."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HEADERS = HERE.parents[1] / "src" / "native"

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None
    or platform.machine() not in {"x86_64", "aarch64"}
    or not HEADERS.is_dir(),
    reason="needs a C compiler, the sources, and x86-64 or aarch64",
)


@pytest.mark.parametrize("options", ["-O0", "-O1", "-O3", "-O3 -fno-omit-frame-pointer", "-Os"])
def test_each_side_keeps_its_registers_stack_and_rounding(tmp_path, options):
    program = tmp_path / "switch"
    strict = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", *options.split()]
    subprocess.run(
        ["cc", *strict, f"-I{HEADERS}", str(HERE / "switch.c"), "-o", str(program), "-lm"],
        check=True,
    )
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "0 wrong\n")
