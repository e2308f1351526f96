"""Results as a picture, with matplotlib (extra `plot`), which is imported here alone."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from pausable.cli._files import write_atomically
from pausable.cli._outcome import reason_of
from pausable.cli._output import Refusal, say, shown
from pausable.cli.speed._report import Report
from pausable.cli.speed._result import WAYS, Figures, Result, cases, knee_of
from pausable.cli.speed._ways import DEFAULT_THREADS

__all__ = ["Plot"]

_SUFFIXES: Final = {".png", ".svg", ".pdf"}

#: Colours of Okabe and Ito, which people see apart whatever their eyes; and markers besides.
_STYLES: Final[dict[str, dict[str, Any]]] = {
    "pausable": {"color": "#0072B2", "marker": "o", "linewidth": 2.4, "zorder": 5},
    "blocking": {"color": "#555555", "linestyle": (0, (4, 3)), "linewidth": 1.4},
    "thread": {"color": "#D55E00", "marker": "s", "linewidth": 1.4},
    "to_thread": {"color": "#E69F00", "marker": "^", "linewidth": 1.4},
    "to_thread_wide": {"color": "#009E73", "marker": "D", "linewidth": 1.4},
}

#: Of a sweep's picture: what the panels of a case show, and how its axis is labelled.
_PANELS: Final[Sequence[tuple[str, Callable[[Figures], float], bool]]] = (
    ("operations per second", lambda figures: figures.per_s, False),
    ("longest stall of\nthe event loop, ms", lambda figures: figures.stall_s * 1000, True),
    ("time per operation, ms\n(median)", lambda figures: figures.p50_s * 1000, True),
)

#: More beside each other are too small to read.
_MAX_BESIDE: Final = 3


class Plot:
    """A picture that will be made.

    Args:
        target: its file.

    Raises:
        Refusal: it cannot be made.
    """

    def __init__(self, target: Path) -> None:
        try:
            import matplotlib.figure  # noqa: F401
        except ModuleNotFoundError as exc:
            raise Refusal(f"--plot needs {exc.name}: pip install 'pausable[plot]'") from exc
        if target.suffix.lower() not in _SUFFIXES:
            raise Refusal(f"--plot {shown(target)}: end the name in .png, .svg or .pdf")
        if target.is_dir():
            raise Refusal(f"--plot {shown(target)} is a directory; name a file in it")
        folder = target.parent
        if not folder.is_dir():
            raise Refusal(f"--plot {shown(target)}: there is no directory {shown(folder)}; make it")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise Refusal(
                f"--plot {shown(target)}: directory {shown(folder)} cannot be written to; choose"
                " another one"
            )
        self._target = target

    def save(self, report: Report) -> bool:
        """Draw the report and write it, whole or not at all; say so if that fails."""
        image = io.BytesIO()
        figure = _sweep(report) if report.sweep else _bars(report)
        figure.savefig(image, format=self._target.suffix[1:].lower(), dpi=120)
        try:
            write_atomically(self._target, image.getvalue())
        except OSError as exc:
            say(f"pausable: {shown(self._target)} cannot be written: {reason_of(exc)}", err=True)
            return False
        return True


# -- a sweep ---------------------------------------------------------------------------------------


def _sweep(report: Report) -> Any:
    """Return a picture with three panels, one below the other, for each case."""
    found = cases(report.results)
    beside = min(len(found), _MAX_BESIDE)
    rows = math.ceil(len(found) / beside)
    figure = _new_figure(max(6.4, 5.2 * beside), 1.3 + 8.2 * rows)
    _entitle(figure, report)
    body = figure.subfigures(rows, beside, squeeze=False)
    for case, part in zip(found, body.flat, strict=False):
        _draw_case(part, case)
    return figure


def _draw_case(part: Any, case: list[Result]) -> None:
    knee = knee_of(case)
    panels = part.subplots(
        len(_PANELS), 1, sharex=True, gridspec_kw={"height_ratios": (1.25, 1, 1)}
    )
    for axes, (label, value, logarithmic) in zip(panels, _PANELS, strict=True):
        for way in WAYS:
            _draw_way(axes, case, way, value)
        axes.set_xscale("log", base=2)
        if logarithmic:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(_plain)
        axes.set_ylabel(label)
        axes.grid(visible=True, color="#dddddd", linewidth=0.7)
        if knee is not None:
            axes.axvline(knee.jobs, color="#000000", linewidth=1, linestyle=":")
    counts = sorted({result.jobs for result in case if result.way == "pausable"})
    panels[-1].set_xticks(counts, [str(count) for count in counts])
    panels[-1].minorticks_off()
    panels[-1].set_xlabel("operations under way at once")
    panels[0].set_title(case[0].title, fontweight="bold")
    if knee is not None:
        panels[0].annotate(
            f"knee: {knee.jobs} jobs\n{knee.per_s:,.0f} per second",
            (knee.jobs, knee.per_s),
            (-12, -8),
            textcoords="offset points",
            ha="right",
            va="top",
        )


def _draw_way(axes: Any, case: list[Result], way: str, value: Callable[[Figures], float]) -> None:
    points = [
        (result.jobs, value(result.figures))
        for result in case
        if result.way == way and isinstance(result.figures, Figures)
    ]
    if not points:
        return
    if way == "blocking":  # one at a time, however many want it
        axes.axhline(points[0][1], **_STYLES[way])
    else:
        axes.plot(*zip(*points, strict=True), markersize=5, **_STYLES[way])


# -- one number of jobs ----------------------------------------------------------------------------


def _bars(report: Report) -> Any:
    """Return a picture with bars for each case: operations per second, and stalls."""
    found = cases(report.results)
    ways = [way for way in WAYS if any(result.way == way for result in report.results)]
    figure = _new_figure(11, 1.8 + len(found) * (0.35 + 0.21 * len(ways)))
    _entitle(figure, report)
    panels = figure.subplots(1, 2, sharey=True)
    height = 0.84 / len(ways)
    for axes, (label, value, _logarithmic) in zip(panels, _PANELS, strict=False):
        for number, way in enumerate(ways):
            points = [
                (place + (number - (len(ways) - 1) / 2) * height, value(result.figures))
                for place, case in enumerate(found)
                for result in case
                if result.way == way and isinstance(result.figures, Figures)
            ]
            if points:
                bars = axes.barh(*zip(*points, strict=True), height, color=_STYLES[way]["color"])
                axes.bar_label(bars, fmt=_plain, padding=3, fontsize=8)
        axes.set_xscale("log")
        axes.margins(x=0.15)
        axes.xaxis.set_major_formatter(_plain)
        axes.set_xlabel(label.replace("\n", " "))
        axes.grid(visible=True, axis="x", color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
    jobs = [max(result.jobs for result in case) for case in found]
    titles = [f"{case[0].title}\n{count} at once" for case, count in zip(found, jobs, strict=True)]
    panels[0].set_yticks(range(len(found)), titles)
    panels[0].invert_yaxis()
    return figure


# -- both ------------------------------------------------------------------------------------------


def _new_figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure  # without pyplot: no window, no state

    return Figure(figsize=(width, height), layout="constrained")


def _entitle(figure: Any, report: Report) -> None:
    from matplotlib.lines import Line2D

    figure.suptitle(f"pausable speed\n{report.conditions.replace('; ', chr(10))}", fontsize=11)
    ways = [way for way in WAYS if any(result.way == way for result in report.results)]
    handles = [Line2D([], [], label=_label(way), **_STYLES[way]) for way in ways]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)


def _label(way: str) -> str:
    return {
        "blocking": "blocking calls, one by one",
        "to_thread": f"asyncio.to_thread, {DEFAULT_THREADS} threads (default)",
        "to_thread_wide": "asyncio.to_thread, as many threads as the engine",
    }.get(way, WAYS[way])


def _plain(value: float, _position: object = None) -> str:
    """Return a number for an axis, without powers of ten."""
    if value >= 1_000_000:
        return f"{value / 1_000_000:g}M"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
