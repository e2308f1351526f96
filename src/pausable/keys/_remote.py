"""Base classes for keys that live elsewhere: in an HSM, a TPM, a smart card, a key service.

A subclass writes one hook or two. `sign`, `decrypt` and `exchange` check their arguments as
`cryptography` does, hash the data here, and have the hook do what is left for the device.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import (
    ec,
    ed448,
    ed25519,
    rsa,
    x448,
    x25519,
)
from cryptography.hazmat.primitives.asymmetric.padding import OAEP, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from pausable._wait_for import Completable
from pausable.errors import EngineError
from pausable.keys._base import Buffer, PausingKey, Submits, check_engine
from pausable.keys._kinds import ECKind, Ed448Kind, Ed25519Kind, RSAKind, X448Kind, X25519Kind
from pausable.keys._signatures import digest_of, fixed_pss

if TYPE_CHECKING:
    from cryptography.hazmat.primitives._asymmetric import AsymmetricPadding
    from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

__all__ = [
    "RemoteECKey",
    "RemoteEd448Key",
    "RemoteEd25519Key",
    "RemoteRSAKey",
    "RemoteX448Key",
    "RemoteX25519Key",
]

#: What a hook may return: bytes, or what can be waited for.
Answer = bytes | Completable[bytes] | Awaitable[bytes]


class RemoteKey(PausingKey):
    """A key that lives elsewhere. Subclass the class of its kind and write its hooks.

    With an engine, the engine calls the hooks, which may block as long as they like. Without one
    they are called where the key is used, and return a future or (in a job of `pausable.run`) an
    awaitable: `async def` will do.

    What a hook raises comes out of the key's operation. What it returns is checked as far as can
    be done without another operation: its type, and its length or form.

    Args:
        public_key: the key's public half, of `cryptography`.
        engine: what calls the hooks: anything with `submit(fn, *args)` that returns a future.

    Raises:
        TypeError: the public key is of another kind; `engine` has no submit.
    """

    _kind: ClassVar[type]
    _hooks: ClassVar[dict[str, str]]

    def __init__(self, public_key: Any, engine: Submits | None = None) -> None:
        if not isinstance(public_key, self._kind):
            raise TypeError(
                f"public_key of {type(self).__qualname__} has to be of cryptography's"
                f" {self._kind.__name__}, not {public_key!r}"
            )
        if engine is not None:
            check_engine(engine)
        self._public_key = public_key
        self._engine = engine

    def _operation(self, method: str) -> Callable[..., Any]:
        return getattr(self, self._hooks[method])  # type: ignore[no-any-return]

    def _lacks(self, hook: str, what: str) -> NoReturn:
        raise UnsupportedAlgorithm(
            f"{self!r} does not {what}: {type(self).__qualname__} has no {hook}()"
        )


class RemoteRSAKey(RemoteKey, RSAKind):
    """An RSA key elsewhere: write `sign_digest`, `decrypt_ciphertext` or both."""

    _kind = rsa.RSAPublicKey
    _hooks: ClassVar = {"sign": "sign_digest", "decrypt": "decrypt_ciphertext"}

    def __init__(self, public_key: rsa.RSAPublicKey, engine: Submits | None = None) -> None:
        super().__init__(public_key, engine)

    def sign_digest(
        self,
        digest: bytes,
        algorithm: HashAlgorithm,
        padding: PKCS1v15 | PSS,
    ) -> Answer:
        """Return the signature of a digest, as long as the key.

        Args:
            digest: as long as the algorithm says.
            algorithm: what it was made with.
            padding: PKCS1v15, or PSS, with what `pss_parameters(padding)` returns.
        """
        self._lacks("sign_digest", "sign")

    def decrypt_ciphertext(self, ciphertext: bytes, padding: AsymmetricPadding) -> Answer:
        """Return the plaintext, without its padding.

        Args:
            ciphertext: as long as the key.
            padding: PKCS1v15 or OAEP.

        Raises:
            ValueError: by custom, if it cannot be decrypted.
        """
        self._lacks("decrypt_ciphertext", "decrypt")

    def sign(
        self,
        data: Buffer,
        padding: AsymmetricPadding,
        algorithm: Prehashed | HashAlgorithm | NoDigestInfo,
    ) -> bytes:
        if type(algorithm).__name__ == "NoDigestInfo":  # not in every release
            raise UnsupportedAlgorithm(f"{self!r} signs digests; NoDigestInfo is for local keys")
        digest, used = digest_of(data, algorithm)  # type: ignore[arg-type]
        if isinstance(padding, PSS):
            padding = fixed_pss(padding, self._public_key, used)
        else:
            _check_padding(padding, PKCS1v15, "sign")
        return self._do("sign", digest, used, padding, size_bytes=self._size_bytes)

    def decrypt(self, ciphertext: Buffer, padding: AsymmetricPadding) -> bytes:
        _check_padding(padding, (PKCS1v15, OAEP), "decrypt")
        size_bytes = memoryview(ciphertext).nbytes
        if size_bytes != self._size_bytes:
            raise ValueError(
                f"the ciphertext is {size_bytes} bytes, and this key's are {self._size_bytes}"
            )
        return super().decrypt(ciphertext, padding)


class RemoteECKey(RemoteKey, ECKind):
    """An EC key elsewhere: write `sign_digest`, `exchange_with` or both."""

    _kind = ec.EllipticCurvePublicKey
    _hooks: ClassVar = {"sign": "sign_digest", "exchange": "exchange_with"}

    def __init__(
        self, public_key: ec.EllipticCurvePublicKey, engine: Submits | None = None
    ) -> None:
        super().__init__(public_key, engine)

    def sign_digest(self, digest: bytes, algorithm: HashAlgorithm) -> Answer:
        """Return the ECDSA signature of a digest, in DER.

        Pass what is r and s, one after the other, through `der_signature`.

        Args:
            digest: as long as the algorithm says, which may be longer than the curve is wide.
            algorithm: what it was made with.
        """
        self._lacks("sign_digest", "sign")

    def exchange_with(self, peer_public_key: ec.EllipticCurvePublicKey) -> Answer:
        """Return the secret shared with a peer (ECDH), as wide as the curve."""
        self._lacks("exchange_with", "exchange secrets")

    def sign(self, data: Buffer, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        if not isinstance(signature_algorithm, ec.ECDSA):
            raise UnsupportedAlgorithm(
                f"{self!r} signs with ECDSA(hash), not with {signature_algorithm!r}"
            )
        if signature_algorithm.deterministic_signing:
            raise UnsupportedAlgorithm(
                f"{self!r} cannot be told to sign deterministically; omit deterministic_signing"
            )
        signature = self._do("sign", *digest_of(data, signature_algorithm.algorithm))
        try:
            decode_dss_signature(signature)
        except ValueError as exc:
            raise EngineError(
                f"{self!r} could not sign: sign_digest() returned {len(signature)} bytes that are"
                " no signature in DER; if they are r and s, return der_signature(them)"
            ) from exc
        return signature

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        if not isinstance(algorithm, ec.ECDH):
            raise UnsupportedAlgorithm(f"{self!r} exchanges with ECDH(), not with {algorithm!r}")
        _check_peer(peer_public_key, self._kind)
        if peer_public_key.curve.name != self.curve.name:
            raise ValueError(
                f"the peer's key is on {peer_public_key.curve.name}, and this one on"
                f" {self.curve.name}; both have to be on one curve"
            )
        return self._do("exchange", peer_public_key, size_bytes=self._size_bytes)


class RemoteEd25519Key(RemoteKey, Ed25519Kind):
    """An Ed25519 key elsewhere: write `sign_message`."""

    _kind = ed25519.Ed25519PublicKey
    _hooks: ClassVar = {"sign": "sign_message"}

    def __init__(self, public_key: ed25519.Ed25519PublicKey, engine: Submits | None = None) -> None:
        super().__init__(public_key, engine)

    def sign_message(self, message: bytes) -> Answer:
        """Return the signature of a message (not of a digest), 64 bytes."""
        self._lacks("sign_message", "sign")


class RemoteEd448Key(RemoteKey, Ed448Kind):
    """An Ed448 key elsewhere: write `sign_message`."""

    _kind = ed448.Ed448PublicKey
    _hooks: ClassVar = {"sign": "sign_message"}

    def __init__(self, public_key: ed448.Ed448PublicKey, engine: Submits | None = None) -> None:
        super().__init__(public_key, engine)

    def sign_message(self, message: bytes) -> Answer:
        """Return the signature of a message (not of a digest), 114 bytes."""
        self._lacks("sign_message", "sign")


class RemoteX25519Key(RemoteKey, X25519Kind):
    """An X25519 key elsewhere: write `exchange_with`."""

    _kind = x25519.X25519PublicKey
    _hooks: ClassVar = {"exchange": "exchange_with"}

    def __init__(self, public_key: x25519.X25519PublicKey, engine: Submits | None = None) -> None:
        super().__init__(public_key, engine)

    def exchange_with(self, peer_public_key: x25519.X25519PublicKey) -> Answer:
        """Return the secret shared with a peer, 32 bytes."""
        self._lacks("exchange_with", "exchange secrets")

    def exchange(self, peer_public_key: x25519.X25519PublicKey) -> bytes:
        _check_peer(peer_public_key, self._kind)
        return super().exchange(peer_public_key)


class RemoteX448Key(RemoteKey, X448Kind):
    """An X448 key elsewhere: write `exchange_with`."""

    _kind = x448.X448PublicKey
    _hooks: ClassVar = {"exchange": "exchange_with"}

    def __init__(self, public_key: x448.X448PublicKey, engine: Submits | None = None) -> None:
        super().__init__(public_key, engine)

    def exchange_with(self, peer_public_key: x448.X448PublicKey) -> Answer:
        """Return the secret shared with a peer, 56 bytes."""
        self._lacks("exchange_with", "exchange secrets")

    def exchange(self, peer_public_key: x448.X448PublicKey) -> bytes:
        _check_peer(peer_public_key, self._kind)
        return super().exchange(peer_public_key)


def _check_padding(padding: object, allowed: type | tuple[type, ...], what: str) -> None:
    if not hasattr(padding, "name"):
        raise TypeError(f"padding has to be one of cryptography's, not {padding!r}")
    if not isinstance(padding, allowed):
        raise UnsupportedAlgorithm(
            f"{padding.name} is not for keys elsewhere to {what} with; use PKCS1v15,"
            f" {'PSS' if what == 'sign' else 'OAEP'}"
        )


def _check_peer(peer_public_key: object, kind: type) -> None:
    if not isinstance(peer_public_key, kind):
        raise TypeError(
            f"peer_public_key has to be of cryptography's {kind.__name__}, not {peer_public_key!r}"
        )
