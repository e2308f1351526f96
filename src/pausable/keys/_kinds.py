"""The kinds of keys, as `cryptography` has them: the parts that do not depend on where a key is.

Parameters have exactly the names of `cryptography`'s classes: signxml, for one, passes by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x448, x25519

from pausable.keys._base import Buffer, PausingKey, frozen

if TYPE_CHECKING:
    from cryptography.hazmat.primitives._asymmetric import AsymmetricPadding

__all__ = ["ECKind", "Ed448Kind", "Ed25519Kind", "RSAKind", "X448Kind", "X25519Kind"]


class NumbersKind(PausingKey):
    """RSA and EC keys: they are numbers."""

    def private_numbers(self) -> NoReturn:
        """Refuse, as `private_bytes`."""
        self._stays("private_numbers")

    @property
    def key_size(self) -> int:
        """The public key's, in bits."""
        return self._public_key.key_size  # type: ignore[no-any-return]

    @property
    def _size_bytes(self) -> int:
        return (self.key_size + 7) // 8


class RawKind(PausingKey):
    """The keys of RFC 7748 and RFC 8032: they are bytes."""

    def private_bytes_raw(self) -> NoReturn:
        """Refuse, as `private_bytes`."""
        self._stays("private_bytes_raw")


class RSAKind(NumbersKind, rsa.RSAPrivateKey):
    """RSA."""

    def public_key(self) -> rsa.RSAPublicKey:
        return self._public_key  # type: ignore[no-any-return]

    def decrypt(self, ciphertext: Buffer, padding: AsymmetricPadding) -> bytes:
        return self._do("decrypt", frozen(ciphertext), padding)


class ECKind(NumbersKind, ec.EllipticCurvePrivateKey):
    """EC, for ECDSA and ECDH."""

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public_key  # type: ignore[no-any-return]

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public_key.curve  # type: ignore[no-any-return]


class Ed25519Kind(RawKind, ed25519.Ed25519PrivateKey):
    """Ed25519."""

    def public_key(self) -> ed25519.Ed25519PublicKey:
        return self._public_key  # type: ignore[no-any-return]

    def sign(self, data: Buffer) -> bytes:
        return self._do("sign", frozen(data), size_bytes=64)


class Ed448Kind(RawKind, ed448.Ed448PrivateKey):
    """Ed448."""

    def public_key(self) -> ed448.Ed448PublicKey:
        return self._public_key  # type: ignore[no-any-return]

    def sign(self, data: Buffer) -> bytes:
        return self._do("sign", frozen(data), size_bytes=114)


class X25519Kind(RawKind, x25519.X25519PrivateKey):
    """X25519."""

    def public_key(self) -> x25519.X25519PublicKey:
        return self._public_key  # type: ignore[no-any-return]

    def exchange(self, peer_public_key: x25519.X25519PublicKey) -> bytes:
        return self._do("exchange", peer_public_key, size_bytes=32)


class X448Kind(RawKind, x448.X448PrivateKey):
    """X448."""

    def public_key(self) -> x448.X448PublicKey:
        return self._public_key  # type: ignore[no-any-return]

    def exchange(self, peer_public_key: x448.X448PublicKey) -> bytes:
        return self._do("exchange", peer_public_key, size_bytes=56)
