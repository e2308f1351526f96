"""Every Python block in the README and in docs/ runs; a page's blocks share one namespace."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_the_page_runs(page, tmp_path):
    blocks = BLOCK.findall(page.read_text())
    if not blocks:
        return
    program = tmp_path / "blocks.py"
    program.write_text("\n".join(blocks))
    done = subprocess.run(
        [sys.executable, "-W", "error", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_tests_named_in_the_porting_guide_exist():
    guide = (ROOT / "docs" / "how-to" / "porting.md").read_text()
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "openssl").glob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", guide))
    assert named
    assert [name for name in named if f"def {name}(" not in tests] == []
