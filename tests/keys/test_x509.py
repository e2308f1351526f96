"""The builders of cryptography, written in Rust, sign with a key that pauses, 200 at once."""

from __future__ import annotations

import datetime
import hashlib
import random
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_public_identity,
    pkcs7,
)
from cryptography.x509 import ocsp

import pausable
from keys._support import DRIVERS, jobs_with_slow_key
from pausable.keys import pausing

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
LATER = datetime.datetime(2056, 1, 1, tzinfo=datetime.timezone.utc)
HASH = {"RSA": SHA256(), "P-256": SHA256(), "Ed25519": None}


def name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def certificate(key, i, algorithm=None, public_key=None, issuer="CA"):
    if algorithm is None and isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        algorithm = SHA256()
    return (
        x509.CertificateBuilder()
        .subject_name(name(f"subject {i}"))
        .issuer_name(name(issuer))
        .public_key(public_key or key.public_key())
        .serial_number(i + 1)
        .not_valid_before(NOW)
        .not_valid_after(LATER)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("host")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, algorithm)
    )


def is_signed_by(public_key, signature, data, algorithm):
    """Verify with the public key, which raises if it is not; True."""
    if isinstance(public_key, rsa.RSAPublicKey):
        public_key.verify(signature, data, padding.PKCS1v15(), algorithm)
    elif isinstance(public_key, ec.EllipticCurvePublicKey):
        public_key.verify(signature, data, ec.ECDSA(algorithm))
    else:
        public_key.verify(signature, data)
    return True


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("kind", HASH)
def test_certificates(local, kind, driver):
    made = jobs_with_slow_key(local[kind], certificate, driver)
    public_key = local[kind].public_key()
    for i, cert in enumerate(made):
        assert is_signed_by(
            public_key, cert.signature, cert.tbs_certificate_bytes, cert.signature_hash_algorithm
        )
        assert cert.subject == name(f"subject {i}")


def test_certificates_with_rsa_pss(local):
    pss = padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)

    def make(key, i):
        return x509.CertificateSigningRequestBuilder(name(f"{i}")).sign(
            key, SHA256(), rsa_padding=pss
        )

    for csr in jobs_with_slow_key(local["RSA"], make):
        local["RSA"].public_key().verify(csr.signature, csr.tbs_certrequest_bytes, pss, SHA256())


def test_requests(local):
    def make(key, i):
        return x509.CertificateSigningRequestBuilder(name(f"{i}")).sign(key, SHA256())

    public_key = local["P-256"].public_key()
    for i, csr in enumerate(jobs_with_slow_key(local["P-256"], make)):
        assert is_signed_by(public_key, csr.signature, csr.tbs_certrequest_bytes, SHA256())
        assert csr.subject == name(f"{i}")


def test_revocation_lists(local):
    def make(key, i):
        revoked = x509.RevokedCertificateBuilder().serial_number(i + 1).revocation_date(NOW).build()
        return (
            x509.CertificateRevocationListBuilder()
            .issuer_name(name("CA"))
            .last_update(NOW)
            .next_update(LATER)
            .add_revoked_certificate(revoked)
            .sign(key, SHA256())
        )

    public_key = local["P-256"].public_key()
    for i, crl in enumerate(jobs_with_slow_key(local["P-256"], make)):
        assert is_signed_by(public_key, crl.signature, crl.tbs_certlist_bytes, SHA256())
        assert [revoked.serial_number for revoked in crl] == [i + 1]


def test_ocsp_responses(local):
    issuer = certificate(local["P-256"], 0)

    def make(key, i):
        cert = certificate(local["P-256"], i)
        return (
            ocsp.OCSPResponseBuilder()
            .add_response(cert, issuer, SHA256(), ocsp.OCSPCertStatus.GOOD, NOW, LATER, None, None)
            .responder_id(ocsp.OCSPResponderEncoding.HASH, issuer)
            .sign(key, SHA256())
        )

    public_key = local["P-256"].public_key()
    for i, response in enumerate(jobs_with_slow_key(local["P-256"], make)):
        assert is_signed_by(public_key, response.signature, response.tbs_response_bytes, SHA256())
        assert response.serial_number == i + 1


@pytest.mark.parametrize("kind", ["RSA", "P-256"])
def test_pkcs7(local, kind):
    cert = certificate(local[kind], 0)

    def make(key, i):
        builder = pkcs7.PKCS7SignatureBuilder().set_data(b"message %d" % i)
        return builder.add_signer(cert, key, SHA256()).sign(Encoding.DER, [])

    from asn1crypto import cms

    for i, message in enumerate(jobs_with_slow_key(local[kind], make)):
        (signer,) = cms.ContentInfo.load(message)["content"]["signer_infos"]
        attributes = signer["signed_attrs"].untag()
        signature = signer["signature"].native
        assert is_signed_by(cert.public_key(), signature, attributes.dump(), SHA256())
        digests = [
            each["values"][0] for each in attributes if each["type"].native == "message_digest"
        ]
        assert [digest.native for digest in digests] == [hashlib.sha256(b"message %d" % i).digest()]


def test_pkcs7_is_what_openssl_verifies(local, tmp_path):
    cert = certificate(local["P-256"], 0)
    (tmp_path / "cert.pem").write_bytes(cert.public_bytes(Encoding.PEM))
    with ThreadPoolExecutor(1) as engine:
        key = pausing(local["P-256"], engine)
        builder = pkcs7.PKCS7SignatureBuilder().set_data(b"message")
        message = builder.add_signer(cert, key, SHA256()).sign(Encoding.SMIME, [])
    verify = ["openssl", "cms", "-verify", "-noverify", "-certfile", tmp_path / "cert.pem"]
    done = subprocess.run(verify, input=message, capture_output=True, check=True)
    assert done.stdout == b"message"


@pytest.mark.parametrize("kind", ["RSA", "P-256", "Ed25519"])
def test_ssh_certificates(local, kind, tmp_path):
    def make(key, i):
        return (
            SSHCertificateBuilder()
            .public_key(local["Ed25519"].public_key())
            .serial(i)
            .type(SSHCertificateType.USER)
            .key_id(b"user")
            .valid_principals([b"user"])
            .valid_after(0)
            .valid_before(2**63)
            .sign(key)
        )

    ca = local[kind].public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    for i, made in enumerate(jobs_with_slow_key(local[kind], make)):
        cert = load_ssh_public_identity(made.public_bytes())
        cert.verify_cert_signature()
        assert (
            cert.serial,
            cert.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        ) == (i, ca)


@pytest.mark.hazard("C1")
def test_a_thousand_certificates_built_in_turns_are_right(local):
    """Old releases of cryptography gave wrong signatures here: what C1 is about."""
    rng = random.Random(1)
    jobs = []

    class Shuffled:
        """Completes nothing until the job is resumed in its turn."""

        def submit(self, fn, /, *args):
            for _ in range(rng.randrange(1, 4)):
                pausable.pause()
            return done(fn(*args))

    def done(value):
        future = Future()
        future.set_result(value)
        return future

    key = pausing(local["P-256"], Shuffled())
    jobs = [pausable.start(certificate, key, i) for i in range(1000)]
    under_way = list(jobs)
    while under_way:
        job = under_way[rng.randrange(len(under_way))]
        job.resume()
        if job.done():
            under_way.remove(job)
    public_key = local["P-256"].public_key()
    for i, cert in enumerate(job.result() for job in jobs):
        assert is_signed_by(public_key, cert.signature, cert.tbs_certificate_bytes, SHA256())
        assert cert.subject == name(f"subject {i}")
