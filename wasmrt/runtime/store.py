"""Store: instances and host state that live and die together."""

from __future__ import annotations

from typing import Any

from wasmrt._native import core

from . import pickling
from .engine import Engine

core.set_engine_class(Engine)


class Store(core.Store):
    """`Store(engine=None, data=None)`: holds instances, memories, host functions and `data`, which host functions can reach.

    A store is used by one thread at a time. Objects made in it keep it alive; `close()` or leaving `with` frees it at once.

    >>> with Store(Engine()) as store:
    ...     ...
    """

    def __repr__(self) -> str:
        return f"<wasmrt.Store at {id(self):#x}>"

    wasi_http: Any = None

    def data(self) -> Any:
        """What was given as `data`."""
        return self.user_data

    def set_wasi(self, wasi: Any) -> None:
        """What WASI imports of this store see: a WasiConfig. Guests of WASI 0.1 that ran before have none of their descriptors any more."""
        self._forget_wasi()
        self.wasi = wasi

    def set_wasi_http(self, handler: Any = None) -> None:
        """What answers HTTP requests of this store's guests, before `WasiConfig.http_handler` (see there). Without a handler they are denied: the name is
        the peer's, whose guests may ask any server.

        >>> store.set_wasi_http(wasmrt.wasi.http_client(allow=["example.com:443"]))
        """
        self.wasi_http = handler

    def close(self) -> None:
        """Frees everything in the store now. Not while it runs guest code. Idempotent."""
        super().close()
        self._forget_wasi()

    def _forget_wasi(self) -> None:
        if self.wasi_state is not None:
            self.forget_wasi_files()  # before what they name is closed
            state, self.wasi_state = self.wasi_state, None
            state.close()

    def __enter__(self) -> Store:
        return self

    __reduce__ = pickling.refuse("Store", "it is a running program; pickle the Component or Module and make instances of it where it arrives")

    def __exit__(self, *exc_info: object) -> None:
        self.close()
