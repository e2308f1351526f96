"""Leave out one part after another of what the native core exchanges at a switch; see what notices.

    PAUSABLE_BACKEND=native python tests/native/mutants.py [NAME ...]

Each mutant is a copy of src/pausable with an extension module that was compiled from changed
sources; tests/native/test_state.py runs on it in a process of its own. A mutant that no test
notices is an error. (Every line quoted here has to match exactly once; in the block of the minor
that runs this, where it names minors.)
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
MINOR = sys.version_info[1]


class Mutant(NamedTuple):
    """A line of the C sources that is left out, or replaced."""

    name: str
    file: str
    line: str
    instead: str = ""
    minors: tuple[int, ...] = (11, 12, 13)


MUTANTS = [
    Mutant("frames", "pystate.h", "    ts->cframe = from->cframe;\n", minors=(11, 12)),
    Mutant("frames", "pystate.h", "    ts->current_frame = from->frame;\n", minors=(13,)),
    Mutant(
        "recursion",
        "pystate.h",
        "    ts->recursion_remaining = pystate_room(ts->recursion_limit, from->depth);\n",
        minors=(11,),
    ),
    Mutant(
        "recursion",
        "pystate.h",
        "    ts->py_recursion_remaining = pystate_room(ts->py_recursion_limit, from->depth);\n",
        minors=(12, 13),
    ),
    Mutant(
        "recursion at the start",
        "pystate.h",
        "    state->depth = ts->recursion_limit - ts->recursion_remaining + 1;\n",
        minors=(11,),
    ),
    Mutant(
        "recursion at the start",
        "pystate.h",
        "    state->depth = ts->py_recursion_limit - ts->py_recursion_remaining + 1;\n",
        minors=(12, 13),
    ),
    Mutant(
        "recursion in C",
        "pystate.h",
        "    ts->c_recursion_remaining = from->c_remaining;\n",
        minors=(12, 13),
    ),
    Mutant(
        "nested deallocations",
        "pystate.h",
        "    ts->trash_delete_nesting = from->trash;\n",
        minors=(11,),
    ),
    Mutant(
        "nested deallocations",
        "pystate.h",
        "    ts->trash.delete_nesting = from->trash;\n",
        minors=(12,),
    ),
    Mutant("the event", "pystate.h", "    ts->tracing_what = from->event;\n", minors=(11,)),
    Mutant("the event", "pystate.h", "    ts->what_event = from->event;\n", minors=(12, 13)),
    Mutant(
        "whether to trace",
        "pystate.h",
        "        from->cframe->use_tracing = ts->cframe->use_tracing;\n",
        "        ;\n",
        minors=(11,),
    ),
    Mutant(
        "whether to trace, in a trace function",
        "pystate.h",
        " (tracing == 0 && (ts->c_tracefunc != NULL || ts->c_profilefunc != NULL)) ? 255 : 0;",
        " 0;",
        minors=(11,),
    ),
    Mutant(
        "room for frames",
        "pystate.h",
        "    ts->datastack_chunk = to->chunk;\n    ts->datastack_top = to->top;\n"
        "    ts->datastack_limit = to->limit;\n",
    ),
    Mutant("handled exceptions", "pystate.h", "    ts->exc_info = to->exc_info;\n"),
    Mutant("tracing", "pystate.h", "    ts->tracing = to->tracing;\n"),
    Mutant("room to handle errors", "pystate.h", "    ts->recursion_headroom = to->headroom;\n"),
    Mutant("the context", "pystate.h", "        ts->context = to->context;\n"),
    Mutant("the context's version", "pystate.h", "        ts->context_ver++;\n"),
]


def block(source: str) -> tuple[int, int]:
    """Return where the block of this minor begins and ends, or 0 and the end of what is shared."""
    begin = source.index(f"CPython 3.{MINOR} --")
    ends = [source.find(f"CPython 3.{MINOR + 1} --", begin), source.find("#else\n#error", begin)]
    return begin, min(end for end in ends if end > 0)


def mutated(mutant: Mutant, source: str) -> str:
    """Return the source with the mutant's line changed."""
    begin, end = 0, len(source)
    if mutant.minors != (11, 12, 13):
        begin, end = block(source)
    assert source[begin:end].count(mutant.line) == 1, f"{mutant.line!r} has to match once"
    return source[:begin] + source[begin:end].replace(mutant.line, mutant.instead) + source[end:]


def build_script() -> object:
    spec = importlib.util.spec_from_file_location(
        "build_native", ROOT / "scripts" / "build_native.py"
    )
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def noticed_by(mutant: Mutant, folder: Path) -> list[str]:
    """Return what notices a mutant: tests, or how the process died."""
    sources, package = folder / "native", folder / "pausable"
    shutil.copytree(ROOT / "src" / "native", sources)
    shutil.copytree(ROOT / "src" / "pausable", package, ignore=shutil.ignore_patterns("*.so"))
    file = sources / mutant.file
    file.write_text(mutated(mutant, file.read_text()))
    script = build_script()
    script.SOURCES = sources
    script.build(package)
    tests = [str(ROOT / "tests" / "native" / "test_state.py")]
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run(
            [*command, "--timeout", "50", *tests],
            env={**os.environ, "PYTHONPATH": str(folder), "PAUSABLE_BACKEND": "native"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ["nothing ends any more"]
    lines = done.stdout.splitlines()
    failed = [line.split("::")[-1].split(" - ")[0] for line in lines if line.startswith("FAILED")]
    if failed or done.returncode == 0:
        return failed
    said = [line for line in (done.stdout + done.stderr).splitlines() if "rror" in line]
    return [f"status {done.returncode}: {(said or ['?'])[-1][:80]}"]


def main() -> None:
    """Be the command."""
    unnoticed = []
    for mutant in MUTANTS:
        if MINOR not in mutant.minors or (sys.argv[1:] and mutant.name not in sys.argv[1:]):
            continue
        with tempfile.TemporaryDirectory() as folder:
            by = noticed_by(mutant, Path(folder))
        print(
            f"{mutant.name}: {len(by)}: {', '.join(by)[:300] or 'NOTICED BY NOTHING'}", flush=True
        )
        if not by:
            unnoticed.append(mutant.name)
    sys.exit(f"unnoticed: {', '.join(unnoticed)}" if unnoticed else 0)


if __name__ == "__main__":
    main()
