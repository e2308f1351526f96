"""The names of algorithms; importing them imports nothing else, so that --help is quick."""

from __future__ import annotations

from typing import Final

__all__ = ["BLOCK_ALGORITHMS", "BLOCK_SIZES_BYTES", "GROUPS", "NAMES"]

_RSA: Final = [f"rsa{bits}-{what}" for bits in (2048, 3072, 4096) for what in ("sign", "decrypt")]

#: Those that take data of any size.
BLOCK_ALGORITHMS: Final = ("aes-gcm", "sha256")

#: Every algorithm, in the order in which they are measured.
NAMES: Final = [*_RSA, "ecdsap256", "ecdsap384", "ed25519", "x25519", *BLOCK_ALGORITHMS]

#: Names for several, and other names for one.
GROUPS: Final = {
    "rsa": _RSA,
    "rsa2048": _RSA[0:2],
    "rsa3072": _RSA[2:4],
    "rsa4096": _RSA[4:6],
    "ecdsa": ["ecdsap256", "ecdsap384"],
    "ecdh": ["x25519"],
}

#: As of `openssl speed`.
BLOCK_SIZES_BYTES: Final = (16, 64, 256, 1024, 8192, 16384)
