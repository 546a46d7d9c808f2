"""Outgoing requests of guests: each runs `WasiConfig.http_handler` in a thread of its own, so that a guest can wait for several answers and for time at once.

The thread shares pipes with the guest and nothing else; when the guest drops what it would read, or its store is gone, the request is cancelled. Threads
are daemons, since nothing ends a handler that does not want to end; how many a store may have is limited.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from wasmrt.runtime.values import Variant

from .http_body import MAX_DISCARDED_BYTES
from .http_messages import HttpError, HttpRequest, HttpResponse, error_code, header_pairs
from .pipe import BytePipe, Listeners

MAX_REQUESTS = 64  # of one store at a time
DEFAULT_TIMEOUT_NS = 600 * 1_000_000_000  # to connect, for the first byte and between bytes

Handler = Callable[[HttpRequest], Any]
_running: weakref.WeakKeyDictionary[Any, list[Sending]]


class Sending(Listeners):
    """One request on its way. `head` is the answer without its body, which comes through `pipe`, or `error` is why there is none."""

    def __init__(self, handler: Handler, request: HttpRequest, written: BytePipe, timeout_ns: int) -> None:
        super().__init__()
        self._handler = handler
        self._request = request
        self._written = written
        self._timeout_ns = timeout_ns
        self._lock = threading.Lock()
        self.is_running = True
        self.is_done = False
        self.error: BaseException | None = None
        self.status = 0
        self.headers: list[tuple[str, bytes]] = []
        self.trailers: list[tuple[str, bytes]] = []
        self.pipe = BytePipe()

    @property
    def deadline_ns(self) -> int | None:
        """When the answer has to be there; None while the guest still writes its request."""
        ended = self._written.ended_ns
        return None if ended is None or self.is_done else ended + self._timeout_ns

    def is_ready(self) -> bool:
        if not self.is_done:
            deadline = self.deadline_ns
            if deadline is not None and deadline <= time.monotonic_ns():
                self._settle(HttpError("connection-read-timeout"))
                self.cancel()
        return self.is_done

    def cancel(self) -> None:
        """The guest does not want the answer, or no more of it."""
        self.pipe.close()
        self._request._cancel()

    def start(self) -> None:
        threading.Thread(target=self._run, name="wasmrt-http", daemon=True).start()

    def _settle(self, error: BaseException | None) -> bool:
        """Says once how it went; whether that was now."""
        with self._lock:
            if self.is_done:
                return False
            self.error = error
            self.is_done = True
        self.tell()
        return True

    def _run(self) -> None:
        response: HttpResponse | None = None
        try:
            response = HttpResponse.of(self._handler(self._request))
            self.status, self.headers = response.status, header_pairs(response.headers)
            if self._settle(None):
                for chunk in response.chunks():
                    self.pipe.write_all(chunk)
                self.trailers += header_pairs(response.trailers)
                self.pipe.end()
        except BrokenPipeError:
            self._settle(HttpError("connection-terminated"))  # or nobody is there to read the answer
            self.pipe.end(HttpError("connection-terminated"))
        except BaseException as error:  # comes out of the guest's call as itself, if it is no error of a network
            self._settle(error)
            self.pipe.end(error)
        finally:
            self.is_running = False
            self._written.discard(MAX_DISCARDED_BYTES)  # a guest may write what nobody has asked for
            if response is not None:
                try:
                    response.close()
                except Exception as error:
                    self.pipe.end(error)


_running = weakref.WeakKeyDictionary()


def send(store: Any, handler: Handler, request: HttpRequest, written: BytePipe, timeout_ns: int) -> Sending:
    """Starts it. Raises HttpError when the store has too many."""
    running = [one for one in _running.get(store, ()) if one.is_running]
    if len(running) >= MAX_REQUESTS:
        raise HttpError("connection-limit-reached")
    sending = Sending(handler, request, written, timeout_ns)
    running.append(sending)
    _running[store] = running
    try:
        sending.start()
    except RuntimeError:  # the system has no more threads
        running.remove(sending)
        raise HttpError("connection-limit-reached") from None
    return sending


def code_of(error: BaseException) -> Variant:
    """What the guest gets. Raises what is no error of a network: a handler's own."""
    code = error_code(error)
    if code is None:
        raise error
    return code
