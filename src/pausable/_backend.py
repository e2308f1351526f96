"""Which kind of stack jobs run on in this process, and why.

Rules:

* The choice is made once, when pausable is imported, from PAUSABLE_BACKEND: `greenlet`, `native`
  (an error where that is not to be had) or `auto`: native where it works and nobody uses greenlet.
* greenlet takes all stacks of a thread to be parts of one (see src/native/greenlets.c). So with
  `auto`, jobs that are started after greenlet was imported run on greenlet; those that are under
  way end as they began.
* That greenlet is imported is noticed by a finder in front of all others, which finds nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Final, NamedTuple

from pausable._native_platforms import this_python, why_not

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

__all__ = [
    "GIVES_WAY",
    "NATIVE",
    "Backend",
    "backend",
    "greenlet_is_in",
    "when_greenlet_comes",
    "why_not_native",
]

#: What PAUSABLE_BACKEND is when it is not set.
DEFAULT: Final = "auto"

_WISHES: Final = ("auto", "greenlet", "native")


class Backend(NamedTuple):
    """What jobs that are started now run on."""

    #: "native" or "greenlet".
    name: str
    #: Why that.
    reason: str


def why_not_native() -> str | None:
    """Return why there is no native core here, or None if there is."""
    elsewhere = why_not(this_python())
    if elsewhere is not None:
        return elsewhere
    try:
        import pausable._native  # noqa: F401, PLC0415  # only if it is wanted
    except ModuleNotFoundError:
        from pathlib import Path  # noqa: PLC0415  # only if it is wanted

        reason = Path(__file__).with_name("_native_reason.txt")  # written when it was installed
        why = reason.read_text().strip() if reason.is_file() else "it was not compiled"
        return f"there is no native core: {why}"
    except ImportError as exc:
        return f"the native core cannot be imported: {exc}"
    from pausable._selftest import fault  # noqa: PLC0415

    wrong = fault()
    return None if wrong is None else f"the native core's test of itself failed: {wrong}"


def _choose() -> Backend:
    wish = os.environ.get("PAUSABLE_BACKEND") or DEFAULT
    if wish not in _WISHES:
        raise ValueError(f"PAUSABLE_BACKEND has to be one of {', '.join(_WISHES)}, not {wish!r}")
    how = "PAUSABLE_BACKEND says so" if os.environ.get("PAUSABLE_BACKEND") else "it is the default"
    if wish == "greenlet":
        return Backend("greenlet", how)
    if wish == "auto" and "greenlet" in sys.modules:
        return Backend("greenlet", "greenlet was imported before pausable")
    reason = why_not_native()
    if reason is None:
        return Backend("native", how)
    if wish == "native":
        raise ImportError(f"PAUSABLE_BACKEND is 'native', but {reason}")
    return Backend("greenlet", reason)


_chosen: Final = _choose()

#: Whether the native core is in use (by jobs that were started before greenlet came, at least).
NATIVE: Final = _chosen.name == "native"

#: Whether jobs run on greenlet from when that is imported.
GIVES_WAY: Final = os.environ.get("PAUSABLE_BACKEND") != "native"


def backend() -> Backend:
    """Tell what jobs that are started now run on, and why.

    Threads: any.
    """
    if NATIVE and GIVES_WAY and greenlet_is_in():
        return Backend("greenlet", "greenlet was imported after pausable")
    return _chosen


def greenlet_is_in() -> bool:
    """Tell whether greenlet has been imported, by whomever."""
    return hasattr(sys.modules.get("greenlet"), "getcurrent")


class _Watcher:
    """Notices the import of greenlet, before it can have been used."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if name == "greenlet":
            self._call()
        return None


def when_greenlet_comes(call: Callable[[], object]) -> None:
    """Have `call` called when somebody imports greenlet; now, if somebody has.

    It is not there yet then, and may not be installed.
    """
    if greenlet_is_in():
        call()
    sys.meta_path.insert(0, _Watcher(call))
