"""What pages tell you to type exists: subcommands, options, targets of make, scripts."""

import re
import shlex

import click
import pytest

from docs._support import PAGES, ROOT, blocks_of, name, outside_of_blocks
from pausable.cli._main import pausable_command

COMMANDS = pausable_command.commands


def typed(page):
    """Return what a reader may type: lines of shell and indented blocks, and code in text."""
    text = "\n".join(outside_of_blocks(page))
    shell = [block.text for block in blocks_of(page) if block.language == "shell"]
    found = "".join(shell).splitlines()
    found += re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    found += re.findall(r"`([^`\n]+)`", text)
    found = [re.sub(r'^eval "\$\((.*)\)"', r"\1", line) for line in found]
    return [part.strip() for line in found for part in re.split(r"\||&&", line)]


def words_after(command, page):
    for line in typed(page):
        if match := re.match(rf"(?:[A-Z_]+=\S+ )*{command}(?= |$)(.*)", line):
            yield shlex.split(match[1], comments=True)


def options_of(command):
    known = {option for param in command.params for option in param.opts}
    return known | set(command.context_settings.get("help_option_names", ())) | {"-h", "--help"}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_the_page_says_of_the_command_line_exists(page):
    for words in words_after(r"(?:python -m )?pausable", page):
        if not words or words[0] == "--version":
            continue
        assert words[0] in COMMANDS, words
        given = {
            word.partition("=")[0] for word in words[1:] if word.startswith("-") and word != "-"
        }
        assert given <= options_of(COMMANDS[words[0]]), words


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_targets_and_scripts_of_the_page_exist(page):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for words in words_after("make", page):
        assert [word for word in words if "=" not in word and word not in targets] == []
    for words in words_after(r"(?:\.venv/bin/)?python", page):
        if words and words[0].startswith(("bench/", "examples/", "scripts/", "tests/")):
            script = (ROOT / words[0]).read_text()
            options = [word for word in words if word.startswith("--")]
            assert [word for word in options if not re.search(rf"{word}\b", script)] == []


def test_the_command_page_has_every_option_of_every_command():
    page = (ROOT / "docs" / "reference" / "cli.md").read_text()
    header, *rows = re.findall(r"^\| (?:option|`-).*$", page, re.MULTILINE)
    columns = [cell.strip(" `") for cell in header.strip("|").split("|")]
    for command in ("sign", "issue-certs", "issue-tokens"):
        column = columns.index(command)
        cells = [row.strip("|").split("|") for row in rows]
        listed = {
            option
            for row in cells
            if row[column].strip()
            for option in re.findall(r"--[a-z-]+", row[0])
        }
        options = [each for each in COMMANDS[command].params if isinstance(each, click.Option)]
        assert listed == {each.opts[0] for each in options} - {"--help"}
        required = {
            option
            for row in cells
            if row[column].strip() == "**yes**"
            for option in re.findall(r"--[a-z-]+", row[0])
        }
        assert required == {each.opts[0] for each in options if each.required}
    assert set(re.findall(r"`pausable ([a-z-]+)", page)) >= set(COMMANDS)
