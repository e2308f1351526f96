"""Where an operation comes from: the loop that it is awaited on, and its context variables.

A guard, or a batch, begins operations later and in any thread: a timer's, or that of another job
whose operation has ended just then. It notes the origin when an operation is submitted; an engine
of coroutines, however deep inside, finds it again. A context variable, since whoever is asked to
begin something may be another guard, and may pause.
"""

from __future__ import annotations

from contextvars import Context, ContextVar, copy_context
from typing import Any, NamedTuple

from pausable._job import current_fibre
from pausable.engines._checks import Submits
from pausable.engines._place import Place, place_of

__all__ = [
    "Origin",
    "needs_this_thread",
    "own_context",
    "place_here",
    "would_need_this_thread",
]

#: Empty: nobody said. (None,): from where no event loop drives a job.
_said: ContextVar[tuple[()] | tuple[Place | None]] = ContextVar("pausable-origin", default=())


class Origin(NamedTuple):
    """Where an operation was submitted first.

    Threads: any, one at a time.
    """

    place: Place | None
    context: Context

    @classmethod
    def here(cls) -> Origin:
        """Return that of what is being submitted now."""
        place, context = place_here(), copy_context()
        context.run(_said.set, (place,))
        return cls(place, context)

    def submit(self, engine: Submits, request: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Submit to an engine as if it were done there."""
        return self.context.run(engine.submit, *request, **options)


def place_here() -> Place | None:
    """Return the loop that what is being submitted comes from, or None: none that drives a job."""
    if said := _said.get():
        return said[0]
    fibre = current_fibre()
    driver = None if fibre is None or fibre.blocks else fibre.driver
    return None if driver is None else place_of(driver)


def own_context() -> Context:
    """Return a copy of the context for work that may submit something of its own."""
    context = copy_context()
    context.run(_said.set, ())
    return context


def needs_this_thread(future: Any) -> bool:
    """Tell whether what is under way can end only if this thread's event loop goes on."""
    ask = getattr(future, "needs_this_thread", None)
    return ask is not None and bool(ask())


def would_need_this_thread(engine: Submits, place: Place | None) -> bool:
    """Tell whether what is submitted from that place can end only if this thread's loop goes on."""
    ask = getattr(engine, "_would_need_this_thread", None)
    return ask is not None and bool(ask(place))
