"""When each viewer of a scenario arrives and what it does, computed from the seed alone.

Draws are bound to the index of the session and the name of the quantity, never
to the order of calls: two runs, or a run and its simulation, see the same day,
however the work is split among processes.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from scenarios.consistency import TRACE
from scenarios.distributions import AnyDistribution
from scenarios.errors import ScenarioError
from scenarios.load import CapacityLoad, ClosedLoad, OpenLoad, Stage
from scenarios.model import Scenario

Tier = Literal["frames", "decode"]

ARRIVALS_MAX = 10_000_000
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


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
    """Lay the stages of the scenario on the time axis.

    A step of a capacity search is a stage named after its viewers; a trace
    without stages is one, which ends with its last session.
    """
    load = scenario.load
    if isinstance(load, ClosedLoad) and load.for_s is not None:
        return [StageSpan("hold", 0.0, load.for_s, True)]
    if isinstance(load, CapacityLoad):
        return [
            StageSpan(f"viewers-{users}", step * load.hold_s, (step + 1) * load.hold_s, True)
            for step, users in enumerate(load.users)
        ]
    if isinstance(load, OpenLoad) and not load.stages:
        return [StageSpan(TRACE, 0.0, _end_of_trace(scenario), True)]
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

    For a closed load and a capacity search these are the first sessions of
    their users; ``next_arrival`` says what follows each. Raises ScenarioError
    where a trace is unfit, or stages ask for more than anybody can mean.
    """
    load = scenario.load
    spans = stages(scenario)
    if isinstance(load, OpenLoad) and load.arrivals.trace is not None:
        return _recorded(scenario, load, spans)
    if isinstance(load, OpenLoad):
        times = list(_open_times(scenario, load))
    elif isinstance(load, CapacityLoad):
        times = _step_times(load)
    else:
        times = [load.ramp_s * user / load.users for user in range(load.users)]
    return [
        _drawn(scenario, index, at_s, stage_at(spans, at_s)) for index, at_s in enumerate(times)
    ]


def next_arrival(scenario: Scenario, previous: Arrival, ended_at_s: float) -> Arrival | None:
    """Say which session a user of a closed load or capacity search starts when one has ended.

    None once the run is over, and always for an open load.
    """
    load = scenario.load
    if isinstance(load, OpenLoad) or ended_at_s >= duration_s(scenario):
        return None
    index = previous.index + (load.users if isinstance(load, ClosedLoad) else load.max_users)
    following = _drawn(scenario, index, ended_at_s, stage_at(stages(scenario), ended_at_s))
    return replace(following, user_id=previous.user_id, project_id=previous.project_id)


def _step_times(load: CapacityLoad) -> list[float]:
    """A step's new viewers come when it begins."""
    return [
        step * load.hold_s
        for step, (before, users) in enumerate(itertools.pairwise((0, *load.users)))
        for _ in range(before, users)
    ]


def _recorded(scenario: Scenario, load: OpenLoad, spans: list[StageSpan]) -> list[Arrival]:
    """The arrivals of a trace; those after the last stage are left out."""
    found = []
    for index, (at_s, session_s) in enumerate(load.arrivals.recorded):
        if load.stages and at_s >= spans[-1].end_s:
            break
        arrival = _drawn(scenario, index, at_s, stage_at(spans, at_s))
        found.append(arrival if session_s is None else replace(arrival, session_s=session_s))
    return found


def _end_of_trace(scenario: Scenario) -> float:
    load = scenario.load
    if not isinstance(load, OpenLoad):
        raise TypeError("not an open load")
    ends = [
        at_s + (_session_s(scenario, index) if session_s is None else session_s)
        for index, (at_s, session_s) in enumerate(load.arrivals.recorded)
    ]
    return max(ends)


def _open_times(scenario: Scenario, load: OpenLoad) -> Iterator[float]:
    """Invert the cumulated rate: arrival k falls where it reaches the k-th threshold."""
    expected = sum(_mass(stage, stage.for_s) for stage in load.stages)
    if expected > ARRIVALS_MAX:
        message = f"the stages ask for {expected:.3g} arrivals, over {ARRIVALS_MAX}"
        raise ScenarioError([scenario.problem(("load", "stages"), message)])
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

    return Arrival(
        index=index,
        at_s=at_s,
        stage=stage,
        session_s=_session_s(scenario, index),
        patience_s=draw(load.patience, "patience"),
        tier=_tier(scenario.seed, index, load.receive.decode),
        project_id=f"project-{index % load.projects}",
        user_id=f"user-{index}",
        input_seed=stream("input").getrandbits(63),
    )


def _session_s(scenario: Scenario, index: int) -> float:
    session = scenario.load.session
    if session is None:
        return math.inf
    return session.sample(random.Random(f"{scenario.seed}:{index}:session"))


def _tier(seed: int, index: int, decode: float) -> Tier:
    """Spread the decoders evenly: even ten viewers at 20 % have their two.

    A golden-ratio sequence instead of independent draws, which would often give
    a short run none.
    """
    offset = random.Random(f"{seed}:tier").random()
    return "decode" if (offset + index * _GOLDEN) % 1.0 < decode else "frames"
