"""Inputs from a seed: their rate, their mix, and that they repeat."""

from __future__ import annotations

import itertools
from collections import Counter

import msgspec
import pytest

from system.client.inputs import INPUT_TYPES, InputPlan
from system.protocol import channels, codec


def take(plan: InputPlan, count: int) -> list[tuple[float, object]]:
    return [(p.at_s, p.message) for p in itertools.islice(plan, count)]


def kind_of(message: object) -> str:
    return str(type(message).__struct_config__.tag)  # type: ignore[attr-defined]


def test_the_same_seed_gives_the_same_inputs_and_another_one_others() -> None:
    mix = dict.fromkeys(INPUT_TYPES, 1.0)
    one, two, other = (InputPlan(seed, 10, mix) for seed in (1, 1, 2))
    for plan in (one, two, other):
        plan.devices = ("a", "b", "c")
    assert take(one, 100) == take(two, 100) != take(other, 100)


def test_ticks_are_evenly_spaced_from_a_random_phase() -> None:
    times = [at for at, _ in take(InputPlan(3, 20, {"camera:orbit": 1}), 50)]
    assert 0 <= times[0] < 0.05
    assert all(b - a == pytest.approx(0.05) for a, b in itertools.pairwise(times))


def test_poisson_inputs_have_the_rate_asked_for() -> None:
    times = [at for at, _ in take(InputPlan(3, 20, {"camera:orbit": 1}, process="poisson"), 4000)]
    assert times[-1] == pytest.approx(200, rel=0.1)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert max(gaps) > 4 * 0.05


def test_the_mix_is_kept() -> None:
    plan = InputPlan(5, 10, {"camera:orbit": 0.9, "device:click": 0.1})
    counts = Counter(kind_of(m) for _, m in take(plan, 4000))
    assert counts["device:click"] == pytest.approx(400, rel=0.2)
    assert set(counts) == {"camera:orbit", "device:click"}


def test_without_known_devices_a_click_takes_the_place_of_a_drag() -> None:
    plan = InputPlan(5, 10, {"device:drag": 0.5, "connection:create": 0.5})
    assert {kind_of(m) for _, m in take(plan, 50)} == {"device:click"}
    plan.devices = ("a", "b")
    assert {kind_of(m) for _, m in take(plan, 50)} == {"device:drag", "connection:create"}


def test_a_drag_moves_one_device_in_small_steps_and_ends() -> None:
    plan = InputPlan(5, 10, {"device:drag": 1})
    plan.devices = ("a", "b", "c")
    drags = [m for _, m in take(plan, 48)]
    strokes = [list(group) for _, group in itertools.groupby(range(48), key=lambda i: i // 12)]
    for stroke in strokes:
        group = [drags[i] for i in stroke]
        assert all(isinstance(drag, channels.DeviceDrag) for drag in group)
        assert len({drag.data.device_id for drag in group}) == 1
        assert [drag.data.end for drag in group] == [False] * 11 + [True]
        for a, b in itertools.pairwise(group):
            assert abs(a.data.position[0] - b.data.position[0]) <= 0.21


def test_an_orbit_turns_smoothly_within_a_stroke() -> None:
    plan = InputPlan(9, 30, {"camera:orbit": 1})
    orbits = [m for _, m in take(plan, 12)]
    assert all(isinstance(m, channels.CameraOrbit) for m in orbits)
    for a, b in itertools.pairwise(orbits):
        assert abs(a.data.delta_x - b.data.delta_x) < 15
    assert sum(abs(m.data.delta_x) + abs(m.data.delta_y) for m in orbits) > 20


def test_every_planned_input_is_one_that_a_worker_reads() -> None:
    plan = InputPlan(2, 10, dict.fromkeys(INPUT_TYPES, 1.0))
    plan.devices = ("a", "b")
    for _, message in take(plan, 200):
        assert isinstance(message, msgspec.Struct)
        assert codec.from_client_channel.decode(codec.encode(message)) == message


@pytest.mark.parametrize(
    ("rate", "mix"), [(0, {"camera:orbit": 1.0}), (1, {}), (1, {"camera:roll": 1.0})]
)
def test_a_plan_that_cannot_be_is_refused(rate: float, mix: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        InputPlan(1, rate, mix)
