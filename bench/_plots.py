"""Pictures of tables: bars for who costs what, lines for what grows with a number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from _measure import Absent
from _results import Row, Table, digits, is_ours, shown

__all__ = ["Absent", "picture"]

OURS, OURS_NATIVE, OTHERS = "#c8501e", "#7d1f2e", "#8fa3b5"
LINES = ("#3b6ea5", "#6a8f3c", "#8d5aa5", "#a58a3b", "#3b9a95", "#777777", "#b05a7a", "#4d4d4d")
UNITS = {"ns": "time", "KB": "KB", "/s": "per second", "": ""}


def pyplot() -> Any:
    try:
        import matplotlib as mpl
    except ImportError as exc:
        raise Absent(f"{exc} (it is in the dependency group `bench`)") from exc
    mpl.use("agg")
    # The same figures give the same file; text stays text.
    mpl.rcParams.update({"svg.hashsalt": "pausable", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot as plt

    return plt


def picture(table: Table, machine: dict, path: Path) -> None:
    """Draw a table into a file.

    Raises:
        Absent: matplotlib is not here.
    """
    plt = pyplot()
    figure = (lines if table.plot == "lines" else bars)(plt, table)
    where = f"{machine.get('python', '?')}, {machine.get('cores', '?')} cores"
    figure.suptitle(f"{table.title} ({where})", fontsize=10.5)
    metadata = {"Date": None} if path.suffix == ".svg" else None
    figure.savefig(path, dpi=110, metadata=metadata)
    plt.close(figure)


def bars(plt: Any, table: Table) -> Any:
    """One panel per column, all of one scale."""
    whos, whats = table.names()
    smallest, largest = bounds([row.figure(table) for row in table.rows])
    figure, panels = plt.subplots(
        1, len(whats), figsize=(2.4 + 2.9 * len(whats), 1.3 + 0.27 * len(whos)),
        sharex=True, sharey=True, squeeze=False, layout="constrained",
    )  # fmt: skip
    for panel, what in zip(panels[0], whats, strict=True):
        rows = [table.row(who, what) for who in whos]
        values = [row.figure(table) if row is not None else 0 for row in rows]
        colours = [colour(who) or (OURS if is_ours(what) else OTHERS) for who in whos]
        panel.barh(range(len(whos)), values, color=colours)
        panel.set_yticks(range(len(whos)), whos)
        panel.set_title(what, fontsize=9)
        panel.set_xscale("log")
        panel.set_xlim(smallest / 3, largest * 40)
        for place, row in enumerate(rows):
            label = "-" if row is None else label_of(row, table)
            at = values[place] or smallest / 3
            panel.text(at * 1.1, place, label, va="center", fontsize=7.5)
        panel.set_xlabel(f"{UNITS.get(table.unit, table.unit)}, log scale", fontsize=8)
        panel.xaxis.set_major_formatter(lambda value, _place: shown_short(value, table.unit))
        panel.tick_params(axis="x", labelsize=7)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0][0].invert_yaxis()
    return figure


def colour(who: str) -> str | None:
    """Return the colour of one of ours, by its backend."""
    if not is_ours(who):
        return None
    return OURS_NATIVE if ", native" in who else OURS


def bounds(values: list[float]) -> tuple[float, float]:
    """Return the smallest and the largest that a log scale can show."""
    positive = [value for value in values if value > 0] or [1.0]
    return min(positive), max(positive)


def label_of(row: Row, table: Table) -> str:
    figure = shown(row.figure(table), table.unit)
    return figure if row.ratio is None else f"{figure} ({digits(row.ratio)}x)"


def shown_short(value: float, unit: str) -> str:
    if unit == "ns":
        for factor, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
            if value >= factor:
                return f"{value / factor:g} {name}"
        return f"{value:g} ns"
    return f"{value:g}"


def kind_of(who: str) -> str:
    """Return what is after the name: "Python" of "greenlet, Python" and "job, native, Python"."""
    return who.replace(", native", "").partition(", ")[2]


def number(what: str) -> float:
    return float(what.replace(",", ""))


def lines(plt: Any, table: Table) -> Any:
    """One line for each of whom, over the number in the columns' heads."""
    whos, whats = table.names()
    figure, panel = plt.subplots(figsize=(8.5, 4.6), layout="constrained")
    colours = iter(LINES * (1 + len(whos) // len(LINES)))
    kinds = [kind for who in whos if (kind := kind_of(who))]  # a style for each kind
    for who in whos:
        rows = [row for what in whats if (row := table.row(who, what)) is not None]
        kind = kind_of(who)
        style = ("-", "--", "-.", ":")[list(dict.fromkeys(kinds)).index(kind) % 4] if kind else "-"
        ours = is_ours(who)
        panel.plot(
            [number(row.what) for row in rows], [row.figure(table) for row in rows], style,
            marker="o", markersize=5 if ours else 3.5, linewidth=2.2 if ours else 1.3,
            color=colour(who) or next(colours), label=who, zorder=3 if ours else 2,
        )  # fmt: skip
    places = [number(what) for what in whats]
    if min(places) > 0:
        panel.set_xscale("log")
    else:
        panel.set_xscale("symlog", linthresh=min(place for place in places if place) / 2)
    panel.set_yscale("log")
    panel.set_xticks(places, whats)
    panel.xaxis.set_minor_locator(plt.NullLocator())
    panel.set_xlabel(table.axis)
    panel.set_ylabel(f"{UNITS.get(table.unit, table.unit)} each, log scale")
    panel.yaxis.set_major_formatter(lambda value, _place: shown_short(value, table.unit))
    panel.grid(visible=True, axis="y", color="#dddddd", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8, frameon=False)
    return figure
