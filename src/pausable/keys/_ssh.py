"""Signatures as SSH has them (RFC 4253, RFC 5656, RFC 8332, RFC 8709)."""

from __future__ import annotations

from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

__all__ = ["ssh_signature"]

_RSA: Final[dict[bytes, type[hashes.HashAlgorithm]]] = {
    b"ssh-rsa": hashes.SHA1,
    b"rsa-sha2-256": hashes.SHA256,
    b"rsa-sha2-512": hashes.SHA512,
}
_EC: Final[dict[bytes, type[hashes.HashAlgorithm]]] = {
    b"ecdsa-sha2-nistp256": hashes.SHA256,
    b"ecdsa-sha2-nistp384": hashes.SHA384,
    b"ecdsa-sha2-nistp521": hashes.SHA512,
}


def ssh_signature(key: Any, data: bytes, algorithm: bytes) -> bytes:
    """Return a signature blob.

    Pauses: while the key signs.

    Raises:
        ValueError: the algorithm is not one of the key.
    """
    if isinstance(key, rsa.RSAPrivateKey) and algorithm in _RSA:
        signature = key.sign(data, padding.PKCS1v15(), _RSA[algorithm]())
    elif isinstance(key, ec.EllipticCurvePrivateKey) and algorithm in _EC:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(_EC[algorithm]())))
        signature = _string(_number(r)) + _string(_number(s))
    elif algorithm in (b"ssh-ed25519", b"ssh-ed448"):
        signature = key.sign(data)
    else:
        raise ValueError(f"{key!r} does not sign with {algorithm!r}; use an algorithm of its kind")
    return _string(algorithm) + _string(signature)


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _number(n: int) -> bytes:
    return n.to_bytes((n.bit_length() + 8) // 8, "big")  # room for a sign, always
