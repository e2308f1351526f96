"""JSON web tokens for claims: the job that issues one, and which keys can."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from pausable.cli._claims import parse_claims
from pausable.cli._key_engine import KeyEngine
from pausable.cli._keys import PrivateKey, kind_of
from pausable.cli._lines import Lines
from pausable.cli._outcome import Outcome, deciding
from pausable.cli._output import Refusal, shown
from pausable.cli._remote_key import remote_key
from pausable.keys.issuing import TokenIssuer

__all__ = ["Additions", "Token", "Tokens", "choose_algorithm"]

#: RFC 7518 asks for it.
_MIN_RSA_BITS: Final = 2048

_CURVES: Final = {
    "ES256": "secp256r1",
    "ES384": "secp384r1",
    "ES512": "secp521r1",
    "ES256K": "secp256k1",
}


def choose_algorithm(private: PrivateKey, asked: str | None) -> str:
    """Return the algorithm of JWS for a key.

    Args:
        private: the key.
        asked: which one it is to be; None: RS256, ES256 and its kin, or EdDSA.

    Raises:
        Refusal: the key cannot.
    """
    fit = _algorithms_for(private)
    if not fit:
        raise Refusal(
            f"key {shown(private.path)} is of the kind {kind_of(private.key)}, which signs no"
            " tokens; use an RSA key, an EC key (P-256, P-384, P-521) or an Ed25519 key"
        )
    if asked is not None and asked not in fit:
        raise Refusal(
            f"--alg {asked} is not for key {shown(private.path)}, of the kind"
            f" {kind_of(private.key)}; pass --alg {' or '.join(fit)}, or omit it"
        )
    if isinstance(private.key, rsa.RSAPrivateKey) and private.key.key_size < _MIN_RSA_BITS:
        raise Refusal(
            f"key {shown(private.path)} has {private.key.key_size} bits, and tokens need"
            f" {_MIN_RSA_BITS} or more; use another key"
        )
    return asked or fit[0]


def _algorithms_for(private: PrivateKey) -> list[str]:
    key = private.key
    if isinstance(key, rsa.RSAPrivateKey):
        schemes = ("PS",) if private.pss_only else ("RS", "PS")
        return [f"{scheme}{bits}" for scheme in schemes for bits in (256, 384, 512)]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return [name for name, curve in _CURVES.items() if curve == key.curve.name]
    return ["EdDSA"] if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)) else []


@dataclass(frozen=True)
class Additions:
    """What every token gets, unless its own claims say otherwise."""

    expires_in_s: int | None
    issuer: str | None

    def to(self, claims: dict[str, Any]) -> dict[str, Any]:
        """Return claims with what they lack."""
        added: dict[str, Any] = {}
        if self.issuer is not None:
            added["iss"] = self.issuer
        if self.expires_in_s is not None:
            now = int(time.time())
            added |= {"iat": now, "exp": now + self.expires_in_s}
        return {**added, **claims}


@dataclass(frozen=True)
class Token:
    """What became of a line."""

    outcome: Outcome
    text: str = ""


class Tokens:
    """Issues tokens for lines of claims.

    Args:
        lines: where they come from.
        private: the key.
        engine: what does its operations.
        algorithm: of JWS.
        additions: what each token gets.
    """

    def __init__(
        self,
        lines: Lines,
        private: PrivateKey,
        engine: KeyEngine,
        algorithm: str,
        additions: Additions,
    ) -> None:
        self._lines = lines
        self._additions = additions
        key = remote_key(private.key.public_key(), engine.sign)
        self._issue: Callable[[dict[str, Any]], str] = TokenIssuer(key, algorithm=algorithm).issue

    def issue(self, number: int) -> Token | None:
        """Issue the token for the next line; None if there is none.

        Pauses: while there is no line, and while the key signs.

        Args:
            number: the line's.

        Raises:
            Interrupted: the run was stopped.
            OSError: the lines cannot be read any more.
        """
        line = self._lines.next()
        if line is None:
            return None
        issued = []

        def decide() -> Outcome:
            issued.append(self._issue(self._additions.to(parse_claims(line))))
            return Outcome(name, "issued", None)

        name = f"line {number}"
        outcome = deciding(name, decide)
        return Token(outcome, *issued)
