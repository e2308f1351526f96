"""What a run of `pausable speed` found, and how it was made."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pausable import __version__
from pausable.cli._options import EngineOptions
from pausable.cli.speed._result import Result

__all__ = ["Report", "cores", "versions"]

#: Packages that operations go through.
_PACKAGES = ("greenlet", "cryptography", "distributed")


@dataclass(frozen=True)
class Report:
    """What there is to tell."""

    results: Sequence[Result]
    engine: EngineOptions
    #: Of each measurement.
    seconds: float
    sweep: bool
    #: It ended before its end.
    interrupted: bool
    #: Why, but for Ctrl-C.
    failure: str | None

    @property
    def conditions(self) -> str:
        """How it was measured, for people."""
        latency = f", {self.engine.latency_s * 1000:g} ms latency" if self.engine.latency_s else ""
        return f"engine {self.engine.name}{latency}, {self.seconds:g} s for each measurement"


def cores() -> int:
    """Return how many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def versions() -> dict[str, Any]:
    """Return what was measured on."""
    from importlib.metadata import PackageNotFoundError, version
    from ssl import OPENSSL_VERSION

    from cryptography.hazmat.backends.openssl import backend

    found: dict[str, Any] = {
        "pausable": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "cores": cores(),
        "openssl": {
            "of_cryptography": backend.openssl_version_text(),
            "of_python": OPENSSL_VERSION,
        },
        "packages": {},
    }
    for name in _PACKAGES:
        try:
            found["packages"][name] = version(name)
        except PackageNotFoundError:
            pass
    return found
