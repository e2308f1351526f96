"""The claims of one token: a JSON object on a line."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from pausable.cli._lines import MAX_LINE_BYTES
from pausable.cli._outcome import Unfit

__all__ = ["parse_claims"]

#: Claims that are seconds since 1970, or names (RFC 7519).
_NUMBERS: Final = ("exp", "nbf", "iat")
_TEXTS: Final = ("iss", "sub", "jti")


def parse_claims(line: bytes) -> dict[str, Any]:
    """Return the claims on a line.

    Raises:
        Unfit: it has no claims, or such that nobody would accept.
    """
    if len(line) > MAX_LINE_BYTES:
        raise Unfit(f"is longer than {MAX_LINE_BYTES} bytes, and no token is")
    if not line.strip():
        raise Unfit("is empty; write a JSON object, {} for no claims")
    try:
        claims = json.loads(
            line.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError as exc:
        raise Unfit(f"is not in UTF-8: byte {exc.start + 1} is {line[exc.start]:#04x}") from exc
    except RecursionError as exc:
        raise Unfit("is nested too deeply") from exc
    except ValueError as exc:
        raise Unfit(f"is no JSON ({exc})") from exc
    if not isinstance(claims, dict):
        raise Unfit("is no JSON object; write {...}")
    for name in _NUMBERS:
        if name in claims and type(claims[name]) not in {int, float}:
            raise Unfit(f"has {name!r} as {_short(claims[name])}; write seconds since 1970")
    for name in _TEXTS:
        if name in claims and not isinstance(claims[name], str):
            raise Unfit(f"has {name!r} as {_short(claims[name])}; write a string")
    return claims


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # which one counts, no two readers agree
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Unfit(f"has {twice!r} twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise Unfit(f"has {name}, which is no JSON")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
