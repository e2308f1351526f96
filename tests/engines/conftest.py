"""Every test leaves its thread as it found it: no job under way, the default pool gone."""

from __future__ import annotations

import gc

import pytest

import pausable
from engines._support import PLACES, Faulty


@pytest.fixture(autouse=True)
def nothing_left_under_way():
    yield
    pool = pausable.thread_pool()
    if pool.stats().paused:  # else nothing can be lost, and collecting garbage takes long
        gc.collect()
    left = pool.jobs()
    pausable.cleanup_thread(cancel=True)
    assert left == []


@pytest.fixture(params=PLACES, ids=lambda place: place.__name__)
def place(request):
    """Return a function (fn, items) -> results that calls fn in some kind of place."""
    return request.param


@pytest.fixture(params=["as it is", "with faults", "with worse faults, guarded"])
def wrap(request):
    """Return a function that makes an engine misbehave; what it does in the end is the same."""
    faulty = Faulty(request.param)
    yield faulty
    faulty.close()
