"""What every script of bench/ does around its measurements."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from _results import Results, machine, machine_line, print_table

Part = Callable[[argparse.Namespace, Results], None]

wrong: list[str] = []
MAX_SHOWN = 10


def expect(true: bool, what: str) -> None:
    """Note a wrong result: a benchmark of what does not work is worth nothing."""
    if not true:
        wrong.append(what)


def parser_of(doc: str, parts: Iterable[str] = ()) -> argparse.ArgumentParser:
    """Return a parser with the options of all scripts, and one for each part."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    for part in parts:
        parser.add_argument(f"--{part}", action="store_true", help=f"only the {part} part")
    parser.add_argument("--quick", action="store_true", help="fewer of everything")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to a file too")
    return parser


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def rounds_option(parser: argparse.ArgumentParser, default: int, quick: int) -> None:
    parser.add_argument(
        "--rounds",
        type=positive,
        help=f"repetitions, taken in turns (default: {default}, quick: {quick})",
    )
    parser.set_defaults(usual_rounds=(default, quick))


def run(name: str, parser: argparse.ArgumentParser, parts: dict[str, Part]) -> int:
    """Run the parts that are asked for, all if none is; return the exit code.

    That is 1 if a result was wrong, never for a missed goal.
    """
    options = parser.parse_args()
    if getattr(options, "rounds", 0) is None:
        options.rounds = options.usual_rounds[options.quick]
    if options.json is not None:
        try:
            options.json.parent.mkdir(parents=True, exist_ok=True)
        except OSError as exc:  # now, not when all is measured
            parser.error(f"--json: {exc}")
    results = Results(
        name=name,
        about=parser.description or "",
        command=" ".join([*_backend(), "python", f"bench/{name}.py", *_without_json(sys.argv[1:])]),
        when=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        machine=machine(),
    )
    print(f"{machine_line(results.machine)}\n", flush=True)
    asked = [part for part in parts if getattr(options, part, False)]
    for part in asked or parts:
        before = len(results.tables)
        parts[part](options, results)
        for table in results.tables[before:]:
            print_table(table)
    for who, why in results.absent.items():
        print(f"{who} is absent: {why}")
    if options.json is not None:
        try:
            results.write(options.json)
        except OSError as exc:
            expect(False, f"the results cannot be written: {exc}")
    for what in wrong[:MAX_SHOWN]:
        print(f"WRONG: {what}", file=sys.stderr)
    return 1 if wrong else 0


def _backend() -> list[str]:
    """Return what chooses the backend of this process, if somebody did."""
    wish = os.environ.get("PAUSABLE_BACKEND")
    return [f"PAUSABLE_BACKEND={wish}"] if wish else []


def _without_json(arguments: list[str]) -> list[str]:
    kept, skip = [], False
    for argument in arguments:
        if not skip and argument != "--json" and not argument.startswith("--json="):
            kept.append(argument)
        skip = argument == "--json"
    return kept
