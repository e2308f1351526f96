"""The README: it renders where packages are shown, and its links lead somewhere."""

import re

import pytest

from docs._support import PAGES, ROOT, name

LINK = re.compile(r"\]\(([^)\s]+)\)")


def test_the_readme_renders():
    markdown = pytest.importorskip("readme_renderer.markdown")
    html = markdown.render((ROOT / "README.md").read_text())
    assert html is not None
    assert html.count("<table") == 2
    assert 'lang="python"' in html


@pytest.mark.parametrize(
    "page", [PAGES[0], ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=name
)
def test_links_lead_to_files_that_are_there(page):
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (ROOT / link.partition("#")[0]).exists()] == []
