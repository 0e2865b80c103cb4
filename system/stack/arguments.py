"""The command lines of the components, and the pool file, from a StackConfig."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from system.stack.config import StackConfig

NODE = "signaling-0"


def orchestrator(
    config: StackConfig, *, store_url: str, signaling_url: str, pool_path: Path
) -> list[str]:
    """Arguments of the orchestrator, with those that it hands to every worker."""
    return [
        *("-m", "system.orchestrator"),
        *("--store", store_url),
        *("--provider", "local"),
        *("--pool-config", str(pool_path)),
        *("--signaling", f"{signaling_url}/ws"),
        *("--worker-args", json.dumps(worker(config))),
        *("--worker-log-dir", str(pool_path.parent)),
        *("--heartbeat", f"{config.heartbeat_s:g}s"),
    ]


def signaling(config: StackConfig, *, store_url: str, orchestrator_url: str) -> list[str]:
    """Arguments of the signaling node."""
    return [
        *("-m", "system.signaling"),
        *("--host", config.host),
        *("--store", store_url),
        *("--orchestrator", orchestrator_url),
        *("--node", NODE),
        *("--heartbeat", f"{config.heartbeat_s:g}s"),
    ]


def worker(config: StackConfig) -> list[str]:
    """Arguments that all workers share; the provider adds id, generation, pool and slots."""
    stream = config.stream
    return [
        *("--width", str(stream.width)),
        *("--height", str(stream.height)),
        *("--fps", str(stream.fps)),
        *("--bitrate", str(stream.bitrate_bps)),
        *("--pacing", stream.pacing),
        *("--codecs", ",".join(stream.codecs)),
        *("--renderer", config.renderer),
        *("--ice-addresses", ",".join(config.ice_addresses)),
        *("--drain-timeout", f"{config.stop_timeout_s / 3:.3f}s"),
    ]


def pool_file(config: StackConfig) -> dict[str, Any]:
    """What ``--pool-config`` reads."""
    return {
        "pools": [
            {
                "name": pool.name,
                "initial": pool.initial,
                "slots": pool.slots,
                "max_workers": pool.max_workers,
                "policy": dict(pool.effective_policy),
                "boot": None if pool.boot is None else dict(pool.boot),
                "start": None if pool.start is None else dict(pool.start),
                "seed": pool.seed,
                "scrub_s": pool.scrub_s,
                "reuse": pool.reuse,
            }
            for pool in config.pools
        ]
    }
