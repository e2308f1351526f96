"""How a private key signs files: refused where a key cannot sign as it is asked to."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from pausable.cli._keys import PrivateKey, kind_of
from pausable.cli._output import Refusal, shown
from pausable.cli._signing import DigestSigner, MessageSigner, Signer

__all__ = ["DIGESTS", "make_signer"]

DIGESTS: Final[dict[str, type[hashes.HashAlgorithm]]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


def make_signer(private: PrivateKey, scheme: str | None, digest: str | None) -> Signer:
    """Return the way a key signs.

    Args:
        private: the key.
        scheme: pkcs1v15 or pss, for an RSA key only; None: pkcs1v15, if the key allows it.
        digest: sha256, sha384 or sha512, not for Ed25519; None: sha256.

    Raises:
        Refusal: the key cannot be used so.
    """
    key, path = private.key, private.path
    hashing = DIGESTS[digest or "sha256"]()
    if isinstance(key, rsa.RSAPrivateKey):
        if private.pss_only and scheme == "pkcs1v15":
            raise Refusal(f"key {shown(path)} is for RSA-PSS only; pass --scheme pss")
        return _rsa_signer(key, scheme or ("pss" if private.pss_only else "pkcs1v15"), hashing)
    if scheme is not None:
        raise Refusal(f"--scheme is for RSA keys only, and {shown(path)} is none; omit it")
    if isinstance(key, ec.EllipticCurvePrivateKey):
        name = f"ECDSA {key.curve.name}, {hashing.name}"
        return DigestSigner(name, key.public_key(), hashing.name, (ec.ECDSA(Prehashed(hashing)),))
    if isinstance(key, ed25519.Ed25519PrivateKey):
        if digest is not None:
            raise Refusal(f"--digest is not for Ed25519 keys, such as {shown(path)}; omit it")
        return MessageSigner("Ed25519", key.public_key())
    raise Refusal(
        f"key {shown(path)} is of the kind {kind_of(key)}, which is not supported; use an RSA,"
        " ECDSA or Ed25519 key"
    )


def _rsa_signer(key: rsa.RSAPrivateKey, scheme: str, digest: hashes.HashAlgorithm) -> DigestSigner:
    pad: padding.AsymmetricPadding = padding.PKCS1v15()
    if scheme == "pss":
        pad = padding.PSS(padding.MGF1(digest), digest.digest_size)
    name = f"RSA-{key.key_size}, {scheme}, {digest.name}"
    return DigestSigner(name, key.public_key(), digest.name, (pad, Prehashed(digest)))
