"""Compare two results of bench/ and point at what got worse.

    python bench/compare.py OLD NEW [--threshold PERCENT]

OLD and NEW are result files, or folders of them (bench/results of two runs). Ratios are compared,
not times, so that it does not matter how fast the machine was; each ratio is of figures that were
taken in turns. Worse is what changed for the worse by more than the threshold, and by more than the
noise: the ranges of what each quarter of the two runs says are apart by half of that at least.

Repeat what is called worse: what threads cost depends on all else that the machine does meanwhile.

Exit code 1 if something got worse, 2 if there is nothing to compare.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from _results import OURS, Results, Row, is_ours, read_all


@dataclass
class Change:
    """One ratio, then and now."""

    where: str
    old: Row
    new: Row
    worse: str  # "higher" or "lower": which way is worse

    def percent(self) -> float:
        """Return by how many percent it got worse; negative: better."""
        factor = self.new.ratio / self.old.ratio
        return ((factor if self.worse == "higher" else 1 / factor) - 1) * 100

    def surely_percent(self) -> float:
        """Return how far the two ranges are apart at least, in percent; 0 if they overlap."""
        apart = max(self.new.low / self.old.high, self.old.low / self.new.high)
        return max(0.0, (apart - 1) * 100)

    def __str__(self) -> str:
        change = self.percent()
        text = f"{self.where}: {self.old.ratio:.3g}x -> {self.new.ratio:.3g}x"
        return f"{text}, {abs(change):.0f} % {'worse' if change > 0 else 'better'}"


Rows = dict[str, tuple[Row, str]]


def ratios(found: dict[str, Results]) -> Rows:
    """Return {where: (row, which way is worse)} of everything that can be compared."""
    rows = {}
    for name, results in found.items():
        for table in results.tables:
            for row in table.rows:
                if row.ratio and table.worse is not None:
                    where = f"{name}, {table.title}: {row.who}, {row.what}"
                    # Another face of ours, next to ours: it is to become cheaper, not dearer.
                    other_face = table.ratio == OURS and is_ours(row.who)
                    rows[where] = row, "higher" if other_face else table.worse
    return rows


def differences(old: dict[str, Results], new: dict[str, Results]) -> Iterator[str]:
    """Yield what differs in the machine and its software."""
    seen = set()
    for name in old.keys() & new.keys():
        for what, (before, after) in facts(old[name], new[name]).items():
            if before != after and what not in seen:
                seen.add(what)
                yield f"{what}: {before} -> {after}"


def facts(old: Results, new: Results) -> dict[str, tuple]:
    sides = [
        {**{k: v for k, v in machine.items() if k != "versions"}, **machine.get("versions", {})}
        for machine in (old.machine, new.machine)
    ]
    return {what: (sides[0].get(what), sides[1].get(what)) for what in {**sides[0], **sides[1]}}


def show(title: str, lines: list[str]) -> None:
    if lines:
        print(f"{title}:")
        for line in lines:
            print(f"  {line}")
        print()


def compare(old: dict[str, Results], new: dict[str, Results], threshold: float) -> int:
    before, after = ratios(old), ratios(new)
    common = [where for where in before if where in after]
    if not common:
        print("nothing to compare: the two have no figure in common", file=sys.stderr)
        return 2
    changes = [Change(where, before[where][0], *after[where]) for where in common]
    changes.sort(key=Change.percent, reverse=True)
    large = [change for change in changes if abs(change.percent()) > threshold]
    sure = [change for change in large if change.surely_percent() > threshold / 2]
    worse = [change for change in sure if change.percent() > 0]
    better = [change for change in sure if change.percent() < 0]
    missed = [
        f"{change.where}: {change.new.ratio:.3g}x, goal {change.new.goal}x"
        for change in changes
        if change.old.met() and change.new.met() is False
    ]
    show("What differs around them", sorted(differences(old, new)))
    show("WORSE", list(map(str, worse)))
    show("Better", list(map(str, reversed(better))))
    show("Goals that were met and are missed now", missed)
    show("Within the noise", [str(change) for change in large if change not in sure])
    show("Only in the old", [where for where in before if where not in after])
    show("Only in the new", [where for where in after if where not in before])
    print(
        f"{len(common)} ratios compared: {len(worse)} worse and {len(better)} better"
        f" by more than {threshold:g} % and the noise"
    )
    return 1 if worse else 0


def percentage(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path, metavar="OLD", help="a result file or a folder")
    parser.add_argument("new", type=Path, metavar="NEW", help="another one")
    parser.add_argument(
        "--threshold", type=percentage, default=10, metavar="PERCENT", help="(default: 10)"
    )
    options = parser.parse_args()
    try:
        old, new = read_all(options.old), read_all(options.new)
    except (OSError, ValueError) as exc:
        parser.error(str(exc))
    return compare(old, new, options.threshold)


if __name__ == "__main__":
    sys.exit(main())
