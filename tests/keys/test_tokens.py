"""Libraries of JSON web tokens sign with a key that pauses, 200 at once."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.hashes import SHA256

from keys._support import DRIVERS, jobs_with_slow_key
from pausable.keys import adapters, der_signature

SIGNING = {"RS256": "RSA", "PS256": "RSA", "ES256": "P-256", "EdDSA": "Ed25519"}


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def claims_of(token, key, alg):
    """Verify a token without any of the libraries, and return its claims."""
    if isinstance(token, bytes):
        token = token.decode()
    signed, _, signature = token.rpartition(".")
    header, _, claims = signed.partition(".")
    assert json.loads(decoded(header))["alg"] == alg
    signature = decoded(signature)
    if alg == "RS256":
        key.verify(signature, signed.encode(), padding.PKCS1v15(), SHA256())
    elif alg == "PS256":
        key.verify(
            signature,
            signed.encode(),
            padding.PSS(padding.MGF1(SHA256()), padding.PSS.AUTO),
            SHA256(),
        )
    elif alg == "ES256":
        key.verify(der_signature(signature), signed.encode(), ec.ECDSA(SHA256()))
    else:
        key.verify(signature, signed.encode())
    return json.loads(decoded(claims))


def check(tokens, key, alg):
    assert [claims_of(token, key.public_key(), alg) for token in tokens] == [
        {"sub": str(i)} for i in range(200)
    ]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("alg", SIGNING)
def test_pyjwt(local, alg, driver):
    import jwt

    def make(key, i):
        return jwt.encode({"sub": str(i)}, key, alg)

    key = local[SIGNING[alg]]
    check(jobs_with_slow_key(key, make, driver), key, alg)


@pytest.mark.parametrize("alg", SIGNING)
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_joserfc(local, alg):
    from joserfc import jwt

    adapted = {}

    def make(key, i):
        jwk = adapted.setdefault(key, adapters.joserfc_key(key))
        return jwt.encode({"alg": alg}, {"sub": str(i)}, jwk, algorithms=[alg])

    key = local[SIGNING[alg]]
    check(jobs_with_slow_key(key, make), key, alg)


@pytest.mark.parametrize("alg", SIGNING)
def test_jwcrypto(local, alg):
    from jwcrypto.jwt import JWT

    def make(key, i):
        token = JWT(header={"alg": alg}, claims={"sub": str(i)})
        token.make_signed_token(adapters.jwcrypto_key(key))
        return token.serialize()

    key = local[SIGNING[alg]]
    check(jobs_with_slow_key(key, make), key, alg)


@pytest.mark.parametrize("alg", SIGNING)
@pytest.mark.filterwarnings("ignore:authlib.jose")
def test_authlib(local, alg):
    from authlib.jose import JsonWebToken

    def make(key, i):
        return JsonWebToken([alg]).encode({"alg": alg}, {"sub": str(i)}, adapters.authlib_key(key))

    key = local[SIGNING[alg]]
    check(jobs_with_slow_key(key, make, "asyncio"), key, alg)


def test_python_jose(local):
    from jose import jws
    from jose.backends import ECKey

    def make(key, i):
        return jws.sign({"sub": str(i)}, ECKey(key, "ES256"), algorithm="ES256")

    key = local["P-256"]
    check(jobs_with_slow_key(key, make), key, "ES256")


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256"])
def test_josepy(local, alg):
    import josepy

    def make(key, i):
        kind = josepy.JWKEC if alg == "ES256" else josepy.JWKRSA
        return josepy.JWS.sign(
            json.dumps({"sub": str(i)}).encode(),
            key=kind(key=key),
            alg=getattr(josepy, alg),
            include_jwk=False,
            protect={"alg"},
        ).to_compact()

    key = local[SIGNING[alg]]
    check(jobs_with_slow_key(key, make), key, alg)


@pytest.mark.filterwarnings("ignore:Python 3.10 support will be dropped")
def test_acme(local):
    import josepy
    from acme.jws import JWS

    def make(key, i):
        made = JWS.sign(
            b"%d" % i,
            josepy.JWKRSA(key=key),
            josepy.RS256,
            nonce=b"nonce",
            url="https://example.com",
            kid="https://example.com/account",
        )
        return made.to_partial_json()

    for i, made in enumerate(jobs_with_slow_key(local["RSA"], make)):
        fields = JWS.from_json(made).to_json()
        signed = f"{fields['protected']}.{fields['payload']}".encode()
        local["RSA"].public_key().verify(
            decoded(fields["signature"]), signed, padding.PKCS1v15(), SHA256()
        )
        assert decoded(fields["payload"]) == b"%d" % i


def test_decryption_of_a_content_key_pauses(local):
    from joserfc import jwe
    from joserfc.jwk import RSAKey

    public = RSAKey.import_key(local["RSA"].public_key())
    header = {"alg": "RSA-OAEP", "enc": "A128GCM"}
    tokens = [jwe.encrypt_compact(header, b"%d" % i, public) for i in range(200)]

    def make(key, i):
        return jwe.decrypt_compact(tokens[i], adapters.joserfc_key(key)).plaintext

    assert jobs_with_slow_key(local["RSA"], make) == [b"%d" % i for i in range(200)]
