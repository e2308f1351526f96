"""The switch of C stacks by itself, compiled as a program of its own."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HEADERS = HERE.parents[1] / "src" / "native"

OPTIONS = ["-O0", "-O1", "-O3", "-O3 -fno-omit-frame-pointer", "-Os"]

pytestmark = pytest.mark.skipif(not HEADERS.is_dir(), reason="the sources are not here")


def what_it_finds(folder: Path, compiler: str, options: str, *emulator: str) -> tuple[int, str]:
    program = folder / "switch"
    strict = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", *options.split()]
    subprocess.run(
        [compiler, *strict, f"-I{HEADERS}", str(HERE / "switch.c"), "-o", str(program), "-lm"],
        check=True,
    )
    done = subprocess.run([*emulator, str(program)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def need(*commands: str) -> None:
    missing = [each for each in commands if shutil.which(each) is None]
    if missing:
        pytest.skip(f"there is no {' and no '.join(missing)}")


@pytest.mark.skipif(
    platform.machine() not in {"x86_64", "aarch64"}, reason="is for x86-64 and aarch64"
)
@pytest.mark.parametrize("options", OPTIONS)
def test_each_side_keeps_its_registers_stack_and_rounding(tmp_path, options):
    need("cc")
    assert what_it_finds(tmp_path, "cc", options) == (0, "0 wrong\n")


@pytest.mark.parametrize("options", OPTIONS)
def test_so_it_does_on_aarch64_in_an_emulator(tmp_path, options):
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    found = what_it_finds(tmp_path, "aarch64-linux-gnu-gcc", f"{options} -static", "qemu-aarch64")
    assert found == (0, "0 wrong\n")


@pytest.mark.skipif(
    platform.machine() not in {"x86_64", "aarch64"}, reason="is for x86-64 and aarch64"
)
def test_so_it_does_with_musl(tmp_path):
    need("musl-gcc")
    assert what_it_finds(tmp_path, "musl-gcc", "-O3") == (0, "0 wrong\n")
