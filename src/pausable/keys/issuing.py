"""Certificates and JSON web tokens in quantity, with one key that pauses.

    issuer = CertificateIssuer(ca_certificate, pausing(ca_key, engine))
    for certificate in pausable.map(issuer.issue, requests, jobs=64):
        ...

Both are plain synchronous code over well-kept libraries (`cryptography`, PyJWT): the key pauses.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

__all__ = ["BadRequest", "CertificateIssuer", "TokenIssuer"]

#: Anybody can break smaller ones.
_MIN_RSA_BITS: Final = 2048
_MIN_EC_BITS: Final = 224

#: Ten thousand years: no certificate can be valid for longer.
_MAX_DAYS: Final = 3_650_000

#: Two requests with the same one can be made up.
_WEAK_DIGESTS: Final = (hashes.MD5, hashes.SHA1)

#: Who may use a certificate so can speak for the CA, or do anything.
_CA_USAGES: Final = (ExtendedKeyUsageOID.OCSP_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)

#: What a request may ask for, besides its subject and key.
_GRANTED: Final = (x509.SubjectAlternativeName, x509.KeyUsage, x509.ExtendedKeyUsage)


class BadRequest(ValueError):
    """A certificate request that is not granted; the message says why."""


class CertificateIssuer:
    """Issues end-entity certificates for requests (CSRs), signed with one CA key.

    A certificate has the request's subject and key, and of its extensions the alternative names,
    the key usage and the extended key usage; then basic constraints (no CA) and both key
    identifiers. What else is asked for is left out, or if critical, refused.

    Args:
        certificate: the CA's own.
        key: its private key, which may pause.
        valid_days: of each certificate, 1 or more; none outlives the CA's.
        digest: to sign; None: SHA-256, or as wide as the curve.

    Threads: any.

    Raises:
        ValueError: the certificate is no CA's, or the key is not its key, or `valid_days` is not
            1 or more.
        TypeError: the key is none, or `valid_days` no whole number.
    """

    def __init__(
        self,
        certificate: x509.Certificate,
        key: CertificateIssuerPrivateKeyTypes,
        *,
        valid_days: int = 90,
        digest: hashes.HashAlgorithm | None = None,
    ) -> None:
        if not isinstance(valid_days, int):
            raise TypeError(f"valid_days has to be a whole number of days, not {valid_days!r}")
        if not 1 <= valid_days <= _MAX_DAYS:
            raise ValueError(f"valid_days has to be 1 to {_MAX_DAYS}, not {valid_days}")
        if not hasattr(key, "public_key"):
            raise TypeError(f"key has to be a private key, not a {type(key).__qualname__}")
        if key.public_key() != certificate.public_key():
            raise ValueError(
                f"{key!r} is not the key of the certificate of"
                f" {certificate.subject.rfc4514_string()!r}; pass the one that belongs to it"
            )
        if not _is_ca(certificate):
            raise ValueError(
                f"the certificate of {certificate.subject.rfc4514_string()!r} is no CA's: its basic"
                " constraints or key usage do not allow it to sign certificates"
            )
        self._certificate = certificate
        self._key = key
        self._valid = datetime.timedelta(days=valid_days)
        self._digest = _digest_for(key) if digest is None else digest
        self._key_identifier = _authority_key_identifier(certificate)

    def issue(self, request: bytes | x509.CertificateSigningRequest) -> x509.Certificate:
        """Return a certificate for a request.

        Pauses: while the key signs.

        Args:
            request: the request, or its PEM or DER.

        Raises:
            BadRequest: it cannot be read, its own signature is wrong or weak, its key is weak, it
                names nobody or the CA, or it asks for what it does not get.
        """
        request = _loaded(request)
        _check(request, self._certificate)
        now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        until = min(now + self._valid, self._certificate.not_valid_after_utc)
        if until <= now:
            raise ValueError(
                f"the CA's certificate is no longer valid, since {until}; renew it first"
            )
        public_key = request.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(self._certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(self._key_identifier, critical=False)
        )
        for extension in request.extensions:
            value = extension.value
            if isinstance(value, _GRANTED):
                alone = isinstance(value, x509.SubjectAlternativeName) and not request.subject
                builder = builder.add_extension(value, critical=extension.critical or alone)
        return builder.sign(self._key, self._digest)  # type: ignore[arg-type]


class TokenIssuer:
    """Issues JSON web tokens, signed with one key; needs `pip install 'pausable[jwt]'`.

    Args:
        key: a private key, which may pause: RSA, EC, Ed25519 or Ed448.
        algorithm: of JWS; None: RS256, ES256 and its kin by the curve, or EdDSA.
        headers: of every token, such as {"kid": "1"}.

    Threads: any.

    Raises:
        TypeError: the key is of another kind.
        ValueError: the algorithm is none of the key's.
        ModuleNotFoundError: PyJWT is not installed.
    """

    def __init__(
        self, key: Any, *, algorithm: str | None = None, headers: Mapping[str, Any] | None = None
    ) -> None:
        try:
            import jwt  # noqa: PLC0415  # only tokens need it
        except ModuleNotFoundError as exc:
            raise ModuleNotFoundError(
                "tokens need PyJWT: pip install 'pausable[jwt]'", name=exc.name
            ) from exc
        self._encode = jwt.encode
        self._key = key
        self._algorithm = _algorithm_for(key) if algorithm is None else algorithm
        _check_algorithm(self._algorithm, key)
        self._headers = dict(headers or {})

    def issue(self, claims: Mapping[str, Any]) -> str:
        """Return a signed token with these claims.

        Pauses: while the key signs.

        Raises:
            TypeError, ValueError: the claims cannot be written as JSON.
        """
        return self._encode(
            dict(claims), self._key, self._algorithm, dict(self._headers), json_encoder=_StrictJSON
        )


class _StrictJSON(json.JSONEncoder):
    """Refuses NaN and infinity, which JSON does not have."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "allow_nan": False})


def _loaded(request: bytes | x509.CertificateSigningRequest) -> x509.CertificateSigningRequest:
    if isinstance(request, x509.CertificateSigningRequest):
        return request
    if not isinstance(request, bytes):
        raise TypeError(f"a request has to be one of cryptography, or its bytes, not {request!r}")
    if request.count(b"CERTIFICATE REQUEST-----") > 2:
        raise BadRequest("it has more than one request; pass them one by one")
    try:
        if b"-----BEGIN" in request:
            return x509.load_pem_x509_csr(request)
        return x509.load_der_x509_csr(request)
    except (ValueError, x509.InvalidVersion) as exc:
        raise BadRequest(f"it is no certificate request in PEM or DER ({exc})") from exc


def _check(request: x509.CertificateSigningRequest, ca: x509.Certificate) -> None:
    try:
        digest = request.signature_hash_algorithm
        if isinstance(digest, _WEAK_DIGESTS):
            raise BadRequest(f"it is signed with {digest.name}, which is not safe; sign it anew")
        public_key = request.public_key()
        extensions = list(request.extensions)
        valid = request.is_signature_valid
    except (
        ValueError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ) as exc:
        raise BadRequest(f"it cannot be read: {exc}") from exc
    if not valid:
        raise BadRequest("its signature is wrong: it was damaged, or made with another key")
    if isinstance(public_key, rsa.RSAPublicKey) and public_key.key_size < _MIN_RSA_BITS:
        raise BadRequest(
            f"its RSA key has {public_key.key_size} bits, which is not safe; {_MIN_RSA_BITS} are"
            " the least"
        )
    if isinstance(public_key, ec.EllipticCurvePublicKey) and public_key.key_size < _MIN_EC_BITS:
        raise BadRequest(
            f"its EC key has {public_key.key_size} bits, which is not safe; {_MIN_EC_BITS} are the"
            " least"
        )
    if isinstance(public_key, dsa.DSAPublicKey):
        raise BadRequest("its key is a DSA key, which nobody should use any more")
    if not request.subject and not any(
        isinstance(each.value, x509.SubjectAlternativeName) for each in extensions
    ):
        raise BadRequest("it names nobody: neither a subject nor alternative names")
    if public_key == ca.public_key():
        raise BadRequest("its key is the CA's own: a certificate for it would pass for the CA's")
    if _folded(request.subject) == _folded(ca.subject):
        raise BadRequest("its subject is the CA's own: whoever looks for the CA would find it")
    _check_extensions(extensions)


def _folded(name: x509.Name) -> list[frozenset[tuple[str, str]]]:
    """Return a name as names are compared: whatever its case and spaces (RFC 5280, 7.1)."""
    return [
        frozenset(
            (part.oid.dotted_string, " ".join(str(part.value).split()).casefold()) for part in rdn
        )
        for rdn in name.rdns
    ]


def _check_extensions(extensions: Iterable[x509.Extension[Any]]) -> None:
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName) and not list(value):
            raise BadRequest("its list of alternative names is empty")
        if isinstance(value, x509.ExtendedKeyUsage) and any(use in value for use in _CA_USAGES):
            raise BadRequest("it asks for a CA's usage: OCSP signing, or any usage")
        if (isinstance(value, x509.BasicConstraints) and value.ca) or (
            isinstance(value, x509.KeyUsage) and (value.key_cert_sign or value.crl_sign)
        ):
            raise BadRequest("it asks for a CA's certificate, and only others are issued")
        if extension.critical and not isinstance(value, (*_GRANTED, x509.BasicConstraints)):
            raise BadRequest(
                f"it asks for the critical extension {extension.oid.dotted_string}, which is not"
                " granted"
            )


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
    except x509.ExtensionNotFound:
        return False
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True


def _authority_key_identifier(certificate: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Return what points to the CA's key: what the CA's certificate calls it, if it does."""
    try:
        own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(
            certificate.public_key()  # type: ignore[arg-type]
        )
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)


def _digest_for(key: object) -> hashes.HashAlgorithm | None:
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size > 256:
        return hashes.SHA384() if key.key_size <= 384 else hashes.SHA512()
    if isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        return hashes.SHA256()
    return None


_SHA: Final = (256, 384, 512)
_JWS_CURVES: Final = {
    "secp256r1": "ES256",
    "secp384r1": "ES384",
    "secp521r1": "ES512",
    "secp256k1": "ES256K",
}


def _algorithm_for(key: object) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        return "RS256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _JWS_CURVES:
        return _JWS_CURVES[key.curve.name]
    if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)):
        return "EdDSA"
    raise TypeError(
        f"there is no algorithm of JWS for {key!r}; pass a private key of the kind RSA, EC (P-256,"
        " P-384, P-521), Ed25519 or Ed448"
    )


def _check_algorithm(algorithm: str, key: object) -> None:
    family = _algorithm_for(key)
    fits = {family} if family != "RS256" else {f"{kind}{n}" for kind in ("RS", "PS") for n in _SHA}
    if algorithm not in fits:
        raise ValueError(
            f"{algorithm!r} is no algorithm for {key!r}; its own are {', '.join(sorted(fits))}"
        )
