from __future__ import annotations

import json
from pathlib import Path

from system.orchestrator import pools
from system.stack import PoolConfig, StackConfig, StreamConfig, arguments
from system.worker import config as worker_config

CONFIG = StackConfig(
    pools=(PoolConfig(initial=1, slots=2, boot={"dist": "deterministic", "mean": 2.0}),),
    stream=StreamConfig(640, 360, fps=24, bitrate_bps=900_000, pacing="constant"),
    heartbeat_s=0.5,
    secret="s" * 40,
    renderer="painter",
    ice_addresses=("127.0.0.1", "::1"),
)


def test_a_worker_understands_its_arguments() -> None:
    added = ["--id", "w1", "--signaling", "ws://127.0.0.1:1/ws", "--slots", "2"]
    config = worker_config.parse([*arguments.worker(CONFIG), *added], {})
    assert (config.width, config.height, config.fps) == (640, 360, 24)
    assert config.bitrate_bps == 900_000
    assert config.pacing == "constant"
    assert config.renderer == "painter"
    assert config.codecs == ("h264", "vp8")
    assert config.ice_addresses == ("127.0.0.1", "::1")


def test_no_argument_is_or_holds_the_secret() -> None:
    lines = [
        arguments.orchestrator(
            CONFIG, store_url="unix:///s", signaling_url="ws://h:1", pool_path=Path("p.json")
        ),
        arguments.signaling(CONFIG, store_url="unix:///s", orchestrator_url="http://h:2"),
    ]
    assert "s" * 40 not in json.dumps([*lines, arguments.pool_file(CONFIG)])


def test_a_heartbeat_has_its_unit() -> None:
    argv = arguments.signaling(CONFIG, store_url="unix:///s", orchestrator_url="http://h:2")
    assert argv[argv.index("--heartbeat") + 1] == "0.5s"


def test_the_orchestrator_understands_the_pool_file(tmp_path: Path) -> None:
    path = tmp_path / "pools.json"
    path.write_text(json.dumps(arguments.pool_file(CONFIG)))
    (pool,) = pools.load(path)
    assert (pool.name, pool.initial, pool.slots) == ("default", 1, 2)
    assert pool.policy == {"kind": "fixed", "size": 1}
    assert pool.boot == {"dist": "deterministic", "mean": 2.0}
