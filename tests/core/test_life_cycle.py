"""The life cycle: the table, and real jobs in each of its states."""

from __future__ import annotations

import copy
import pickle

import greenlet
import pytest

import pausable
from core._support import finish, pauses
from pausable._state import TABLE, State, Step, why_not

JOB_STATES = [State.RUNNING, State.PAUSED, State.ENDED]
READS = {"result": pausable.Job.result, "exception": pausable.Job.exception}


def accepted(call):
    try:
        call()
    except pausable.JobStateError as exc:
        return exc
    return None


def in_state(state, act):
    """Put a job called "case" in a state, do `act(job)`, end the job; return what act returned."""
    told = []

    def body():
        if state is State.RUNNING:
            job = pausable.current_job()
            job.name = "case"
            told.append(act(job))
        pausable.pause()

    job = pausable.start(body)
    job.name = "case"
    if state is State.ENDED:
        job.resume()
    if state is not State.RUNNING:
        told.append(act(job))
    while not job.done():
        job.resume()
    return told[0]


@pytest.mark.parametrize("state", JOB_STATES)
def test_resume_is_accepted_exactly_where_the_table_says(state):
    refusal = in_state(state, lambda job: accepted(job.resume))
    assert (refusal is None) == ((state, Step.RESUME) in TABLE)
    if refusal is not None:
        assert type(refusal) is pausable.JobStateError
        assert str(refusal) == f"cannot resume job 'case': {why_not(state, Step.RESUME)}"


@pytest.mark.parametrize("state", JOB_STATES)
@pytest.mark.parametrize("read", READS)
def test_the_outcome_is_read_exactly_where_the_table_says(state, read):
    refusal = in_state(state, lambda job: accepted(lambda: READS[read](job)))
    assert (refusal is None) == ((state, Step.READ) in TABLE)
    if refusal is not None:
        assert type(refusal) is pausable.InvalidStateError
        message = f"cannot read the outcome of job 'case': {why_not(state, Step.READ)}"
        assert str(refusal) == message


@pytest.mark.parametrize("state", JOB_STATES)
def test_pause_suspends_exactly_where_the_table_says(state):
    # Called by the job itself if it runs, by its starter if not: pause means the running job.
    assert (state, Step.PAUSE) in TABLE or not in_state(state, lambda job: pausable.pause())
    assert in_state(State.RUNNING, lambda job: pausable.pause())


@pytest.mark.parametrize("state", JOB_STATES)
def test_what_a_job_says_of_itself_agrees_with_its_state(state):
    done, paused, text, cancelled = in_state(
        state, lambda job: (job.done(), job.paused, repr(job), job.cancelled())
    )
    assert done == (state is State.ENDED)
    assert paused == (state is State.PAUSED)
    assert not cancelled
    word = "returned" if state is State.ENDED else state.value
    assert text == f"<Job 'case' {word}>"


def test_every_refusal_a_job_can_meet_has_a_remedy():
    for state in [*JOB_STATES, State.FORKED]:
        for step in (Step.RESUME, Step.READ):
            if (state, step) not in TABLE:
                assert len(why_not(state, step)) > len(f"it is {state.value}") + 10


def test_no_state_is_a_dead_end_but_the_last_two():
    leaving = {state for (state, step), after in TABLE.items() if after is not state}
    assert set(State) - leaving == {State.ENDED, State.FORKED}


def test_a_job_that_never_pauses_is_done_when_start_returns():
    job = pausable.start(lambda a, b=0: (a, b), 1, b=2)
    assert job.done()
    assert not job.paused
    assert job.result() == (1, 2)
    assert job.exception() is None


def test_a_job_runs_to_each_pause_in_turn():
    log = []

    def body():
        for i in range(3):
            log.append(i)
            pausable.pause()
        return "end"

    job = pausable.start(body)
    assert log == [0]
    assert job.resume() is False
    assert log == [0, 1]
    assert job.resume() is False
    assert job.resume() is True
    assert job.result() == "end"


@pytest.mark.hazard("H8")
def test_a_running_job_refuses_to_resume_itself_and_goes_on():
    def body():
        with pytest.raises(pausable.JobStateError, match="it is running"):
            pausable.current_job().resume()
        return pausable.pause()

    assert finish(pausable.start(body)) is True


@pytest.mark.hazard("H8")
def test_a_job_refuses_to_resume_its_ancestors():
    def inner(ancestors):
        for job in ancestors:
            with pytest.raises(pausable.JobStateError, match="started"):
                job.resume()
        return len(ancestors)

    def middle(outer):
        return pausable.start(inner, [outer, pausable.current_job()]).result()

    def outer():
        return pausable.start(middle, pausable.current_job()).result()

    assert pausable.start(outer).result() == 2


def test_a_paused_jobs_inner_job_may_be_resumed_by_the_outsider():
    inners = []

    def outer():
        inners.append(pausable.start(pauses, 2, "inner"))
        pausable.pause()
        return inners[0].done()

    job = pausable.start(outer)
    assert finish(inners[0]) == "inner"
    assert finish(job) is True


def test_inner_job_resumes_the_paused_sibling_of_its_outer_job():
    log = []

    def noted(tag):
        log.append(tag)
        pausable.pause()
        log.append(tag.upper())

    sibling = pausable.start(noted, "a")
    outer = pausable.start(lambda: pausable.start(sibling.resume).result())
    assert outer.result() is True
    assert log == ["a", "A"]


@pytest.mark.hazard("H8")
def test_control_goes_back_to_the_resumer_not_to_the_starter():
    log = []
    jobs = []

    def starter():
        jobs.append(pausable.start(pauses, 2, "x"))
        log.append("started")
        pausable.pause()
        log.append("starter resumed")

    def resumer():
        log.append(jobs[0].resume())
        log.append(jobs[0].resume())

    first = pausable.start(starter)
    assert pausable.start(resumer).done()
    assert log == ["started", False, True]
    finish(first)
    assert log[-1] == "starter resumed"


@pytest.mark.greenlet_only
@pytest.mark.hazard("H8")
def test_a_pause_inside_a_foreign_greenlet_pauses_the_job_and_comes_back_there():
    log = []

    def foreign():
        log.append(("foreign", pausable.current_job().name))
        assert pausable.pause()
        log.append("foreign again")
        return "from foreign"

    def body():
        pausable.current_job().name = "host"
        log.append(greenlet.greenlet(foreign).switch())
        pausable.pause()
        return "end"

    job = pausable.start(body)
    assert job.paused
    assert log == [("foreign", "host")]
    assert job.resume() is False
    assert log[1:] == ["foreign again", "from foreign"]
    assert job.resume() is True
    assert job.result() == "end"


@pytest.mark.greenlet_only
@pytest.mark.hazard("H8")
def test_stack_shows_the_foreign_greenlet_and_what_it_is_in():
    def in_foreign():
        pausable.pause()

    def host():
        greenlet.greenlet(in_foreign).switch()

    job = pausable.start(host)
    names = [frame.name for frame in job.stack()]
    assert names == ["host", "in_foreign"]
    finish(job)
    assert list(job.stack()) == []


@pytest.mark.hazard("H8")
def test_a_job_may_be_resumed_from_a_foreign_greenlet():
    log = []
    job = pausable.start(pauses, 2, 7)
    stranger = greenlet.greenlet(lambda: log.append(job.resume()))
    stranger.switch()
    assert log == [False]
    assert job.resume() is True
    assert job.result() == 7


@pytest.mark.greenlet_only
@pytest.mark.hazard("H8")
def test_a_foreign_greenlet_beside_the_job_is_not_in_it():
    beside = greenlet.greenlet(lambda: (pausable.pause(), pausable.current_job()))

    def body():
        return beside.switch()  # its parent is the main greenlet: control returns there

    main = greenlet.getcurrent()
    with pytest.raises(pausable.JobStateError, match="switched"):
        pausable.start(body)
    assert greenlet.getcurrent() is main
    assert beside.dead
    [job] = pausable.thread_pool().jobs()
    fibre = job._fibre
    fibre.switch("handed back")  # let the lost soul end: nobody else can
    assert fibre.state is State.ENDED
    fibre.pool.drop(fibre)


@pytest.mark.hazard("H8")
def test_pause_outside_a_job_does_nothing():
    assert pausable.pause() is False
    assert pausable.current_job() is None
    assert pausable.can_pause() is False
    assert pausable.is_capable() is True


def test_current_job_is_the_innermost_and_the_handle_itself():
    def inner():
        return pausable.current_job()

    def outer():
        job = pausable.start(inner)
        return pausable.current_job(), job, job.result()

    job = pausable.start(outer)
    me, inner_job, inner_me = job.result()
    assert me is job
    assert inner_me is inner_job


def test_current_job_is_the_same_handle_after_a_pause():
    seen = []

    def body():
        seen.append(id(pausable.current_job()))
        pausable.pause()
        seen.append(id(pausable.current_job()))

    job = pausable.start(body)
    finish(job)
    assert seen == [id(job), id(job)]


@pytest.mark.parametrize("fn", [None, 3, "text"])
def test_start_refuses_what_cannot_be_called(fn):
    for start in (pausable.start, pausable.thread_pool().start):
        with pytest.raises(TypeError, match="fn has to be callable"):
            start(fn)


def test_a_job_is_neither_made_by_hand_nor_copied():
    with pytest.raises(AttributeError):
        pausable.Job().done()
    job = pausable.start(int)
    with pytest.raises(TypeError, match="live call stack"):
        copy.copy(job)
    with pytest.raises(TypeError, match="live call stack"):
        pickle.dumps(job)


def test_names_come_from_the_function_and_can_be_set():
    job = pausable.start(pauses, 1)
    other = pausable.start(pauses, 0)
    assert job.name.startswith("pauses-")
    assert job.name != other.name
    job.name = "sign"
    assert repr(job) == "<Job 'sign' paused>"
    for bad in ("", None, 3):
        with pytest.raises(TypeError):
            job.name = bad
    finish(job)


def test_callable_without_a_name_gets_its_types():
    class Signer:
        def __call__(self):
            return 1

    assert pausable.start(Signer()).name.startswith("Signer-")


def test_print_stack_shows_name_state_and_place(capsys):
    job = pausable.start(pauses, 1)
    job.name = "shown"
    job.print_stack()
    text = capsys.readouterr().err
    assert text.startswith("<Job 'shown' paused>\n")
    assert "in pauses" in text
    finish(job)


def test_positional_and_keyword_names_of_our_own_reach_the_call():
    job = pausable.start(lambda **kw: kw, fn=1, self=2, pool=3, wait_ctx=4)
    assert job.result() == {"fn": 1, "self": 2, "pool": 3, "wait_ctx": 4}


def test_what_dies_with_a_call_that_has_ended_is_in_no_job():
    class Argument:
        def __del__(self):
            seen.append((pausable.current_job(), pausable.can_pause(), pausable.pause()))

    def body(_argument):
        pausable.pause()

    seen = []
    job = pausable.start(body, Argument())
    assert job.resume()
    assert seen == [(None, False, False)]
