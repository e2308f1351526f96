"""What devices and key services ask for and return, in their own forms."""

from __future__ import annotations

from typing import NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import (
    MGF1,
    PSS,
    calculate_max_pss_salt_length,
)
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)

from pausable.keys._base import Buffer, frozen

__all__ = [
    "PSSParameters",
    "der_signature",
    "digest_of",
    "fixed_pss",
    "pss_parameters",
    "raw_signature",
]


def der_signature(raw: Buffer) -> bytes:
    """Return an ECDSA signature in DER, as `cryptography` and X.509 have it.

    Args:
        raw: r and s, one after the other, as PKCS#11, JWS and some key services have it.

    Raises:
        ValueError: its length is odd or 0.
    """
    raw = frozen(raw)
    half, odd = divmod(len(raw), 2)
    if odd or not half:
        raise ValueError(
            f"a raw ECDSA signature is r and s, of equal length; {len(raw)} bytes are not"
        )
    return encode_dss_signature(
        int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
    )


def raw_signature(der: Buffer, curve: ec.EllipticCurve) -> bytes:
    """Return an ECDSA signature as r and s, one after the other, each as wide as the curve.

    Raises:
        ValueError: `der` is no signature in DER, or one of a wider curve.
    """
    r, s = decode_dss_signature(frozen(der))
    size_bytes = (curve.key_size + 7) // 8
    try:
        return r.to_bytes(size_bytes, "big") + s.to_bytes(size_bytes, "big")
    except OverflowError as exc:
        raise ValueError(f"the signature is not of the curve {curve.name}: it is wider") from exc


class PSSParameters(NamedTuple):
    """What RSA-PSS asks of a device besides the digest."""

    #: The hash of MGF1.
    mgf_hash: hashes.HashAlgorithm
    salt_size_bytes: int


def pss_parameters(padding: PSS) -> PSSParameters:
    """Return the parameters of a padding that `RemoteRSAKey.sign_digest` was given."""
    return PSSParameters(padding.mgf._algorithm, padding._salt_length)  # type: ignore[arg-type]


def fixed_pss(padding: PSS, key: rsa.RSAPublicKey, algorithm: hashes.HashAlgorithm) -> PSS:
    """Return the same padding, with the length of its salt as a number.

    Raises:
        ValueError: the length is AUTO, which is for verifying, or too long for the key.
    """
    if not isinstance(padding.mgf, MGF1):
        raise TypeError(f"PSS needs MGF1 of cryptography, not {padding.mgf!r}")
    most_bytes = (key.key_size + 6) // 8 - algorithm.digest_size - 2
    if most_bytes < 0:
        raise ValueError(
            f"a digest of {algorithm.digest_size} bytes is too large for PSS with a key of"
            f" {key.key_size} bits; use a shorter one"
        )
    length = padding._salt_length  # no public name
    if isinstance(length, type(PSS.AUTO)):
        raise ValueError("PSS salt length can only be set to AUTO when verifying")
    if isinstance(length, type(PSS.DIGEST_LENGTH)):
        length = algorithm.digest_size
    elif isinstance(length, type(PSS.MAX_LENGTH)):
        length = calculate_max_pss_salt_length(key, algorithm)
    if not isinstance(length, int) or length > most_bytes:
        raise ValueError(
            f"a salt of {length} bytes is too long for PSS with a key of {key.key_size} bits and"
            f" {algorithm.name}; at most {most_bytes} fit"
        )
    return PSS(padding.mgf, length)


def digest_of(
    data: Buffer, algorithm: hashes.HashAlgorithm | Prehashed
) -> tuple[bytes, hashes.HashAlgorithm]:
    """Return the digest to sign, and what it was made with.

    Raises:
        TypeError, ValueError: as of `cryptography`'s keys.
    """
    if isinstance(algorithm, Prehashed):
        digest, algorithm = frozen(data), algorithm._algorithm  # no public name
        if len(digest) != algorithm.digest_size:
            raise ValueError(
                f"the data is {len(digest)} bytes, and a digest of {algorithm.name} has"
                f" {algorithm.digest_size}; pass the digest, or the hash without Prehashed"
            )
        return digest, algorithm
    if not isinstance(algorithm, hashes.HashAlgorithm):
        raise TypeError(
            f"the hash has to be one of cryptography's, such as SHA256(), not {algorithm!r}"
        )
    context = hashes.Hash(algorithm)
    context.update(frozen(data))
    return context.finalize(), algorithm
