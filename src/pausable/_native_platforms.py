"""Which Pythons the native core is for: one table, asked when it is built and when it is imported.

Rules:

* scripts/build_native.py loads this file by its path, where nothing is installed: the standard
  library alone; and pausable asks it at each import: nothing that is slow to import.
* What only a build can know (a compiler, Python's headers) is not in here.
"""

from __future__ import annotations

import os
import sys
from typing import Final, NamedTuple

__all__ = ["Python", "this_python", "why_not"]

#: With each, what CPython keeps per thread changes (src/native/pystate.h has a block for each).
MINORS: Final = ((3, 11), (3, 12), (3, 13))

#: src/native/switch_*.h
MACHINES: Final = ("x86_64", "aarch64")


class Python(NamedTuple):
    """What decides whether there is a native core."""

    implementation: str
    minor: tuple[int, int]
    #: As sys.platform.
    system: str
    #: As os.uname().
    machine: str
    bits: int
    #: "glibc", "musl" or "unknown".
    libc: str
    gil: bool
    #: Of memory: aarch64 has kernels with 16 and 64 KiB.
    page_bytes: int


def this_python() -> Python:
    """Return what runs this."""
    return Python(
        sys.implementation.name,
        sys.version_info[:2],
        sys.platform,
        os.uname().machine if hasattr(os, "uname") else "",
        64 if sys.maxsize > 2**32 else 32,
        _libc(),
        "t" not in getattr(sys, "abiflags", ""),  # Windows has none, and is not in the table
        os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096,
    )


def _libc() -> str:
    try:
        if (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"):
            return "glibc"
    except (AttributeError, OSError, ValueError):  # no confstr; musl knows the name, and refuses it
        pass
    return "musl" if "musl" in getattr(sys.implementation, "_multiarch", "") else "unknown"


def why_not(python: Python) -> str | None:
    """Return why the native core is not for this Python, or None if it is."""
    p = python
    if p.implementation != "cpython":
        return f"the native core is for CPython, not {p.implementation}"
    if p.minor not in MINORS:
        first, last, this = (".".join(map(str, each)) for each in (MINORS[0], MINORS[-1], p.minor))
        return f"the native core is for CPython {first} to {last}, not {this}"
    if not p.gil:
        return "the native core needs the GIL, and this Python is a free-threaded build"
    if p.system != "linux":
        return f"the native core is for Linux, not {p.system}"
    if p.machine not in MACHINES or p.bits != 64:
        known = " or ".join(MACHINES)
        return f"the native core is for {known} with 64 bits, not {p.machine} with {p.bits}"
    if p.libc != "glibc":
        return f"the native core is for glibc; on another C library ({p.libc}) it was never tested"
    if p.page_bytes != 4096:  # src/native/stackmem.h
        return f"the native core is for pages of memory of 4096 bytes, not {p.page_bytes}"
    return None
