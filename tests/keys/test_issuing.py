"""Many certificates and tokens with one slow key; requests that are not granted."""

from __future__ import annotations

import datetime
import json
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keys._support import jobs_with_slow_key
from keys.test_tokens import claims_of
from keys.test_x509 import LATER, NOW, name
from pausable.keys import pausing
from pausable.keys.issuing import BadRequest, CertificateIssuer, TokenIssuer
from pausable.testing import FakeEngine


def ca_certificate(key, *, ca=True, until=LATER, extra=()):
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("CA"))
        .issuer_name(name("CA"))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    for extension in extra:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, SHA256())


def usage(**asked):
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement"
        " key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**(dict.fromkeys(names.split(), False) | asked))


SAN = x509.SubjectAlternativeName([x509.DNSName("example.com")])


def request(key, subject="host", *extensions, critical=False):
    builder = x509.CertificateSigningRequestBuilder(name(subject) if subject else x509.Name([]))
    for extension in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, SHA256())


@pytest.mark.parametrize("kind", ["RSA", "P-256", "P-384"])
def test_certificates_are_what_openssl_verifies(local, kind, tmp_path):
    identifier = x509.SubjectKeyIdentifier.from_public_key(local[kind].public_key())
    ca = ca_certificate(local[kind], extra=[identifier, usage(key_cert_sign=True)])
    host = ec.generate_private_key(ec.SECP256R1())
    requests = [
        request(host, f"host {i}" if i else "", SAN, usage(digital_signature=True)).public_bytes(
            Encoding.PEM if i % 2 else Encoding.DER
        )
        for i in range(200)
    ]
    issued = jobs_with_slow_key(
        local[kind], lambda key, i: CertificateIssuer(ca, key).issue(requests[i])
    )
    (tmp_path / "ca.pem").write_bytes(ca.public_bytes(Encoding.PEM))
    paths = [tmp_path / f"{i}.pem" for i in range(200)]
    for path, cert in zip(paths, issued, strict=True):
        path.write_bytes(cert.public_bytes(Encoding.PEM))
    verify = ["openssl", "verify", "-x509_strict", "-CAfile", tmp_path / "ca.pem", *paths]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert done.stdout == "".join(f"{path}: OK\n" for path in paths), done.stderr
    assert [cert.subject for cert in issued] == [x509.Name([])] + [
        name(f"host {i}") for i in range(1, 200)
    ]
    assert len({cert.serial_number for cert in issued}) == 200


def test_a_certificate_has_what_was_asked_for_and_is_no_ca_s(local):
    asked = (SAN, usage(digital_signature=True), x509.OCSPNoCheck())
    issuer = CertificateIssuer(ca_certificate(local["P-256"]), local["P-256"], valid_days=10)
    cert = issuer.issue(request(local["RSA"], "host", *asked))
    values = {type(each.value): each.value for each in cert.extensions}
    assert values[x509.SubjectAlternativeName] == SAN
    assert values[x509.KeyUsage] == asked[1]
    assert values[x509.BasicConstraints].ca is False
    assert x509.OCSPNoCheck not in values
    assert cert.not_valid_after_utc - cert.not_valid_before_utc == datetime.timedelta(days=10)


def test_a_certificate_does_not_outlive_its_ca(local):
    until = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    until += datetime.timedelta(days=1)
    ca = ca_certificate(local["P-256"], until=until)
    cert = CertificateIssuer(ca, local["P-256"]).issue(request(local["RSA"]))
    assert cert.not_valid_after_utc == until


def test_a_certificate_calls_the_ca_s_key_what_the_ca_s_own_certificate_calls_it(local):
    def authority(*identifiers):
        issuer = CertificateIssuer(
            ca_certificate(local["P-256"], extra=identifiers), local["P-256"]
        )
        extensions = issuer.issue(request(local["RSA"])).extensions
        return extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value

    assert authority(x509.SubjectKeyIdentifier(b"key 7")).key_identifier == b"key 7"
    derived = x509.SubjectKeyIdentifier.from_public_key(local["P-256"].public_key())
    assert authority().key_identifier == derived.digest


def test_a_p_521_key_signs_with_a_hash_as_wide():
    key = ec.generate_private_key(ec.SECP521R1())
    cert = CertificateIssuer(ca_certificate(key), key).issue(
        request(ec.generate_private_key(ec.SECP256R1()))
    )
    assert cert.signature_hash_algorithm.name == "sha512"


def damaged(key):
    der = bytearray(request(key).public_bytes(Encoding.DER))
    der[der.index(b"host")] ^= 1
    return bytes(der)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda _: b"no request", "no certificate request in PEM or DER"),
        (lambda _: b"-----BEGIN CERTIFICATE REQUEST-----\n", "no certificate request"),
        (damaged, "its signature is wrong"),
        (lambda _: request(rsa.generate_private_key(65537, 1024)), "1024 bits, which is not safe"),
        (lambda key: request(key, ""), "names nobody"),
        (lambda key: request(key, "CA"), "its subject is the CA's own"),
        (lambda key: request(key, " ca "), "its subject is the CA's own"),
        (lambda key: request(key).public_bytes(Encoding.PEM) * 2, "more than one request"),
        (lambda key: request(key, "", x509.SubjectAlternativeName([])), "names is empty"),
        (lambda key: request(key, "a", x509.BasicConstraints(True, None)), "a CA's certificate"),
        (lambda key: request(key, "a", usage(key_cert_sign=True)), "a CA's certificate"),
        (lambda key: request(key, "a", usage(crl_sign=True)), "a CA's certificate"),
        (
            lambda key: request(key, "a", x509.OCSPNoCheck(), critical=True),
            "critical extension 1.3.6.1.5.5.7.48.1.5, which is not granted",
        ),
    ],
)
def test_a_request_that_is_not_granted(local, make, text):
    never = pausing(local["P-256"], FakeEngine())
    with pytest.raises(BadRequest, match=text):
        CertificateIssuer(ca_certificate(local["P-256"]), never).issue(make(local["P-384"]))


@pytest.mark.parametrize("digest", ["sha1", "md5"])
def test_a_request_with_a_signature_that_anybody_can_make_up_is_refused(local, digest, tmp_path):
    key, pem = tmp_path / "key.pem", tmp_path / "request.pem"
    key.write_bytes(local["RSA"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    subprocess.run(
        ["openssl", "req", "-new", "-key", key, "-subj", "/CN=host", f"-{digest}", "-out", pem],
        check=True,
        capture_output=True,
    )
    issuer = CertificateIssuer(ca_certificate(local["P-256"]), local["P-256"])
    with pytest.raises(BadRequest, match=f"signed with {digest}, which is not safe"):
        issuer.issue(pem.read_bytes())


def test_alternative_names_are_enough(local):
    issuer = CertificateIssuer(ca_certificate(local["P-256"]), local["P-256"])
    assert not list(issuer.issue(request(local["RSA"], "", SAN)).subject)


def test_a_certificate_that_is_no_ca_s(local):
    key = local["P-256"]
    for ca in (ca_certificate(key, ca=False), ca_certificate(key, extra=[usage(crl_sign=True)])):
        with pytest.raises(ValueError, match="'CN=CA' is no CA's"):
            CertificateIssuer(ca, key)
    with pytest.raises(ValueError, match="is not the key of the certificate of 'CN=CA'"):
        CertificateIssuer(ca_certificate(key), pausing(local["RSA"], FakeEngine()))
    with pytest.raises(ValueError, match="valid_days has to be 1 to 3650000, not 0"):
        CertificateIssuer(ca_certificate(key), key, valid_days=0)


def test_a_ca_that_has_expired(local):
    ca = ca_certificate(local["P-256"], until=NOW + datetime.timedelta(seconds=1))
    with pytest.raises(ValueError, match="no longer valid, since 2026-01-01"):
        CertificateIssuer(ca, local["P-256"]).issue(request(local["RSA"]))


@pytest.mark.parametrize(
    ("kind", "alg"), [("RSA", "RS256"), ("P-256", "ES256"), ("Ed25519", "EdDSA")]
)
def test_tokens(local, kind, alg):
    def make(key, i):
        return TokenIssuer(key, headers={"kid": "1"}).issue({"n": i})

    for i, token in enumerate(jobs_with_slow_key(local[kind], make)):
        assert claims_of(token, local[kind].public_key(), alg) == {"n": i}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"valid_days": "3"}, TypeError, "whole number of days, not '3'"),
        ({"valid_days": 10**9}, ValueError, "valid_days has to be 1 to 3650000"),
        ({"key": "PEM"}, TypeError, "key has to be a private key, not a str"),
    ],
)
def test_what_an_issuer_is_made_of_is_checked(local, options, error, message):
    ca = ca_certificate(local["P-256"])
    with pytest.raises(error, match=message):
        CertificateIssuer(**{"certificate": ca, "key": local["P-256"], **options})


def test_the_cas_own_key_gets_no_second_certificate(local):
    with pytest.raises(BadRequest, match="its key is the CA's own"):
        CertificateIssuer(ca_certificate(local["P-256"]), local["P-256"]).issue(
            request(local["P-256"])
        )


@pytest.mark.parametrize("algorithm", ["HS256", "none", "ES256", "RS257"])
def test_an_algorithm_of_another_kind_of_key_is_refused_at_once(local, algorithm):
    with pytest.raises(ValueError, match=f"'{algorithm}' is no algorithm for.*PS256.*RS512"):
        TokenIssuer(local["RSA"], algorithm=algorithm)


def test_claims_that_json_does_not_have_are_refused(local):
    with pytest.raises(ValueError, match="not JSON compliant"):
        TokenIssuer(local["Ed25519"]).issue({"n": float("nan")})


def test_tokens_of_a_key_without_an_algorithm(local):
    with pytest.raises(TypeError, match="no algorithm of JWS for <PausingX25519Key: X25519>"):
        TokenIssuer(pausing(local["X25519"], FakeEngine()))
    assert json.dumps(TokenIssuer(local["RSA"], algorithm="PS256").issue({})).startswith('"ey')


@pytest.mark.parametrize("use", ["OCSP_SIGNING", "ANY_EXTENDED_KEY_USAGE"])
def test_nobody_gets_to_speak_for_the_ca(local, use):
    issuer = CertificateIssuer(ca_certificate(local["P-256"]), local["P-256"])
    asked = x509.ExtendedKeyUsage([getattr(x509.ExtendedKeyUsageOID, use)])
    with pytest.raises(BadRequest, match="a CA's usage"):
        issuer.issue(request(ec.generate_private_key(ec.SECP256R1()), "host", asked))


def test_weak_keys_of_every_kind_are_refused(local):
    issuer = CertificateIssuer(ca_certificate(local["P-256"]), local["P-256"])
    with pytest.raises(BadRequest, match="its EC key has 192 bits"):
        issuer.issue(request(ec.generate_private_key(ec.SECP192R1())))
    with pytest.raises(BadRequest, match="DSA"):
        issuer.issue(request(dsa.generate_private_key(2048)))


def test_a_request_of_an_unknown_version_is_a_bad_request(local):
    issuer = CertificateIssuer(ca_certificate(local["P-256"]), local["P-256"])
    der = request(ec.generate_private_key(ec.SECP256R1())).public_bytes(Encoding.DER)
    start = der.index(b"\x02\x01\x00")
    with pytest.raises(BadRequest):
        issuer.issue(der[:start] + b"\x02\x01\x07" + der[start + 3 :])
    with pytest.raises(TypeError, match="not None"):
        issuer.issue(None)
