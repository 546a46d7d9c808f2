"""A socket whose every wait has an end: a time for each of them, and an instant for all, so that a peer who sends a byte now and then is not waited for for ever."""

from __future__ import annotations

import contextlib
import io
import socket
import time


class Wire:
    """What http.client and http.server use of a socket. `timeout` (seconds, None: no limit) is for the next waits, `deadline` a `time.monotonic()` for all.

    All waits raise TimeoutError. The socket is closed by `shut` alone.
    """

    def __init__(self, sock: socket.socket, timeout: float | None, deadline: float | None = None) -> None:
        self.sock = sock
        self.timeout = timeout
        self.deadline = deadline
        with contextlib.suppress(OSError):  # heads, chunks and their ends go out as they are written, not when the one before is acknowledged
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _arm(self) -> None:
        left = self.timeout
        if self.deadline is not None:
            until = self.deadline - time.monotonic()
            if until <= 0:
                raise TimeoutError("timed out")
            left = until if left is None else min(left, until)
        self.sock.settimeout(left)

    def sendall(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            self._arm()
            left = left[self.sock.send(left) :]

    def recv_into(self, buffer: memoryview) -> int:
        self._arm()
        return self.sock.recv_into(buffer)

    def makefile(self, mode: str = "rb", buffering: int = -1) -> io.BufferedReader:
        """To read from; buffered."""
        return io.BufferedReader(WireReader(self))

    def interrupt(self) -> None:
        """From another thread: ends all waits."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Nothing: http.client thinks that the files it made live longer."""

    def shut(self) -> None:
        """Closes the socket."""
        self.sock.close()


class WireReader(io.RawIOBase):
    """The incoming side of a Wire."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._wire.recv_into(buffer)
