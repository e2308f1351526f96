"""Detached signatures: the job that gives one file its own.

Small files are read in place, for that is quicker than to have a thread do it.
"""

from __future__ import annotations

import os

from pausable.cli._files import discard_stale, open_regular, read_at_most, write_atomically
from pausable.cli._key_engine import KeyEngine
from pausable.cli._outcome import Outcome, deciding, reason_of
from pausable.cli._output import shown
from pausable.cli._plan import Task
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
        outcome = deciding(task.path, lambda: self._sign_unless_signed(task))
        if outcome.what != "signed":
            discard_stale(task.target)
        return outcome

    def _sign_unless_signed(self, task: Task) -> Outcome:
        if task.path.stat().st_size > SMALL_BYTES:
            message, is_signed = self._run.on_disk(self._look, task)
        else:
            message, is_signed = self._look(task)
        if is_signed:
            return Outcome(task.path, "skipped", task.target, "has a valid signature")
        signature = self._engine.sign(*self._signer.arguments(message))
        try:
            self._run.on_disk(write_atomically, task.target, signature)
        except OSError as exc:
            reason = f"{shown(task.target)} cannot be written: {reason_of(exc)}"
            return Outcome(task.path, "failed", None, reason)
        return Outcome(task.path, "signed", task.target)

    def _look(self, task: Task) -> tuple[Bytes, bool]:
        """Return what is to be signed, and whether it is signed already."""
        with open_regular(task.path) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            message = self._signer.read(file, size_bytes, self._run.check)
        signature = read_at_most(task.target, _MAX_SIGNATURE_BYTES)
        return message, signature is not None and self._signer.verify(message, signature)
