"""What all tests need: a backend, Ctrl-C that works, garbage that is found quickly."""

import gc
import os
import shlex
import signal
import subprocess
import sys

import pytest

#: What jobs run on: here, in the processes of pytest-xdist, and in programs that tests start.
ENVIRONMENT = "PAUSABLE_BACKEND"


def pytest_addoption(parser, pluginmanager):
    parser.addoption(
        "--backend",
        choices=["native", "greenlet", "auto"],
        help=f"what jobs run on (default: the environment's {ENVIRONMENT}, or what is the default"
        " where nobody imports greenlet)",
    )
    # Now: the choice is made when pausable is imported, as the next conftest.py does. No later hook
    # comes before that, and pytest has parsed its options for plugins only.
    args = shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
    args += map(os.fspath, pluginmanager.get_plugin("pytestconfig").invocation_params.args)
    chosen = parser.parse_known_args(args).backend
    if chosen is None and not os.environ.get(ENVIRONMENT):
        chosen = by_default()
    if chosen:
        os.environ[ENVIRONMENT] = chosen


def by_default():
    """Return the backend that there is by default; "" if pausable cannot be imported.

    It is demanded by name then: `auto` gives way when the first module of tests imports greenlet.
    """
    program = "import pausable; print(pausable.backend().name)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def pytest_report_header(config):
    import pausable

    name, reason = pausable.backend()
    return f"jobs run on: {name} ({reason})"


def pytest_configure(config):
    chosen = config.getoption("backend")
    if chosen not in (None, os.environ.get(ENVIRONMENT)):
        raise pytest.UsageError(f"--backend={chosen} came too late: set {ENVIRONMENT} instead")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell runs this with "&"
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item):
    from pausable import backend

    native = backend().name == "native"
    if native and item.get_closest_marker("greenlet_only") is not None:
        pytest.skip(
            'a limit of the native backend: docs/explanation/backends.md, "Beside greenlet"'
        )
    if not native and item.get_closest_marker("native_only") is not None:
        pytest.skip("of the native core: pytest --backend=native")


@pytest.fixture(autouse=True, scope="module")
def look_for_new_garbage_only():
    # Most tests collect garbage when they end. To look through all the libraries that are loaded
    # by then takes 0.2 s each time.
    gc.collect()
    gc.freeze()


def pytest_sessionfinish():
    gc.unfreeze()
