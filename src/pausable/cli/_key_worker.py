"""A private key's operations, where they are done: a thread, a process, a cluster's worker.

Imports what a worker has to import, and no more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

__all__ = ["KeyFile", "fingerprint", "load", "sign_all", "sign_with_file"]

#: What one signature is of: the arguments of the key's sign().
Request = tuple[Any, ...]
#: A result for each request: the signature, or why there is none.
Answers = list[bytes | Exception]


@dataclass(frozen=True)
class KeyFile:
    """A private key in a file of the machine that it is used on."""

    path: Path
    #: The environment variable, there, that has the passphrase.
    passphrase_variable: str | None
    #: Which key it has to be: the file may have been replaced.
    fingerprint: str


def load(pem: bytes, passphrase: bytes | None) -> Any:
    """Return a private key, which whoever started the run has found to be a good one."""
    return load_pem_private_key(pem, passphrase, unsafe_skip_rsa_key_validation=True)


def fingerprint(key: Any) -> str:
    """Return what tells a key from all others."""
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return sha256(der).hexdigest()


def sign_all(key: Any, requests: Sequence[Request]) -> Answers:
    """Return a result for each request."""
    return [_sign(key, request) for request in requests]


def sign_with_file(file: KeyFile, latency_s: float, requests: Sequence[Request]) -> Answers:
    """Return a result for each request, with a key that this process loads once.

    Raises:
        OSError, ValueError: there is no such key here.
    """
    key = _loaded(file)
    time.sleep(latency_s)
    return sign_all(key, requests)


@lru_cache(maxsize=16)  # cluster's workers outlive a run
def _loaded(file: KeyFile) -> Any:
    variable, passphrase = file.passphrase_variable, None
    if variable is not None:
        passphrase = os.environb.get(os.fsencode(variable))
        if passphrase is None:
            raise ValueError(f"there is no environment variable {variable!r}; export it there")
    try:
        key = load(file.path.read_bytes(), passphrase)
    except OSError as exc:
        raise OSError(f"key {str(file.path)!r} cannot be read: {exc.strerror}") from None
    except (TypeError, ValueError):
        raise ValueError(
            f"key {str(file.path)!r} cannot be loaded; is the passphrase in"
            f" {variable or 'an environment variable (--passin env:NAME)'} right?"
        ) from None
    if fingerprint(key) != file.fingerprint:
        raise ValueError(f"key {str(file.path)!r} is another one there")
    return key


def _sign(key: Any, request: Request) -> bytes | Exception:
    try:
        return bytes(key.sign(*request))
    except Exception as exc:
        if type(exc).__module__ == "builtins":
            return exc
        return RuntimeError(f"{type(exc).__name__}: {exc}")  # not all others can be pickled
