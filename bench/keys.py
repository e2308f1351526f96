"""What 200 uses of a 20 ms key cost in each library: one by one, and as 200 jobs on one thread.

    python bench/keys.py [--json FILE] [--count 200] [--only NAME]

The key's engine is 200 threads that sleep 20 ms and sign with a local key. "local" is the same work
with that local key itself, without any delay: what the library and the mathematics take, which no
engine can take away. "threads" calls the library in 200 threads, which is what people do today.
Jobs and threads are the best of three, taken in turns; ratios are of one run. A library that is not
installed is left out.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

from _program import parser_of, positive, run
from _results import Results, ratio_of
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import ocsp

import pausable
from pausable.keys import adapters, pausing

OPERATION_S = 0.02
#: What is aimed at, for 200 uses of the key.
GOAL_S = 0.5

LOCAL = {
    "RSA": rsa.generate_private_key(65537, 2048),
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
LATER = datetime.datetime(2056, 1, 1, tzinfo=datetime.timezone.utc)
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "host")])

Make = Callable[[Any], Callable[[int], object]]


class SlowEngine(Executor):
    """20 ms for each operation."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads)
        list(self._threads.map(time.sleep, [0.01] * threads))  # they exist

    def submit(self, fn, /, *args, **kwargs):
        return self._threads.submit(self._operate, fn, args, kwargs)

    def _operate(self, fn, args, kwargs):
        time.sleep(OPERATION_S)
        return fn(*args, **kwargs)


def pyjwt(alg, key):
    import jwt

    return lambda i: jwt.encode({"n": i}, key, alg)


def joserfc(key):
    from joserfc import jwt

    adapted = adapters.joserfc_key(key)
    return lambda i: jwt.encode({"alg": "ES256"}, {"n": i}, adapted)


def jwcrypto(key):
    from jwcrypto.jwt import JWT

    adapted = adapters.jwcrypto_key(key)

    def make(i):
        token = JWT(header={"alg": "ES256"}, claims={"n": i})
        token.make_signed_token(adapted)

    return make


def authlib(key):
    import authlib.deprecate

    warnings.simplefilter("ignore", authlib.deprecate.AuthlibDeprecationWarning)
    from authlib.jose import JsonWebToken

    adapted = adapters.authlib_key(key)
    tokens = JsonWebToken(["ES256"])
    return lambda i: tokens.encode({"alg": "ES256"}, {"n": i}, adapted)


def certificate(key, i=0):
    return (
        x509.CertificateBuilder(NAME, NAME, key.public_key(), i + 1, NOW, LATER)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("host")]), critical=False)
        .sign(key, SHA256())
    )


def certificates(key):
    return lambda i: certificate(key, i)


def requests(key):
    builder = x509.CertificateSigningRequestBuilder(NAME)
    return lambda _i: builder.sign(key, SHA256())


def revocation_lists(key):
    builder = x509.CertificateRevocationListBuilder(NAME, NOW, LATER)
    return lambda _i: builder.sign(key, SHA256())


def ocsp_responses(key):
    cert = certificate(LOCAL["P-256"])
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(cert, cert, SHA256(), ocsp.OCSPCertStatus.GOOD, NOW, LATER, None, None)
        .responder_id(ocsp.OCSPResponderEncoding.HASH, cert)
    )
    return lambda _i: builder.sign(key, SHA256())


def pkcs7(key):
    from cryptography.hazmat.primitives.serialization import pkcs7

    cert = certificate(LOCAL["P-256"])

    def make(i):
        builder = pkcs7.PKCS7SignatureBuilder().set_data(b"%d" % i)
        builder.add_signer(cert, key, SHA256()).sign(serialization.Encoding.DER, [])

    return make


def ssh_certificates(key):
    builder = (
        serialization.SSHCertificateBuilder()
        .public_key(LOCAL["Ed25519"].public_key())
        .type(serialization.SSHCertificateType.USER)
        .key_id(b"user")
        .valid_principals([b"user"])
        .valid_after(0)
        .valid_before(2**63)
    )
    return lambda i: builder.serial(i).sign(key)


def signxml(key):
    from lxml import etree
    from signxml import SignatureMethod, XMLSigner

    pem = certificate(LOCAL["P-256"]).public_bytes(serialization.Encoding.PEM).decode()
    signer = XMLSigner(signature_algorithm=SignatureMethod.ECDSA_SHA256)
    return lambda i: signer.sign(etree.fromstring(f"<a>{i}</a>"), key=key, cert=pem)


def securesystemslib(key):
    from securesystemslib.signer import CryptoSigner

    signer = CryptoSigner(key)
    return lambda i: signer.sign(b"%d" % i)


def google_auth(key):
    from google.auth import crypt, jwt

    signer = crypt.RSASigner(key)
    return lambda i: jwt.encode(signer, {"n": i})


def dnspython(key):
    import dns.dnssec
    import dns.rrset

    rrset = dns.rrset.from_text("www.example.", 300, "IN", "A", "192.0.2.1")
    dnskey = dns.dnssec.make_dnskey(key.public_key(), dns.dnssec.Algorithm.ECDSAP256SHA256, 257)
    return lambda _i: dns.dnssec.sign(rrset, key, rrset.name, dnskey, inception=NOW, lifetime=1)


def aioquic(key):
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.connection import QuicConnection

    client = QuicConnection(
        configuration=QuicConfiguration(is_client=True, alpn_protocols=["x"], server_name="host")
    )
    client.connect(("192.0.2.1", 443), now=0.0)
    hello = [data for data, _addr in client.datagrams_to_send(now=0.0)]
    cert = certificate(LOCAL["P-256"])

    def server_flight(_i):
        server = QuicConnection(
            configuration=QuicConfiguration(
                is_client=False, alpn_protocols=["x"], certificate=cert, private_key=key
            ),
            original_destination_connection_id=client.original_destination_connection_id,
        )
        for data in hello:
            server.receive_datagram(data, ("192.0.2.2", 1), now=0.0)
        assert server.datagrams_to_send(now=0.0)

    return server_flight


LIBRARIES: dict[str, tuple[str, Make]] = {
    "PyJWT RS256": ("RSA", partial(pyjwt, "RS256")),
    "PyJWT PS256": ("RSA", partial(pyjwt, "PS256")),
    "PyJWT ES256": ("P-256", partial(pyjwt, "ES256")),
    "PyJWT EdDSA": ("Ed25519", partial(pyjwt, "EdDSA")),
    "joserfc ES256": ("P-256", joserfc),
    "jwcrypto ES256": ("P-256", jwcrypto),
    "Authlib ES256": ("P-256", authlib),
    "X.509 certificates": ("P-256", certificates),
    "X.509 requests": ("P-256", requests),
    "X.509 CRLs": ("P-256", revocation_lists),
    "OCSP responses": ("P-256", ocsp_responses),
    "PKCS7": ("P-256", pkcs7),
    "SSH certificates": ("P-256", ssh_certificates),
    "signxml": ("P-256", signxml),
    "securesystemslib": ("Ed25519", securesystemslib),
    "google-auth RS256": ("RSA", google_auth),
    "dnspython, 1 RRset": ("P-256", dnspython),
    "aioquic servers": ("P-256", aioquic),
}


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def measure(kind: str, make: Make, count: int, engine: SlowEngine) -> dict[str, list[float]]:
    local, slow = make(LOCAL[kind]), make(pausing(LOCAL[kind], engine))
    local(0), slow(0)  # what is made once, is
    jobs, threads = [], []
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(time.sleep, [0.01] * count))
        for _ in range(3):
            jobs.append(seconds(lambda: list(pausable.map(slow, range(count), jobs=count))))
            threads.append(seconds(lambda: list(pool.map(slow, range(count)))))
    return {
        "local": [seconds(lambda: [local(i) for i in range(count)])],
        "one by one": [seconds(lambda: [slow(i) for i in range(count)])],
        "threads": threads,
        "jobs": jobs,
    }


def uses(options: argparse.Namespace, results: Results) -> None:
    table = results.table(
        f"{options.count} uses of a {OPERATION_S * 1000:.0f} ms key",
        note=f"Aimed at: jobs below {GOAL_S:g} s for 200 uses.",
    )
    engine = SlowEngine(options.count)
    for name, (kind, make) in LIBRARIES.items():
        if options.only not in name:
            continue
        try:
            found = measure(kind, make, options.count, engine)
        except ImportError as exc:
            results.absent[name] = str(exc)
            continue
        for how, seconds_each in found.items():
            ratio = ratio_of([min(seconds_each)], [min(found["jobs"])])
            table.add(name, how, [s * 1e9 for s in seconds_each], ratio)


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--count", type=positive, help="uses of the key (default: 200, quick: 50)")
    parser.add_argument("--only", default="", help="libraries whose name has this in it")
    options = parser.parse_args()
    parser.set_defaults(count=50 if options.quick else 200)
    return run("keys", parser, {"uses": uses})


if __name__ == "__main__":
    sys.exit(main())
