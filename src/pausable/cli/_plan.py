"""Which file gets its result where; refused as a whole if that is not clear."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pausable.cli._outcome import Outcome
from pausable.cli._output import Refusal, shown

__all__ = ["Plan", "Task", "plan_certificates", "plan_signatures", "refuse_overwriting"]

#: How files with certificate requests are named.
_REQUESTS = (".csr", ".pem", ".req")


@dataclass(frozen=True)
class Task:
    """A file, and where its result goes."""

    path: Path
    target: Path


@dataclass(frozen=True)
class Plan:
    """What is to be done, and the files to leave out, with the reason."""

    tasks: Sequence[Task]
    left_out: Sequence[Outcome]


class _Canonical:
    """Says which directory entry a path means, so that two spellings of it compare equal."""

    def __init__(self) -> None:
        self._parents: dict[Path, Path] = {}

    def __call__(self, path: Path) -> Path:
        parent = path.parent
        if parent not in self._parents:
            self._parents[parent] = Path(os.path.realpath(parent))  # resolve() fails on loops
        return self._parents[parent] / path.name


def plan_signatures(paths: Iterable[str], out: Path | None, key: Path) -> Plan:
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
    tasks = _pair(
        files.values(),
        lambda path: (path.parent if out is None else out) / f"{path.name}.sig",
        canonical,
        "signed",
        "sign them in two runs, with an --out each",
    )
    refuse_overwriting(tasks, {key: "the key"}, "the signature of a file")
    if out is not None:
        _make_directory("--out", out)
    reason = "is the signature of another file"
    return Plan(
        [task for task in tasks.values() if canonical(task.path) not in tasks],
        [
            Outcome(task.path, "skipped", None, reason)
            for task in tasks.values()
            if canonical(task.path) in tasks
        ],
    )


def plan_certificates(folder: Path, out: Path, own: Mapping[Path, str]) -> Plan:
    """Pair each request in a folder with its certificate's place: OUT/<name>.crt.

    Args:
        folder: with the requests, *.csr, *.pem or *.req.
        out: where the certificates go; made if it is missing.
        own: the CA's files, which are left out, and what they are called.

    Raises:
        Refusal: there are no requests, two would get the same certificate file, or one of the CA's
            files would be overwritten; nothing was done.
    """
    canonical = _Canonical()
    owned = {Path(os.path.realpath(path)): what for path, what in own.items()}
    left_out, requests = [], []
    for path in _list_requests(folder):
        what = owned.get(Path(os.path.realpath(path)))
        if what is None:
            requests.append(path)
        else:
            left_out.append(Outcome(path, "skipped", None, f"is {what}"))
    if not requests:
        raise Refusal(
            f"--csr-dir {shown(folder)} has no requests; they have to be files *.csr, *.pem or"
            " *.req in it"
        )
    tasks = _pair(
        requests, lambda path: out / f"{path.stem}.crt", canonical, "certified", "rename one"
    )
    refuse_overwriting(tasks, own, "the certificate for a request")
    _make_directory("--out-dir", out)
    return Plan(list(tasks.values()), left_out)


def refuse_overwriting(targets: Iterable[Path], own: Mapping[Path, str], result: str) -> None:
    """Refuse to write over a file that the run reads.

    Args:
        targets: where results go.
        own: files, and what they are called.
        result: what would be written.
    """
    canonical = _Canonical()
    places = set(map(canonical, targets))
    for path, what in own.items():
        if not places.isdisjoint({canonical(path), Path(os.path.realpath(path))}):
            raise Refusal(f"{result} would overwrite {what} {shown(path)}; rename {what}")


def _pair(
    paths: Iterable[Path],
    target_of: Callable[[Path], Path],
    canonical: _Canonical,
    done: str,
    remedy: str,
) -> dict[Path, Task]:
    """Return the tasks, by their targets' canonical names."""
    tasks: dict[Path, Task] = {}
    for path in paths:
        target = target_of(path)
        place = canonical(target)
        if place in tasks:
            raise Refusal(
                f"{shown(tasks[place].path)} and {shown(path)} would both be {done} in"
                f" {shown(target)}; {remedy}"
            )
        tasks[place] = Task(path, target)
    return tasks


def _list_requests(folder: Path) -> list[Path]:
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.suffix in _REQUESTS and not path.name.startswith(".")
        )
    except OSError as exc:
        raise Refusal(
            f"--csr-dir {shown(folder)} cannot be listed: {exc.strerror}; name the directory with"
            " the requests"
        ) from exc


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


def _make_directory(option: str, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise Refusal(
            f"{option} {shown(out)} cannot be made a directory: {exc.strerror}; name another"
        ) from exc
    if not os.access(out, os.W_OK | os.X_OK):
        raise Refusal(f"{option} {shown(out)} cannot be written to; name another")
