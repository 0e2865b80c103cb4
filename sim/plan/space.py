"""The candidates of a plan, those that formulas rule out, and a first guess of their costs."""

from __future__ import annotations

import math

import numpy as np

from scenarios.policies import (
    Buffer,
    Fixed,
    PerRequest,
    Policy,
    Predictive,
    Scaling,
    Schedule,
    Target,
    TwoTier,
    singles,
)
from sim import policies, staffing
from sim.model import BadModel, Floats
from sim.plan.evaluate import Candidate, Evaluator
from sim.plan.wording import in_words

_SAFE = 0.9
"""A policy is ruled out only if it cannot hold nine tenths of the mean peak load."""

_DEFAULT_SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6)


def candidates(evaluator: Evaluator) -> list[Candidate]:
    """Every policy to be considered, those that look cheapest first.

    Raises:
        BadModel: there is none.
    """
    scenario = evaluator.case.scenario
    plan = scenario.plan
    chosen = list(plan.candidates()) if plan is not None and plan.policies else []
    load = mean_load(evaluator)
    if not chosen:
        chosen = _defaults(evaluator, load)
    seen: set[str] = set()
    found: list[Candidate] = []
    for policy in chosen:
        words = in_words(policy)
        if words not in seen:
            seen.add(words)
            found.append(Candidate(policy, len(found), guess=_guess(evaluator, policy, load)))
    if not found:
        raise BadModel("plan: there is no policy to consider")
    _screen(evaluator, found, load)
    return sorted(found, key=lambda one: (one.guess, one.index))


def mean_load(evaluator: Evaluator) -> Floats:
    """Workers' worth of sessions in progress over the day, if none ever waited."""
    case = evaluator.case
    pool = case.scenario.pools[evaluator.pool]
    points = policies.forecast(case.scenario, pool, 0.0, case.end_s)
    return np.asarray(points[3:]) / pool.slots_per_worker


def _screen(evaluator: Evaluator, found: list[Candidate], load: Floats) -> None:
    """Rule out those that may never have as many workers as the mean load of the peak."""
    asks = {gate.metric for gate in evaluator.gates if gate.op == "<="}
    if not asks & {"pool.wait", "pool.wait_time", "session.abandoned", "session.join_time"}:
        return
    peak = float(np.quantile(load, 0.95))
    kept = [one for one in found if _ceiling(evaluator, one.policy) >= _SAFE * peak]
    if kept:
        for one in found:
            if _ceiling(evaluator, one.policy) < _SAFE * peak:
                one.out = "screened: it may not hold the mean load of the peak"


def _ceiling(evaluator: Evaluator, policy: Policy) -> float:
    """The most workers that it may ever have."""
    quota = evaluator.case.scenario.pools[evaluator.pool].max_workers
    most = 0.0
    for _, part in singles(policy):
        top = math.inf if part.max is None else float(part.max)
        if isinstance(part, Fixed):
            top = min(top, max(part.size, part.min))
        most = max(most, top)
    return min(most, math.inf if quota is None else quota)


def _guess(evaluator: Evaluator, policy: Policy, load: Floats) -> float:
    """Cost per hour if every policy had exactly the workers that it wants."""
    price = evaluator.case.scenario.pools[evaluator.pool].price
    running, stopped = (price.running, price.stopped) if evaluator.priced else (1.0, 0.0)
    wanted = np.zeros(len(load))
    asleep = 0.0
    for _, part in singles(policy):
        wanted = np.maximum(wanted, np.maximum(_wants(part, load), part.min))
        if isinstance(part, TwoTier):
            asleep = max(asleep, float(part.stopped))
    return float(wanted.mean()) * running + asleep * stopped


def _wants(part: Scaling, load: Floats) -> Floats:
    match part:
        case Fixed():
            return np.full(len(load), float(part.size))
        case Buffer() | TwoTier():
            return load + np.maximum(part.warm_workers, part.warm_ratio * load)
        case Target():
            return load / part.utilisation
        case Predictive():
            return load + (part.headroom if isinstance(part.headroom, int) else 0.0)
        case PerRequest():
            return load
        case Schedule():
            most = [step.warm for step in part.steps if isinstance(step.warm, int)]
            return load + (sum(most) / len(most) if most else 0.0)
    return load


def _defaults(evaluator: Evaluator, load: Floats) -> list[Policy]:
    """Around the load: from none spare to what single-use workers would need."""
    scenario = evaluator.case.scenario
    pool = scenario.pools[evaluator.pool]
    most = 10**6 if pool.max_workers is None else pool.max_workers
    peak = float(load.max())
    rate = float(np.abs(np.diff(load)).max()) * len(load) / max(evaluator.case.end_s, 1.0)
    session = scenario.load.session
    rate += 0.0 if session is None else peak / max(session.mean, 1e-9)
    stock = max(4, staffing.base_stock(rate, pool.boot.mean, 0.001))
    sizes = sorted({min(most, round(n)) for n in np.geomspace(1, stock + 1, 16)})
    fixed = sorted({min(most, math.ceil(peak * f) + 1) for f in np.linspace(1.0, 1.6, 9)})
    found: list[Policy] = [Fixed.model_validate({"kind": "fixed", "size": n}) for n in fixed]
    found += [Buffer.model_validate({"kind": "buffer", "warm": n}) for n in sizes]
    found += [
        Buffer.model_validate({"kind": "buffer", "warm": f"{100 * share:g}%"})
        for share in _DEFAULT_SHARES
    ]
    found += [
        Target.model_validate({"kind": "target", "utilisation": f"{share}%"})
        for share in (95, 90, 85, 80, 75, 70, 60, 50)
    ]
    found += [
        Predictive.model_validate({"kind": "predictive", "method": method, "headroom": n})
        for method in ("ewma", "holt-winters", "mtginf")
        for n in sizes
    ]
    if pool.start.mean < pool.boot.mean:
        found += [
            TwoTier.model_validate({"kind": "two-tier", "warm": n, "stopped": behind})
            for n in sizes
            for behind in (n, 3 * n)
            if behind <= most
        ]
    return found
