"""Libraries that sign documents, metadata and requests take a key that pauses, 200 at once."""

from __future__ import annotations

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

import pausable
from keys._support import jobs_with_slow_key
from keys.test_x509 import certificate, is_signed_by
from pausable.keys import adapters, pausing
from pausable.testing import FakeEngine


@pytest.mark.parametrize(
    ("kind", "method"),
    [("RSA", "RSA_SHA256"), ("P-256", "ECDSA_SHA256"), ("RSA", "SHA256_RSA_MGF1")],
)
def test_signxml(local, kind, method):
    from lxml import etree
    from signxml import SignatureConfiguration, SignatureMethod, XMLSigner, XMLVerifier

    cert = certificate(local[kind], 0)
    pem = cert.public_bytes(Encoding.PEM).decode()

    def make(key, i):
        signer = XMLSigner(signature_algorithm=SignatureMethod[method])
        return etree.tostring(signer.sign(etree.fromstring(f"<a>{i}</a>"), key=key, cert=pem))

    config = SignatureConfiguration(signature_methods=[SignatureMethod[method]])
    for i, signed in enumerate(jobs_with_slow_key(local[kind], make)):
        verified = XMLVerifier().verify(signed, x509_cert=pem, expect_config=config)
        assert verified.signed_xml.text == f"{i}"


@pytest.mark.parametrize("kind", ["RSA", "P-256", "Ed25519"])
def test_securesystemslib(local, kind):
    from securesystemslib.signer import CryptoSigner

    def make(key, i):
        return CryptoSigner(key).sign(b"%d" % i).signature

    public_key = local[kind].public_key()
    args = {
        "RSA": (padding.PSS(padding.MGF1(SHA256()), padding.PSS.AUTO), SHA256()),
        "P-256": (ec.ECDSA(SHA256()),),
        "Ed25519": (),
    }[kind]
    for i, signature in enumerate(jobs_with_slow_key(local[kind], make)):
        public_key.verify(bytes.fromhex(signature), b"%d" % i, *args)


def test_tuf(local):
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, Timestamp

    def make(key, i):
        metadata = Metadata(Timestamp(version=i + 1))
        metadata.sign(CryptoSigner(key))
        return metadata.to_bytes()

    for i, made in enumerate(jobs_with_slow_key(local["Ed25519"], make)):
        metadata = Metadata.from_bytes(made)
        (signature,) = metadata.signatures.values()
        public_key = local["Ed25519"].public_key()
        public_key.verify(bytes.fromhex(signature.signature), metadata.signed_bytes)
        assert metadata.signed.version == i + 1


@pytest.mark.parametrize("kind", ["RSA", "P-256"])
def test_google_auth_tokens(local, kind):
    from google.auth import crypt, jwt

    from keys.test_tokens import check

    def make(key, i):
        signer = crypt.RSASigner(key) if kind == "RSA" else crypt.EsSigner(key)
        return jwt.encode(signer, {"sub": str(i)})

    check(jobs_with_slow_key(local[kind], make), local[kind], {"RSA": "RS256"}.get(kind, "ES256"))


def test_google_auth_service_account(local):
    from google.auth import crypt
    from google.oauth2.service_account import Credentials

    def make(key, i):
        account = Credentials(crypt.RSASigner(key), "a@example.com", "https://example.com")
        return account.sign_bytes(b"%d" % i)

    public_key = local["RSA"].public_key()
    for i, signature in enumerate(jobs_with_slow_key(local["RSA"], make)):
        public_key.verify(signature, b"%d" % i, padding.PKCS1v15(), SHA256())


def test_scitokens(local):
    from scitokens import SciToken

    from keys.test_tokens import claims_of

    def make(key, i):
        token = SciToken(key=key, algorithm="ES256")
        token["sub"] = str(i)
        return token.serialize(issuer="https://example.com")

    for i, token in enumerate(jobs_with_slow_key(local["P-256"], make)):
        assert claims_of(token, local["P-256"].public_key(), "ES256")["sub"] == str(i)


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("RSA", "RSA_PSS_SHA512"), ("P-256", "ECDSA_P256_SHA256"), ("Ed25519", "ED25519")],
)
def test_http_message_signatures(local, kind, algorithm):
    import requests
    from http_message_signatures import (
        HTTPMessageSigner,
        HTTPMessageVerifier,
        HTTPSignatureKeyResolver,
        algorithms,
    )

    class Keys(HTTPSignatureKeyResolver):
        def __init__(self, key):
            self.key = key

        def resolve_private_key(self, key_id):
            return self.key

        def resolve_public_key(self, key_id):
            return self.key.public_key()

    how = getattr(algorithms, algorithm)

    def make(key, i):
        request = requests.Request("GET", f"https://example.com/{i}").prepare()
        HTTPMessageSigner(signature_algorithm=how, key_resolver=Keys(key)).sign(
            request, key_id="1", covered_component_ids=("@method", "@path")
        )
        return request

    verifier = HTTPMessageVerifier(signature_algorithm=how, key_resolver=Keys(local[kind]))
    for i, request in enumerate(jobs_with_slow_key(local[kind], make)):
        (verified,) = verifier.verify(request)
        assert verified.covered_components['"@path"'] == f"/{i}"


@pytest.mark.parametrize("kind", ["RSA", "RSA-PSS", "P-256", "Ed25519"])
def test_pyhanko(local, kind):
    """It runs an event loop in each job."""
    from asn1crypto import cms

    pss, kind = kind == "RSA-PSS", kind.removesuffix("-PSS")
    cert = certificate(local[kind], 0)

    def make(key, i):
        signer = adapters.pyhanko_signer(key, cert, prefer_pss=pss)
        digest = "sha512" if kind == "Ed25519" else "sha256"
        return asyncio.run(signer.async_sign_general_data(b"%d" % i, digest, detached=False)).dump()

    how = (padding.PSS(padding.MGF1(SHA256()), padding.PSS.AUTO), SHA256())
    for i, message in enumerate(jobs_with_slow_key(local[kind], make, jobs=50)):
        content = cms.ContentInfo.load(message)["content"]
        (signer,) = content["signer_infos"]
        assert content["encap_content_info"]["content"].native == b"%d" % i
        attributes, signature = signer["signed_attrs"].untag().dump(), signer["signature"].native
        if pss:
            cert.public_key().verify(signature, attributes, *how)
        else:
            assert is_signed_by(cert.public_key(), signature, attributes, SHA256())


def test_pyhanko_signs_a_pdf(local):
    from io import BytesIO

    from pyhanko.pdf_utils.generic import StreamObject
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter
    from pyhanko.sign import signers
    from pyhanko.sign.validation import validate_pdf_signature
    from pyhanko_certvalidator import ValidationContext

    blank = PdfFileWriter()
    contents = blank.add_object(StreamObject(stream_data=b""))
    blank.insert_page(PageObject(contents=contents, media_box=(0, 0, 9, 9)))
    pdf = BytesIO()
    blank.write(pdf)
    cert = certificate(local["P-256"], 0)
    with ThreadPoolExecutor(1) as engine:
        signer = adapters.pyhanko_signer(pausing(local["P-256"], engine), cert)
        out = pausable.run_blocking(
            signers.sign_pdf,
            IncrementalPdfFileWriter(pdf),
            signers.PdfSignatureMetadata(field_name="Signature"),
            signer=signer,
        )
    (signature,) = PdfFileReader(out).embedded_signatures
    status = validate_pdf_signature(signature, ValidationContext(trust_roots=[]))
    assert (status.intact, status.valid) == (True, True)


def test_oauthlib(local):
    from urllib.parse import unquote

    from oauthlib.oauth1 import Client
    from oauthlib.oauth1.rfc5849 import signature as base

    def make(key, i):
        client = Client("k", signature_method="RSA-SHA256", rsa_key=key, timestamp="1", nonce="2")
        _uri, headers, _body = client.sign(f"https://example.com/{i}")
        return headers["Authorization"]

    for i, header in enumerate(jobs_with_slow_key(local["RSA"], make)):
        fields = dict(part.split("=", 1) for part in header.removeprefix("OAuth ").split(", "))
        fields = {name: unquote(value.strip('"')) for name, value in fields.items()}
        signature = base64.b64decode(fields.pop("oauth_signature"))
        signed = base.signature_base_string(
            "GET", f"https://example.com/{i}", base.normalize_parameters(list(fields.items()))
        )
        local["RSA"].public_key().verify(signature, signed.encode(), padding.PKCS1v15(), SHA256())


def test_py_vapid(local):
    from py_vapid import Vapid02

    from keys.test_tokens import claims_of

    def make(key, i):
        header = Vapid02(key).sign({"sub": f"mailto:{i}@example.com", "aud": "https://example.com"})
        return header["Authorization"].partition("t=")[2].partition(",")[0]

    for i, token in enumerate(jobs_with_slow_key(local["P-256"], make)):
        claims = claims_of(token, local["P-256"].public_key(), "ES256")
        assert claims["sub"] == f"mailto:{i}@example.com"


def test_pyopenssl_gets_a_clear_refusal(local):
    """It takes the key's bytes."""
    from OpenSSL.crypto import PKey

    with pytest.raises(NotImplementedError, match=r"no private_bytes\(\): its private part"):
        PKey.from_cryptography_key(pausing(local["RSA"], FakeEngine()))
