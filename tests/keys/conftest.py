"""Every test leaves its thread as it found it; keys are made once."""

from __future__ import annotations

import gc

import authlib.deprecate  # noqa: F401  # puts a filter of warnings before others: now, not in a test
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x448, x25519

import pausable


@pytest.fixture(autouse=True)
def nothing_left_under_way():
    yield
    if pausable.thread_pool().jobs():  # not always: with so many libraries loaded it takes 50 ms
        gc.collect()
    left = pausable.thread_pool().jobs()
    pausable.cleanup_thread(cancel=True)
    assert left == []


@pytest.fixture(scope="session")
def local():
    """Return a local private key of each kind, by name."""
    return {
        "RSA": rsa.generate_private_key(65537, 2048),
        "P-256": ec.generate_private_key(ec.SECP256R1()),
        "P-384": ec.generate_private_key(ec.SECP384R1()),
        "Ed25519": ed25519.Ed25519PrivateKey.generate(),
        "Ed448": ed448.Ed448PrivateKey.generate(),
        "X25519": x25519.X25519PrivateKey.generate(),
        "X448": x448.X448PrivateKey.generate(),
    }
