"""BatchEngine with numpy: many jobs' vectors in one multiplication."""

from __future__ import annotations

import pytest

from engines._support import needs
from pausable.engines import BatchEngine

pytestmark = needs("numpy")


@pytest.fixture(scope="module")
def np():
    import numpy as np

    return np


def test_each_job_gets_its_own_row(place, wrap, np):
    weights = np.arange(12.0).reshape(3, 4)

    def multiply(vectors):
        return np.stack(vectors) @ weights  # an array: its rows are the results

    vectors = [np.array([n, n + 1.0, n + 2.0]) for n in range(30)]
    with BatchEngine(multiply, max_batch=16) as engine:
        results = place(wrap(engine).call, vectors)
    for vector, result in zip(vectors, results, strict=True):
        np.testing.assert_allclose(result, vector @ weights)


def test_vectors_of_one_length_go_together(place, np):
    with BatchEngine(lambda many: np.stack(many).sum(axis=1), 8, kind=np.shape) as engine:
        sums = place(engine.call, [np.ones(n % 3 + 1) for n in range(9)])
    assert [int(total) for total in sums] == [1, 2, 3] * 3
