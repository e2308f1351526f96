"""Rules of the C-named API, each broken on purpose, to show that random programs notice.

    python tests/scenario/mutants.py [--programs N]

A mutant is a line of the source and what is put in its place. The programs run in a process of
their own on a copy of the package, and are compared with what the real libcrypto printed. The
table tells for each rule the first program that caught it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pausable

TESTS = Path(__file__).parents[1]
PACKAGE = Path(pausable.__file__).parent
PROGRAMS = 600


class Mutant(NamedTuple):
    """A rule, and how to break it."""

    rule: str
    file: str
    line: str
    instead: str


_JOBS = "openssl/_jobs.py"
_CTX = "_wait_context.py"

MUTANTS = [
    Mutant(
        "a window ends at a resume, not at a pause",
        "_job.py",
        "    fibre.point = here\n",
        "    fibre.point = here\n    if fibre.wait_ctx is not None:\n"
        "        fibre.wait_ctx._reset()\n",
    ),
    Mutant(
        "a window ends at a resume",
        "_job.py",
        "        fibre.wait_ctx._reset()\n",
        "        pass\n",
    ),
    Mutant(
        "a pause that is blocked ends no window",
        "_job.py",
        "    if fibre.alert and not fibre.may_pause():\n        return False\n",
        "    if fibre.alert and not fibre.may_pause():\n"
        "        if fibre.wait_ctx is not None:\n            fibre.wait_ctx._reset()\n"
        "        return False\n",
    ),
    Mutant(
        "a window does not end when a job starts",
        _JOBS,
        "        job._ctx = ctx\n",
        "        job._ctx = ctx\n        if ctx is not None:\n            ctx._reset()\n",
    ),
    Mutant(
        "a window does not end when a job finishes",
        _JOBS,
        "        slot.value = None\n        job._job = None\n",
        "        slot.value = None\n        job._job = None\n"
        "        if job._ctx is not None:\n            job._ctx._reset()\n",
    ),
    Mutant(
        "reading the changes ends no window",
        _CTX,
        "        added = [entry.fd for entry in reversed(self._added)]\n",
        "        added = [entry.fd for entry in reversed(self._added)]\n        self._added = {}\n",
    ),
    Mutant(
        "all descriptors are listed newest first",
        _CTX,
        "return [entry.fd for entry in reversed(self._live)]",
        "return [entry.fd for entry in self._live]",
    ),
    Mutant(
        "added ones are listed newest first",
        _CTX,
        "[entry.fd for entry in reversed(self._added)]",
        "[entry.fd for entry in self._added]",
    ),
    Mutant(
        "deleted ones are listed newest first",
        _CTX,
        "key=lambda entry: -entry.number",
        "key=lambda entry: entry.number",
    ),
    Mutant(
        "deleted ones are listed by age, not by deletion",
        _CTX,
        "sorted(self._deleted, key=lambda entry: -entry.number)",
        "self._deleted[::-1]",
    ),
    Mutant(
        "setting a key again replaces nothing",
        _CTX,
        "        stack = self._by_key.get(key)\n",
        "        if key in self._by_key:\n            self.clear_fd(key)\n"
        "        stack = self._by_key.get(key)\n",
    ),
    Mutant(
        "get_fd means the newest",
        _CTX,
        "        entry = self._stack(key)[-1]\n",
        "        entry = self._stack(key)[0]\n",
    ),
    Mutant(
        "clear_fd means the newest",
        _CTX,
        "        entry = stack.pop()\n",
        "        entry = stack.pop(0)\n",
    ),
    Mutant(
        "cleared in the window it was set in, it leaves no trace",
        _CTX,
        "            del self._added[entry]\n",
        "            del self._added[entry]\n            self._deleted.append(entry)\n",
    ),
    Mutant(
        "clear_fd calls no cleanup",
        _CTX,
        "        del self._live[entry]\n",
        "        del self._live[entry]\n        if entry.cleanup is not None:\n"
        "            entry.cleanup(self, entry.key, entry.fd, entry.data)\n",
    ),
    Mutant(
        "free calls the cleanups newest first",
        _CTX,
        "        for entry in reversed(live):\n",
        "        for entry in live:\n",
    ),
    Mutant(
        "the block counter is the thread's: it outlives its job",
        "openssl/_call.py",
        "            self._state.blocked = fibre.blocks\n",
        "            pass\n",
    ),
    Mutant(
        "the block counter is the thread's: it meets jobs that are resumed",
        _JOBS,
        "        core._fibre.block(state.blocked)\n",
        "",
    ),
    Mutant(
        "a surplus unblock gives no credit",
        "_job.py",
        "        self.blocks = max(0, self.blocks + by)\n",
        "        self.blocks = self.blocks + by\n",
    ),
    Mutant(
        "cleanup resets the block counter",
        _JOBS,
        "        state.blocked = 0\n        state.life += 1\n",
        "        state.life += 1\n",
    ),
    Mutant(
        "cleanup forgets the limit",
        _JOBS,
        "        state.free_pool()\n        state.blocked = 0\n",
        "        limit = state.pool.max_size if state.pool else 0\n        state.free_pool()\n"
        "        state.pool = Pool(limit)\n        state.blocked = 0\n",
    ),
    Mutant(
        "idle jobs are reused last in, first out",
        _JOBS,
        "            return pool.idle.pop()\n",
        "            return pool.idle.pop(0)\n",
    ),
    Mutant(
        "a second init replaces the pool",
        _JOBS,
        "        state.pool = pool = Pool(max_size)\n",
        "        if state.pool is not None:\n            return 1\n"
        "        state.pool = pool = Pool(max_size)\n",
    ),
    Mutant(
        "adopted jobs are not counted",
        _JOBS,
        "        state.pool.idle.append(job)\n        return True\n",
        "        state.pool.idle.append(job)\n"
        "        existing = len(state.pool.idle) + len(state.outstanding)\n"
        "        state.pool.curr_size = max(state.pool.curr_size, existing)\n"
        "        return True\n",
    ),
    Mutant(
        "init (0, n) is refused although 0 is no limit",
        _JOBS,
        "        if init_size > max_size:\n",
        "        if max_size and init_size > max_size:\n",
    ),
    Mutant(
        "jobs that are paused count",
        _JOBS,
        "pool.curr_size >= pool.max_size:",
        "pool.curr_size - len(state.outstanding) >= pool.max_size:",
    ),
    Mutant(
        "NO_JOBS raises no error",
        _JOBS,
        "        if job is None:\n            return ASYNC_NO_JOBS\n",
        "        if job is None:\n"
        "            self._errors.refuse('ASYNC_start_job', '')\n"
        "            return ASYNC_NO_JOBS\n",
    ),
    Mutant(
        "ret is written on FINISH only",
        _JOBS,
        "            slot.value = job\n            state.blocked = 0",
        "            slot.value = job\n            store(ret, 0)\n            state.blocked = 0",
    ),
    Mutant(
        "arguments are copied",
        "openssl/_call.py",
        "    return bytearray(data[:size])\n",
        "    return args if isinstance(args, bytearray) else bytearray(data[:size])\n",
    ),
    Mutant(
        "a nested start from a resumed job raises no error",
        _JOBS,
        "        if defined and slot.value is None and outer is not None and outer._resumed:\n",
        "        if False and defined and outer:\n",
    ),
    Mutant(
        "the caller gets its library context back",
        _JOBS,
        "                job._lib_ctx = OSSL_LIB_CTX_set0_default(callers)\n",
        "                job._lib_ctx = get_default()\n",
    ),
    Mutant(
        "a resumed job gets its library context back",
        _JOBS,
        "OSSL_LIB_CTX_set0_default(job._lib_ctx if self._dialect.has_lib_ctx else None)",
        "OSSL_LIB_CTX_set0_default(None)",
    ),
    Mutant(
        "an error queue keeps 15 errors",
        "openssl/_err.py",
        "DEPTH: Final = 15\n",
        "DEPTH: Final = 16\n",
    ),
    Mutant(
        "a status outlives jobs",
        _JOBS,
        "        job._thread_life = state.life\n",
        "        job._thread_life = state.life\n        if ctx is not None:\n"
        "            ctx._status = 0\n",
    ),
    Mutant(
        "the library never calls the callback",
        _JOBS,
        "            slot.value = job\n            state.blocked = 0",
        "            slot.value = job\n            if job._ctx is not None and job._ctx.callback:\n"
        "                job._ctx.callback()\n            state.blocked = 0",
    ),
    Mutant(
        "get_wait_ctx is the first call's context",
        _JOBS,
        "        return self._resume(job, ret)\n",
        "        job.value._ctx = ctx or job.value._ctx\n        return self._resume(job, ret)\n",
    ),
]


def source_of(mutant: Mutant) -> str:
    """Return the file that a mutant changes."""
    return (PACKAGE / mutant.file).read_text()


def caught_by(mutant: Mutant, folder: Path, programs: int = PROGRAMS) -> int | None:
    """Return the seed of the first program whose traces differ on the mutant, or None."""
    copy = folder / "pausable"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    changed = source_of(mutant).replace(mutant.line, mutant.instead)
    (copy / mutant.file).write_text(changed)
    search = (
        "import json\nfrom scenario.differential import compare\n"
        "found = []\n"
        f"for first in range(0, {programs}, 50):\n"
        "    found += compare(range(first, first + 50)).different\n"
        "    if found: break\n"
        "print(json.dumps(found[:1]))\n"
    )
    env = {"PYTHONPATH": f"{folder}{os.pathsep}{TESTS}", "PAUSABLE_BACKEND": "greenlet"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", search],
        env={**os.environ, **env},  # what is changed is the reference in Python
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the mutant of {mutant.rule!r} did not run:\n{done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    return found[0] if found else None


def main() -> int:
    parser = argparse.ArgumentParser(description="break each rule and see who notices")
    parser.add_argument("--programs", type=int, default=PROGRAMS)
    options = parser.parse_args()
    missed = 0
    for mutant in MUTANTS:
        with tempfile.TemporaryDirectory() as folder:
            seed = caught_by(mutant, Path(folder), options.programs)
        missed += seed is None
        what = "NOT CAUGHT" if seed is None else f"caught by seed {seed}"
        print(f"{mutant.rule:70} {what}")
    print(f"{len(MUTANTS) - missed} of {len(MUTANTS)} caught")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
