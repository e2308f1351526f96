"""The address of a variable, for parameters that a C function writes through."""

from __future__ import annotations

from typing import Any

__all__ = ["Ref", "expect", "store"]


class Ref:
    """What `&variable` is in C: a function that takes it may set `value`."""

    __slots__ = ("value",)

    def __init__(self, value: Any = None) -> None:
        #: The variable.
        self.value = value

    def __repr__(self) -> str:
        return f"Ref({self.value!r})"


def expect(what: str, value: object, kind: type | tuple[type, ...]) -> None:
    """Refuse an argument that no C compiler would have let pass."""
    if value is not None and not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join(k.__name__ for k in kinds)
        raise TypeError(f"{what} has to be a {names} or None (NULL), not {value!r}")


def store(ref: Ref | None, value: object) -> None:
    """Write through a pointer that may be NULL."""
    if ref is not None:
        ref.value = value
