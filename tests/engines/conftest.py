"""Every test leaves its thread as it found it: no job under way, the default pool gone."""

from __future__ import annotations

import gc

import pytest

import pausable
from engines._support import PLACES


@pytest.fixture(autouse=True)
def nothing_left_under_way():
    yield
    gc.collect()
    left = pausable.thread_pool().jobs()
    pausable.cleanup_thread(cancel=True)
    assert left == []


@pytest.fixture(params=PLACES, ids=lambda place: place.__name__)
def place(request):
    """Return a function (fn, items) -> results that calls fn in some kind of place."""
    return request.param
