"""Keys that pause for libraries that ask a private key for its numbers.

Most libraries take the key as it is; `docs/keys.md` has a table. Each adapter imports its library
when it is called. The object that it returns signs and decrypts with the key; where the library
would write the private part out, it has the public part only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

if TYPE_CHECKING:
    from authlib.jose import Key as AuthlibKey
    from joserfc.jwk import ECKey, OKPKey, RSAKey
    from jwcrypto.jwk import JWK
    from paramiko import PKey

__all__ = ["authlib_key", "joserfc_key", "jwcrypto_key", "paramiko_key"]


def joserfc_key(key: Any, parameters: dict[str, Any] | None = None) -> RSAKey | ECKey | OKPKey:
    """Return a private key (JWK) of joserfc that pauses where `key` does.

    Args:
        key: a private key of `pausable.keys`: RSA, EC, Ed25519, Ed448, X25519 or X448.
        parameters: of the JWK, such as {"kid": "1"}.
    """
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    kind = _by_kind(key, RSAKey, ECKey, OKPKey)
    public = kind.import_key(key.public_key())
    return kind(key, public.as_dict(private=False), parameters)  # type: ignore[no-any-return]


def jwcrypto_key(key: Any, **parameters: Any) -> JWK:
    """Return a private key (JWK) of jwcrypto that pauses where `key` does.

    Args:
        key: a private key of `pausable.keys`.
        parameters: of the JWK, such as kid="1".
    """
    from jwcrypto.jwk import JWK

    class PausingJWK(JWK):  # type: ignore[misc]  # untyped
        """A public JWK to whoever looks, and private to what signs or decrypts."""

        def _get_private_key(self, _arg: Any = None) -> Any:
            return key

    jwk = PausingJWK()
    jwk.import_from_pyca(key.public_key())
    jwk.update(parameters)
    return jwk


def authlib_key(key: Any, options: dict[str, Any] | None = None) -> AuthlibKey:
    """Return a private key (JWK) of Authlib that pauses where `key` does.

    Args:
        key: a private key of `pausable.keys`.
        options: of the JWK, such as {"kid": "1"}.
    """
    from authlib.jose import ECKey, OKPKey, RSAKey

    kind = _by_kind(key, RSAKey, ECKey, OKPKey)
    public = kind.import_key(key.public_key()).as_dict()
    adapted = kind.import_dict_key(public | (options or {}))
    adapted.private_key, adapted.public_key = key, key.public_key()
    return adapted


def paramiko_key(key: Any) -> PKey:
    """Return a private key of paramiko that pauses where `key` does.

    Args:
        key: an RSA or EC key of `pausable.keys`; paramiko's Ed25519 keys are not `cryptography`'s.

    Raises:
        TypeError: `key` is of another kind.
    """
    from paramiko import ECDSAKey, RSAKey

    class PausingRSAKey(RSAKey):  # type: ignore[misc]  # untyped
        @property
        def public_numbers(self) -> rsa.RSAPublicNumbers:
            return key.public_key().public_numbers()  # type: ignore[no-any-return]

    if isinstance(key, rsa.RSAPrivateKey):
        return PausingRSAKey(key=key)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return ECDSAKey(vals=(key, key.public_key()))
    raise TypeError(f"paramiko signs with RSA and EC keys of cryptography, not with {key!r}")


def _by_kind(key: Any, for_rsa: Any, for_ec: Any, for_others: Any) -> Any:
    if isinstance(key, rsa.RSAPrivateKey):
        return for_rsa
    return for_ec if isinstance(key, ec.EllipticCurvePrivateKey) else for_others
