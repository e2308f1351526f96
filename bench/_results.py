"""Results: tables of figures with their spread, as they are printed, written and read again.

One file per script, `bench/results/NAME.json`:

    {"name", "about", "command", "when", "machine": {...}, "absent": {who: why},
     "tables": [{"title", "unit", "ratio", "worse", "plot", "axis", "note", "figure", "tells",
         "rows": [{"who", "what", "best", "median", "rounds", "ratio", "low", "high", "goal"}]}]}

`best` and `median` are in the table's unit (times are always ns). `ratio` is one of the best
figures, or of the medians, as the table's `figure` says; `low` and `high` are the range of what
each quarter of the rounds says alone.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "pausable", "greenlet", "gevent", "eventlet", "greenback", "greenletio", "sqlalchemy",
    "asgiref", "anyio", "trio", "uvloop", "distributed", "cryptography",
)  # fmt: skip

PARTS = 4  # of a run, for its noise
OURS = "its cost / ours"  # more than 1: ours is cheaper


@dataclass
class Row:
    who: str
    what: str
    best: float
    median: float
    rounds: int
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    goal: str | None = None  # of the ratio: ">= 6"; of the figure itself: "<= 4.5 KB"

    def figure(self, table: Table) -> float:
        return self.median if table.figure == "median" else self.best

    def met(self) -> bool | None:
        """Tell whether the goal is met; None if there is none."""
        if self.goal is None:
            return None
        relation, limit, *unit = self.goal.split()
        is_now = self.best if unit else self.ratio
        if is_now is None:
            return None
        return is_now >= float(limit) if relation == ">=" else is_now <= float(limit)

    def against_goal(self) -> str:
        """Return how the goal is met or missed, as text; close to it a digit more matters."""
        unit = self.goal.split()[2:]
        is_now = f"{self.best:.4g} {unit[0]}" if unit else f"{self.ratio:.3g}x"
        return f"{self.who}, {self.what}: {is_now}, goal {self.goal}{'' if unit else 'x'}"


@dataclass
class Table:
    title: str
    unit: str = "ns"
    ratio: str = OURS
    worse: str | None = "lower"  # which way a ratio gets worse; None: nobody compares it
    plot: str | None = "bars"  # "bars", "lines" over the number that `what` begins with, None
    axis: str = ""  # what that number counts
    note: str = ""
    figure: str = "best"  # or "median": what is shown, and what ratios are of
    tells: str = "missed"  # or "all": which goals are listed
    rows: list[Row] = field(default_factory=list)

    def add(
        self,
        who: str,
        what: str,
        figures: Sequence[float],
        ratio: tuple[float, float, float] | None = None,
        goal: str | None = None,
    ) -> Row:
        best = max(figures) if self.unit == "/s" else min(figures)
        row = Row(who, what, best, statistics.median(figures), len(figures), goal=goal)
        if ratio is not None:
            row.ratio, row.low, row.high = ratio
        self.rows.append(row)
        return row

    def names(self) -> tuple[list[str], list[str]]:
        """Return who is in it, and what, in order."""
        return list(dict.fromkeys(r.who for r in self.rows)), list(
            dict.fromkeys(r.what for r in self.rows)
        )

    def row(self, who: str, what: str) -> Row | None:
        return next((row for row in self.rows if (row.who, row.what) == (who, what)), None)


def is_ours(who: str) -> bool:
    return who.startswith(("job", "pausable", "BatchEngine", "engine", "future", "waker"))


def backend_of(who: str) -> str:
    """Return the backend of one of ours; what others measure needs none."""
    return "native" if who.endswith(", native") else "greenlet"


def ratio_of(
    top: Sequence[float], bottom: Sequence[float], of: str = "best"
) -> tuple[float, float, float]:
    """Return top / bottom, which were taken in turns, and the range of what parts of the run say.

    The range is the noise of just this kind of ratio: that of single rounds would be much wider.
    """
    middle = min if of == "best" else statistics.median
    ratio = middle(top) / middle(bottom)
    size = -(-len(top) // PARTS)
    starts = range(0, len(top), size)
    parts = [middle(top[i : i + size]) / middle(bottom[i : i + size]) for i in starts]
    return ratio, min(ratio, *parts), max(ratio, *parts)


@dataclass
class Results:
    name: str
    about: str
    command: str
    when: str = ""
    machine: dict = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)

    def table(self, title: str, **options: str | None) -> Table:
        self.tables.append(Table(title, **options))
        return self.tables[-1]

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def read(path: Path) -> Results:
    """Return what is in a result file.

    Raises:
        ValueError: it is none.
    """
    try:
        data = json.loads(path.read_text())
        tables = [
            Table(**{**table, "rows": [Row(**row) for row in table["rows"]]})
            for table in data.pop("tables")
        ]
        return Results(**data, tables=tables)
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        raise ValueError(f"{path} is no result file of bench/: {exc!r}") from exc


def read_all(where: Path) -> dict[str, Results]:
    """Return the results in a file or a folder, by name.

    Raises:
        ValueError: there are none.
        OSError: it cannot be read.
    """
    paths = sorted(where.glob("*.json")) if where.is_dir() else [where]
    if not paths:
        raise ValueError(f"{where} has no result files (*.json); run `make bench` first")
    found = map(read, paths)
    return {results.name: results for results in found}


def machine() -> dict:
    """Return what the figures were taken on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            pass
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "versions": versions,
    }


# -- as text ---------------------------------------------------------------------------------------


def shown(value: float, unit: str) -> str:
    """Return a figure as people read it, three digits of it."""
    if unit == "ns":
        for factor, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
            if abs(value) >= factor:
                return f"{digits(value / factor)} {name}"
        return f"{value:.0f} ns"
    if unit == "KB" and abs(value) >= 1024:
        return f"{digits(value / 1024)} MB"
    if unit in {"", "/s"}:
        return f"{value:,.0f}{unit}"
    return f"{digits(value)} {unit}"


def digits(value: float) -> str:
    decimals = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{decimals}f}"


def cell(table: Table, who: str, what: str) -> str:
    """Return the ratio first, then the figure."""
    row = table.row(who, what)
    if row is None:
        return "-"
    figure = shown(row.figure(table), table.unit)
    return figure if row.ratio is None else f"{digits(row.ratio)}x  {figure}"


def goals(table: Table) -> list[str]:
    """Return how many goals of a table are met, and a line for each that is not, or for all."""
    aimed = [row for row in table.rows if row.met() is not None]
    missed = [row for row in aimed if not row.met()]
    if not aimed:
        return []
    met = [row for row in aimed if row.met()] if table.tells == "all" else []
    return [
        f"{len(aimed) - len(missed)} of {len(aimed)} goals met",
        *(f"met: {row.against_goal()}" for row in met),
        *(f"MISSED: {row.against_goal()}" for row in missed),
    ]


def print_table(table: Table) -> None:
    whos, whats = table.names()
    cells = {who: [cell(table, who, what) for what in whats] for who in whos}
    first = max(map(len, [table.title, *whos])) + 2
    widths = [
        max(len(what), *(len(row[i]) for row in cells.values())) + 3 for i, what in enumerate(whats)
    ]
    heads = "".join(what.rjust(width) for what, width in zip(whats, widths, strict=True))
    print(f"{table.title:{first}}{heads}")
    for who, row in cells.items():
        texts = "".join(text.rjust(width) for text, width in zip(row, widths, strict=True))
        print(f"  {who:{first - 2}}{texts}")
    if any(row.ratio is not None for row in table.rows):
        print(f"  x: {table.ratio}")
    for line in goals(table):
        print(f"  {line}")
    print(flush=True)


def machine_line(facts: dict) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return f"{facts['python']}, {facts['cores']} cores, {facts['system']}; {versions}"
