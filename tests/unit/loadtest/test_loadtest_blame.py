"""Which part of a system is named for what its processes used."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadtest._blame import Evidence, Use, blame

CALM = Evidence(
    cores=2,
    uses=(
        Use("default-1", "worker", 0.4),
        Use("default-2", "worker", 0.3),
        Use("signaling-0", "signaling", 0.05),
        Use("store-0", "store", 0.02),
    ),
    generator_cpu=0.2,
)


def busy(node: str, **changes: float) -> Evidence:
    uses = tuple(replace(use, **changes) if use.node == node else use for use in CALM.uses)
    return replace(CALM, uses=uses)


@pytest.mark.parametrize(
    ("seen", "component"),
    [
        (CALM, ""),
        (replace(CALM, cores=1), "worker CPU"),
        (busy("default-1", cpu=1.2), "worker CPU"),
        (replace(CALM, machine_cpu=1.8), "worker CPU"),
        (replace(CALM, machine_cpu=2.0), "other processes on this machine"),
        (busy("signaling-0", cpu=0.9), "signaling CPU"),
        (busy("store-0", cpu=1.9), "store CPU"),
        (replace(CALM, generator_cpu=1.75), "load generator"),
        (replace(CALM, encode_s=0.02), "encoder"),
        (busy("signaling-0", lag_s=0.3), "signaling event loop"),
    ],
)
def test_a_slow_picture_points_to_whatever_has_nothing_left(seen: Evidence, component: str) -> None:
    assert blame("input.to_frame", seen) == component


def test_a_late_generator_is_suspected_where_nobody_else_can_be_seen() -> None:
    seen = replace(CALM, generator_lag_s=0.2)
    assert blame("input.to_frame", seen) == ""
    assert blame("input.to_frame", replace(seen, uses=())) == "load generator"


def test_joins_point_to_the_queue_while_anybody_waits_in_it() -> None:
    seen = replace(busy("default-1", cpu=1.5), waiting=3)
    assert blame("session.join_time", seen) == "pool"
    assert blame("input.to_frame", seen) == "worker CPU"
    assert blame("pool.wait_time", CALM) == "pool"
