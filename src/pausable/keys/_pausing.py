"""`pausing`: a private key of this process, whose operations an engine does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x448, x25519

from pausable.keys._base import Buffer, PausingKey, Submits, check_engine, frozen
from pausable.keys._kinds import ECKind, Ed448Kind, Ed25519Kind, RSAKind, X448Kind, X25519Kind
from pausable.keys._operation import Operation, Peer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives._asymmetric import AsymmetricPadding
    from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

__all__ = ["pausing"]

Key = TypeVar(
    "Key",
    rsa.RSAPrivateKey,
    ec.EllipticCurvePrivateKey,
    ed25519.Ed25519PrivateKey,
    ed448.Ed448PrivateKey,
    x25519.X25519PrivateKey,
    x448.X448PrivateKey,
)


def pausing(key: Key, engine: Submits, *, send_key: bool = False) -> Key:
    """Return a key whose operations `engine` does with `key`, while the job is paused.

    It takes the same arguments as `key`, returns and raises the same, and is an instance of the
    same class of `cryptography`, so that libraries take it for one. Outside a job, or where pausing
    is blocked, an operation blocks. Data is copied first, so that its owner may go on using it.
    `public_key()` never pauses. `private_bytes()` and `private_numbers()` refuse
    (NotImplementedError), and so do `copy` and `pickle` (TypeError).

    Pauses: never; the key's operations do, until they are done.
    Threads: any; the key's too.

    Args:
        key: RSA, EC, Ed25519, Ed448, X25519 or X448: a key of `cryptography`, or of another
            library that implements its classes and blocks.
        engine: a `concurrent.futures.Executor`, one of `pausable.engines`, or whatever else has
            `submit(fn, *args)` that returns a future. If it has `call(fn, *args)` too, which
            submits and waits, that is used.
        send_key: whether an engine of other processes may be sent the private key, pickled.

    Raises:
        TypeError: `key` is of another kind, public, or pauses already; `engine` has no submit.
    """
    check_engine(engine)
    if isinstance(key, PausingKey):
        raise TypeError(f"{key!r} pauses already; use it as it is")
    for kind, wrapper in _WRAPPERS.items():
        if isinstance(key, kind):
            return wrapper(key, engine, send_key=send_key)  # type: ignore[return-value]
    raise TypeError(  # which does not show the key: it may be a secret, in PEM
        f"cannot make a {type(key).__qualname__} pause{_hint(key)}; pass a private key of the kind"
        " RSA, EC, Ed25519, Ed448, X25519 or X448"
    )


class LocalKey(PausingKey):
    """A key that the engine is given with each operation."""

    def __init__(self, key: Any, engine: Submits, *, send_key: bool) -> None:
        self._key = key
        self._engine = engine
        self._public_key = key.public_key()
        self._may_send = send_key

    def _operation(self, method: str) -> Operation:
        never = bool(getattr(self, "never_falls_back", False))
        return Operation(self._key, method, may_send=self._may_send, never_falls_back=never)


class PausingRSAKey(LocalKey, RSAKind):
    """RSA."""

    def sign(
        self,
        data: Buffer,
        padding: AsymmetricPadding,
        algorithm: Prehashed | HashAlgorithm | NoDigestInfo,
    ) -> bytes:
        size_bytes = self._size_bytes
        return self._do("sign", frozen(data), padding, algorithm, size_bytes=size_bytes)


class PausingECKey(LocalKey, ECKind):
    """EC, for ECDSA and ECDH."""

    def sign(self, data: Buffer, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        return self._do("sign", frozen(data), signature_algorithm)

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        size_bytes = self._size_bytes
        return self._do("exchange", algorithm, Peer(peer_public_key), size_bytes=size_bytes)


class PausingEd25519Key(LocalKey, Ed25519Kind):
    """Ed25519."""


class PausingEd448Key(LocalKey, Ed448Kind):
    """Ed448."""


class PausingX25519Key(LocalKey, X25519Kind):
    """X25519."""

    def exchange(self, peer_public_key: x25519.X25519PublicKey) -> bytes:
        return self._do("exchange", Peer(peer_public_key), size_bytes=32)


class PausingX448Key(LocalKey, X448Kind):
    """X448."""

    def exchange(self, peer_public_key: x448.X448PublicKey) -> bytes:
        return self._do("exchange", Peer(peer_public_key), size_bytes=56)


_WRAPPERS: Final[dict[type, type[LocalKey]]] = {
    rsa.RSAPrivateKey: PausingRSAKey,
    ec.EllipticCurvePrivateKey: PausingECKey,
    ed25519.Ed25519PrivateKey: PausingEd25519Key,
    ed448.Ed448PrivateKey: PausingEd448Key,
    x25519.X25519PrivateKey: PausingX25519Key,
    x448.X448PrivateKey: PausingX448Key,
}


def _hint(key: object) -> str:
    """Say what was passed, where that is a likely mistake."""
    if "PublicKey" in type(key).__name__:
        return ": it is a public key"
    if isinstance(key, (bytes, str)):
        return ": it has to be loaded first, with load_pem_private_key() of cryptography"
    return ""
