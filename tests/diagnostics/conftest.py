"""Every test leaves its thread as it found it: no job under way, no hooks, no debug mode."""

from __future__ import annotations

import gc

import pytest

import pausable
from pausable import _watch


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    gc.collect()
    left = pausable.thread_pool().jobs()
    pausable.cleanup_thread(cancel=True)
    assert left == []
    assert not _watch.wanted.on


@pytest.fixture
def hooked():
    """Add hooks for the time of the test."""
    added = []

    def add(hooks):
        pausable.add_hooks(hooks)
        added.append(hooks)
        return hooks

    yield add
    for hooks in added:
        pausable.remove_hooks(hooks)


@pytest.fixture
def debug():
    """Be in debug mode for the time of the test; no segment is slow, however slow the machine."""
    pausable.set_debug(True, slow_segment_s=3600)
    yield
    pausable.set_debug(False)
