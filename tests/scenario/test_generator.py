"""The generator's programs are the same everywhere, as defined as its model says, and shrink."""

from __future__ import annotations

import hashlib

import pytest

from oracle import oracle
from scenario.generator import generate, shrink
from scenario.model import Model, Undefined

needs_oracle = pytest.mark.skipif(
    bool(oracle.unavailable()), reason=oracle.unavailable() or "the oracle is here"
)

SEEDS = range(400)
# of seeds 0..49; to be renewed whenever a weight changes: it is the Python version that must not
# make a difference
PROGRAMS_SHA256 = "2d536b0d724de27bf6b18b868703dd202130d6f60cc6c14f58e541e96616e5e1"


def is_defined(lines: list[str]) -> bool:
    bodies: dict[str, list[str]] = {}
    into = main = []
    for line in lines:
        if line.startswith("func "):
            into = bodies.setdefault(line.split()[1], [])
        elif line == "end":
            into = main
        else:
            into.append(line)
    model = Model(bodies)
    try:
        for line in main:
            model.run(line)
    except Undefined:
        return False
    return True


def test_a_seed_gives_the_same_program_on_every_python():
    text = "\n".join("\n".join(generate(seed)) for seed in range(50))
    assert hashlib.sha256(text.encode()).hexdigest() == PROGRAMS_SHA256


@pytest.fixture(scope="module")
def programs() -> list[list[str]]:
    return [generate(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def traces(programs: list[list[str]]) -> list[list[str]]:
    """What libcrypto does with each."""
    return oracle.run_many(["\n".join(program) for program in programs])


@needs_oracle
def test_oracle_and_model_agree_on_what_is_defined(programs, traces):
    for seed, program, trace in zip(SEEDS, programs, traces, strict=True):
        ending = "END" if is_defined(program) else "UNDEFINED"
        assert ending in trace[-1], f"seed {seed}: {trace[-1]}"


@needs_oracle
def test_programs_are_long_and_mostly_defined(traces):
    assert 40 < sum(map(len, traces)) / len(traces) < 80
    assert 0.8 < sum(trace[-1] == "END" for trace in traces) / len(traces) < 0.98


@needs_oracle
def test_shrinking_finds_the_few_lines_that_matter(programs, traces):
    def marks_meet(trace: list[str]) -> bool:
        return any("add=1[" in line and "err=[" in line for line in trace)

    def fails(lines: list[str]) -> bool:
        return marks_meet(oracle.run("\n".join(lines)))

    program = next(programs[n] for n, trace in enumerate(traces) if marks_meet(trace))
    small = shrink(program, fails)
    assert fails(small)
    assert len(program) > 100
    assert len(small) <= 8


def test_shrinking_keeps_only_functions_that_are_referred_to():
    script = ["func f", " say f", " call g", "end", "func g", " ret 2", "end", "start j c f abc 2"]
    assert shrink(script, lambda lines: any("start j" in line for line in lines)) == [
        "func f",
        "end",
        "start j c f",
    ]


def test_shrinking_drops_prefixes():
    assert shrink(["q @T say hi"], lambda lines: "say" in " ".join(lines)) == ["say hi"]


def test_shrinking_refuses_a_script_that_does_not_fail():
    with pytest.raises(ValueError, match="does not fail"):
        shrink(["say hi"], lambda lines: False)
