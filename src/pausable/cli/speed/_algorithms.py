"""What `pausable speed` can measure: operations, and whether their results are right."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pausable.cli.speed._names import BLOCK_ALGORITHMS
from pausable.cli.speed._work import encrypt, hash_block
from pausable.keys import pausing

__all__ = ["Algorithm", "Call", "algorithms"]

_MESSAGE: Final = b"The message that pausable speed signs."
_SECRET: Final = b"The secret that pausable speed decrypts."
#: Encrypted with it, again and again, are blocks that nobody wants to read.
_NONCE: Final = bytes(12)

Call = Callable[[], bytes]


@dataclass(frozen=True)
class Algorithm:
    """An operation that is measured."""

    name: str
    #: Of what is hashed or encrypted at once; None: it has no such size.
    size_bytes: int | None
    #: Returns what does it: in place, or, given an engine, through that.
    make: Callable[[Any], Call]
    #: Whether a result is a right one.
    is_right: Callable[[bytes], bool]

    @property
    def title(self) -> str:
        """The name, for people."""
        return self.name if self.size_bytes is None else f"{self.name} {self.size_bytes} B"


def algorithms(names: Sequence[str], sizes_bytes: Sequence[int]) -> list[Algorithm]:
    """Return what is to be measured; keys are made, which may take seconds for RSA."""
    found = []
    for name in names:
        if name in BLOCK_ALGORITHMS:
            found += [_BLOCKS[name](size) for size in sizes_bytes]
        else:
            found.append(_WITH_KEYS[name]())
    return found


# -- the algorithms --------------------------------------------------------------------------------


def _usable(key: Any, engine: Any) -> Any:
    """Return the key itself, or one whose operations the engine does.

    Keys live as long as the command and are nobody's: other processes may be sent them.
    """
    return key if engine is None else pausing(key, engine, send_key=True)


@cache
def _rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def _rsa_sign(bits: int) -> Algorithm:
    key, scheme = _rsa_key(bits), (padding.PKCS1v15(), hashes.SHA256())
    return Algorithm(
        f"rsa{bits}-sign",
        None,
        lambda engine: partial(_usable(key, engine).sign, _MESSAGE, *scheme),
        lambda result: _verifies(key.public_key().verify, result, _MESSAGE, *scheme),
    )


def _rsa_decrypt(bits: int) -> Algorithm:
    key, digest = _rsa_key(bits), hashes.SHA256()
    scheme = padding.OAEP(padding.MGF1(digest), digest, None)
    ciphertext = key.public_key().encrypt(_SECRET, scheme)
    return Algorithm(
        f"rsa{bits}-decrypt",
        None,
        lambda engine: partial(_usable(key, engine).decrypt, ciphertext, scheme),
        _SECRET.__eq__,
    )


def _ecdsa(name: str, curve: ec.EllipticCurve, digest: hashes.HashAlgorithm) -> Algorithm:
    key, scheme = ec.generate_private_key(curve), ec.ECDSA(digest)
    return Algorithm(
        name,
        None,
        lambda engine: partial(_usable(key, engine).sign, _MESSAGE, scheme),
        lambda result: _verifies(key.public_key().verify, result, _MESSAGE, scheme),
    )


def _ed25519() -> Algorithm:
    key = ed25519.Ed25519PrivateKey.generate()
    return Algorithm(
        "ed25519",
        None,
        lambda engine: partial(_usable(key, engine).sign, _MESSAGE),
        lambda result: _verifies(key.public_key().verify, result, _MESSAGE),
    )


def _x25519() -> Algorithm:
    key, peer = x25519.X25519PrivateKey.generate(), x25519.X25519PrivateKey.generate()
    return Algorithm(
        "x25519",
        None,
        lambda engine: partial(_usable(key, engine).exchange, peer.public_key()),
        peer.exchange(key.public_key()).__eq__,
    )


def _aes_gcm(size_bytes: int) -> Algorithm:
    key, block = AESGCM.generate_key(128), os.urandom(size_bytes)

    def is_right(result: bytes) -> bool:
        try:
            return AESGCM(key).decrypt(_NONCE, result, None) == block
        except InvalidTag:
            return False

    return Algorithm(
        "aes-gcm", size_bytes, lambda engine: _call(engine, encrypt, key, _NONCE, block), is_right
    )


def _sha256(size_bytes: int) -> Algorithm:
    block = os.urandom(size_bytes)
    hasher = hashes.Hash(hashes.SHA256())  # another implementation than what is measured
    hasher.update(block)
    right = hasher.finalize()
    return Algorithm(
        "sha256", size_bytes, lambda engine: _call(engine, hash_block, block), right.__eq__
    )


def _call(engine: Any, fn: Callable[..., bytes], *args: object) -> Call:
    """Return what calls fn(*args), in place or through the engine."""
    return partial(fn, *args) if engine is None else partial(engine.call, fn, *args)


def _verifies(verify: Callable[..., object], *args: object) -> bool:
    try:
        verify(*args)
    except InvalidSignature:
        return False
    return True


_WITH_KEYS: Final[dict[str, Callable[[], Algorithm]]] = {
    **{f"rsa{bits}-sign": partial(_rsa_sign, bits) for bits in (2048, 3072, 4096)},
    **{f"rsa{bits}-decrypt": partial(_rsa_decrypt, bits) for bits in (2048, 3072, 4096)},
    "ecdsap256": partial(_ecdsa, "ecdsap256", ec.SECP256R1(), hashes.SHA256()),
    "ecdsap384": partial(_ecdsa, "ecdsap384", ec.SECP384R1(), hashes.SHA384()),
    "ed25519": _ed25519,
    "x25519": _x25519,
}

_BLOCKS: Final[dict[str, Callable[[int], Algorithm]]] = {"aes-gcm": _aes_gcm, "sha256": _sha256}
