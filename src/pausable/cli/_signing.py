"""Signing one file's content, with each kind of key.

RSA and ECDSA sign a digest, which is computed in constant memory. Ed25519 hashes the message
twice, the second time after a value that the first pass yields, so it needs all of it at hand.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable
from io import FileIO
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidSignature

__all__ = ["SMALL_BYTES", "DigestSigner", "MessageSigner", "Signer"]

#: A file up to this size is read and hashed in well under a millisecond: no need to go elsewhere.
SMALL_BYTES: Final = 256 * 1024

#: How much of a big file is read at once.
CHUNK_BYTES: Final = 1024 * 1024

Bytes = bytes | mmap.mmap


class Signer(Protocol):
    """What of a file a key signs, and how. Threads: any."""

    #: For people: "RSA-2048, pkcs1v15, sha256".
    name: str

    def read(self, file: FileIO, size_bytes: int, check: Callable[[], object]) -> Bytes:
        """Return what of the file is signed: its digest or itself.

        Args:
            check: called between chunks of a big file; what it raises ends the reading.
        """

    def arguments(self, message: Bytes) -> tuple[Any, ...]:
        """Return what the private key's sign() is called with."""

    def verify(self, message: Bytes, signature: bytes) -> bool:
        """Tell whether it is a valid signature, by the key's public half."""


class DigestSigner:
    """RSA or ECDSA over a digest; `params` is what cryptography's sign() and verify() take."""

    def __init__(self, name: str, public_key: Any, hash_name: str, params: tuple[Any, ...]) -> None:
        self.name = name
        self._public_key = public_key
        self._hash_name = hash_name
        self._params = params

    def read(self, file: FileIO, size_bytes: int, check: Callable[[], object]) -> bytes:
        """Return the digest, computed in constant memory."""
        digest = hashlib.new(self._hash_name)
        chunk_bytes = SMALL_BYTES if size_bytes <= SMALL_BYTES else CHUNK_BYTES
        while chunk := file.read(chunk_bytes):
            digest.update(chunk)
            check()
        return digest.digest()

    def arguments(self, message: Bytes) -> tuple[Any, ...]:
        """Return them for a digest."""
        return message, *self._params

    def verify(self, message: Bytes, signature: bytes) -> bool:
        """Tell whether it is a valid signature of a digest."""
        return _verifies(self._public_key, signature, message, *self._params)


class MessageSigner:
    """Ed25519 over the whole message."""

    def __init__(self, name: str, public_key: Any) -> None:
        self.name = name
        self._public_key = public_key

    def read(self, file: FileIO, size_bytes: int, check: Callable[[], object]) -> Bytes:
        """Return the content; a big file's is mapped, so that it takes address space only.

        Its pages are the system's to take back, so they are no memory of ours. The price: if
        somebody truncates the file while it is signed, the process dies of SIGBUS, as any program
        that maps files. What was signed until then is on the disk, and the next run goes on.
        """
        if size_bytes > SMALL_BYTES:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        parts = []
        while part := file.read(SMALL_BYTES):
            parts.append(part)
            check()
        return b"".join(parts)

    def arguments(self, message: Bytes) -> tuple[Any, ...]:
        """Return them for a message."""
        return (message,)

    def verify(self, message: Bytes, signature: bytes) -> bool:
        """Tell whether it is a valid signature of a message."""
        return _verifies(self._public_key, signature, message)


def _verifies(key: Any, signature: bytes, message: Bytes, *params: Any) -> bool:
    try:
        key.verify(signature, message, *params)
    except InvalidSignature:
        return False
    return True
