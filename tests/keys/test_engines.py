"""An engine with `call` decides itself how its operations are waited for."""

from __future__ import annotations

import pausable
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
