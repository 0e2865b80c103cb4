"""Turns a scenario into the simulator's model: pools, and days drawn from the seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from scenarios import schedule
from scenarios.distributions import is_never
from scenarios.faults import WorkerHang, WorkerKill
from scenarios.load import CapacityLoad, ClosedLoad, OpenLoad
from scenarios.model import Scenario
from scenarios.policies import PerRequest, Policy
from scenarios.pool import LaunchBucket, Outage, Pool
from scenarios.regions import Region
from scenarios.schedule import StageSpan
from sim import arrivals, chance, policies
from sim.model import (
    NEVER_US,
    SECOND_US,
    BadModel,
    Day,
    Floats,
    Ints,
    Kill,
    PoolModel,
    RegionModel,
)
from system.orchestrator.policy import Numbers

GRID = 288
"""Pool states are summed over so many even parts of the run, and over its stages."""

WORKERS_MAX = 1_000_000
"""At the start of a day; more is a slip of the pen."""

SAME_DAY_MAX = 20_000
"""Up to so many arrivals the first replication is the very day of a measured run."""


@dataclass(frozen=True)
class Sizes:
    """How much of what nobody knows beforehand is drawn."""

    launches: int
    starts: int
    sessions: int

    def more(self, what: str) -> Sizes:
        """Four times as much of ``what`` was too little."""
        return replace(self, **{what: 4 * getattr(self, what) + 1000})


@dataclass(frozen=True)
class Crowd:
    """The sessions of a day, in order of arrival; ``before`` came before second 0."""

    arrival_us: Ints
    session_us: Ints
    patience_us: Ints
    before: int
    in_progress: int
    """The first of them were already there at the beginning."""


class Case:
    """A scenario as the simulator sees it. Raises BadModel for what cannot be simulated."""

    def __init__(self, scenario: Scenario) -> None:
        if isinstance(scenario.load, CapacityLoad):
            raise BadModel("a capacity search loads a real system: simulate a load of users")
        self.scenario = scenario
        self.spans: list[StageSpan] = schedule.stages(scenario)
        self.end_s = self.spans[-1].end_s
        self.begin_s = -scenario.sim.warmup_s
        self.begin_us = round(self.begin_s * SECOND_US)
        self.end_us = round(self.end_s * SECOND_US)
        self.drains = isinstance(scenario.load, OpenLoad) and not scenario.load.stages
        """A trace without stages is over when everybody has been served."""
        if self.drains:
            self.end_us += 1
        self.overflow = tuple(
            index for index, pool in enumerate(scenario.pools) if pool.route == "overflow"
        )
        self.edges_us = self._edges()
        self._check()

    # --- pools -------------------------------------------------------------------

    def pool_model(self, index: int, policy: Policy | None = None) -> PoolModel:
        """A pool with its policy, or with another one that is tried out."""
        pool = self.scenario.pools[index]
        if policy is not None:
            pool = pool.model_copy(update={"policy": policy})
            pool.begin_at(self.scenario.sim.start_s)
        chosen = pool.policy
        forecast: Numbers = self._forecast(index) if policies.needs_forecast(chosen) else ()
        region = self._region(pool)
        alone = region is not None and self._is_alone(pool, region)
        bucket, outages = pool.launch_bucket, _outages(pool.outages)
        caps = [pool.max_workers, chosen.max if isinstance(chosen, PerRequest) else None]
        if region is not None and alone:
            caps.append(region.max_workers)
            bucket = bucket or region.launch_bucket
            outages += _outages(region.outages)
        most = min([1 << 30, *(cap for cap in caps if cap is not None)])
        if pool.at_start + pool.stopped_at_start > WORKERS_MAX:
            raise BadModel(
                f"pool: {pool.at_start + pool.stopped_at_start} workers at the start, "
                f"over {WORKERS_MAX}"
            )
        return PoolModel(
            name=pool.name,
            policy=policies.model(chosen, pool, self.scenario, forecast),
            initial=min(pool.at_start, most),
            stopped=pool.stopped_at_start,
            slots=pool.slots_per_worker,
            reuse=pool.reuse,
            max_workers=most,
            burst=0 if bucket is None else bucket.burst,
            refill_us=_refill_us(bucket),
            notice_us=round((pool.spot.notice_s if pool.spot else 0.0) * SECOND_US),
            outages_us=outages,
            kills=self._kills(pool),
            per_request=isinstance(chosen, PerRequest),
            expiry_us=round(chosen.idle_s * SECOND_US)
            if isinstance(chosen, PerRequest)
            else NEVER_US,
            region=None if region is None or alone else _region_model(region),
        )

    def _region(self, pool: Pool) -> Region | None:
        named = (region for region in self.scenario.regions if region.name == pool.region)
        return next(named, None)

    def _is_alone(self, pool: Pool, region: Region) -> bool:
        """Whether the limits of a region can be the pool's own: nobody shares them."""
        inside = sum(other.region == region.name for other in self.scenario.pools)
        return inside == 1 and (pool.launch_bucket is None or region.launch_bucket is None)

    @property
    def rtts_s(self) -> Floats:
        """By pool: the round trip to its workers."""
        found = [self._region(pool) for pool in self.scenario.pools]
        return np.array([0.0 if region is None else region.rtt_s for region in found])

    def _kills(self, pool: Pool) -> tuple[Kill, ...]:
        """A worker that hangs serves nobody any more, so to its sessions it has died."""
        names = [other.name for other in self.scenario.pools]
        found = []
        for index, fault in enumerate(self.scenario.faults):
            if isinstance(fault, WorkerKill | WorkerHang) and pool.name == (fault.pool or names[0]):
                draw = random.Random(f"{self.scenario.seed}:fault:{index}").random()
                found.append(Kill(round(fault.at_s * SECOND_US), fault.target, draw))
        return tuple(found)

    def _forecast(self, index: int) -> Numbers:
        if index not in self._forecasts:
            pool = self.scenario.pools[index]
            self._forecasts[index] = policies.forecast(
                self.scenario, pool, self.begin_s, self.end_s
            )
        return self._forecasts[index]

    @cached_property
    def _forecasts(self) -> dict[int, Numbers]:
        return {}

    # --- days --------------------------------------------------------------------

    def sizes(self, crowd: Crowd) -> Sizes:
        """A first guess."""
        launches = 2_000 + min(len(crowd.arrival_us), 50_000)
        return Sizes(launches, launches, len(crowd.arrival_us))

    def crowd(self, replication: int, sessions: int = 0) -> Crowd:
        """The sessions of a replication; ``sessions`` only matters to a closed load."""
        load = self.scenario.load
        rng = partial(chance.stream, self.scenario.seed, replication)
        if isinstance(load, ClosedLoad):
            users = load.users
            count = users * max(1, -(-sessions // users))
            at_s = load.ramp_s * np.arange(users) / users
            arrival_us = np.resize(chance.microseconds(self.begin_s + at_s), count)
            session_us = chance.draw(load.session, rng("session"), count)
            return Crowd(arrival_us, session_us, self._patience(rng, count), 0, 0)
        assert isinstance(load, OpenLoad)
        if load.arrivals.trace is not None:
            at_s, lengths_s = arrivals.recorded(load)
            kept = np.rint(at_s * SECOND_US) < self.end_us
            at_s, lengths_s = at_s[kept], lengths_s[kept]
            session_us = (
                chance.microseconds(lengths_s)
                if load.session is None
                else chance.draw(load.session, rng("session"), len(at_s))
            )
            patience_us = self._patience(rng, len(at_s))
            return Crowd(chance.microseconds(at_s), session_us, patience_us, 0, 0)
        if replication == 0 and float(arrivals.expected(load, np.array([self.end_s]))[0]) < (
            SAME_DAY_MAX
        ):
            day = self._same_day()
        else:
            arrival_us = chance.microseconds(arrivals.drawn(load, rng("arrival")))
            count = len(arrival_us)
            session_us = chance.draw(load.session, rng("session"), count)
            day = Crowd(arrival_us, session_us, self._patience(rng, count), 0, 0)
        return self._warmed_up(load, rng, day) if self.begin_us < 0 else day

    def _same_day(self) -> Crowd:
        """The sessions that a load test of this scenario has."""
        found = schedule.arrivals(self.scenario)
        patience = [
            np.inf if arrival.patience_s is None else arrival.patience_s for arrival in found
        ]
        return Crowd(
            chance.microseconds(np.array([arrival.at_s for arrival in found])),
            chance.microseconds(np.array([arrival.session_s for arrival in found])),
            chance.microseconds(np.array(patience)),
            0,
            0,
        )

    def _warmed_up(
        self, load: OpenLoad, rng: Callable[[str], np.random.Generator], day: Crowd
    ) -> Crowd:
        """Put before the day those in progress, and arrivals at the rate that it begins with."""
        rate = load.stages[0].rate_per_s
        assert load.session is not None
        there = int(rng("in-progress").poisson(rate * load.session.mean))
        expected = rate * -self.begin_s
        count = int(expected + 10 * expected**0.5 + 20)
        if load.arrivals.process == "poisson":
            times: Floats = np.cumsum(rng("warmup").standard_exponential(count))
        else:
            times = (expected - 0.5) % 1.0 + np.arange(count, dtype=np.float64)
        new = chance.microseconds(times[times < expected] / rate) if rate > 0 else times[:0]
        early = self.begin_us + np.concatenate(
            [np.zeros(there, dtype=np.int64), new.astype(np.int64)]
        )
        lengths = np.concatenate(
            [
                chance.residual(load.session, rng("residual"), there),
                chance.draw(load.session, rng("warmup-session"), len(new)),
            ]
        )
        warm_rng = rng("warmup-patience")
        patience = chance.draw(load.patience, warm_rng, len(early))
        return Crowd(
            np.concatenate([np.minimum(early, 0), day.arrival_us]),
            np.concatenate([lengths, day.session_us]),
            np.concatenate([patience, day.patience_us]),
            len(early),
            there,
        )

    def _patience(self, rng: Callable[[str], np.random.Generator], count: int) -> Ints:
        return chance.draw(self.scenario.load.patience, rng("patience"), count)

    def day(self, pool_index: int, replication: int, crowd: Crowd, sizes: Sizes) -> Day:
        """A replication of a pool, with all sessions of the scenario."""
        pool = self.scenario.pools[pool_index]
        of_pool = "" if pool_index == 0 else f":{pool_index}"

        def rng(name: str) -> np.random.Generator:
            return chance.stream(self.scenario.seed, replication, name + of_pool)

        count = len(crowd.arrival_us)
        adds = self.scenario.sim.adds
        hold_us = crowd.session_us + round(adds.session_s * SECOND_US)
        if not pool.release:
            hold_us = np.full(count, NEVER_US, dtype=np.int64)
        elif pool.reap_s is not None:
            hold_us = np.minimum(hold_us, round(pool.reap_s * SECOND_US))
        if pool.orphans is not None:
            orphaned = rng("orphan").random(count) < pool.orphans.share
            hold_us = hold_us + orphaned * round(pool.orphans.lease_s * SECOND_US)
        workers = pool.at_start + pool.stopped_at_start + crowd.in_progress + sizes.launches + 64
        scrub_us = np.zeros(0 if is_never(pool.scrub) else count, dtype=np.int64)
        if len(scrub_us):
            scrub_us = chance.draw(pool.scrub, rng("scrub"), count)
            scrub_us += round(adds.scrub_s * SECOND_US)
        return Day(
            arrival_us=crowd.arrival_us,
            hold_us=hold_us,
            patience_us=crowd.patience_us,
            scrub_us=scrub_us,
            boot_us=chance.draw(pool.boot, rng("boot"), sizes.launches)
            + round(adds.boot_s * SECOND_US),
            boot_fails=rng("boot-failure").random(sizes.launches) < pool.boot_failure
            if pool.boot_failure > 0
            else np.zeros(sizes.launches, dtype=np.bool_),
            life_us=_lives(pool.mtbf_s, rng("life"), workers),
            spot_us=_lives(
                None if pool.spot is None else 1.0 / pool.spot.kill_rate_per_s,
                rng("spot"),
                workers,
            ),
            start_us=chance.draw(pool.start, rng("start"), sizes.starts)
            + round(adds.start_s * SECOND_US),
            begin_us=self.begin_us,
            end_us=self.end_us,
            edges_us=self.edges_us,
            retry_us=self._retries(replication, count),
            chain=self.scenario.load.users if isinstance(self.scenario.load, ClosedLoad) else 0,
        )

    def _retries(self, replication: int, count: int) -> Ints:
        """How long each session stays away after it left for the first, second, … time."""
        retry = self.scenario.load.retry
        if retry is None:
            return np.zeros((count, 0), dtype=np.int64)
        size = count * retry.times
        away = chance.draw(
            retry.after, chance.stream(self.scenario.seed, replication, "retry"), size
        )
        again = chance.stream(self.scenario.seed, replication, "again").random(size)
        away[again >= retry.share] = -1
        return away.reshape(count, retry.times)

    def in_progress(self, pool_index: int, sessions: int) -> int:
        """Of the sessions in progress at the beginning, about how many a pool serves."""
        return (
            math.ceil(sessions * (self.scenario.pools[pool_index].share or 0.0))
            if (len(self.scenario.pools) > 1)
            else sessions
        )

    def homes(self, replication: int, count: int) -> Ints:
        """The pool of each session; in a closed load a viewer stays with one."""
        shares = [pool.share or 0.0 for pool in self.scenario.pools]
        if len(shares) == 1:
            return np.zeros(count, dtype=np.int64)
        load = self.scenario.load
        each = load.users if isinstance(load, ClosedLoad) else count
        draws = chance.stream(self.scenario.seed, replication, "home").random(each)
        edges = np.cumsum(shares)[:-1]
        return np.resize(np.searchsorted(edges, draws, side="right").astype(np.int64), count)

    def _edges(self) -> Ints:
        grid: Floats = np.linspace(0.0, self.end_s, GRID + 1)
        bounds = [edge for span in self.spans for edge in (span.start_s, span.end_s)]
        return np.unique(np.rint(np.concatenate([grid, bounds]) * SECOND_US).astype(np.int64))

    def _check(self) -> None:
        scenario = self.scenario
        if isinstance(scenario.load, ClosedLoad) and scenario.is_loss:
            raise BadModel(
                "load: a closed load with patience 0s never ends: who is not served comes again "
                "at once; give it patience, or make it open"
            )
        for index in range(len(scenario.pools)):
            self.pool_model(index)


def _outages(outages: Sequence[Outage]) -> tuple[tuple[int, int], ...]:
    return tuple(
        (round(one.at_s * SECOND_US), round((one.at_s + one.for_s) * SECOND_US)) for one in outages
    )


def _refill_us(bucket: LaunchBucket | None) -> int:
    return 0 if bucket is None else max(1, round(SECOND_US / bucket.refill_per_s))


def _region_model(region: Region) -> RegionModel:
    return RegionModel(
        name=region.name,
        max_workers=1 << 30 if region.max_workers is None else region.max_workers,
        burst=0 if region.launch_bucket is None else region.launch_bucket.burst,
        refill_us=_refill_us(region.launch_bucket),
        outages_us=_outages(region.outages),
    )


def _lives(mean_s: float | None, rng: np.random.Generator, count: int) -> Ints:
    if mean_s is None:
        return np.zeros(0, dtype=np.int64)
    return chance.microseconds(rng.standard_exponential(count) * mean_s)


def with_in_progress(model: PoolModel, sessions: int) -> PoolModel:
    """At the beginning of a warm-up a pool that scales has workers for those in progress."""
    if sessions == 0 or all(part.kind == "fixed" for part in model.policy.parts):
        return model
    most = min(model.max_workers, *(part.parameters[3] for part in model.policy.parts))
    wanted = model.initial + -(-sessions // model.slots)
    return replace(model, initial=int(max(model.initial, min(wanted, most))))
