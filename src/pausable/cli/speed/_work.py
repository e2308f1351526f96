"""What is measured where it is done: a thread, a process, a cluster's worker.

Imports what a worker has to import, and no more.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import Any, TypeVar

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["after", "call_packed", "encrypt", "hash_block", "ready"]

T = TypeVar("T")


def ready() -> None:
    """Do nothing: a worker that can has this release."""


def after(latency_s: float, fn: Callable[..., T], *args: object) -> T:
    """Return fn(*args), that much later."""
    time.sleep(latency_s)
    return fn(*args)


def call_packed(packed: bytes) -> Any:
    """Return fn(*args) of a pickled (fn, *args)."""
    fn, *args = pickle.loads(packed)  # noqa: S301  # a cluster's worker calls what it is sent
    return fn(*args)


def encrypt(key: bytes, nonce: bytes, block: bytes) -> bytes:
    """Encrypt with AES-GCM."""
    return _cipher(key).encrypt(nonce, block, None)


def hash_block(block: bytes) -> bytes:
    """Return the SHA-256 digest."""
    return sha256(block).digest()


@lru_cache(maxsize=4)  # a library that encrypts much keeps its key set up, too
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)
