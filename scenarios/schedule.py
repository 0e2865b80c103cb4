"""When each viewer of a scenario arrives and what it does, computed from the seed alone.

Draws are bound to the index of the session and the name of the quantity, never
to the order of calls: two runs, or a run and its simulation, see the same day,
however the work is split among processes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from scenarios.distributions import AnyDistribution
from scenarios.load import ClosedLoad, OpenLoad, Stage
from scenarios.model import Scenario

Tier = Literal["frames", "decode"]

ARRIVALS_MAX = 10_000_000
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


class TooManyArrivals(ValueError):
    """The stages ask for more arrivals than anybody can mean."""


class StageSpan(NamedTuple):
    """A stage on the time axis of the run, seconds from its start."""

    name: str
    start_s: float
    end_s: float
    measured: bool


@dataclass(frozen=True, slots=True)
class Arrival:
    """One session to start: its place in the run and everything that was drawn for it.

    ``index`` counts sessions over the whole run; ``patience_s`` None waits for
    ever; ``session_s`` is counted from the first frame and may be infinite.
    """

    index: int
    at_s: float
    stage: str
    session_s: float
    patience_s: float | None
    tier: Tier
    project_id: str
    user_id: str
    input_seed: int


def stages(scenario: Scenario) -> list[StageSpan]:
    """Lay the stages of the scenario on the time axis."""
    load = scenario.load
    if isinstance(load, ClosedLoad) and load.for_s is not None:
        return [StageSpan("hold", 0.0, load.for_s, True)]
    spans: list[StageSpan] = []
    start = 0.0
    for stage in load.stages:
        spans.append(StageSpan(stage.name, start, start + stage.for_s, stage.measure))
        start += stage.for_s
    return spans


def duration_s(scenario: Scenario) -> float:
    """Length of the run; sessions still in progress are ended then."""
    return stages(scenario)[-1].end_s


def stage_at(spans: list[StageSpan], at_s: float) -> str:
    """Name the stage of a time; the last stage keeps what comes after it."""
    for span in spans:
        if at_s < span.end_s:
            return span.name
    return spans[-1].name


def arrivals(scenario: Scenario) -> list[Arrival]:
    """List the arrivals of the run in order of time.

    For a closed load these are the first sessions of its users; ``next_arrival``
    says what follows each.
    """
    load = scenario.load
    spans = stages(scenario)
    if isinstance(load, OpenLoad):
        times = list(_open_times(scenario, load))
    else:
        times = [load.ramp_s * user / load.users for user in range(load.users)]
    return [
        _drawn(scenario, index, at_s, stage_at(spans, at_s)) for index, at_s in enumerate(times)
    ]


def next_arrival(scenario: Scenario, previous: Arrival, ended_at_s: float) -> Arrival | None:
    """Say which session a closed load's user starts when its ``previous`` one has ended.

    None once the run is over, and always for an open load.
    """
    load = scenario.load
    if not isinstance(load, ClosedLoad) or ended_at_s >= duration_s(scenario):
        return None
    index = previous.index + load.users
    following = _drawn(scenario, index, ended_at_s, stage_at(stages(scenario), ended_at_s))
    return replace(following, user_id=previous.user_id, project_id=previous.project_id)


def _open_times(scenario: Scenario, load: OpenLoad) -> Iterator[float]:
    """Invert the cumulated rate: arrival k falls where it reaches the k-th threshold."""
    expected = sum(_mass(stage, stage.for_s) for stage in load.stages)
    if expected > ARRIVALS_MAX:
        raise TooManyArrivals(f"the stages ask for {expected:.3g} arrivals, over {ARRIVALS_MAX}")
    threshold = 0.0
    index = 0
    start = 0.0
    before = 0.0
    pending = list(load.stages)
    while True:
        if load.arrivals.process == "poisson":
            threshold += random.Random(f"{scenario.seed}:{index}:gap").expovariate(1.0)
        else:
            threshold = index + 0.5
        while pending and before + _mass(pending[0], pending[0].for_s) <= threshold:
            stage = pending.pop(0)
            before += _mass(stage, stage.for_s)
            start += stage.for_s
        if not pending:
            return
        yield start + _when(pending[0], threshold - before)
        index += 1


def _slope(stage: Stage) -> float:
    return (stage.end_rate_per_s - stage.rate_per_s) / stage.for_s


def _mass(stage: Stage, elapsed_s: float) -> float:
    """Count the arrivals expected in the first ``elapsed_s`` of a stage."""
    return stage.rate_per_s * elapsed_s + _slope(stage) * elapsed_s**2 / 2.0


def _when(stage: Stage, mass: float) -> float:
    """Find the time in a stage at which ``mass`` arrivals were expected.

    The form of the quadratic's root that loses no digits at slope 0.
    """
    root = math.sqrt(max(stage.rate_per_s**2 + 2.0 * _slope(stage) * mass, 0.0))
    return min(2.0 * mass / (stage.rate_per_s + root), stage.for_s) if mass > 0 else 0.0


def _drawn(scenario: Scenario, index: int, at_s: float, stage: str) -> Arrival:
    load = scenario.load

    def stream(name: str) -> random.Random:
        return random.Random(f"{scenario.seed}:{index}:{name}")

    def draw(distribution: AnyDistribution | None, name: str) -> float | None:
        return None if distribution is None else distribution.sample(stream(name))

    session_s = draw(load.session, "session")
    return Arrival(
        index=index,
        at_s=at_s,
        stage=stage,
        session_s=math.inf if session_s is None else session_s,
        patience_s=draw(load.patience, "patience"),
        tier=_tier(scenario.seed, index, load.receive.decode),
        project_id=f"project-{index % load.projects}",
        user_id=f"user-{index}",
        input_seed=stream("input").getrandbits(63),
    )


def _tier(seed: int, index: int, decode: float) -> Tier:
    """Spread the decoders evenly: even ten viewers at 20 % have their two.

    A golden-ratio sequence instead of independent draws, which would often give
    a short run none.
    """
    offset = random.Random(f"{seed}:tier").random()
    return "decode" if (offset + index * _GOLDEN) % 1.0 < decode else "frames"
