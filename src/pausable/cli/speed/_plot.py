"""Results as a picture, with matplotlib (extra `plot`), which is imported here alone."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
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

#: What the panels show, and how its axis is labelled. The log scale of the second keeps a loop that
#: stands still for seconds from hiding the others; it has no zero, and a tenth of a ms is luck.
_PANELS: Final[Sequence[tuple[str, Callable[[Figures], float]]]] = (
    ("operations per second\n(more is better)", lambda figures: figures.per_s),
    (
        "longest stall of the event loop, ms\n(less is better)",
        lambda figures: max(figures.stall_s * 1000, 0.1),
    ),
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
            missing = str(exc.name).partition(".")[0]
            raise Refusal(f"--plot needs {missing}: pip install 'pausable[plot]'") from exc
        if target.suffix.lower() not in _SUFFIXES:
            raise Refusal(f"--plot {shown(target)}: end the name in .png, .svg or .pdf")
        if target.exists() and not target.is_file():
            raise Refusal(f"--plot {shown(target)} is no regular file; choose another name")
        try:
            TemporaryFile(dir=target.parent).close()
        except OSError as exc:
            raise Refusal(
                f"--plot {shown(target)}: directory {shown(target.parent)} cannot be written to"
                f" ({reason_of(exc)}); make it, or choose another one"
            ) from exc
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
    """Return a picture with two panels, one below the other, for each case."""
    found = cases(report.results)
    beside = min(len(found), _MAX_BESIDE)
    rows = math.ceil(len(found) / beside)
    figure = _new_figure(max(8.0, 6.0 * beside), 1.6 + 7.0 * rows)
    _entitle(figure, report)
    body = figure.subfigures(rows, beside, squeeze=False)
    for case, part in zip(found, body.flat, strict=False):
        _draw_case(part, case)
    return figure


def _draw_case(part: Any, case: list[Result]) -> None:
    from matplotlib.ticker import LogLocator

    part.suptitle(case[0].title, fontweight="bold")
    knee = knee_of(case)
    panels = part.subplots(len(_PANELS), 1, sharex=True)
    for axes, (label, value) in zip(panels, _PANELS, strict=True):
        for way in WAYS:
            _draw_way(axes, case, way, value)
        axes.set_xscale("log", base=2)
        axes.set_ylabel(label)
        axes.grid(visible=True, color="#dddddd", linewidth=0.7)
        if knee is not None:
            axes.axvline(knee.jobs, color="#000000", linewidth=1, linestyle=":")
    panels[0].set_ylim(bottom=0)
    panels[1].set_yscale("log")
    panels[1].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axes in panels:
        axes.yaxis.set_major_formatter(_plain)
    counts = sorted({result.jobs for result in case})
    panels[1].set_xticks(counts, [str(count) for count in counts])
    panels[1].minorticks_off()
    panels[1].set_xlabel("operations under way at once (jobs)")
    if knee is not None:
        text = f"knee: {knee.jobs} jobs, {knee.per_s:,.0f} per second"
        part_way = math.log(knee.jobs, max(counts))  # of the axis, so that the text stays above it
        panels[0].text(
            knee.jobs, 1.02, text,
            transform=panels[0].get_xaxis_transform(),
            ha="left" if part_way < 0.3 else "right" if part_way > 0.7 else "center",
        )  # fmt: skip


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
    for axes, (label, value) in zip(panels, _PANELS, strict=True):
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
        axes.margins(x=0.15, y=0.01)
        axes.xaxis.set_major_formatter(_plain)
        axes.set_xlabel(label)
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
