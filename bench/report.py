"""Make pictures and one Markdown table of the results of bench/.

    python bench/report.py [FOLDER] [--format png|svg]

Reads FOLDER/*.json (default: bench/results) and writes FOLDER/results.md and a picture per table.
Without matplotlib there is the Markdown alone, and it says so.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from _plots import Absent, picture
from _results import RESULTS, Results, Table, cell, goals, machine_line, read_all


def markdown_table(table: Table) -> list[str]:
    whos, whats = table.names()
    lines = [f"| | {' | '.join(whats)} |", "|---" * (len(whats) + 1) + "|"]
    for who in whos:
        cells = [cell(table, who, what).replace("  ", ", ") for what in whats]
        lines.append(f"| {who} | {' | '.join(cells)} |")
    return lines


def markdown(found: dict[str, Results], pictures: dict[str, str]) -> str:
    """Return the whole page."""
    lines = ["# Results", ""]
    for name, results in found.items():
        lines += [f"## {name}", "", f"{results.about} `{results.command}`, {results.when}.", ""]
        lines += [f"{machine_line(results.machine)}.", ""]
        for table in results.tables:
            lines += [f"### {table.title}", ""]
            if table.note:
                lines += [table.note, ""]
            lines += markdown_table(table) + [""]
            if any(row.ratio is not None for row in table.rows):
                lines += [f"x: {table.ratio}; then the {table.figure}.", ""]
            lines += [f"* {line}" for line in goals(table)] + [""]
            if (key := file_name(name, table)) in pictures:
                lines += [f"![{table.title}]({pictures[key]})", ""]
        lines += [f"* {who} is absent: {why}" for who, why in results.absent.items()] + [""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def file_name(name: str, table: Table) -> str:
    return f"{name}-{re.sub(r'[^a-z0-9]+', '-', table.title.lower()).strip('-')}"


def draw(found: dict[str, Results], folder: Path, form: str) -> dict[str, str]:
    """Draw each table; return {its name: the picture's file name}."""
    pictures = {}
    for name, results in found.items():
        for table in results.tables:
            if table.plot is not None and table.rows:
                key = file_name(name, table)
                picture(table, results.machine, folder / f"{key}.{form}")
                pictures[key] = f"{key}.{form}"
    return pictures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=RESULTS, metavar="FOLDER")
    parser.add_argument("--format", choices=("png", "svg"), default="png", help="of the pictures")
    options = parser.parse_args()
    try:
        found = read_all(options.folder)
    except (OSError, ValueError) as exc:
        parser.error(str(exc))
    folder = options.folder if options.folder.is_dir() else options.folder.parent
    try:
        pictures = draw(found, folder, options.format)
    except Absent as exc:
        print(f"no pictures: {exc}", file=sys.stderr)
        pictures = {}
    page = folder / "results.md"
    page.write_text(markdown(found, pictures))
    print(f"{page} and {len(pictures)} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
