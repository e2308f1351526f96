"""Where the native core is for, and what becomes of an installation where it cannot be compiled."""

from __future__ import annotations

import hashlib
import mmap
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from native._support import run
from pausable._backend import why_not_native
from pausable._native_platforms import MINORS, Python, this_python, why_not

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "pausable"
SCRIPT = ROOT / "scripts" / "build_native.py"

ELSEWHERE = why_not(this_python())

needs_sources = pytest.mark.skipif(
    not (ROOT / "src" / "native").is_dir(), reason="the sources are not here"
)
needs_platform = pytest.mark.skipif(ELSEWHERE is not None, reason=str(ELSEWHERE))

KNOWN = Python("cpython", (3, 12), "linux", "x86_64", 64, "glibc", gil=True, page_bytes=4096)


@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_native_core_is_for_cpython_on_linux(minor, machine):
    assert why_not(KNOWN._replace(minor=minor, machine=machine)) is None


@pytest.mark.parametrize(
    ("difference", "reason"),
    [
        ({"implementation": "pypy"}, "is for CPython, not pypy"),
        ({"minor": (3, 10)}, "is for CPython 3.11 to 3.13, not 3.10"),
        ({"minor": (3, 14)}, "is for CPython 3.11 to 3.13, not 3.14"),
        ({"gil": False}, "needs the GIL, and this Python is a free-threaded build"),
        ({"system": "darwin", "machine": "arm64", "libc": "unknown"}, "is for Linux, not darwin"),
        ({"system": "win32", "machine": "", "libc": "unknown"}, "is for Linux, not win32"),
        ({"system": "android", "libc": "unknown"}, "is for Linux, not android"),
        (
            {"machine": "riscv64"},
            "is for x86_64 or aarch64 with 64 bits, not riscv64 with 64",
        ),
        ({"bits": 32}, "is for x86_64 or aarch64 with 64 bits, not x86_64 with 32"),
        (
            {"machine": "aarch64", "page_bytes": 65536},
            "is for pages of memory of 4096 bytes, not 65536",
        ),
        ({"libc": "musl"}, "is for glibc; on another C library (musl) it was never tested"),
    ],
)
def test_elsewhere_the_reason_is_told(difference, reason):
    assert why_not(KNOWN._replace(**difference)) == f"the native core {reason}"


def test_what_this_python_is_agrees_with_slower_ways_to_find_out():
    this = this_python()
    assert this.implementation == platform.python_implementation().lower()
    assert this.gil is not bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    assert f"{this.bits}bit" == platform.architecture()[0]
    if sys.platform != "win32":
        assert this.machine == platform.machine()
    if sys.platform == "linux":
        assert this.libc == platform.libc_ver()[0]
        assert this.page_bytes == mmap.PAGESIZE


def installed_in(folder: Path, **env: str) -> tuple[str, str]:
    """Do what an installation does; return why it has no native core, and what is there then."""
    shutil.copytree(PACKAGE, folder / "pausable", ignore=shutil.ignore_patterns("_native*.so"))
    program = (
        "import pathlib, runpy, sys;"
        "script, folder = sys.argv[1:];"
        "print(runpy.run_path(script)['build_or_explain'](pathlib.Path(folder))[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(SCRIPT), str(folder / "pausable")],
        env={**os.environ, "PAUSABLE_NO_NATIVE": "", **env},
        capture_output=True,
        text=True,
        check=True,
    )
    tell = "import pausable; print(*pausable.backend(), sep='|')"
    status, out, err = run(tell, "auto", PYTHONPATH=str(folder))
    assert (status, err) == (0, "")
    return done.stdout.strip(), out.strip()


def compiler(folder: Path, script: str) -> str:
    """Return a compiler that does what a shell script says."""
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return str(path)


@needs_sources
@needs_platform
@pytest.mark.parametrize(
    ("env", "reason"),
    [
        ({"PAUSABLE_NO_NATIVE": "1"}, "it was left out of this package (PAUSABLE_NO_NATIVE), "),
        ({"CC": "/nonexistent"}, "there is no C compiler: '/nonexistent' was not found"),
        ({"CC": "", "PATH": "/nonexistent"}, "there is no C compiler: "),
        ({"CC": "cc '"}, 'CC="cc \'" is no command line: '),
        ({"CFLAGS": "'"}, 'CFLAGS="\'" is no command line: '),
    ],
)
def test_without_a_compiler_it_installs_with_greenlet_and_the_reason(tmp_path, env, reason):
    said, found = installed_in(tmp_path, **env)
    assert said.startswith(reason)
    assert found == f"greenlet|there is no native core: {said}"


@needs_sources
@needs_platform
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "echo notes >&2; echo 'core.h:1: error: no such thing' >&2; exit 1",
            "core.h:1: error: no",
        ),
        ("exit 3", "status 3"),
        ("kill -KILL $$", "status -9"),
        ("printf 'error: \\377\\n' >&2; exit 1", "error: "),
        ("exit 0", "status 0"),
        ("exec /nonexistent/cc1", "cc1: "),
    ],
)
def test_with_a_compiler_that_fails_it_installs_with_greenlet_and_the_reason(
    tmp_path, script, reason
):
    cc = compiler(tmp_path, script)
    said, found = installed_in(tmp_path, CC=cc)
    assert said.startswith(f"{cc} failed: ")
    assert reason in said
    assert found == f"greenlet|there is no native core: {said}"
    assert not list((tmp_path / "pausable").glob("_native*.part"))


@needs_sources
@needs_platform
def test_without_pythons_headers_it_installs_with_greenlet_and_the_reason(tmp_path):
    home = tmp_path / "home"  # a Python that has its library alone
    home.mkdir()
    (home / "lib").symlink_to(Path(sysconfig.get_paths()["stdlib"]).parent)
    said, found = installed_in(tmp_path, PYTHONHOME=str(home))
    assert said.startswith(f"Python's headers (Python.h) are not in {home}")
    assert found == f"greenlet|there is no native core: {said}"


@needs_sources
@needs_platform
def test_what_a_compiler_wrote_and_cannot_be_loaded_leaves_greenlet_and_the_reason(tmp_path):
    cc = compiler(tmp_path, 'for last; do :; done; echo nonsense >"$last"')
    said, found = installed_in(tmp_path, CC=cc)
    assert said == ""
    assert found.startswith("greenlet|the native core cannot be imported: ")


@needs_sources
@pytest.mark.skipif(ELSEWHERE is None, reason="the native core is for this Python")
def test_an_installation_and_an_import_give_the_same_reason(tmp_path):
    assert installed_in(tmp_path) == (ELSEWHERE, f"greenlet|{why_not_native()}")
    assert why_not_native() == ELSEWHERE


@needs_sources
@needs_platform
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_same_sources_give_the_same_bytes_wherever_they_are(tmp_path):
    digests = set()
    for name in ("here", "elsewhere"):
        copy = tmp_path / name
        for folder in ("scripts", "src/native", "src/pausable"):
            shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("*.so"))
        subprocess.run(
            [sys.executable, str(copy / "scripts" / "build_native.py")],
            env={**os.environ, "CFLAGS": "-O0"},
            check=True,
            capture_output=True,
        )
        (built,) = (copy / "src" / "pausable").glob("_native*.so")
        digests.add(hashlib.sha256(built.read_bytes()).hexdigest())
    assert len(digests) == 1


@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs tomllib")
def test_wheels_are_built_for_what_the_native_core_is_for():
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]
    assert settings["build"] == [f"cp{a}{b}-manylinux*" for a, b in MINORS]
