"""Binds the stack's addresses before any component starts.

So every component is told the others' URLs at its start, a taken port is one
error at once, and early connections wait in the backlog instead of failing.
"""

from __future__ import annotations

import errno
import socket
from typing import Final

from system.stack.errors import AddressInUse

BACKLOG: Final = 1024


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; a child takes it over by its descriptor.

    Raises:
        AddressInUse: taken, not permitted, or no address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise AddressInUse(f"cannot listen on {host}: {error.strerror}") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(
                f"port {port} on {host} is in use; give another --port, or 0 for a free one"
            ) from None
        raise AddressInUse(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


def authority(listener: socket.socket) -> str:
    """``host:port`` as it stands in a URL; a wildcard address becomes loopback."""
    host, port = listener.getsockname()[:2]
    if listener.family == socket.AF_INET6:
        return f"[{'::1' if host == '::' else host}]:{port}"
    return f"{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
