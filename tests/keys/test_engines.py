"""An engine with `call` decides itself how its operations are waited for."""

from __future__ import annotations

import functools

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

import pausable
from pausable.engines import ExecutorEngine, guard
from pausable.keys import pausing
from pausable.testing import FakeEngine


class Retries:
    """Is busy twice, as a device whose queue is full."""

    def __init__(self):
        self.busy = 2

    def submit(self, fn, /, *args):
        raise AssertionError("call is there")

    def call(self, fn, /, *args):
        while self.busy:
            self.busy -= 1
            pausable.pause()
        return fn(*args)


def test_an_engine_may_try_again_before_it_submits(local):
    key = pausing(local["Ed25519"], Retries())
    with pausable.start(key.sign, b"data") as job:
        job.resume()
        job.resume()
        key.public_key().verify(job.result(), b"data")


def test_a_busy_fake_engine_is_asked_again(local):
    engine = FakeEngine()
    engine.busy("sign-1", times=2)
    with pausable.start(pausing(local["Ed25519"], engine).sign, b"data") as job:
        while not engine.pending:
            job.resume()
        engine.run("sign-1")
        job.resume()
        local["Ed25519"].public_key().verify(job.result(), b"data")


class Down:
    """Is an engine whose device does not answer."""

    def submit(self, fn, /, *args):
        raise pausable.EngineError("no device")


@pytest.mark.parametrize("marked", ["the key", "the pausing key"])
def test_a_key_that_must_not_fall_back_does_not(local, marked):
    with ExecutorEngine() as threads, guard(Down(), fallback=threads) as engine:
        falls_back = pausing(local["Ed25519"], engine)
        assert falls_back.sign(b"data")
        inner = Marked(local["Ed25519"]) if marked == "the key" else local["Ed25519"]
        key = pausing(inner, engine)
        if marked == "the pausing key":
            key.never_falls_back = True
        for use in (key.sign, functools.partial(key.sign)):
            with pytest.raises(pausable.EngineError, match="no device"):
                use(b"data")


class Marked(ed25519.Ed25519PrivateKey):
    """Is a local key that stands in for one in a device."""

    never_falls_back = True

    def __init__(self, key):
        self._key = key

    def sign(self, data):
        return self._key.sign(data)

    def public_key(self):
        return self._key.public_key()

    generate = from_private_bytes = private_bytes = private_bytes_raw = None
    __copy__ = __deepcopy__ = None
