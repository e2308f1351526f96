"""What a local key's engine is given to call."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

__all__ = ["Operation", "Peer"]


class Operation:
    """A method of a private key; in another process, with the key in it.

    Args:
        key: the local private key.
        method: the method's name; the operation is named so.
        may_send: whether it may be pickled.
        never_falls_back: as of the key or of the pausing one: no other engine may do it.

    Threads: any.
    """

    def __init__(
        self, key: Any, method: str, *, may_send: bool, never_falls_back: bool = False
    ) -> None:
        self._key = key
        self._may_send = may_send
        #: What `guard` looks for.
        self.never_falls_back = never_falls_back or getattr(key, "never_falls_back", False)
        self.__name__ = method

    def __call__(self, *args: Any) -> Any:
        given = [arg.key if isinstance(arg, Peer) else arg for arg in args]
        return getattr(self._key, self.__name__)(*given)

    def __reduce__(self) -> tuple[Any, ...]:
        if not self._may_send:
            raise TypeError(
                "the engine wants to send the private key to another process; allow that with"
                " pausing(key, engine, send_key=True), or use an engine of this process"
            )
        der = self._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return _received, (der, self.__name__, self.never_falls_back)


class Peer:
    """A peer's public key: those of `cryptography` cannot be pickled."""

    def __init__(self, key: Any) -> None:
        self.key = key

    def __reduce__(self) -> tuple[Any, ...]:
        der = self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return _received_peer, (der,)


def _received(der: bytes, method: str, never_falls_back: bool) -> Operation:
    # It may be sent on: a cluster's scheduler has it first, and then one of the workers.
    return Operation(_loaded(der), method, may_send=True, never_falls_back=never_falls_back)


def _received_peer(der: bytes) -> Peer:
    return Peer(load_der_public_key(der))


@lru_cache(maxsize=16)  # to load an RSA key takes longer than to sign with it
def _loaded(der: bytes) -> Any:
    return load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
