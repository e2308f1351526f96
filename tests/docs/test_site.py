"""The documentation site: built strictly, complete, and with nothing fetched from elsewhere."""

import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from docs._support import PAGES, ROOT

#: The modules that have a page in the reference.
MODULES = [
    "pausable",
    "pausable.errors",
    "pausable.engines",
    "pausable.keys",
    "pausable.keys.adapters",
    "pausable.keys.issuing",
    "pausable.openssl",
    "pausable.openssl.pre1_1",
    "pausable.openssl.v1_1",
    "pausable.prometheus",
    "pausable.pytest_plugin",
    "pausable.testing",
]
pytestmark = [
    pytest.mark.skipif(
        not (ROOT / "src").exists(), reason="the site is built from src/, which is not here"
    ),
    pytest.mark.skipif(sys.version_info < (3, 11), reason="the site's tools need Python 3.11"),
]


class Page(HTMLParser):
    """What a page loads, and the anchors it has."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if values.get("id"):
            self.ids.add(values["id"])
        if tag in {"script", "img", "iframe", "source", "video", "object"}:
            self.loads += [values.get("src") or values.get("data")]
        elif tag == "link" and values.get("rel") not in {"canonical", "prev", "next", "alternate"}:
            self.loads += [values.get("href")]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = {
        str(path.relative_to(folder)): Page(path.read_text()) for path in folder.rglob("*.html")
    }
    return folder, pages


def test_every_page_of_docs_is_there(site):
    _, pages = site
    sources = [page.relative_to(ROOT / "docs") for page in PAGES[1:]]
    assert {str(source.with_suffix(".html")) for source in sources} <= set(pages)


def test_nothing_is_loaded_from_elsewhere(site):
    folder, pages = site
    loads = [load for page in pages.values() for load in page.loads if load]
    assert loads
    assert [load for load in loads if re.match(r"(https?:)?//", load)] == []
    styles = "".join(path.read_text() for path in folder.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)]*", styles) == []


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_reference(site, module):
    _, pages = site
    anchors = set().union(*(page.ids for path, page in pages.items() if path.startswith("ref")))
    names = importlib.import_module(module).__all__
    shown_in = "pausable" if module == "pausable.errors" else module  # whence users import them
    assert names
    assert [name for name in names if f"{shown_in}.{name}" not in anchors] == []


def test_every_public_function_and_class_is_described(site):
    folder, _ = site
    text = "".join(path.read_text() for path in (folder / "reference").glob("*.html"))
    silent = re.findall(
        r'<h\d id="([^"]+)" class="doc doc-heading">(?:(?!<h\d ).)*?'
        r'<div class="doc doc-contents ?[a-z]*">\s*</div>',
        text,
        re.DOTALL,
    )
    assert silent  # constants, whose value says it
    for path in silent:
        module, _, name = path.rpartition(".")
        assert module not in MODULES or not callable(getattr(importlib.import_module(module), name))


def test_every_module_with_public_names_is_listed_here():
    modules = {
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "src").rglob("*.py")
        if not re.search(r"/_[a-z]|/cli/|__main__", str(path.relative_to(ROOT)))
    }
    assert modules - {"pausable.loops"} == set(MODULES)  # that one has nothing for users
    assert not hasattr(importlib.import_module("pausable.loops"), "__all__")
