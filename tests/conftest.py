"""What all tests need: Ctrl-C that works, garbage that is found quickly, a backend that can."""

import gc
import signal

import pytest

from pausable._backend import backend


def pytest_configure():
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell runs this with "&"
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item):
    if backend().name == "native" and item.get_closest_marker("greenlet_only") is not None:
        pytest.skip("greenlets inside of jobs: a documented limit of the native backend")


@pytest.fixture(autouse=True, scope="module")
def look_for_new_garbage_only():
    # Most tests collect garbage when they end. To look through all the libraries that are loaded
    # by then takes 0.2 s each time.
    gc.collect()
    gc.freeze()


def pytest_sessionfinish():
    gc.unfreeze()
