"""Leave out one part after another of what the native core exchanges at a switch; see what notices.

    PAUSABLE_BACKEND=native python tests/native/mutants.py [NAME ...]

Each mutant is a copy of src/pausable with an extension module that was compiled from changed
sources; tests run on it in a process of their own. A mutant that none of them notices is an error.
(Every line quoted here has to match exactly once; in the block of the minor that runs this, where
it names minors.)
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
    tests: str = "native/test_state.py"


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
    # What is no part of a switch, but stands in for lines of the reference.
    Mutant(
        "blocks end with their job",
        "end.c",
        "    fibre->blocks = 0;\n",
        tests="core/test_blocking.py",
    ),
    Mutant(
        "a pause asks for blocks",
        "inside.c",
        "    if (unlikely(fibre->blocks > 0))\n        Py_RETURN_FALSE;\n",
        tests="core/test_blocking.py",
    ),
    Mutant(
        "no context to wait in where pausing is blocked",
        "inside.c",
        "    if (fibre == NULL || fibre->blocks > 0)\n",
        "    if (fibre == NULL)\n",
        tests="core/test_blocking.py",
    ),
    Mutant(
        "a block is undone for the thread that leaves it",
        "blocks.c",
        "    while (i >= 0 && self->entries[i].thread != thread)\n        i--;\n",
        "    (void)thread;\n",
        tests="core/test_blocking.py",
    ),
    Mutant(
        "a block is undone for the job that entered it",
        "blocks.c",
        "    PyObject *job = self->entries[i].job;\n    self->count--;\n",
        "    int failed_to_find;\n"
        "    PyObject *job = (Py_XDECREF(self->entries[i].job), running_job(&failed_to_find));\n"
        "    self->count--;\n",
        tests="core/test_blocking.py",
    ),
    Mutant(
        "a block's job is seen by the collector",
        "blocks.c",
        "        Py_VISIT(self->entries[i].job);\n",
        "        (void)visit, (void)arg;\n",
        tests="core/test_blocking.py",
    ),
    Mutant(
        "what a job sets anew is published",
        "end.c",
        "    if (known > 0 && old == value)\n",
        "    if (known > 0)\n",
        tests="core/test_context_vars.py",
    ),
    Mutant(
        "what a job has not set is not published",
        "end.c",
        "    if (known > 0 && old == value)\n        return 0;\n",
        tests="core/test_context_vars.py",
    ),
    Mutant(
        "a guard blocks before it takes the lock",
        "guard.c",
        "    if (unlikely(block_begin(&self->block) < 0))\n        return NULL;\n"
        "    PyObject *lock = Py_NewRef(self->lock);\n"
        "    PyObject *entered = PyObject_CallMethodNoArgs(lock, names.enter);\n",
        "    PyObject *lock = Py_NewRef(self->lock);\n"
        "    PyObject *entered = PyObject_CallMethodNoArgs(lock, names.enter);\n"
        "    block_begin(&self->block);\n",
        tests="core/test_blocking.py",
    ),
    Mutant(
        "a guard unblocks when the lock is released",
        "guard.c",
        "    PyObject *left = PyObject_VectorcallMethod(names.exit, all, 4, NULL);\n"
        "    Py_DECREF(all[0]);\n"
        "    if (unlikely(end_keeping_error(self) < 0))\n"
        "        Py_CLEAR(left);\n",
        "    int ended = end_keeping_error(self);\n"
        "    PyObject *left = PyObject_VectorcallMethod(names.exit, all, 4, NULL);\n"
        "    Py_DECREF(all[0]);\n"
        "    if (ended < 0)\n"
        "        Py_CLEAR(left);\n",
        tests="core/test_blocking.py",
    ),
    Mutant(
        "a guard unblocks when the lock was not taken",
        "guard.c",
        "    if (unlikely(entered == NULL))\n        end_keeping_error(self);\n",
        tests="core/test_blocking.py",
    ),
    Mutant(
        "a guard's lock is seen by the collector",
        "guard.c",
        "    Py_VISIT(self->lock);\n",
        tests="core/test_blocking.py",
    ),
    Mutant(
        "debug mode hears of a pause outside of jobs",
        "inside.c",
        " == hooks.do_nothing;",
        " != NULL;",
        tests="diagnostics/test_debug_mode.py",
    ),
    Mutant(
        "a job that is unwound begins no window",
        "inside.c",
        "    if (unlikely(fibre->alert) && asks(fibre, names.resumed) < 0)\n"
        "        return NULL; /* a job that is unwound begins no window */\n"
        "    if (is_set(fibre->wait_ctx) && wait_ctx_reset(fibre->wait_ctx) < 0)\n"
        "        return NULL;\n",
        "    if (is_set(fibre->wait_ctx) && wait_ctx_reset(fibre->wait_ctx) < 0)\n"
        "        return NULL;\n"
        "    if (unlikely(fibre->alert) && asks(fibre, names.resumed) < 0)\n"
        "        return NULL;\n",
        tests="core/test_wait_context.py",
    ),
    Mutant(
        "a window ends with what was added",
        "waitctx.c",
        "        PyDict_Clear(added);\n",
        tests="core/test_wait_context.py",
    ),
    Mutant(
        "a window ends with what was deleted",
        "waitctx.c",
        "    if (PyList_GET_SIZE(deleted) != 0)\n",
        "    if (0)\n",
        tests="core/test_wait_context.py",
    ),
    Mutant(
        "one job at a time",
        "waitctx.c",
        " && small(ctx, at_jobs) == 0;",
        ";",
        tests="core/test_wait_context.py",
    ),
    Mutant(
        "a closed context starts no job",
        "waitctx.c",
        " && *slot_of(ctx, at_closed) == Py_False",
        "",
        tests="core/test_wait_context.py",
    ),
    Mutant(
        "an end makes the job's wakers harmless",
        "waitctx.c",
        "            if (put(ctx, at_generation, generation + 1) < 0)\n"
        "                return -1;\n",
        tests="core/test_waker.py",
    ),
    Mutant(
        "an ended job's wakers promise nothing",
        "waitctx.c",
        " || put(ctx, at_wakers, 0) < 0 ? -1 : 0;",
        " ? -1 : 0;",
        tests="core/test_waker.py",
    ),
    Mutant(
        "a level that a job left set is taken back",
        "waitctx.c",
        "                   PyDict_GET_SIZE(fired) == 0)) {\n",
        "                   1)) {\n",
        tests="core/test_waker.py",
    ),
    Mutant(
        "a pool is its thread's",
        "start.c",
        "    if (likely(((Pool *)pool)->thread == PyThread_get_thread_ident()))\n",
        "    if (1)\n",
        tests="core/test_pool.py",
    ),
    Mutant(
        "result() raises with the call's own traceback",
        "outcome.c",
        "    if (PyException_SetTraceback(exc, tb) == 0)\n",
        "    (void)tb;\n",
        tests="core/test_outcome.py",
    ),
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
    tests = [str(ROOT / "tests" / mutant.tests)]
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
