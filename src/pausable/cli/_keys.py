"""Private keys, loaded from PEM files. Every refusal is one line that says what to do."""

from __future__ import annotations

import binascii
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pausable.cli._output import Refusal, shown

__all__ = ["PrivateKey", "kind_of", "load_key"]

#: Nobody's key is larger; what is, need not be read.
_MAX_KEY_BYTES = 1024 * 1024

#: Smaller ones are refused: anybody can break them, and not all digests fit.
_MIN_RSA_BITS = 1024

#: The algorithm of a key that is for RSA-PSS alone (id-RSASSA-PSS, in DER).
_PSS_ONLY = bytes.fromhex("06092a864886f70d01010a")


@dataclass(frozen=True)
class PrivateKey:
    """A private key, and where it is from: workers elsewhere load it themselves."""

    path: Path
    #: Of `cryptography`.
    key: Any
    #: For RSA-PSS alone. Where a passphrase hides that, the user has to know.
    pss_only: bool
    pem: bytes = field(repr=False)
    passphrase: bytes | None = field(repr=False)
    #: The environment variable that the passphrase is from.
    passphrase_variable: str | None


def load_key(path: Path, passin: str | None) -> PrivateKey:
    """Return the private key in a PEM file.

    Args:
        path: the key's file.
        passin: where the passphrase is: env:NAME; None: ask for it if there is one.

    Raises:
        Refusal: there is no such key, or it cannot be used.
    """
    variable = None if passin is None else _variable(passin)
    private = _load(path, variable)
    if isinstance(private.key, rsa.RSAPrivateKey):
        if private.key.key_size < _MIN_RSA_BITS:
            raise Refusal(
                f"key {shown(path)} has {private.key.key_size} bits, which is not safe; use an RSA"
                " key of 2048 or more"
            )
        _refuse_inconsistent(private.key, path)
    return private


def kind_of(key: object) -> str:
    """Return the name of a key's kind, for people."""
    return type(key).__name__.strip("_").removesuffix("PrivateKey")


def _refuse_inconsistent(key: rsa.RSAPrivateKey, path: Path) -> None:
    """Try an RSA key, which is what matters here, and 30 ms quicker than to test its primes."""
    scheme = padding.PKCS1v15(), hashes.SHA256()
    try:
        key.public_key().verify(key.sign(b"", *scheme), b"", *scheme)
    except Exception as exc:  # OpenSSL's, of many kinds
        raise Refusal(
            f"key {shown(path)} is damaged: its signatures are not valid; restore it from a copy"
        ) from exc


def _load(path: Path, variable: str | None) -> PrivateKey:
    pem = _read(path)
    passphrase = None if variable is None else _from_environment(variable)
    try:
        return PrivateKey(path, _parse(pem, None), _PSS_ONLY in _der(pem), pem, None, None)
    except TypeError:  # it has a passphrase
        pass
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise Refusal(f"key {shown(path)} {_what_it_is(pem)}") from exc
    if passphrase is None:
        passphrase = _ask(path)
    try:
        return PrivateKey(path, _parse(pem, passphrase), False, pem, passphrase, variable)
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


def _variable(passin: str) -> str:
    source, _, name = passin.partition(":")
    if source != "env" or not name:
        raise Refusal(
            "--passin has to be env:NAME, with NAME an environment variable that holds the"
            " passphrase"
        )
    return name


def _from_environment(name: str) -> bytes:
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
