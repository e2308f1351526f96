"""An OpenTelemetry span for each job, with its pauses; needs `pip install opentelemetry-sdk`.

Context variables are inherited by a job, and OpenTelemetry keeps the current span in one: so the
spans that code in a job starts are children of its caller's, without any help. The hooks add a
span for the job itself, which says when it paused and when it went on.

Prints the spans as trees; a service would give its provider an exporter for its collector instead.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Span, Status, StatusCode

import pausable

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
tracer = provider.get_tracer("example")


class JobSpans:
    """Hooks: a span from a job's start to its end."""

    def __init__(self) -> None:
        self._spans: dict[str, Span] = {}  # by name: to keep the job would hide it when it is lost

    def on_start(self, job: pausable.Job[object]) -> None:
        # In the job's context: the current span is the caller's. It stays so.
        self._spans[job.name] = tracer.start_span("job", attributes={"job.name": job.name})

    def on_pause(self, job: pausable.Job[object]) -> None:
        self._spans[job.name].add_event("pause")

    def on_resume(self, job: pausable.Job[object]) -> None:
        self._spans[job.name].add_event("resume")

    def on_finish(self, job: pausable.Job[object]) -> None:
        span = self._spans.pop(job.name)
        exc = job.exception()
        if exc is not None:
            span.record_exception(exc)
            span.set_status(Status(StatusCode.ERROR, repr(exc)))
        span.end()


async def slow_key(digest: bytes) -> bytes:
    """Stand in for a key at a cloud's key service."""
    await asyncio.sleep(0.01)
    if digest == hashlib.sha256(b"refused").digest():
        raise PermissionError("the key may not sign that")
    return digest[::-1]


def sign(message: bytes) -> bytes:
    """Plain synchronous code with spans of its own; it knows nothing of jobs' spans."""
    with tracer.start_as_current_span("digest"):
        digest = hashlib.sha256(message).digest()
    with tracer.start_as_current_span("use the key"):
        return pausable.wait_for(asyncio.ensure_future(slow_key(digest)))


async def handle(message: bytes) -> None:
    with tracer.start_as_current_span(f"request {message.decode()}"):
        try:
            await pausable.run(sign, message)
        except PermissionError:
            pass


async def main() -> None:
    hooks = JobSpans()
    pausable.add_hooks(hooks)
    try:
        await asyncio.gather(handle(b"one"), handle(b"two"), handle(b"refused"))
    finally:
        pausable.remove_hooks(hooks)


def print_tree(spans: Sequence[ReadableSpan], parent: int | None = None, indent: str = "") -> None:
    children = [span for span in spans if (span.parent.span_id if span.parent else None) == parent]
    for span in sorted(children, key=lambda span: span.start_time or 0):
        events = "".join(f", {event.name}" for event in span.events)
        print(f"{indent}{span.name}{events}")
        own = span.get_span_context()
        assert own is not None
        print_tree(spans, own.span_id, indent + "    ")


if __name__ == "__main__":
    asyncio.run(main())
    print_tree(exporter.get_finished_spans())
