"""Every recorded scenario gives its recorded trace, line for line."""

from pathlib import Path

import pytest

from scenario.interpreter import run

DATA = Path(__file__).parent / "data"


def scripts(folder):
    paths = sorted((DATA / folder).glob("*.txt"))
    assert paths
    return [pytest.param(path, id=path.stem) for path in paths]


@pytest.mark.parametrize("path", scripts("3x"))
def test_trace_is_that_of_libcrypto(path):
    assert run(path.read_text()) == path.with_suffix(".out").read_text().splitlines()


@pytest.mark.parametrize("path", scripts("pre1_1"))
def test_trace_is_that_of_the_2015_snapshot(path):
    trace = run(path.read_text(), pool_api=True)
    assert trace == path.with_suffix(".out").read_text().splitlines()
