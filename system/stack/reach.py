"""Looks whether a store that the stack is given is there, before anything is started."""

from __future__ import annotations

import socket
from typing import Final
from urllib.parse import urlsplit

from system.stack.errors import StackError

TIMEOUT_S: Final = 3.0
REDIS_PORT: Final = 6379


def store(url: str) -> None:
    """Connect to the store at ``url`` once; what it is shows later.

    Raises:
        StackError: nobody listens there; without the URL's password, and with what to do.
    """
    parts = urlsplit(url)
    where = parts.path
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(TIMEOUT_S)
                connection.connect(parts.path)
        else:
            where = parts.hostname or "localhost"
            port = parts.port or REDIS_PORT
            where += f" port {port}"
            socket.create_connection((parts.hostname or "localhost", port), TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise StackError(
            f"store: {where}: {why}; start a server there, or name none to have an embedded one"
        ) from None
