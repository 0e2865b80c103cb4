"""Owns the worker's configuration: command line, then RR_ environment, then defaults.

Imports nothing heavy: a wrong flag is answered at once.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from system.protocol.limits import MAX_ID_CHARS

COMMAND: Final = "remote-render"
TOKEN_VARIABLE: Final = "RR_TOKEN"
"""The worker's own token; the secret that signs tokens is none of its business."""

RENDERERS: Final = ("auto", "egl", "tinydisplay", "painter")
CODECS: Final = ("h264", "vp8")
ALL_ADDRESSES: Final = "all"

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min)?")
_UNITS_S = {"ms": 0.001, "s": 1.0, "min": 60.0, None: 1.0}
_RATE = re.compile(r"(\d+(?:\.\d+)?)(kbps|Mbps)?")
_RATE_UNITS = {"kbps": 1e3, "Mbps": 1e6, None: 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """Everything a worker process is told. ``ice_addresses`` None: every address of the host."""

    worker_id: str
    signaling: str
    generation: int = 1
    pool: str = "default"
    slots: int = 1
    width: int = 1280
    height: int = 720
    fps: int = 30
    bitrate_bps: int = 2_500_000
    pacing: Literal["on_demand", "constant"] = "on_demand"
    renderer: str = "auto"
    codecs: tuple[str, ...] = CODECS
    ice_addresses: tuple[str, ...] | None = ("127.0.0.1",)
    ice_ports: tuple[int, int] | None = None
    ice_announce: str | None = None
    ice_deny: tuple[str, ...] = ()
    boot_delay_s: float = 0.0
    drain_timeout_s: float = 30.0
    metrics_port: int | None = None
    log_level: str = "info"
    token: str | None = field(default=None, repr=False)
    """Shown to signaling, which renews it; None where no tokens are asked for."""


def parse(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> WorkerConfig:
    """The configuration; prints one line and exits with 2 where it is wrong."""
    parser = _parser(environ)
    options = parser.parse_args(argv)
    for name in ("worker_id", "signaling"):
        if getattr(options, name) is None:
            parser.error(f"--{'id' if name == 'worker_id' else name} is required")
    return WorkerConfig(**vars(options), token=environ.get(TOKEN_VARIABLE) or None)


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"{COMMAND} system worker" if _called_as(COMMAND) else "python -m system.worker",
        description="Renders and streams the sessions that signaling assigns to it.",
        epilog="Every flag may be given as RR_<FLAG> in the environment. Where signaling asks for "
        f"tokens, {TOKEN_VARIABLE} holds this worker's: remote-render system token --help.",
        allow_abbrev=False,
    )

    def flag(name: str, kind: Callable[[str], Any], text: str, *, dest: str | None = None) -> None:
        variable = "RR_" + name.upper().replace("-", "_")
        field = dest or name.replace("-", "_")
        default = environ.get(variable) or getattr(_DEFAULTS, field)
        parser.add_argument(f"--{name}", dest=field, type=kind, default=default, help=text)

    flag("id", _identifier, "this worker's id in the pool", dest="worker_id")
    flag("generation", _count, "grows with every start of the same id")
    flag("pool", _identifier, "the pool it belongs to")
    flag("signaling", _websocket_url, "WebSocket URL of signaling, e.g. ws://127.0.0.1:8080/ws")
    flag("slots", _count, "sessions served at once")
    flag("width", _picture_side, "picture width in pixels, even")
    flag("height", _picture_side, "picture height in pixels, even")
    flag("fps", _count, "highest frame rate")
    flag("bitrate", _bitrate, "highest bitrate, bit/s, or 2500kbps, 2.5Mbps", dest="bitrate_bps")
    flag("pacing", _one_of("on_demand", "constant"), "on_demand or constant")
    flag("renderer", _one_of(*RENDERERS), ", ".join(RENDERERS))
    flag("codecs", _codecs, "codecs in order of preference, comma-separated")
    flag("ice-addresses", _addresses, "local addresses to gather, comma-separated, or 'all'")
    flag("ice-ports", _ports, "UDP ports for media, FIRST-LAST")
    flag("ice-announce", _address, "public address put into candidates (one-to-one NAT)")
    flag("ice-deny", _networks, "networks (CIDR) never sent to, comma-separated")
    flag("boot-delay", _duration, "wait so long before registering", dest="boot_delay_s")
    flag("drain-timeout", _duration, "SIGTERM waits so long for sessions", dest="drain_timeout_s")
    flag("metrics-port", _port, "serve /metrics and health on this loopback port")
    flag("log-level", _one_of("debug", "info", "warning", "error"), "least level logged")
    return parser


def _called_as(command: str) -> bool:
    return os.path.basename(sys.argv[0]) == command


class _Defaults:
    """The dataclass's defaults, with None for what is required."""

    def __getattr__(self, name: str) -> object:
        field = WorkerConfig.__dataclass_fields__[name]
        return None if name in ("worker_id", "signaling") else field.default


_DEFAULTS = _Defaults()


def _bad(text: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(text)


def _identifier(text: str) -> str:
    if not 1 <= len(text) <= MAX_ID_CHARS:
        raise _bad(f"an id has 1 to {MAX_ID_CHARS} characters")
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise _bad(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _picture_side(text: str) -> int:
    side = _count(text)
    if side % 2 or not 16 <= side <= 8192:
        raise _bad(f"{text!r} is not an even number from 16 to 8192")
    return side


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise _bad(f"{text!r} is not a port")
    return int(text)


def _ports(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    low, high = _port(first), _port(last if dash else first)
    if not 1 <= low <= high:
        raise _bad(f"{text!r} is not FIRST-LAST")
    return low, high


def _duration(text: str) -> float:
    """Seconds; a bare number is seconds."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise _bad(f"{text!r} is not a duration such as 2s, 500ms or 1min")
    return float(match[1]) * _UNITS_S[match[2]]


def _bitrate(text: str) -> int:
    match = _RATE.fullmatch(text)
    if match is None or float(match[1]) <= 0:
        raise _bad(f"{text!r} is not a bitrate such as 2.5Mbps or 2500000")
    return int(float(match[1]) * _RATE_UNITS[match[2]])


def _one_of(*names: str) -> Callable[[str], str]:
    def choose(text: str) -> str:
        if text not in names:
            raise _bad(f"{text!r} is not one of {', '.join(names)}")
        return text

    return choose


def _codecs(text: str) -> tuple[str, ...]:
    names = tuple(part.strip().lower() for part in text.split(","))
    if not set(names) <= set(CODECS) or len(set(names)) != len(names):
        raise _bad(f"{text!r} is not a list of {', '.join(CODECS)}")
    return names


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise _bad(f"{text!r} is not an IP address") from None


def _addresses(text: str) -> tuple[str, ...] | None:
    return None if text == ALL_ADDRESSES else tuple(map(_address, text.split(",")))


def _networks(text: str) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(part.strip())) for part in text.split(","))
    except ValueError:
        raise _bad(f"{text!r} is not a list of networks") from None


def _websocket_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise _bad(f"{text!r} is not a ws:// or wss:// URL")
    return text
