"""In debug mode a pause is refused where what it interrupts would stand still."""

from __future__ import annotations

import functools
import gc
import signal
import sys
import weakref

import pytest

import pausable
from core._support import finish, pauses

needs_sigusr1 = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no SIGUSR1 here")


pytestmark = pytest.mark.hazard("H17")


def refusal():
    """Pause; return why it was refused."""
    try:
        pausable.pause()
    except pausable.PauseRefused as exc:
        return str(exc)
    return None


class Object:
    def __init__(self, seen):
        self.seen = seen

    def method(self, signum, frame):
        self.seen.append(refusal())

    __call__ = method


HANDLERS = {
    "function": lambda seen: lambda signum, frame: seen.append(refusal()),
    "any arguments": lambda seen: lambda *args: seen.append(refusal()),
    "method": lambda seen: Object(seen).method,
    "object": Object,
    "partial": lambda seen: functools.partial(lambda seen, s, f: seen.append(refusal()), seen),
}


@needs_sigusr1
@pytest.mark.parametrize("kind", HANDLERS)
def test_a_signal_handler_cannot_pause_the_job_that_it_interrupts(debug, kind):
    seen = []
    previous = signal.signal(signal.SIGUSR1, HANDLERS[kind](seen))
    try:
        job = pausable.start(signal.raise_signal, signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert job.done()
    [why] = seen
    assert why.startswith(f"job {job.name!r} cannot pause in a signal handler ({__file__}:")


@needs_sigusr1
def test_a_handler_that_is_merely_called_may_pause(debug):
    def handler(signum=None, frame=None):
        return refusal()

    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        assert finish(pausable.start(handler)) is None
    finally:
        signal.signal(signal.SIGUSR1, previous)


def test_a_del_cannot_pause(debug):
    seen = []

    class Closing:
        def __del__(self):
            seen.append(refusal())

    def body():
        thing = Closing()
        del thing

    assert pausable.start(body).done()
    assert "cannot pause in a __del__ (" in seen[0]
    assert "give the object a close()" in seen[0]


def test_a_job_that_a_del_starts_may_pause(debug):
    jobs = []

    class Closing:
        def __del__(self):
            jobs.append(pausable.start(pauses, 1, "closed"))

    def body():
        thing = Closing()
        del thing
        pausable.pause()

    finish(pausable.start(body))
    assert finish(jobs[0]) == "closed"


def test_a_gc_callback_cannot_pause(debug):
    seen = []

    def callback(phase, info):
        seen.append((phase, refusal()))

    gc.callbacks.append(callback)
    try:
        assert pausable.start(gc.collect).done()
    finally:
        gc.callbacks.remove(callback)
    assert [phase for phase, _ in seen] == ["start", "stop"]
    assert all("cannot pause during a garbage collection" in why for _, why in seen)


def test_what_a_collection_calls_cannot_pause(debug):
    seen = []

    class Node:
        pass

    def body():
        node = Node()
        node.itself = node
        weakref.finalize(node, lambda: seen.append(refusal()))
        del node
        gc.collect()
        pausable.pause()  # after it one can

    finish(pausable.start(body))
    assert "cannot pause during a garbage collection" in seen[0]


def test_a_modules_top_level_cannot_pause(debug, tmp_path, monkeypatch):
    (tmp_path / "pausing_module.py").write_text("import pausable\npausable.pause()\n")
    monkeypatch.syspath_prepend(tmp_path)

    def body():
        import pausing_module  # noqa: F401

    with pytest.raises(pausable.PauseRefused, match="cannot pause during an import: the module"):
        pausable.start(body).result()
    assert "pausing_module" not in sys.modules


def test_a_job_that_a_module_starts_may_pause(debug, tmp_path, monkeypatch):
    (tmp_path / "starting_module.py").write_text(
        "import pausable\njob = pausable.start(pausable.pause)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import starting_module

    finish(starting_module.job)


def test_a_refused_pause_is_told_to_no_hook(debug, hooked):
    turns = []

    class Hooks:
        def on_pause(self, job):
            turns.append("pause")

    class Closing:
        def __del__(self):
            refusal()

    hooked(Hooks())
    assert pausable.start(lambda: (Closing(), None)[1]).done()
    assert turns == []


def test_outside_of_debug_mode_such_pauses_are_pauses():
    class Closing:
        def __del__(self):
            pausable.pause()

    job = pausable.start(lambda: (Closing(), None)[1])
    assert job.paused
    finish(job)


def test_gc_callbacks_are_gone_afterwards():
    before = list(gc.callbacks)
    pausable.set_debug(True)
    pausable.set_debug(True)
    assert len(gc.callbacks) == len(before) + 2
    pausable.set_debug(False)
    assert gc.callbacks == before
