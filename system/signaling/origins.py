"""Which web pages may open a WebSocket here (cross-site WebSocket hijacking). Pure."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine without asking anybody."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class OriginPolicy:
    """Pages of this very host, and those listed, or loopback pages where none are.

    Args:
        listed: exact origins (``https://app.example``); None allows loopback pages.
        trust_host: whether the request's Host header may vouch for a page. Not in
            development mode: a page whose name resolves to 127.0.0.1 (DNS rebinding)
            would be "same origin", and no token stands behind it.
    """

    def __init__(self, listed: tuple[str, ...] | None, *, trust_host: bool) -> None:
        self._loopback = listed is None
        self._listed = frozenset(_normal(origin) for origin in listed or ())
        self._trust_host = trust_host

    def allows(self, origin: str | None, host: str) -> bool:
        """Whether a request with these Origin and Host headers is welcome.

        No Origin means no browser: tokens decide alone.
        """
        if origin is None:
            return True
        normal = _normal(origin)
        if normal is None:
            return False
        scheme, name, _ = normal
        if normal in self._listed or (self._loopback and is_loopback(name)):
            return True
        return self._trust_host and normal == _normal(f"{scheme}://{host}")


def _normal(origin: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for whatever is not exactly a web origin."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    extra = parts.path or parts.query or parts.fragment or parts.username or parts.password
    if parts.scheme not in ("http", "https") or extra or "@" in parts.netloc or not parts.hostname:
        return None
    if not origin.isascii() or any(c.isspace() or c in "\\%" or ord(c) < 33 for c in origin):
        return None
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80)
