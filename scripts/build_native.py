"""Compile the native core, src/native, into src/pausable for the Python that runs this.

    python scripts/build_native.py [--debug] [--strict] [--sanitize KIND] [--out DIR] [--check]

Used by the package's build (hatch_build.py) and by `make native`. Where it does not apply or cannot
be compiled, it says why; pausable works without it, on greenlet. CC and CFLAGS are heeded.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src" / "native"
PACKAGE = ROOT / "src" / "pausable"
#: Which Pythons the native core is for: pausable asks the same when it is imported.
TABLE = PACKAGE / "_native_platforms.py"
#: Next to where the module would be: why it is not there.
REASON = "_native_reason.txt"

FLAGS = "-std=gnu11 -g -fPIC -shared -fno-plt -fvisibility=hidden -fno-strict-aliasing"
WARNINGS = "-Wall -Wextra -Wno-missing-field-initializers -Wno-cast-function-type"


class NotApplicableError(Exception):
    """There is no native core for this platform, or nothing to compile it with."""


class FailedError(Exception):
    """It could not be compiled."""


def load_table() -> ModuleType:
    """Return the module that tells which Pythons the native core is for."""
    spec = importlib.util.spec_from_file_location(TABLE.stem, TABLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_applies() -> None:
    """Raise NotApplicableError, with the reason, unless the native core is for this Python."""
    table = load_table()
    elsewhere = table.why_not(table.this_python())
    if elsewhere is not None:
        raise NotApplicableError(elsewhere)
    if shutil.which(compiler()[0]) is None:
        raise NotApplicableError(f"there is no C compiler: {compiler()[0]!r} was not found")
    headers = sysconfig.get_paths()["include"]
    if not Path(headers, "Python.h").is_file():
        raise NotApplicableError(f"Python's headers (Python.h) are not in {headers}")


def compiler() -> list[str]:
    """Return the compiler that is to be used, with the options that it always has."""
    return words_of("CC") or shlex.split(sysconfig.get_config_var("CC") or "cc")


def words_of(variable: str) -> list[str]:
    """Return the words of an environment variable."""
    text = os.environ.get(variable, "")
    try:
        return shlex.split(text)
    except ValueError as exc:
        raise NotApplicableError(f"{variable}={text!r} is no command line: {exc}") from exc


def command(out: Path, *, debug: bool, strict: bool, sanitize: str | None) -> list[str]:
    """Return the compiler's command line."""
    words = [*compiler(), *FLAGS.split(), *WARNINGS.split()]
    words.append(f"-fdebug-prefix-map={ROOT}=.")  # the same bytes wherever it is compiled
    words += ["-O0"] if debug else ["-O3", "-DNDEBUG"]
    if platform.machine() == "x86_64":
        words.append("-fcf-protection=none")  # the switch knows no shadow stacks: it keeps them off
    if strict:
        words.append("-Werror")
    if sanitize:
        words += [f"-fsanitize={sanitize}", "-fno-sanitize-recover", "-fno-omit-frame-pointer"]
    words += words_of("CFLAGS")
    words.append(f"-I{sysconfig.get_paths()['include']}")
    if platform.machine() == "aarch64":
        words.append("-mbranch-protection=none")  # as there: newer compilers have them in it
    return [*words, *map(str, sorted(SOURCES.glob("*.c"))), "-o", str(out)]


def build(
    out_dir: Path = PACKAGE,
    *,
    debug: bool = False,
    strict: bool = False,
    sanitize: str | None = None,
) -> Path:
    """Compile; return the file.

    Raises:
        NotApplicableError, FailedError: with the reason.
    """
    check_applies()
    out = out_dir / f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"
    part = out.with_name(f"{out.name}.{os.getpid()}.part")  # a running process may have the old one
    words = command(part, debug=debug, strict=strict, sanitize=sanitize)
    try:
        done = subprocess.run(  # noqa: S603  # the user's own
            words,
            env={**os.environ, "LC_ALL": "C"},  # "error" is looked for
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as exc:
        raise FailedError(f"there is no C compiler: {exc}") from exc
    if done.returncode != 0 or not part.is_file():
        part.unlink(missing_ok=True)
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        first = next((line for line in lines if "error" in line), lines[0])
        raise FailedError(f"{words[0]} failed: {first.strip()}")
    if done.stderr:
        print(done.stderr, file=sys.stderr)
    part.replace(out)
    return out


def build_or_explain(out_dir: Path = PACKAGE) -> tuple[Path | None, str]:
    """Compile if that can be done; else return why not, which is kept next to the package too."""
    reason = out_dir / REASON
    if os.environ.get("PAUSABLE_NO_NATIVE", "0") not in {"", "0"}:
        why = (
            "it was left out of this package (PAUSABLE_NO_NATIVE), which is for all platforms;"
            " to get it: pip install --no-cache-dir --force-reinstall --no-binary pausable pausable"
        )
    else:
        try:
            path = build(out_dir)
        except (NotApplicableError, FailedError) as exc:
            why = str(exc)
        else:
            reason.unlink(missing_ok=True)
            return path, ""
    reason.write_text(f"{why}\n")
    return None, why


def main() -> None:
    """Be the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--debug", action="store_true", help="no optimisation, with assertions")
    parser.add_argument("--strict", action="store_true", help="warnings are errors")
    parser.add_argument(
        "--sanitize",
        metavar="KIND",
        help="for example address or undefined: see scripts/test-native",
    )
    parser.add_argument("--out", type=Path, default=PACKAGE, help="folder (default: src/pausable)")
    parser.add_argument(
        "--check", action="store_true", help="only tell whether it can be compiled: 0, or why not"
    )
    options = parser.parse_args()
    if options.check:
        try:
            check_applies()
        except NotApplicableError as exc:
            sys.exit(f"not compiled: {exc}")
        return
    try:
        path = build(
            options.out, debug=options.debug, strict=options.strict, sanitize=options.sanitize
        )
    except NotApplicableError as exc:
        print(f"not compiled: {exc}")
        return
    except FailedError as exc:
        sys.exit(f"the native core could not be compiled: {exc}")
    print(path)


if __name__ == "__main__":
    main()
