"""Run CPython's own tests inside a job, which a timer pauses at arbitrary bytecodes.

    PAUSABLE_BACKEND=native python tests/native/stress.py [--seconds N] [MODULE ...]

Each module of the test package runs twice, in a process of its own: as it is, and inside a job
while a signal handler calls pause() every millisecond, other jobs come and go, and whoever resumes
it handles exceptions and sets context variables of its own. The results have to be the same. The
job has a large stack, so that CPython's own limits on recursion apply.
"""

from __future__ import annotations

import argparse
import contextvars
import importlib
import os
import signal
import subprocess
import sys
import unittest
import warnings
from pathlib import Path

#: Modules that are quick, and need neither the network nor the whole machine.
MODULES = """
    test_abc test_array test_ast test_augassign test_base64 test_bigmem test_binascii test_binop
    test_bisect test_bool test_builtin test_bytes test_call test_class test_cmath test_codecs
    test_collections test_compare test_complex test_configparser test_contains test_context
    test_contextlib test_copy test_copyreg test_csv test_dataclasses test_datetime test_decimal
    test_decorators test_defaultdict test_deque test_dict test_dictviews test_difflib test_dis
    test_descr test_enum test_enumerate test_exception_group test_exceptions test_extcall
    test_float test_fnmatch test_format test_fractions test_frame test_frozen test_fstring
    test_functools test_future test_gc test_genericclass test_generators test_genexps test_getopt
    test_glob test_global test_grammar test_hash test_hashlib test_heapq test_inspect test_int
    test_io test_isinstance test_iter test_iterlen test_itertools test_json test_keyword
    test_keywordonlyarg test_list test_listcomps test_long test_math test_memoryview test_metaclass
    test_namedtuple test_opcodes test_operator test_ordered_dict test_patma test_peepholer
    test_pickle test_pow test_print test_property test_pprint test_random test_range test_re
    test_reprlib test_richcmp test_scope test_set test_setcomps test_shlex test_slice test_sort
    test_statistics test_str test_string test_struct test_structseq test_subclassinit test_super
    test_syntax test_textwrap test_threading_local test_traceback test_tuple test_types test_typing
    test_unary test_unpack test_unpack_ex test_userdict test_userlist test_userstring test_uuid
    test_weakref test_weakset test_with test_yield_from test_zlib
"""

var = contextvars.ContextVar("var", default=0)


def run_tests(name: str) -> unittest.TestResult:
    """Run the tests of a module of the test package."""
    from test import support

    support.verbose = 0
    warnings.simplefilter("ignore")
    module = importlib.import_module(f"test.{name}")
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    with Path(os.devnull).open("w") as nowhere:
        return unittest.TextTestRunner(stream=nowhere, verbosity=0).run(suite)


def noise(number: int) -> None:
    """Be another job, which never ends."""
    import pausable

    def generate():
        try:
            yield 1
            raise KeyError(number)
        except KeyError:
            pausable.pause()
            yield 2

    def recurse(levels):
        return 1 + recurse(levels - 1) if levels else 0

    while True:
        try:
            var.set(number)
            list(generate())
            sorted(range(5), key=lambda item: (pausable.pause(), item)[1])
            recurse(100)
            assert var.get() == number
        except RecursionError:  # some tests set the limit, which is everybody's
            pass
        pausable.pause()


def run_in_a_job(name: str) -> tuple[unittest.TestResult, int]:
    """Run them inside of a job that is paused again and again; return how often, too."""
    import pausable

    preempted = 0

    def preempt(*_):
        nonlocal preempted
        preempted += 1
        pausable.pause()

    pool = pausable.JobPool(stack_size_bytes=64 << 20)
    others = [pool.start(noise, number) for number in range(5)]
    signal.signal(signal.SIGPROF, preempt)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    job = pool.start(run_tests, name)
    turn = 0
    while not job.done():
        turn += 1
        for other in others:
            other.resume()
        try:
            raise OSError(turn)
        except OSError:
            var.set(turn)
            job.resume()
            assert sys.exc_info()[1].args == (turn,)
    signal.setitimer(signal.ITIMER_PROF, 0)
    for other in others:
        other.cancel()
    return job.result(), preempted


def figures(result: unittest.TestResult, preempted: int) -> str:
    """Return a line that says what came of it."""
    bad = sorted({str(case).split()[0] for case, _ in result.failures + result.errors})
    return (
        f"run={result.testsRun} failed={len(result.failures)} errors={len(result.errors)}"
        f" skipped={len(result.skipped)} bad={','.join(bad[:8])}|{preempted}"
    )


def one(how: str, name: str, timeout_s: float) -> tuple[str, int]:
    """Run one module in a process of its own; return what came of it, and how often it paused."""
    command = [sys.executable, "-W", "ignore", __file__, how, name]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return "took too long", 0
    lines = [line for line in done.stdout.splitlines() if line.startswith("run=")]
    if not lines:
        return f"status {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1]}", 0
    said, _, preempted = lines[-1].rpartition("|")
    return said, int(preempted)


def main() -> None:
    """Be the command."""
    if sys.argv[1:2] in (["--as-it-is"], ["--in-a-job"]):
        how, name = sys.argv[1:3]
        if how == "--as-it-is":
            print(figures(run_tests(name), 0), flush=True)
        else:
            print(figures(*run_in_a_job(name)), flush=True)
        os._exit(0)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", default=None)
    parser.add_argument("--seconds", type=float, default=200.0, help="for each (default: 200)")
    options = parser.parse_args()
    same = total = 0
    for name in options.modules or MODULES.split():
        plain, _ = one("--as-it-is", name, options.seconds)
        if not plain.startswith("run="):
            print(f"{name}: does not run here: {plain[:80]}", flush=True)
            continue
        inside, preempted = one("--in-a-job", name, options.seconds)
        total += preempted
        if inside == plain:
            same += 1
            print(f"{name}: same ({plain.partition(' ')[0]}, paused {preempted} times)", flush=True)
        else:
            print(f"{name}: DIFFERS\n    as it is: {plain}\n    in a job: {inside}", flush=True)
    print(f"{same} modules the same, {total} pauses, Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
