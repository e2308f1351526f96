"""Every test leaves its thread as it found it: no job under way, the default pool gone."""

from __future__ import annotations

import gc

import pytest

import pausable


@pytest.fixture(autouse=True)
def nothing_left_under_way():
    yield
    gc.collect()
    left = pausable.thread_pool().jobs()
    pausable.cleanup_thread(cancel=True)
    assert left == []
