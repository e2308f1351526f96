"""Where the oracle is missing its tests are skipped, but never in CI."""

import os

import pytest

from oracle import oracle


def pytest_collection_finish():
    reason = oracle.unavailable()
    if reason is not None and os.environ.get("CI"):
        pytest.exit(f"CI has to compare with the real libcrypto: {reason}", returncode=1)
