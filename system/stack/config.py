"""What an embedded stack is made of: pools, stream, store, addresses. Defaults are here.

``system.stack`` is below the scenarios, so a scenario reaches it as these
plain values.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from system.protocol.tokens import MIN_KEY_BYTES
from system.stack.errors import BadConfig

Pacing = Literal["on_demand", "constant"]
PACINGS: Final = ("on_demand", "constant")
RENDERERS: Final = ("auto", "egl", "tinydisplay", "painter")
MAX_SLOTS: Final = 64


def _fixed(size: int) -> dict[str, Any]:
    return {"kind": "fixed", "size": size}


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """One worker pool. ``policy`` and ``boot`` have the names of a scenario's ``pool``."""

    name: str = "default"
    initial: int = 2
    """Workers that start with the stack."""
    slots: int = 1
    max_workers: int | None = None
    """Quota; None is as many as the policy asks for."""
    policy: Mapping[str, Any] | None = None
    """None keeps ``initial`` workers."""
    boot: Mapping[str, Any] | None = None
    """Delay added to each launch after the initial ones, drawn from ``seed``; None adds none."""
    start: Mapping[str, Any] | None = None
    """Delay added to each start of a worker that was stopped, likewise."""
    seed: int = 0
    scrub_s: float = 0.0
    """A freed worker rests so long before it serves again."""
    reuse: bool = True
    """False: a worker that has served is replaced."""

    def __post_init__(self) -> None:
        if self.initial < 0:
            raise BadConfig(f"pool {self.name}: initial is {self.initial}; it cannot be negative")
        if not 1 <= self.slots <= MAX_SLOTS:
            raise BadConfig(f"pool {self.name}: slots is {self.slots}; allowed: 1 to {MAX_SLOTS}")
        if self.max_workers is not None and self.initial > self.max_workers:
            raise BadConfig(
                f"pool {self.name}: initial {self.initial} is above max_workers {self.max_workers}"
            )
        if self.policy is not None and "kind" not in self.policy:
            raise BadConfig(f"pool {self.name}: the policy has no kind")

    @property
    def effective_policy(self) -> Mapping[str, Any]:
        return _fixed(self.initial) if self.policy is None else self.policy


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """What every worker renders and encodes."""

    width: int = 1280
    height: int = 720
    fps: int = 30
    bitrate_bps: int = 2_500_000
    pacing: Pacing = "on_demand"
    codecs: tuple[str, ...] = ("h264", "vp8")
    """Preferred first; a peer that cannot do the first gets the next."""

    def __post_init__(self) -> None:
        for name, low, high in (("width", 64, 7680), ("height", 64, 4320), ("fps", 1, 240)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise BadConfig(f"stream: {name} is {value}; allowed: {low} to {high}")
        if self.width % 2 or self.height % 2:
            raise BadConfig(f"stream: {self.width}x{self.height} is not even in both directions")
        if self.bitrate_bps < 50_000:
            raise BadConfig(f"stream: a bitrate of {self.bitrate_bps} bit/s is below 50 kbit/s")
        if self.pacing not in PACINGS:
            raise BadConfig(f"stream: pacing is {self.pacing}; allowed: {', '.join(PACINGS)}")
        if not self.codecs:
            raise BadConfig("stream: codecs is empty")


@dataclass(frozen=True, slots=True)
class StackConfig:
    """Everything an embedded stack needs to know; frozen, checked when it is made."""

    pools: tuple[PoolConfig, ...] = (PoolConfig(),)
    stream: StreamConfig = field(default_factory=StreamConfig)
    store_url: str | None = None
    """None starts an embedded Valkey on a unix socket."""
    host: str = "127.0.0.1"
    port: int = 0
    """Of signaling; 0 takes a free one."""
    orchestrator_port: int = 0
    secret: str | None = field(default=None, repr=False)
    """None makes one; an empty one means development mode: no tokens, loopback only."""
    renderer: str = "auto"
    ice_addresses: tuple[str, ...] = ("127.0.0.1",)
    nice: int = 0
    """Niceness of all processes but the store: above 0 where something on this machine measures
    them and must not be kept waiting by them."""
    heartbeat_s: float = 2.0
    min_ready: int | None = None
    """Ready workers that ``start`` waits for; None: one, or none where the pools start empty."""
    ready_timeout_s: float = 30.0
    stop_timeout_s: float = 3.0
    """From the polite signal to the other one; workers give their sessions a third of it."""
    log_dir: Path | None = None
    """None: a temporary directory, kept only where the start failed."""

    def __post_init__(self) -> None:
        if not self.pools:
            raise BadConfig("pools is empty")
        names = [pool.name for pool in self.pools]
        if len(set(names)) != len(names):
            raise BadConfig(f"two pools have one name: {', '.join(names)}")
        for name in ("port", "orchestrator_port"):
            if not 0 <= getattr(self, name) <= 65535:
                raise BadConfig(f"{name} is {getattr(self, name)}; allowed: 0 to 65535")
        if self.renderer not in RENDERERS:
            raise BadConfig(f"renderer is {self.renderer}; allowed: {', '.join(RENDERERS)}")
        for name in ("heartbeat_s", "ready_timeout_s", "stop_timeout_s"):
            if getattr(self, name) <= 0:
                raise BadConfig(f"{name} is {getattr(self, name)}; it must be above 0")
        if not 0 <= self.nice <= 19:
            raise BadConfig(f"nice is {self.nice}; allowed: 0 to 19")
        if self.min_ready is not None and self.min_ready < 0:
            raise BadConfig(f"min_ready is {self.min_ready}; it cannot be negative")
        self._check_secret()
        self._check_store()

    def _check_secret(self) -> None:
        if self.secret == "" and not is_loopback(self.host):
            raise BadConfig(
                f"host is {self.host}: without a secret (RR_SECRET) only loopback is allowed"
            )
        if self.secret and len(self.secret) < MIN_KEY_BYTES:
            raise BadConfig(f"the secret needs at least {MIN_KEY_BYTES} characters")

    def _check_store(self) -> None:
        if self.store_url is None or self.store_url.startswith(("redis://", "unix:///")):
            return
        scheme = self.store_url.partition(":")[0]
        raise BadConfig(
            f"store: a stack of several processes cannot use {scheme}:; "
            "allowed: embedded, redis://host:port/db, unix:///path"
        )

    @property
    def ready_target(self) -> int:
        """How many ready workers ``start`` waits for."""
        if self.min_ready is not None:
            return self.min_ready
        return min(1, sum(pool.initial for pool in self.pools))

    def public(self) -> dict[str, Any]:
        """The effective settings as plain data, without the secret."""
        plain = asdict(replace(self, secret=None))
        secret = "set" if self.secret else "none" if self.secret == "" else "generated"
        plain |= {
            "secret": secret,
            "store_url": self.store_url or "embedded",
            "log_dir": None if self.log_dir is None else str(self.log_dir),
            "ice_addresses": list(self.ice_addresses),
            "min_ready": self.ready_target,
            "pools": [
                asdict(pool) | {"policy": dict(pool.effective_policy)} for pool in self.pools
            ],
        }
        plain["stream"]["codecs"] = list(self.stream.codecs)
        return plain


def is_loopback(host: str) -> bool:
    """Whether ``host`` can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
