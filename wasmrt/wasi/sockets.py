"""wasi:sockets without a network: guests that import it link and run, and whatever would make a socket or look a name up is `access-denied`.

No socket ever exists, so the methods of sockets cannot be reached by a guest that keeps to the canonical ABI; they are here because importing an
interface imports its functions.
"""

from __future__ import annotations

from typing import Any, NoReturn

from wasmrt.errors import Trap, WitError
from wasmrt.runtime.component_linker import Linker

from .io import InputStream, OutputStream, Pollable


class Network:
    """wasi:sockets/network network: every guest may have it, and it leads nowhere."""


class TcpSocket:
    """wasi:sockets/tcp tcp-socket; none is ever made."""


class UdpSocket:
    """wasi:sockets/udp udp-socket; none is ever made."""


class IncomingDatagramStream:
    """wasi:sockets/udp incoming-datagram-stream; none is ever made."""


class OutgoingDatagramStream:
    """wasi:sockets/udp outgoing-datagram-stream; none is ever made."""


class ResolveAddressStream:
    """wasi:sockets/ip-name-lookup resolve-address-stream; none is ever made."""


METHODS = {
    "tcp": {
        "tcp-socket": """start-bind finish-bind start-connect finish-connect start-listen finish-listen accept local-address remote-address is-listening
            address-family set-listen-backlog-size keep-alive-enabled set-keep-alive-enabled keep-alive-idle-time set-keep-alive-idle-time
            keep-alive-interval set-keep-alive-interval keep-alive-count set-keep-alive-count hop-limit set-hop-limit receive-buffer-size
            set-receive-buffer-size send-buffer-size set-send-buffer-size subscribe shutdown""".split(),
    },
    "udp": {
        "udp-socket": """start-bind finish-bind stream local-address remote-address address-family unicast-hop-limit set-unicast-hop-limit
            receive-buffer-size set-receive-buffer-size send-buffer-size set-send-buffer-size subscribe""".split(),
        "incoming-datagram-stream": ["receive", "subscribe"],
        "outgoing-datagram-stream": ["check-send", "send", "subscribe"],
    },
    "ip-name-lookup": {"resolve-address-stream": ["resolve-next-address", "subscribe"]},
}
RESOURCES = {
    "network": Network,
    "tcp-socket": TcpSocket,
    "udp-socket": UdpSocket,
    "incoming-datagram-stream": IncomingDatagramStream,
    "outgoing-datagram-stream": OutgoingDatagramStream,
    "resolve-address-stream": ResolveAddressStream,
    "pollable": Pollable,
    "input-stream": InputStream,
    "output-stream": OutputStream,
}


def unreachable(store: Any, *args: Any) -> NoReturn:
    raise Trap("guests have no network, so there is no socket to use")


def create_socket(family: str) -> NoReturn:
    raise WitError("access-denied")


def resolve_addresses(network: Network, name: str) -> NoReturn:
    raise WitError("access-denied")


def define(linker: Linker, version: str) -> None:
    functions: dict[str, dict[str, Any]] = {
        "network": {},
        "instance-network": {"instance-network": Network},
        "tcp": {},
        "udp": {},
        "tcp-create-socket": {"create-tcp-socket": create_socket},
        "udp-create-socket": {"create-udp-socket": create_socket},
        "ip-name-lookup": {"resolve-addresses": resolve_addresses},
    }
    for name, found in functions.items():
        interface = linker.instance(f"wasi:sockets/{name}@{version}")
        interface.define({**found, **RESOURCES})
        for resource, methods in METHODS.get(name, {}).items():
            for method in methods:
                interface.add_func(f"[method]{resource}.{method}", unreachable)
    # since 0.2.1, unstable
    linker.instance(f"wasi:sockets/network@{version}").add_func("network-error-code", lambda store, error: None)
