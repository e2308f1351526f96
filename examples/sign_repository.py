"""Sign this repository's files with a key that is far away: one at a time, then 64 in flight.

    make run

The key is a new one, in a temporary folder; a sleep of 20 ms before each operation stands in for
the way to an HSM or a cloud's key service. `openssl` verifies every signature. Nothing is left
behind, and nothing is written to the repository.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

LATENCY_MS = 20
JOBS = 64
REPOSITORY = Path(__file__).resolve().parent.parent

#: Folders that tools make, for a copy of the repository without git.
NOT_OURS = {"__pycache__", "build", "dist"}


def main() -> int:
    """Sign all, twice, and tell what happened."""
    if shutil.which("openssl") is None:
        print("This example needs the program openssl; install it first.", file=sys.stderr)
        return 2
    files = repository_files()
    print(
        f"{len(files)} files of {REPOSITORY.name} are to be signed (ECDSA P-256); each use of the"
    )
    print(f"key takes {LATENCY_MS} ms, as if it were in an HSM or at a cloud's key service.\n")
    with tempfile.TemporaryDirectory(prefix="pausable-") as folder:
        key, public_key = make_key(Path(folder))
        links = link_all(files, Path(folder, "files"))
        one = sign(key, links, Path(folder, "one"), jobs=1)
        print(f"One at a time:    {one['elapsed_s']:6.2f} s, {one['signed']} files signed")
        many = sign(key, links, Path(folder, "many"), jobs=JOBS)
        print(f"{JOBS} in flight:     {many['elapsed_s']:6.2f} s, {many['signed']} files signed")
        faster = one["elapsed_s"] / many["elapsed_s"]
        print(
            f"\nThat is {faster:.0f} times as fast. All files were handled on"
            f" {many['threads_running_jobs']} thread, with up to {many['most_paused_at_once']} jobs"
            " paused at once\nwhile other threads stood in for the key."
        )
        signed = [(x, Path(folder, run, f"{x.name}.sig")) for run in ("one", "many") for x in links]
        valid = count_valid(public_key, signed)
    print(f"openssl says that {valid} of {len(signed)} signatures are valid.")
    return 0 if valid == len(signed) else 1


def repository_files() -> list[Path]:
    """Return the files under version control; without git, all but the hidden ones."""
    command = ["git", "-C", str(REPOSITORY), "ls-files", "-z"]
    try:
        done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        names = []
    else:
        names = os.fsdecode(done.stdout).split("\0")
    paths = [REPOSITORY / name for name in names if name] or [
        path for path in REPOSITORY.rglob("*") if is_ours(path.relative_to(REPOSITORY))
    ]
    return sorted(path for path in paths if path.is_file())


def is_ours(path: Path) -> bool:
    """Tell whether a path in the repository is neither hidden nor made by a tool."""
    return not any(part.startswith(".") or part in NOT_OURS for part in path.parts)


def link_all(files: Sequence[Path], folder: Path) -> list[Path]:
    """Give each file a name of its own in one folder, for many are called __init__.py."""
    folder.mkdir()
    links = []
    for path in files:
        link = folder / str(path.relative_to(REPOSITORY)).replace("/", "%")
        link.symlink_to(path)
        links.append(link)
    return links


def make_key(folder: Path) -> tuple[Path, Path]:
    """Make a key pair in PEM files."""
    key, public_key = folder / "key.pem", folder / "pub.pem"
    curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    openssl("genpkey", *curve, "-out", str(key))
    openssl("pkey", "-in", str(key), "-pubout", "-out", str(public_key))
    return key, public_key


def sign(key: Path, files: Sequence[Path], out: Path, *, jobs: int) -> dict[str, Any]:
    """Run `pausable sign` and return its report."""
    command = [sys.executable, "-m", "pausable", "sign", "--json", "--key", str(key)]
    command += ["--jobs", str(jobs), "--latency-ms", str(LATENCY_MS), "--out", str(out)]
    command += ["--", *map(str, files)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)  # noqa: S603
    if done.returncode == 2:
        sys.exit(2)  # it has said why
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def count_valid(public_key: Path, signed: Sequence[tuple[Path, Path]]) -> int:
    """Have `openssl` verify each signature."""

    def is_valid(pair: tuple[Path, Path]) -> bool:
        path, signature = map(str, pair)
        options = ["-sha256", "-verify", str(public_key), "-signature", signature, path]
        return openssl("dgst", *options, check=False) == 0

    with ThreadPoolExecutor() as executor:
        return sum(executor.map(is_valid, signed))


def openssl(*args: str, check: bool = True) -> int:
    """Run openssl in silence and return its exit code."""
    command = ["openssl", *args]
    return subprocess.run(command, capture_output=True, check=check).returncode  # noqa: S603


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
