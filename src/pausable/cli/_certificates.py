"""Certificates for requests: the job that issues one, and the CA that it is for."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import PublicKeyAlgorithmOID

from pausable.cli._files import open_regular, read_at_most
from pausable.cli._key_engine import KeyEngine
from pausable.cli._keys import PrivateKey, kind_of
from pausable.cli._outcome import Outcome
from pausable.cli._output import Refusal, shown
from pausable.cli._plan import Task
from pausable.cli._remote_key import remote_key
from pausable.cli._result import make_result
from pausable.cli._run import Run
from pausable.keys.issuing import BadRequest, CertificateIssuer

__all__ = ["Certificates", "load_ca", "make_issuer"]

#: No request is larger, nor a certificate for one.
_MAX_BYTES = 256 * 1024

#: A file with the certificates of all CAs there are is smaller.
_MAX_CA_BYTES = 4 * 1024 * 1024


def load_ca(path: Path, private: PrivateKey) -> x509.Certificate:
    """Return the certificate in a PEM file that belongs to a key.

    Raises:
        Refusal: there is none, or it cannot be used now.
    """
    try:
        with open_regular(path) as file:
            certificates = x509.load_pem_x509_certificates(file.read(_MAX_CA_BYTES))
    except OSError as exc:
        raise Refusal(
            f"--ca {shown(path)} cannot be read: {exc.strerror}; name the CA's certificate"
        ) from exc
    except ValueError as exc:
        raise Refusal(
            f"--ca {shown(path)} is no certificate in PEM format; name the CA's, or convert it"
            " with openssl x509"
        ) from exc
    own = [each for each in certificates if each.public_key() == private.key.public_key()]
    if not own:
        raise Refusal(
            f"--ca-key {shown(private.path)} is not the key of the certificate {shown(path)}; name"
            " the one that belongs to it"
        )
    _refuse_out_of_time(own[0], path)
    if own[0].public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS:
        raise Refusal(
            f"--ca {shown(path)} is for RSA-PSS only, which certificates are not signed with here;"
            " use a CA with another key"
        )
    return own[0]


def make_issuer(
    certificate: x509.Certificate,
    private: PrivateKey,
    engine: KeyEngine,
    days: int,
    digest: hashes.HashAlgorithm | None,
) -> CertificateIssuer:
    """Return what issues certificates, with a key that is where the engine is.

    Raises:
        Refusal: the CA cannot issue any.
    """
    if digest is not None and not isinstance(
        private.key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)
    ):
        raise Refusal(f"--digest is not for {kind_of(private.key)} keys; omit it")
    try:
        key = remote_key(private.key.public_key(), engine.sign)
        return CertificateIssuer(certificate, key, valid_days=days, digest=digest)
    except (TypeError, ValueError) as exc:
        raise Refusal(f"--ca and --ca-key cannot be used: {exc}") from exc


class Certificates:
    """Issues certificates for requests in files.

    Args:
        run: whose jobs do it.
        issuer: what issues them.
        certificate: the CA's.
        digest: what they are to be signed with; None: what the issuer chooses.
    """

    def __init__(
        self,
        run: Run,
        issuer: CertificateIssuer,
        certificate: x509.Certificate,
        digest: hashes.HashAlgorithm | None,
    ) -> None:
        self._run = run
        self._issuer = issuer
        self._ca = certificate
        self._digest = digest

    def issue(self, task: Task) -> Outcome:
        """Issue one, unless there is a valid one; what goes wrong costs this request alone.

        Pauses: while the key signs, and while the disk is slow.

        Raises:
            Interrupted: the run was stopped.
        """
        return make_result(self._run, task, "issued", lambda: self._make(task))

    def _make(self, task: Task) -> bytes | Outcome:
        try:
            request = _load_request(task.path)
            if self._is_issued(task.target, request):
                return Outcome(task.path, "skipped", task.target, "has a valid certificate")
            return self._issuer.issue(request).public_bytes(Encoding.PEM)
        except BadRequest as exc:
            return Outcome(task.path, "refused", None, str(exc))

    def _is_issued(self, target: Path, request: x509.CertificateSigningRequest) -> bool:
        """Tell whether a file has a certificate for a request that is valid now."""
        content = read_at_most(target, _MAX_BYTES)
        try:
            found = x509.load_pem_x509_certificate(content or b"")
            found.verify_directly_issued_by(self._ca)
            asked = {each.value for each in request.extensions if _is_name(each)}
            given = {each.value for each in found.extensions if _is_name(each)}
            return (
                found.public_key() == request.public_key()
                and found.subject == request.subject
                and asked == given
                and self._digest_is(found)
                and found.not_valid_before_utc <= _now() < found.not_valid_after_utc
            )
        except (InvalidSignature, TypeError, ValueError, x509.DuplicateExtension):
            return False

    def _digest_is(self, certificate: x509.Certificate) -> bool:
        used = certificate.signature_hash_algorithm
        return self._digest is None or (used is not None and used.name == self._digest.name)


def _load_request(path: Path) -> x509.CertificateSigningRequest:
    try:
        with open_regular(path) as file:
            content = file.read(_MAX_BYTES + 1) or b""
    except IsADirectoryError:
        raise BadRequest("it is a directory, and no request") from None
    if not content:
        raise BadRequest("it is empty")
    if len(content) > _MAX_BYTES:
        raise BadRequest(f"it has more than {_MAX_BYTES} bytes, and no request has so many")
    try:
        if b"-----BEGIN" in content:
            return x509.load_pem_x509_csr(content)
        return x509.load_der_x509_csr(content)
    except ValueError as exc:
        raise BadRequest(f"it is no certificate request in PEM or DER ({exc})") from exc


def _is_name(extension: x509.Extension[x509.ExtensionType]) -> bool:
    return isinstance(
        extension.value, (x509.SubjectAlternativeName, x509.KeyUsage, x509.ExtendedKeyUsage)
    )


def _refuse_out_of_time(certificate: x509.Certificate, path: Path) -> None:
    if _now() < certificate.not_valid_before_utc:
        raise Refusal(
            f"--ca {shown(path)} is not valid before {certificate.not_valid_before_utc}; is this"
            " machine's clock right?"
        )
    if _now() >= certificate.not_valid_after_utc:
        raise Refusal(
            f"--ca {shown(path)} is not valid since {certificate.not_valid_after_utc}; renew it"
        )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
