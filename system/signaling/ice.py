"""The ICE servers that peers are told, with fresh TURN credentials. Pure."""

from __future__ import annotations

from system.protocol.fields import IceServer
from system.protocol.tokens import turn_credentials
from system.signaling.config import IceOptions


def servers(options: IceOptions, user: str, *, now_s: float) -> tuple[IceServer, ...]:
    """What ``user`` may use from ``now_s`` (Unix time) on; empty where none are configured."""
    told: list[IceServer] = []
    if options.stun_urls:
        told.append(IceServer(urls=options.stun_urls))
    if options.turn_urls and options.turn_secret:
        name, password = turn_credentials(options.turn_secret, user, now_s=now_s)
        told.append(IceServer(urls=options.turn_urls, username=name, credential=password))
    return tuple(told)
