"""The names of algorithms; importing them imports little else, so that --help is quick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pausable.cli._output import Refusal

__all__ = ["BLOCK_ALGORITHMS", "BLOCK_SIZES_BYTES", "GROUPS", "NAMES", "chosen_names"]

_RSA: Final = [f"rsa{bits}-{what}" for bits in (2048, 3072, 4096) for what in ("sign", "decrypt")]

#: Those that take data of any size.
BLOCK_ALGORITHMS: Final = ("aes-gcm", "sha256")

#: Every algorithm, in the order in which they are measured.
NAMES: Final = [*_RSA, "ecdsap256", "ecdsap384", "ed25519", "x25519", *BLOCK_ALGORITHMS]

#: Names for several, and other names for one.
GROUPS: Final = {
    "rsa": _RSA,
    "rsa2048": _RSA[0:2],
    "rsa3072": _RSA[2:4],
    "rsa4096": _RSA[4:6],
    "ecdsa": ["ecdsap256", "ecdsap384"],
    "ecdh": ["x25519"],
}

#: As of `openssl speed`.
BLOCK_SIZES_BYTES: Final = (16, 64, 256, 1024, 8192, 16384)


def chosen_names(wished: Sequence[str]) -> list[str]:
    """Return the algorithms that names or groups of them mean, each once, in the known order.

    Raises:
        Refusal: a name is unknown.
    """
    chosen = set()
    for name in wished or NAMES:
        found = GROUPS.get(name.lower(), [name.lower()])
        if not set(found) <= set(NAMES):
            raise Refusal(
                f"algorithm {name!r} is unknown; known are {', '.join(NAMES)}, and the groups"
                f" {', '.join(GROUPS)}"
            )
        chosen.update(found)
    return [name for name in NAMES if name in chosen]
