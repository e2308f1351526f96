"""The real libcrypto as a judge: scripts of the scenario language in, traces out.

The driver is compiled when it is first needed, into the temporary folder, once per content of its
sources. `unavailable()` says why it cannot be (no compiler, no headers, no fibres), for skips.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCES = Path(__file__).parent
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O2", "-Wall", "-Wextra", "-Werror")
LIBRARIES = ("-lcrypto", "-lpthread")
SEPARATOR = "%%"  # a line of its own between scripts, and between traces
SYNTAX_ERROR = 2
TIMEOUT_S = 300.0  # a hang of one script costs 5 s, so this is the driver itself
CHUNK_SCRIPTS = 500  # per driver process: keeps input and output well below a pipe's worries
RECORDED_VERSION = "OpenSSL 3.0.19"  # that the traces in scenario/data/3x come from


class OracleUnavailable(Exception):
    """There is no driver here; the message says what is missing."""


class ScriptError(ValueError):
    """A script is not well-formed; the message is the driver's, with the line."""


@functools.cache
def _compiler() -> str:
    found = next(filter(None, map(shutil.which, COMPILERS)), None)
    if found is None:
        raise OracleUnavailable(f"none of the C compilers {', '.join(COMPILERS)} is on the PATH")
    return found


def _cache_folder() -> Path:
    digest = hashlib.sha256(" ".join((_compiler(), *FLAGS, *LIBRARIES)).encode())
    for source in sorted(SOURCES.glob("*.[ch]")):
        digest.update(source.read_bytes())
    folder = f"pausable-oracle-{os.getuid()}-{digest.hexdigest()[:16]}"
    return Path(tempfile.gettempdir()) / folder


def _compile(into: Path) -> None:
    sources = [str(source) for source in sorted(SOURCES.glob("*.c"))]
    command = [_compiler(), *FLAGS, *sources, "-o", str(into), *LIBRARIES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        if not _has_headers():
            raise OracleUnavailable("OpenSSL's headers are not here: <openssl/async.h>")
        raise RuntimeError(f"the oracle's driver does not compile:\n{done.stderr}")


def _has_headers() -> bool:
    command = [_compiler(), "-E", "-x", "c", "-"]
    text = "#include <openssl/async.h>\n"
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    return done.returncode == 0


@functools.cache
def driver() -> Path:
    """Return the compiled driver.

    Raises:
        OracleUnavailable: no C compiler, or no OpenSSL headers of 3.0 or later.
    """
    folder = _cache_folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise OracleUnavailable(f"{folder} belongs to somebody else")
    path = folder / "driver"
    if not path.exists():
        partial = folder / f"driver.{os.getpid()}"
        _compile(partial)
        partial.replace(path)  # atomic: test processes may compile at the same time
    return path


@functools.cache
def unavailable() -> str | None:
    """Return why there is no oracle here, or None."""
    try:
        driver()
    except OracleUnavailable as reason:
        return str(reason)
    if run("capable")[0] != "main: capable -> 1":
        return f"{version()} has no asynchronous jobs on this platform"
    return None


@functools.cache
def version() -> str:
    """Return libcrypto's version text, such as "OpenSSL 3.0.19 27 Jan 2026"."""
    command = [str(driver()), "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def run(script: str) -> list[str]:
    """Return the trace of one script, line by line; the last line says how it ended.

    Raises:
        ScriptError: the script is not well-formed.
        OracleUnavailable: see `driver`.
    """
    return run_many([script])[0]


def run_many(scripts: Sequence[str]) -> list[list[str]]:
    """Return the traces of many scripts, in order; each runs in a process of its own."""
    traces: list[list[str]] = []
    for start in range(0, len(scripts), CHUNK_SCRIPTS):
        traces += _run_chunk(scripts[start : start + CHUNK_SCRIPTS])
    return traces


def _run_chunk(scripts: Sequence[str]) -> list[list[str]]:
    text = f"\n{SEPARATOR}\n".join(scripts)
    done = subprocess.run(
        [str(driver())], input=text, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )
    if done.returncode == SYNTAX_ERROR:
        raise ScriptError(done.stderr.strip())
    if done.returncode != 0:
        raise RuntimeError(f"the oracle's driver failed ({done.returncode}): {done.stderr}")
    traces: list[list[str]] = [[]]
    for line in done.stdout.splitlines():
        if line == SEPARATOR:
            traces.append([])
        else:
            traces[-1].append(line)
    return traces
