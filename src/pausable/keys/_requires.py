"""What the package needs: imported before all else, for an old release does harm in silence."""

from __future__ import annotations

from typing import Final

try:
    from cryptography import __version__ as installed
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "pausable.keys needs cryptography: pip install 'pausable[crypto]'", name=exc.name
    ) from exc

__all__ = ["OLDEST"]

#: Earlier ones lend out memory in the order of calls, as jobs do not return (PyO3 issue 3668).
OLDEST: Final = 43

if int(installed.partition(".")[0]) < OLDEST:
    raise ImportError(
        f"pausable.keys needs cryptography {OLDEST} or later, and {installed} is installed: a key"
        " that pauses inside the certificate builders of earlier ones makes wrong signatures"
        f" without an error; pip install 'cryptography>={OLDEST}'",
        name="cryptography",
    )
