"""A file descriptor that is readable while a one-bit level is set.

An eventfd where the system has it, else a socket pair. The level has one bit: set twice, it is
cleared by one `clear()`; neither ever blocks.
"""

from __future__ import annotations

import os
from _thread import RLock  # not threading's: gevent may have replaced that one
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket

__all__ = ["WakeFd"]

_ONE: Final = (1).to_bytes(8, "little")


class WakeFd:
    """One wake-up level and its descriptor.

    Threads: any; also from a signal handler (the lock is reentrant). After `close()` nothing
    happens: a descriptor number that the system has given to somebody else is never written to.
    """

    __slots__ = ("_lock", "_peer", "_set", "_sock", "fd")

    def __init__(self) -> None:
        self._lock = RLock()
        self._set = False
        self._sock: socket.socket | None = None
        self._peer: socket.socket | None = None
        #: The descriptor to wait on for reading; -1 when closed.
        self.fd: int = -1
        if hasattr(os, "eventfd"):
            self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        else:  # macOS, Windows
            from socket import socketpair  # noqa: PLC0415  # an import that Linux can do without

            self._sock, self._peer = socketpair()
            self._sock.setblocking(False)
            self._peer.setblocking(False)
            self.fd = self._sock.fileno()

    def is_set(self) -> bool:
        """Tell whether the descriptor is readable."""
        return self._set

    def set(self) -> None:
        """Make the descriptor readable."""
        with self._lock:
            if self._set or self.fd < 0:
                return
            self._set = True
            if self._peer is None:
                os.write(self.fd, _ONE)
            else:
                self._peer.send(b"\0")

    def clear(self) -> None:
        """Make the descriptor unreadable."""
        with self._lock:
            if not self._set or self.fd < 0:
                return
            # The flag last: a signal handler that sets in between has come before this clear.
            if self._sock is None:
                os.read(self.fd, 8)
            else:
                self._sock.recv(1)
            self._set = False

    def close(self) -> None:
        """Close the descriptor; do nothing if it is closed."""
        with self._lock:
            fd, self.fd = self.fd, -1
            if fd < 0:
                return
            if self._sock is None or self._peer is None:
                os.close(fd)
            else:
                self._sock.close()
                self._peer.close()

    def __del__(self) -> None:
        if hasattr(self, "_lock"):  # __init__ may have failed: out of descriptors
            self.close()
