from __future__ import annotations

from typing import Any

import pytest

from system.stack.config import PoolConfig, StackConfig, StreamConfig, is_loopback
from system.stack.errors import BadConfig


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: PoolConfig(initial=-1), "initial is -1"),
        (lambda: PoolConfig(slots=0), "slots is 0; allowed: 1 to 64"),
        (lambda: PoolConfig(initial=3, max_workers=2), "initial 3 is above max_workers 2"),
        (lambda: PoolConfig(policy={"size": 2}), "the policy has no kind"),
        (lambda: StreamConfig(width=641), "641x720 is not even"),
        (lambda: StreamConfig(fps=0), "fps is 0"),
        (lambda: StreamConfig(bitrate_bps=10), "below 50 kbit/s"),
        (lambda: StreamConfig(pacing="never"), "pacing is never"),  # type: ignore[arg-type]
        (lambda: StackConfig(pools=()), "pools is empty"),
        (lambda: StackConfig(pools=(PoolConfig(), PoolConfig())), "two pools have one name"),
        (lambda: StackConfig(port=70_000), "port is 70000"),
        (lambda: StackConfig(renderer="crayons"), "renderer is crayons"),
        (lambda: StackConfig(heartbeat_s=0), "heartbeat_s is 0"),
        (lambda: StackConfig(min_ready=-1), "min_ready is -1"),
        (lambda: StackConfig(secret="short"), "at least 32 characters"),
        (lambda: StackConfig(secret="", host="0.0.0.0"), "only loopback is allowed"),
        (lambda: StackConfig(store_url="memory://"), "cannot use memory:"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_in_one_line(make: Any, said: str) -> None:
    with pytest.raises(BadConfig) as refused:
        make()
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_pool_without_a_policy_keeps_its_initial_workers() -> None:
    assert PoolConfig(initial=3).effective_policy == {"kind": "fixed", "size": 3}


def test_start_waits_for_one_worker_unless_the_pools_start_empty() -> None:
    assert StackConfig(pools=(PoolConfig(initial=5, max_workers=5),)).ready_target == 1
    assert StackConfig(pools=(PoolConfig(initial=0),)).ready_target == 0
    assert StackConfig(min_ready=4).ready_target == 4


def test_neither_the_public_settings_nor_the_repr_show_the_secret() -> None:
    config = StackConfig(secret="s" * 40)
    assert config.public()["secret"] == "set"
    assert "s" * 40 not in repr(config) + repr(config.public())


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_only_loopback_addresses_count_as_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
