"""Where the oracle is missing its tests are skipped, but never in CI."""

import os

import pytest

from oracle import oracle


@pytest.mark.skipif(not os.environ.get("CI"), reason="elsewhere the oracle may be missing")
def test_ci_compares_with_the_real_libcrypto():
    assert oracle.unavailable() is None
