"""What `import pausable` brings along, and what it leaves for later."""

import textwrap

from core._support import python

#: Each would be a sizeable part of the import; the first five are what was in it once.
LATER = [
    "logging",
    "traceback",
    "socket",
    "selectors",
    "typing_extensions",
    "asyncio",
    "concurrent",
    "dataclasses",
    "inspect",
    "json",
    "multiprocessing",
    "ssl",
    "subprocess",
    "trio",
    "uvloop",
    "anyio",
    "click",
    "cryptography",
    "distributed",
    "jwt",
    "prometheus_client",
    "pytest",
    "rich",
]

IMPORTS = f"""
import sys
before = set(sys.modules)
import pausable
brought = sorted({{name.partition(".")[0] for name in set(sys.modules) - before}} & set({LATER!r}))
"""


def test_importing_pausable_brings_no_loop_no_extra_and_nothing_heavy():
    assert python(IMPORTS + "print(brought)") == ("[]\n", "")


def test_what_comes_later_is_there_before_the_first_job():
    program = "pausable.JobPool(); print(*('logging' in sys.modules, 'traceback' in sys.modules))"
    assert python(IMPORTS + program) == ("True True\n", "")


def test_jobs_run_and_are_mapped_without_the_modules_of_loops():
    program = """
    pausable.start(int).result()
    list(pausable.map(int, "12"))
    print({"asyncio", "concurrent", "trio"} & set(sys.modules))
    """
    assert python(IMPORTS + textwrap.dedent(program)) == ("set()\n", "")
