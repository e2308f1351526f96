"""Context variables and what an idle fibre keeps: the rest is in core (H1, H2)."""

from __future__ import annotations

import contextvars

import pytest

import pausable
from core._support import finish

var = contextvars.ContextVar("var", default="DEFAULT")


@pytest.mark.hazard("H1")
def test_a_token_of_the_starter_cannot_be_reset_in_a_job():
    token = var.set("outside")

    def body():
        with pytest.raises(ValueError, match="different Context"):
            var.reset(token)
        return var.get()

    assert pausable.start(body).result() == "outside"
    var.reset(token)
    assert var.get() == "DEFAULT"


@pytest.mark.hazard("H1")
def test_a_context_that_a_paused_job_has_entered_is_closed_to_others():
    shared = contextvars.Context()
    job = pausable.start(shared.run, pausable.pause)
    second = pausable.start(shared.run, int)
    with pytest.raises(RuntimeError, match="already entered"):
        second.result()
    finish(job)
    assert pausable.start(shared.run, int).result() == 0


@pytest.mark.hazard("H1")
def test_a_job_resumed_in_another_context_keeps_its_own():
    def body():
        var.set("job")
        pausable.pause()
        return var.get()

    job = pausable.start(body)
    stranger = contextvars.Context()
    stranger.run(var.set, "stranger")
    assert stranger.run(finish, job) == "job"
    assert var.get() == "DEFAULT"


@pytest.mark.hazard("H2")
def test_a_fibre_that_idles_keeps_no_value_of_the_last_job_in_its_context():
    contextvars.Context().run(pausable.start, var.set, "secret")
    assert pausable.thread_pool().idle[-1].gr_context is None
    assert pausable.start(var.get).result() == "DEFAULT"
