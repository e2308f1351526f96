"""The table of libraries in docs/how-to/keys.md is true."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from pausable.keys import adapters

ROOT = Path(__file__).parents[2]
TESTS = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
PAGE = (ROOT / "docs" / "how-to" / "keys.md").read_text()
ROWS = re.findall(r"^\| ([\w: ,#.-]+) \| ([\d.]+) \| (.+) \| `(test_\w+)` \|$", PAGE, re.MULTILINE)


def test_every_library_is_in_the_table():
    assert len(ROWS) >= 20


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_a_test_that_uses_its_library(row):
    library, _tried, how, test = row
    assert version(library.split(":")[0])
    assert f"def {test}(" in TESTS
    for adapter in re.findall(r"`(\w+_(?:key|signer))\(", how):
        assert adapter in adapters.__all__
        assert f"adapters.{adapter}(" in TESTS


def test_every_adapter_is_in_the_table():
    assert all(f"`{adapter}(" in PAGE for adapter in adapters.__all__)
