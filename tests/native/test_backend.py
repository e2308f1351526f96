"""Which backend there is, and why."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import greenlet
import pytest

import pausable
from core._support import python
from native._support import SOURCES, needs_native, run
from pausable._backend import why_not_native

HERE = Path(__file__)
THIS_ONE = f"{HERE}::test_the_backend_that_pytest_was_told_is_that_of_its_processes_and_programs"

TELL = "import pausable; print(*pausable.backend(), sep='|')"


def test_the_backend_that_pytest_was_told_is_that_of_its_processes_and_programs(pytestconfig):
    chosen = pytestconfig.getoption("backend") or os.environ.get("PAUSABLE_BACKEND")
    if chosen in ("native", "greenlet"):  # "auto" depends on what was imported
        assert python("import pausable; print(pausable.backend().name)") == (f"{chosen}\n", "")
        assert pausable.backend().name == chosen


@pytest.mark.parametrize("backend", ["greenlet", pytest.param("native", marks=needs_native)])
def test_pytest_is_told_the_backend_by_an_option_also_for_several_processes(backend):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--backend",
            backend,
            "-n1",
            "-pno:cacheprovider",
            THIS_ONE,
        ],
        cwd=HERE.parents[2],
        env={**os.environ, "PAUSABLE_BACKEND": "auto"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"\njobs run on: {backend} (PAUSABLE_BACKEND says so)\n" in done.stdout
    assert " 1 passed" in done.stdout, done.stdout


def test_tests_run_on_the_default_backend_although_some_of_them_import_greenlet():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-pno:cacheprovider", THIS_ONE],
        cwd=HERE.parents[2],
        env={**os.environ, "PAUSABLE_BACKEND": "", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    default = run(TELL, "")[1].partition("|")[0]
    assert f"\njobs run on: {default} (PAUSABLE_BACKEND says so)\n" in done.stdout
    assert " 1 passed" in done.stdout, done.stdout


def test_greenlet_is_what_there_is_when_it_is_asked_for():
    assert run(TELL, "greenlet") == (0, "greenlet|PAUSABLE_BACKEND says so\n", "")


def test_the_default_is_told_as_such():
    status, out, err = run(TELL, "")
    assert (status, err) == (0, "")
    why = why_not_native()
    assert out == ("native|it is the default\n" if why is None else f"greenlet|{why}\n")


@needs_native
@pytest.mark.parametrize("wish", ["native", "auto"])
def test_native_is_what_there_is_when_it_is_asked_for(wish):
    assert run(TELL, wish) == (0, "native|PAUSABLE_BACKEND says so\n", "")


def test_what_is_no_backend_is_refused_with_the_choices():
    status, out, err = run(TELL, "fast")
    assert (status, out) == (1, "")
    assert "PAUSABLE_BACKEND has to be one of auto, greenlet, native, not 'fast'" in err


BROKEN = """
import importlib.abc, sys
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "pausable._native":
            raise ImportError("no such symbol")
sys.meta_path.insert(0, Finder())
"""


def test_a_core_that_cannot_be_loaded_leaves_greenlet_and_the_reason():
    status, out, err = run(BROKEN + TELL, "auto")
    assert (status, err) == (0, "")
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        assert out == "greenlet|the native core cannot be imported: no such symbol\n"
    else:
        assert out.startswith("greenlet|the native core is for CPython 3.11 to 3.13, not 3.")


def test_a_core_that_cannot_be_loaded_is_an_error_where_it_was_demanded():
    status, out, err = run(BROKEN + TELL, "native")
    assert (status, out) == (1, "")
    assert "ImportError: PAUSABLE_BACKEND is 'native', but the native core" in err


@needs_native
def test_a_core_that_fails_its_own_test_is_not_used():
    status, out, err = run(
        """
        import importlib, importlib.util, sys, types
        spec = importlib.util.find_spec("pausable")
        package = types.ModuleType("pausable")
        package.__path__ = spec.submodule_search_locations
        sys.modules["pausable"] = package
        core = importlib.import_module("pausable._native")
        selftest = importlib.import_module("pausable._selftest")
        selftest._body = lambda fibre, log, last: log.append("begun")     # never pauses
        del sys.modules["pausable"]
        import pausable
        print(*pausable.backend(), sep="|")
        """,
        "auto",
    )
    assert (status, err) == (0, "")
    assert out.startswith("greenlet|the native core's test of itself failed: ")


@needs_native
@pytest.mark.parametrize("wish", ["auto", "native"])
def test_where_there_is_no_address_space_for_stacks_there_is_greenlet(wish):
    status, out, err = run(
        """
        import resource, sys
        import greenlet, importlib, traceback, concurrent.futures      # what takes memory itself
        del sys.modules["greenlet"]
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * 4096
        resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20),) * 2)
        try:
            import pausable
        except ImportError as exc:
            print("refused", exc)
        else:
            print(*pausable.backend(), sep="|")
        """,
        wish,
    )
    why = "the native core's test of itself failed: MemoryError: no address space"
    begin = "greenlet|" if wish == "auto" else "refused PAUSABLE_BACKEND is 'native', but "
    assert (status, err) == (0, "")
    assert out.startswith(begin + why)


@needs_native
def test_pausable_imports_no_greenlet_while_native_is_in_use():
    program = """
        import sys, pausable, pausable.openssl, pausable.engines, pausable.testing
        import asyncio
        print(asyncio.run(pausable.run(pausable.pause)), "greenlet" in sys.modules)
    """
    assert run(program) == (0, "True False\n", "")


@needs_native
def test_the_builtins_have_the_texts_and_modules_of_what_they_stand_in_for():
    program = """
        import pausable, inspect
        for name in ("start", "pause", "current_job", "can_pause"):
            builtin = getattr(pausable, name)
            print(builtin.__name__, builtin.__module__, inspect.signature(builtin))
            assert inspect.getdoc(builtin)
        print(pausable.Job.__name__, pausable.Job.__module__, pausable.Job.resume.__doc__[:5])
    """
    assert run(program) == (
        0,
        "start pausable._threads (fn, /, *args, **kwargs)\n"
        "pause pausable._job ()\n"
        "current_job pausable._job ()\n"
        "can_pause pausable._job ()\n"
        "Job pausable._job Go on\n",
        "",
    )


@needs_native
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="greenlet refuses sub-interpreters there")
def test_the_core_is_the_main_interpreters_and_others_have_greenlet():
    program = """
        import pausable, _xxsubinterpreters as interpreters
        print(pausable.backend().name)
        other = interpreters.create()
        interpreters.run_string(other, "import pausable; print(*pausable.backend(), sep='|')")
        interpreters.destroy(other)
        job = pausable.start(pausable.pause)
        print(job.resume())
    """
    assert run(program, "auto") == (
        0,
        "native\ngreenlet|the native core cannot be imported: pausable._native works in the main"
        " interpreter only\nTrue\n",
        "",
    )


@needs_native
def test_an_interpreter_that_was_begun_anew_has_greenlet(tmp_path):
    known, program = sysconfig.get_config_vars(), tmp_path / "embed"
    words = ["cc", str(Path(__file__).with_name("embed.c")), "-o", str(program), "-rdynamic"]
    words += [f"-I{known['INCLUDEPY']}", f"-L{known['LIBPL']}", f"-L{known['LIBDIR']}"]
    words += [f"-Wl,-rpath,{known['LIBDIR']}", f"-lpython{known['LDVERSION']}"]
    for name in ("LIBS", "SYSLIBS", "LINKFORSHARED"):
        words += shlex.split(known[name] or "")
    if (
        shutil.which("cc") is None
        or subprocess.run(words, capture_output=True, check=False).returncode != 0
    ):
        pytest.skip("there is no C compiler, or no libpython to link with")
    script = (
        f"import sys; sys.path[:0] = [{SOURCES!r}, {str(Path(greenlet.__file__).parents[1])!r}]\n"
        "import pausable; print(*pausable.backend(), sep='|')\n"
        "job = pausable.start(pausable.pause)\n"
        "print(job.paused, job.resume(), flush=True)"
    )
    done = subprocess.run(
        [program, script],
        env={**os.environ, "PYTHONHOME": sys.base_prefix, "PAUSABLE_BACKEND": "auto"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    again = (
        "greenlet|the native core cannot be imported: pausable._native works in the first"
        " interpreter of a process only, and that was finalized\nTrue True\n"
    )
    assert done.stdout.startswith("native|PAUSABLE_BACKEND says so\nTrue True\n" + again), (
        done.stderr
    )


@needs_native
def test_daemon_threads_in_jobs_do_not_disturb_the_end_of_the_process():
    program = """
        import queue, threading, pausable
        def busy():
            held = pausable.start(pausable.pause)
            begun.put(held)
            while True:
                sum(range(1000))
        begun = queue.SimpleQueue()
        for _ in range(4):
            threading.Thread(target=pausable.start, args=(busy,), daemon=True).start()
        held = [begun.get() for _ in range(4)]
        print("end")
    """
    status, out, err = run(program)
    assert (status, out) == (0, "end\n")
    assert err.count("could not be unwound") == 4
