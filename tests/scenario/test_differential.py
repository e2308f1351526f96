"""Random programs print the same on libcrypto and here, and would not if a rule were broken."""

import pytest

from oracle import oracle
from scenario.differential import compare, explain
from scenario.mutants import MUTANTS, caught_by, source_of

pytestmark = pytest.mark.skipif(bool(oracle.unavailable()), reason=oracle.unavailable() or "")

PROGRAMS = 400


def test_random_programs_give_the_traces_of_libcrypto():
    report = compare(range(PROGRAMS))
    assert report.lines > 10 * PROGRAMS
    assert not report.different, "\n".join(explain(seed) for seed in report.different[:3])


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rule)
def test_a_broken_rule_is_caught(mutant, tmp_path):
    assert source_of(mutant).count(mutant.line) == 1, "the table of mutants is out of date"
    assert caught_by(mutant, tmp_path) is not None


def test_what_is_not_broken_is_not_caught(tmp_path):
    line = source_of(MUTANTS[0]).splitlines(keepends=True)[0]
    control = MUTANTS[0]._replace(rule="control", line=line, instead=line)
    assert caught_by(control, tmp_path) is None
