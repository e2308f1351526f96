"""Detached signatures: the job that gives one file its own.

Small files are read in place, for that is quicker than to have a thread do it.
"""

from __future__ import annotations

import os

from pausable.cli._files import open_regular, read_at_most
from pausable.cli._key_engine import KeyEngine
from pausable.cli._outcome import Outcome
from pausable.cli._plan import Task
from pausable.cli._result import make_result
from pausable.cli._run import Run
from pausable.cli._signing import SMALL_BYTES, Bytes, Signer

__all__ = ["DetachedSignatures"]

#: More than any signature has; what is larger need not be read to know that it is none.
_MAX_SIGNATURE_BYTES = 64 * 1024


class DetachedSignatures:
    """Makes signatures of files.

    Args:
        run: whose jobs do it.
        signer: what of a file is signed, and how.
        engine: what does the private-key operations.
    """

    def __init__(self, run: Run, signer: Signer, engine: KeyEngine) -> None:
        self._run = run
        self._signer = signer
        self._engine = engine

    def sign(self, task: Task) -> Outcome:
        """Sign one file, unless it is signed; what goes wrong costs this file alone.

        Pauses: while the key signs, and while the disk is slow.

        Raises:
            Interrupted: the run was stopped.
        """
        return make_result(self._run, task, "signed", lambda: self._make(task))

    def _make(self, task: Task) -> bytes | Outcome:
        if task.path.stat().st_size > SMALL_BYTES:
            message, is_signed = self._run.on_disk(self._look, task)
        else:
            message, is_signed = self._look(task)
        if is_signed:
            return Outcome(task.path, "skipped", task.target, "has a valid signature")
        return self._engine.sign(*self._signer.arguments(message))

    def _look(self, task: Task) -> tuple[Bytes, bool]:
        """Return what is to be signed, and whether it is signed already."""
        with open_regular(task.path) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            message = self._signer.read(file, size_bytes, self._run.check)
        signature = read_at_most(task.target, _MAX_SIGNATURE_BYTES)
        return message, signature is not None and self._signer.verify(message, signature)
