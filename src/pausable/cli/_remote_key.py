"""A key engine in the form of a key of `cryptography`, for libraries that want one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import HashAlgorithm

from pausable.keys import RemoteECKey, RemoteEd448Key, RemoteEd25519Key, RemoteRSAKey

__all__ = ["remote_key"]

Sign = Callable[..., bytes]


def remote_key(public_key: Any, sign: Sign) -> Any:
    """Return a private key whose operation is a call of `sign`, which may pause.

    Args:
        public_key: RSA, EC, Ed25519 or Ed448.
        sign: takes the arguments of the sign() of such a key.
    """
    for kind, wrapper in _WRAPPERS:
        if isinstance(public_key, kind):
            return wrapper(public_key, sign)
    raise TypeError(f"{public_key!r} is of a kind that does not sign")


class _RSA(RemoteRSAKey):
    def __init__(self, public_key: rsa.RSAPublicKey, sign: Sign) -> None:
        super().__init__(public_key)
        self._sign = sign

    def sign_digest(
        self, digest: bytes, algorithm: HashAlgorithm, padding: PKCS1v15 | PSS
    ) -> bytes:
        return self._sign(digest, padding, Prehashed(algorithm))


class _EC(RemoteECKey):
    def __init__(self, public_key: ec.EllipticCurvePublicKey, sign: Sign) -> None:
        super().__init__(public_key)
        self._sign = sign

    def sign_digest(self, digest: bytes, algorithm: HashAlgorithm) -> bytes:
        return self._sign(digest, ec.ECDSA(Prehashed(algorithm)))


class _Ed25519(RemoteEd25519Key):
    def __init__(self, public_key: ed25519.Ed25519PublicKey, sign: Sign) -> None:
        super().__init__(public_key)
        self.sign_message = sign  # type: ignore[method-assign]


class _Ed448(RemoteEd448Key):
    def __init__(self, public_key: ed448.Ed448PublicKey, sign: Sign) -> None:
        super().__init__(public_key)
        self.sign_message = sign  # type: ignore[method-assign]


_WRAPPERS: tuple[tuple[type, Callable[[Any, Sign], Any]], ...] = (
    (rsa.RSAPublicKey, _RSA),
    (ec.EllipticCurvePublicKey, _EC),
    (ed25519.Ed25519PublicKey, _Ed25519),
    (ed448.Ed448PublicKey, _Ed448),
)
