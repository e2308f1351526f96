"""Which file gets its signature where; refused as a whole if that is not clear."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pausable.cli._output import Refusal, shown

__all__ = ["Plan", "Task", "make_plan"]


@dataclass(frozen=True)
class Task:
    """A file, and where its signature goes."""

    path: Path
    target: Path


@dataclass(frozen=True)
class Plan:
    """What is to be done, and the files to leave out: each is the signature of another one."""

    tasks: Sequence[Task]
    left_out: Sequence[Path]


class _Canonical:
    """Says which directory entry a path means, so that two spellings of it compare equal."""

    def __init__(self) -> None:
        self._parents: dict[Path, Path] = {}

    def __call__(self, path: Path) -> Path:
        parent = path.parent
        if parent not in self._parents:
            self._parents[parent] = Path(os.path.realpath(parent))  # resolve() fails on loops
        return self._parents[parent] / path.name


def make_plan(paths: Iterable[str], out: Path | None, key: Path) -> Plan:
    """Pair each file with its signature's place: FILE.sig, or OUT/<name>.sig.

    A file that is named twice is signed once. A file that is itself the signature of another one
    (`pausable sign *`, the second time) is left out. `out` is made if it is missing.

    Raises:
        Refusal: a file does not exist, two files would get the same signature file, or
            the key would be overwritten; nothing was done.
    """
    canonical = _Canonical()
    files: dict[Path, Path] = {}
    for path in map(Path, paths):
        files.setdefault(canonical(path), path)
    _refuse_missing(list(files.values()))
    tasks: dict[Path, Task] = {}
    for path in files.values():
        target = (path.parent if out is None else out) / f"{path.name}.sig"
        place = canonical(target)
        if place in tasks:
            raise Refusal(
                f"{shown(tasks[place].path)} and {shown(path)} would both be signed in"
                f" {shown(target)}; sign them in two runs, with an --out each"
            )
        tasks[place] = Task(path, target)
    if canonical(key) in tasks or Path(os.path.realpath(key)) in tasks:
        raise Refusal(
            f"the signature of a file would overwrite the key {shown(key)}; rename the key"
        )
    if out is not None:
        _make_directory(out)
    return Plan(
        [task for task in tasks.values() if canonical(task.path) not in tasks],
        [task.path for task in tasks.values() if canonical(task.path) in tasks],
    )


def _refuse_missing(paths: Sequence[Path]) -> None:
    missing = [path for path in paths if not _exists(path)]
    if missing:
        more = f" (nor do {len(missing) - 1} others)" if len(missing) > 1 else ""
        raise Refusal(
            f"file {shown(missing[0])} does not exist{more}; nothing was signed, correct the name"
        )


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # it costs that file alone, when it is opened
    return True


def _make_directory(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise Refusal(
            f"--out {shown(out)} cannot be made a directory: {exc.strerror}; name another"
        ) from exc
    if not os.access(out, os.W_OK | os.X_OK):
        raise Refusal(f"--out {shown(out)} cannot be written to; name another")
