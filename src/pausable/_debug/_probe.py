"""What debug mode keeps of one job."""

from __future__ import annotations

import sys
from typing import Final

from pausable import _job
from pausable._debug import _native, _segments
from pausable._debug._locks import Held, warn_of_held
from pausable._debug._refusals import refuse_bad_places
from pausable._fibre import Relay, current
from pausable._frames import summary, visible
from pausable._job import JobFibre

__all__ = ["JobProbe"]

#: The frames between a start and whoever asked for it.
_STARTING: Final = {"pausable._job", "pausable._pool", "pausable._threads", "pausable._watch"}


class JobProbe:
    """The debug mode of one job; see `_watch.Probe`."""

    __slots__ = ("_can_tell", "_segment", "created", "held")

    def __init__(self) -> None:
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_globals.get("__name__") in _STARTING:
            frame = frame.f_back
        self.created = summary(visible(frame), lookup_lines=False)
        self.held: Held = {}
        self._segment: _segments.Segment | None = None
        self._can_tell = _native.can_tell
        if self._can_tell:  # measured now: that cannot be done in a signal handler's dump
            inside = isinstance(current(), JobFibre)  # then it is a job on the same kind of stack
            _native.plain_bytes(JobFibre if inside else _job.kind)

    def start(self, fibre: JobFibre) -> None:
        driver = fibre.driver  # asked now: whoever closes the job takes it away
        if driver is not None and driver.native:  # how much is set aside for that is not known
            self._can_tell = False
        self._segment = _segments.begin(_name(fibre))

    def before_pause(self, fibre: JobFibre) -> None:
        refuse_bad_places(_name(fibre))
        if self.held:
            warn_of_held(self.held, _name(fibre))
        self.leave(fibre)
        if self._can_tell:
            fibre.resumer = Relay(fibre.resumer)  # so that before_resume is called

    def after_pause(self, fibre: JobFibre) -> None:
        self._segment = _segments.begin(_name(fibre))

    def before_resume(self, fibre: JobFibre) -> None:
        if _native.native_frames(fibre):
            _native.warn_of_native_frames(fibre, _name(fibre))

    def leave(self, _fibre: JobFibre) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            _segments.end(segment)

    def native_frames(self, fibre: JobFibre) -> bool | None:
        return _native.native_frames(fibre) if self._can_tell else None


def _name(fibre: JobFibre) -> str:
    job = fibre.handle()
    return job.name if job is not None else "lost"
