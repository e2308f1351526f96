"""What all tests need: a process in which Ctrl-C works, and garbage that is found quickly."""

import gc
import signal

import pytest


def pytest_configure():
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell runs this with "&"
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="module")
def look_for_new_garbage_only():
    # Most tests collect garbage when they end. To look through all the libraries that are loaded
    # by then takes 0.2 s each time.
    gc.collect()
    gc.freeze()


def pytest_sessionfinish():
    gc.unfreeze()
