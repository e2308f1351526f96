"""The oracle prints what was recorded, and says itself what it will not do."""

from __future__ import annotations

from pathlib import Path

import pytest

from oracle import oracle

pytestmark = pytest.mark.skipif(bool(oracle.unavailable()), reason=oracle.unavailable() or "")

DATA = Path(__file__).parents[1] / "scenario" / "data" / "3x"
RECORDED = sorted(DATA.glob("*.txt"))
PAUSES = "func f\n pause\n ret 1\nend\nnewctx c\n"


def last_line(script: str) -> str:
    return oracle.run(script)[-1]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_recorded_scenario_gives_its_trace(path):
    trace = oracle.run(path.read_text())
    if "UNDEFINED this release" in trace[-1]:
        pytest.skip(f"{oracle.version()} differs from {oracle.RECORDED_VERSION}: {trace[-1]}")
    assert trace == path.with_suffix(".out").read_text().splitlines()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("func g\n ret 0\nend\nfunc f\n start k c g\nend\nnewctx c\nstart j c f", "never resumed"),
        ("func f\n pause\n start j c f\nend\nnewctx c\nstart j c f\nstart j c f", "with a handle"),
        (PAUSES + "start j c f\nslotcopy k j\nstart j c f\nstart k c f", "has finished"),
        (PAUSES + "start j c f\nslotcopy k j\nstart j c f\nstart l c f\nstart k c f", "finished"),
        (PAUSES + "start j c f\n@T start j c f", "another thread"),
        (PAUSES + "start j c f\ncleanup\nstart j c f", "cleaned up"),
        (PAUSES + "start j null f\nstart j null f", "without wait context"),
        (PAUSES + "start j c f\nfreectx c\nstart j c f", "was freed"),
        (PAUSES + "start j c f\nfreectx c\nnewctx c\nstart j c f", "was freed"),
        (PAUSES + "freectx c\nstart j c f", "was freed"),
        (PAUSES + "freectx c\nsetfd c k 1", "was freed"),
        (PAUSES + "newctx c", "exists"),
        ("start j c null", "without function"),
        ("getstatus null", "NULL wait context"),
        ("waitctx j", "NULL handle"),
        ("current\nwaitctx @", "no current job"),
        ("func f\n cleanup\nend\nstart j null f", "inside a job"),
        ("func f\n call f\nend\ncall f", "too deep"),
        ("join T", "no such thread"),
        ("func f\n @T say hi\nend\n@T call f", "busy"),
        ("func f\nend\nstart j null f abc 4", "SIZE"),
    ],
)
def test_what_openssl_leaves_undefined_stops_the_script(script, why):
    line = last_line(script + "\nsay more")
    assert " -> UNDEFINED " in line
    assert why in line


def test_an_undefined_act_is_seen_under_q():
    assert last_line("q getstatus null") == "main: getstatus null -> UNDEFINED NULL wait context"


def test_one_script_cannot_spoil_the_next():
    traces = oracle.run_many(["init 1 0\nlive", "getstatus null", "live"])
    assert [trace[-1] for trace in traces] == [
        "END",
        "main: getstatus null -> UNDEFINED NULL wait context",
        "END",
    ]
    assert traces[2][0] == "main: live -> 0"


def test_errors_wait_for_the_next_printed_operation_of_their_thread():
    trace = oracle.run("q init 1 2\nq init 3 4\n@T say here\nsay there")
    assert trace[:2] == [
        "T/main: say here",
        "main: say there err=[ASYNC:invalid pool size; ASYNC:invalid pool size]",
    ]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("say hi\nfly", "line 2: unknown operation fly"),
        ("init 1", "line 1: init: too few operands"),
        ("init 1 -2", "line 1: -2 is not a size"),
        ("pause now", "line 1: pause: too many operands"),
        ("start j c f", "line 1: no func f"),
        ("func f\nsay", "line 2: func f has no end"),
    ],
)
def test_a_malformed_script_is_told_by_line(script, message):
    with pytest.raises(oracle.ScriptError, match=message):
        oracle.run(script)
