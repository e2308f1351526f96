"""Adapted keys show their public part only."""

from __future__ import annotations

import pytest

from pausable.keys import adapters, pausing
from pausable.testing import FakeEngine

KINDS = ["RSA", "P-256", "Ed25519", "X25519"]
PRIVATE = {"d", "p", "q", "dp", "dq", "qi"}


@pytest.fixture(params=KINDS)
def key(request, local):
    return pausing(local[request.param], FakeEngine())


def test_joserfc(key):
    adapted = adapters.joserfc_key(key, {"kid": "1"})
    assert adapted.is_private
    assert adapted.kid == "1"
    assert not PRIVATE & set(adapted.as_dict())
    assert not PRIVATE & set(adapted.as_dict(private=True))
    with pytest.raises(NotImplementedError, match="its private part is not here"):
        adapted.as_pem(private=True)


def test_jwcrypto(key):
    from jwcrypto.jwk import JWK, InvalidJWKType

    adapted = adapters.jwcrypto_key(key, kid="1")
    assert adapted.get("kid") == "1"
    assert not PRIVATE & set(adapted.export(as_dict=True))
    assert JWK.from_json(adapted.export_public()).thumbprint() == adapted.thumbprint()
    with pytest.raises(InvalidJWKType, match="No private key available"):
        adapted.export_private()


@pytest.mark.filterwarnings("ignore:authlib.jose")
def test_authlib(key):
    adapted = adapters.authlib_key(key, {"kid": "1"})
    assert not PRIVATE & set(adapted.as_dict())
    assert adapted.as_dict()["kid"] == "1"
    with pytest.raises(ValueError, match="This is a public key"):
        adapted.as_dict(is_private=True)


def test_paramiko(key, local):
    from pausable.keys._kinds import NumbersKind

    if isinstance(key, NumbersKind):
        assert adapters.paramiko_key(key).can_sign()
    else:
        with pytest.raises(TypeError, match="paramiko signs with private RSA and EC keys"):
            adapters.paramiko_key(key)


@pytest.mark.filterwarnings("ignore:authlib.jose")
@pytest.mark.parametrize("name", adapters.__all__)
def test_what_is_no_private_key_is_refused(local, name):
    adapter = getattr(adapters, name)
    more = (None,) if name == "pyhanko_signer" else ()
    for wrong in (local["RSA"].public_key(), b"-----BEGIN PRIVATE KEY-----", None):
        with pytest.raises(TypeError, match=r"private .*key.*, not (with )?a \w+$"):
            adapter(wrong, *more)
