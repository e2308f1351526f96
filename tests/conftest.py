"""What all tests share: those that only one backend can pass are skipped on the other."""

from __future__ import annotations

import pytest

from pausable._backend import backend


def pytest_runtest_setup(item: pytest.Item) -> None:
    if backend().name == "native" and item.get_closest_marker("greenlet_only") is not None:
        pytest.skip("greenlets inside of jobs: a documented limit of the native backend")
