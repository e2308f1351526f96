"""Keys that pause for libraries that ask a private key for its numbers, or have keys of their own.

Most libraries take the key as it is; the how-to page "Sign with a remote key" has a table. Each
adapter imports its library when it is called. The object that it returns signs and decrypts with
the key; where the library would write the private part out, it has the public part only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pausable import can_pause, run
from pausable.keys._ssh import ssh_signature

if TYPE_CHECKING:
    from asyncssh import SSHKeyPair
    from authlib.jose import Key as AuthlibKey
    from cryptography.x509 import Certificate
    from joserfc.jwk import ECKey, OKPKey, RSAKey
    from jwcrypto.jwk import JWK
    from paramiko import PKey
    from pyhanko.sign.signers import Signer

__all__ = [
    "asyncssh_key",
    "authlib_key",
    "joserfc_key",
    "jwcrypto_key",
    "paramiko_key",
    "pyhanko_signer",
]


def joserfc_key(key: Any, parameters: dict[str, Any] | None = None) -> RSAKey | ECKey | OKPKey:
    """Return a private key (JWK) of joserfc that pauses where `key` does.

    Args:
        key: a private key of `pausable.keys`: RSA, EC, Ed25519, Ed448, X25519 or X448.
        parameters: of the JWK, such as {"kid": "1"}.
    """
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    kind = _by_kind(key, RSAKey, ECKey, OKPKey)
    pem = _public(key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    public = kind.import_key(pem)  # older releases import no objects
    return kind(key, public.as_dict(private=False), parameters)  # type: ignore[no-any-return]


def jwcrypto_key(key: Any, **parameters: Any) -> JWK:
    """Return a private key (JWK) of jwcrypto that pauses where `key` does.

    Args:
        key: a private key of `pausable.keys`.
        parameters: of the JWK, such as kid="1".
    """
    from jwcrypto.jwk import JWK

    class PausingJWK(JWK):  # type: ignore[misc]  # untyped
        """Public to whoever looks, private to what signs or decrypts."""

        def _get_private_key(self, _arg: Any = None) -> Any:
            return key

    jwk = PausingJWK()
    jwk.import_from_pyca(_public(key))
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
    public_key = _public(key)
    public = kind.import_key(public_key).as_dict()
    adapted = kind.import_dict_key(public | (options or {}))
    adapted.private_key, adapted.public_key = key, public_key
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
    raise TypeError(
        "paramiko signs with private RSA and EC keys of cryptography, not with a"
        f" {type(key).__qualname__}"
    )


def asyncssh_key(key: Any) -> SSHKeyPair:
    """Return a client's key of asyncssh that pauses where `key` does, or is awaited.

    Pass it in `client_keys`. asyncssh has host keys sign inside its own callbacks, where nothing
    can pause: as a host key it would block the loop.

    Args:
        key: a private key of `pausable.keys`: RSA, EC, Ed25519 or Ed448.
    """
    from asyncssh import SSHKeyPair, import_public_key

    ssh = _public(key).public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    public = import_public_key(ssh)

    class PausingKeyPair(SSHKeyPair):
        def sign(self, data: bytes) -> bytes:
            return ssh_signature(key, data, self.sig_algorithm)

        async def sign_async(self, data: bytes) -> bytes:
            return await _in_a_job(self.sign, data)

    algorithms = public.sig_algorithms
    return PausingKeyPair(
        public.algorithm, public.algorithm, algorithms, algorithms, public.public_data, None
    )


def pyhanko_signer(key: Any, certificate: Certificate, **options: Any) -> Signer:
    """Return a signer of pyHanko whose key pauses where `key` does, or is awaited.

    Args:
        key: a private key of `pausable.keys`: RSA, EC, Ed25519 or Ed448.
        certificate: the signer's own, of `cryptography`.
        options: of pyHanko's `Signer`, such as `cert_registry` or `prefer_pss`.
    """
    from asn1crypto.x509 import Certificate as Asn1Certificate
    from pyhanko.sign.signers import Signer

    _public(key)

    class PausingSigner(Signer):
        async def async_sign_raw(
            self, data: bytes, digest_algorithm: str, dry_run: bool = False
        ) -> bytes:
            if dry_run:
                return bytes(2 * key.key_size // 8 + 9 if hasattr(key, "key_size") else 114)
            return await _in_a_job(key.sign, data, *self._how(digest_algorithm))

        def _how(self, digest_algorithm: str) -> tuple[Any, ...]:
            digest = _hash(digest_algorithm)
            if isinstance(key, ec.EllipticCurvePrivateKey):
                return (ec.ECDSA(digest),)
            if not isinstance(key, rsa.RSAPrivateKey):
                return ()
            mechanism = self.get_signature_mechanism_for_digest(digest_algorithm)
            if mechanism["algorithm"].native != "rsassa_pss":
                return (PKCS1v15(), digest)
            parameters = mechanism["parameters"]
            mgf_hash = parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native
            return PSS(MGF1(_hash(mgf_hash)), parameters["salt_length"].native), digest

    der = certificate.public_bytes(Encoding.DER)
    return PausingSigner(signing_cert=Asn1Certificate.load(der), **options)


def _public(key: Any) -> Any:
    if isinstance(key, (bytes, str)) or not hasattr(key, "public_key"):
        raise TypeError(
            f"key has to be a private key, of pausable.keys or cryptography, not a"
            f" {type(key).__qualname__}"
        )
    return key.public_key()


def _hash(name: str) -> hashes.HashAlgorithm:
    return getattr(hashes, name.upper())()  # type: ignore[no-any-return]


async def _in_a_job(fn: Callable[..., bytes], *args: Any) -> bytes:
    """Call fn(*args) where it can pause: here, if the library runs its loop inside a job."""
    return fn(*args) if can_pause() else await run(fn, *args)


def _by_kind(key: Any, for_rsa: Any, for_ec: Any, for_others: Any) -> Any:
    if isinstance(key, rsa.RSAPrivateKey):
        return for_rsa
    return for_ec if isinstance(key, ec.EllipticCurvePrivateKey) else for_others
