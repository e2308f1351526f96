"""Private keys, loaded from PEM files. Every refusal is one line that says what to do."""

from __future__ import annotations

import binascii
import os
import sys
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pausable.cli._output import Refusal, shown
from pausable.cli._signing import DigestSigner, MessageSigner, Signer

__all__ = ["load_signer"]

#: Nobody's key is larger; what is, need not be read.
_MAX_KEY_BYTES = 1024 * 1024

#: Smaller ones are refused: anybody can break them, and not all digests fit.
_MIN_RSA_BITS = 1024


#: The algorithm of a key that is for RSA-PSS alone (id-RSASSA-PSS, in DER).
_PSS_ONLY = bytes.fromhex("06092a864886f70d01010a")

_DIGESTS: dict[str, type[hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


def load_signer(path: Path, scheme: str | None, digest: str | None, passin: str | None) -> Signer:
    """Return the signer for the private key in a PEM file.

    Args:
        path: the key's file.
        scheme: pkcs1v15 or pss, for an RSA key only; None: pkcs1v15, if the key allows it.
        digest: sha256, sha384 or sha512, not for Ed25519; None: sha256.
        passin: where the passphrase is: env:NAME; None: ask for it if there is one.

    Raises:
        Refusal: there is no such key, or it cannot be used.
    """
    passphrase = None if passin is None else _from_environment(passin)
    key, pss_only = _load(path, passphrase)
    hashing = _DIGESTS[digest or "sha256"]()
    kind = type(key).__name__.strip("_").removesuffix("PrivateKey")
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < _MIN_RSA_BITS:
            raise Refusal(
                f"key {shown(path)} has {key.key_size} bits, which is not safe; use an RSA key of"
                " 2048 or more"
            )
        if pss_only and scheme == "pkcs1v15":
            raise Refusal(f"key {shown(path)} is for RSA-PSS only; pass --scheme pss")
        signer = _rsa_signer(key, scheme or ("pss" if pss_only else "pkcs1v15"), hashing)
        _refuse_inconsistent(signer, path)
        return signer
    if scheme is not None:
        raise Refusal(f"--scheme is for RSA keys only, and {shown(path)} is none; omit it")
    if isinstance(key, ec.EllipticCurvePrivateKey):
        name = f"ECDSA {key.curve.name}, {hashing.name}"
        return DigestSigner(name, key, hashing.name, (ec.ECDSA(Prehashed(hashing)),))
    if isinstance(key, ed25519.Ed25519PrivateKey):
        if digest is not None:
            raise Refusal(f"--digest is not for Ed25519 keys, such as {shown(path)}; omit it")
        return MessageSigner("Ed25519", key)
    raise Refusal(
        f"key {shown(path)} is of the kind {kind}, which is not supported; use an RSA, ECDSA or"
        " Ed25519 key"
    )


def _rsa_signer(key: rsa.RSAPrivateKey, scheme: str, digest: hashes.HashAlgorithm) -> DigestSigner:
    pad: padding.AsymmetricPadding = padding.PKCS1v15()
    if scheme == "pss":
        pad = padding.PSS(padding.MGF1(digest), digest.digest_size)
    params = (pad, Prehashed(digest))
    return DigestSigner(f"RSA-{key.key_size}, {scheme}, {digest.name}", key, digest.name, params)


def _refuse_inconsistent(signer: DigestSigner, path: Path) -> None:
    """Try an RSA key, which is what matters here, and 30 ms quicker than to test its primes."""
    digest = signer.digest_of(b"")
    try:
        valid = signer.verify(digest, signer.sign(digest))
    except Exception:  # OpenSSL's, of many kinds
        valid = False
    if not valid:
        raise Refusal(
            f"key {shown(path)} is damaged: its signatures are not valid; restore it from a copy"
        )


def _load(path: Path, passphrase: bytes | None) -> tuple[object, bool]:
    """Return the key, and whether it is for RSA-PSS only, which cryptography does not tell.

    Where a passphrase hides it, that cannot be seen, and the user has to know.
    """
    pem = _read(path)
    try:
        return _parse(pem, None), _PSS_ONLY in _der(pem)
    except TypeError:  # it has a passphrase
        pass
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise Refusal(f"key {shown(path)} {_what_it_is(pem)}") from exc
    if passphrase is None:
        passphrase = _ask(path)
    try:
        return _parse(pem, passphrase), False
    except (TypeError, ValueError, UnsupportedAlgorithm) as exc:
        raise Refusal(
            f"the passphrase of key {shown(path)} is wrong (or the file is damaged); try again"
        ) from exc


def _parse(pem: bytes, passphrase: bytes | None) -> object:
    return load_pem_private_key(pem, passphrase, unsafe_skip_rsa_key_validation=True)


def _der(pem: bytes) -> bytes:
    lines = pem.partition(b"-----BEGIN PRIVATE KEY-----")[2].partition(b"-----")[0]
    return binascii.a2b_base64(lines)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_KEY_BYTES)
    except OSError as exc:
        raise Refusal(
            f"key {shown(path)} cannot be read: {exc.strerror}; name a private key's PEM file"
        ) from exc


def _what_it_is(pem: bytes) -> str:
    """Say what a file is that is no key we can load, and what to do."""
    if b"PRIVATE KEY-----" in pem:
        if b"BEGIN OPENSSH" in pem:
            return "is in OpenSSH's format; convert it: ssh-keygen -p -m PKCS8 -f KEY"
        return "is damaged or of a kind that is not supported; use an RSA, ECDSA or Ed25519 key"
    if b"PUBLIC KEY-----" in pem or pem.startswith((b"ssh-", b"ecdsa-")):
        return "is a public key; to sign, name the private key"
    if b"BEGIN CERTIFICATE" in pem:
        return "is a certificate; to sign, name its private key"
    return "is no private key in PEM format; convert it with openssl pkey, or name another"


def _from_environment(passin: str) -> bytes:
    source, _, name = passin.partition(":")
    if source != "env" or not name:
        raise Refusal(
            "--passin has to be env:NAME, with NAME an environment variable that holds the"
            " passphrase"
        )
    passphrase = os.environb.get(os.fsencode(name))
    if passphrase is None:
        raise Refusal(
            f"--passin env:{name}: there is no environment variable {shown(name)}; export it first"
        )
    return passphrase


def _ask(path: Path) -> bytes:
    if not _has_terminal():
        raise Refusal(
            f"key {shown(path)} has a passphrase and there is no terminal to ask for it; pass"
            " --passin env:NAME"
        )
    from getpass import getpass  # noqa: PLC0415  # rarely needed

    return os.fsencode(getpass(f"Passphrase of {path}: "))


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return sys.stdin is not None and sys.stdin.isatty()
    return True
