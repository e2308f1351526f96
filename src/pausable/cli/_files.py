"""Files: opened only if they are regular ones, written whole or not at all.

Rules of writing:

* A target is replaced by a rename, after its new content is on the disk; then the directory is
  synced, so that the rename is too. Killed at any moment, it leaves the old target or the new one.
* The temporary file has a name of its own for each target, the same in every run: what a killed
  run left is written over or removed by the next one, not left behind for ever.
* Two runs may write the same target at once: whoever has the temporary file's lock writes. The
  system drops the lock of a killed process. Whoever gets it checks that the file is still there
  under its name; if not, the other run has renamed or removed it, and a new one is made.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import FileIO
from pathlib import Path

__all__ = [
    "discard_stale",
    "open_regular",
    "read_at_most",
    "replacing",
    "temporary_name",
    "write_atomically",
]


def open_regular(path: Path) -> FileIO:
    """Open a regular file for reading; never wait for a writer, as on a named pipe.

    Raises:
        OSError: it cannot be opened, or is something else. `strerror` says what.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(21, "is a directory; name the files in it", str(path))
        if not stat.S_ISREG(mode):
            raise OSError(22, "is not a regular file", str(path))
        return FileIO(fd)
    except BaseException:
        os.close(fd)
        raise


def read_at_most(path: Path, size_bytes: int) -> bytes | None:
    """Return the begin of an existing result, or None if there is nothing that can be read."""
    try:
        with open_regular(path) as file:
            return file.read(size_bytes)
    except OSError:
        return None


def temporary_name(target: Path) -> Path:
    """Return the name under which `target` is written; short, however long the target's is."""
    digest = sha256(os.fsencode(target.name)).hexdigest()
    return target.with_name(f".pausable-{digest[:24]}.tmp")


def write_atomically(target: Path, content: bytes) -> None:
    """Make `content` the content of `target`, on the disk when this returns.

    Blocks on the disk. Threads: any, also for the same target.

    Raises:
        OSError: the disk is full, say. The target is as it was; no temporary file is left.
    """
    with replacing(target) as write:
        write(content)


@contextmanager
def replacing(target: Path) -> Iterator[Callable[[bytes], None]]:
    """Yield what writes the new content of `target`, which it gets when the block is over.

    Else as `write_atomically`, whatever the block raises.
    """
    temporary = temporary_name(target)
    fd = _open_locked(temporary)

    def write(content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]

    try:
        try:
            os.ftruncate(fd, 0)
            yield write
            os.fsync(fd)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    finally:
        os.close(fd)
    _sync_directory(target.parent)


def discard_stale(target: Path) -> None:
    """Remove the temporary file of `target` that a killed run left, if nobody is writing it."""
    temporary = temporary_name(target)
    try:
        fd = os.open(temporary, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(temporary, fd):
            temporary.unlink()
    except OSError:
        pass  # another run is writing it
    finally:
        os.close(fd)


def _open_locked(path: Path) -> int:
    """Open the file for writing, made if need be, when no other run has it."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if _is_at(path, fd):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _is_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
