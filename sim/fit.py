"""Fits distributions to what runs have shown: session lengths, patience, boot times.

A session that was in progress when the run ended, a viewer who was served
before patience ran out, and a boot that failed are censored: longer than seen,
nobody knows by how much. Leaving them out would fit too short a time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml
from scipy import stats

from reports.rundir import RunReader
from sim.model import BadModel, Flags, Floats

EVENTS_MIN = 5
"""Fewer observed ends say nothing about a shape."""

_LAST_S = 1.5
"""A session whose last second is so close to the end of the run was in progress then."""


@dataclass(frozen=True)
class Times:
    """Durations in seconds; ``ended`` is False where one was still going on."""

    seconds: Floats
    ended: Flags

    def joined(self, other: Times) -> Times:
        """Both together."""
        return Times(
            np.concatenate([self.seconds, other.seconds]),
            np.concatenate([self.ended, other.ended]),
        )


NONE = Times(np.zeros(0), np.zeros(0, dtype=np.bool_))


@dataclass(frozen=True)
class Fitted:
    """A distribution as a scenario has it, and what Kaplan and Meier say without a shape."""

    written: dict[str, Any]
    n: int
    censored: int
    median_s: float
    p95_s: float
    distance: float
    """Largest distance between the fitted distribution and the Kaplan-Meier estimate."""
    noise: float
    """What chance alone makes of that distance with so many observations, 95 % of the time."""


def kaplan_meier(times: Times) -> tuple[Floats, Floats]:
    """Times at which something ended, and the share that lasts longer than each."""
    at = np.unique(times.seconds[times.ended])
    ordered = np.sort(times.seconds)
    ends = np.sort(times.seconds[times.ended])
    at_risk = len(ordered) - np.searchsorted(ordered, at, side="left")
    died = np.searchsorted(ends, at, side="right") - np.searchsorted(ends, at, side="left")
    survival: Floats = np.cumprod(1.0 - died / at_risk, dtype=np.float64)
    return at, survival


def quantile(curve: tuple[Floats, Floats], share: float) -> float:
    """The time by which that share has ended; infinite where too much is censored."""
    at, survival = curve
    place = int(np.searchsorted(-survival, -(1.0 - share) - 1e-12))
    return float(at[place]) if place < len(at) else math.inf


def fit(times: Times, name: str) -> Fitted:
    """The best of the scenario's shapes by likelihood, each parameter paid for (AIC).

    Raises:
        BadModel: too little was observed.
    """
    positive = times.seconds > 0
    kept = Times(times.seconds[positive], times.ended[positive])
    observed = int(kept.ended.sum())
    if observed < EVENTS_MIN:
        raise BadModel(f"{name}: only {observed} were seen to their end; {EVENTS_MIN} are needed")
    data = stats.CensoredData.right_censored(kept.seconds, ~kept.ended)
    curve = kaplan_meier(kept)
    total = float(kept.seconds.sum())
    spread = float(np.ptp(kept.seconds[kept.ended]))
    choices = [
        (
            {"dist": "exponential", "mean": _s(total / observed)},
            stats.expon(scale=total / observed),
            1,
        )
    ]
    if spread > 1e-6:
        sigma, _, scale = stats.lognorm.fit(data, floc=0)
        p95 = scale * math.exp(1.6448536269514722 * sigma)
        choices.append(
            (
                {"dist": "lognormal", "median": _s(scale), "p95": _s(p95)},
                stats.lognorm(sigma, scale=scale),
                2,
            )
        )
        shape, _, width = stats.weibull_min.fit(data, floc=0)
        weibull: dict[str, Any] = {"dist": "weibull", "shape": round(float(shape), 5)}
        weibull["scale"] = _s(width)
        choices.append((weibull, stats.weibull_min(shape, scale=width), 2))
    else:
        choices = [({"dist": "deterministic", "mean": _s(float(np.median(kept.seconds)))}, None, 1)]
    written, frozen, _ = min(choices, key=lambda choice: _aic(choice[1], choice[2], kept))
    at, survival = curve
    distance = 0.0 if frozen is None else float(np.abs(frozen.sf(at) - survival).max())
    return Fitted(
        written,
        len(kept.seconds),
        len(kept.seconds) - observed,
        quantile(curve, 0.5),
        quantile(curve, 0.95),
        distance,
        1.36 / math.sqrt(observed),
    )


def _aic(frozen: Any, parameters: int, times: Times) -> float:
    if frozen is None:
        return 0.0
    likelihood = frozen.logpdf(times.seconds[times.ended]).sum()
    likelihood += frozen.logsf(times.seconds[~times.ended]).sum()
    return 2.0 * parameters - 2.0 * float(likelihood)


def _s(seconds: float) -> str:
    return f"{seconds:.6g}s"


def patience(run: RunReader) -> Times:
    """How long viewers waited; those who were served, or still waited, are censored."""
    waits = run.rows("pool.wait_time")
    lost = run.rows("session.abandoned")
    key = ["node", "session_id"]
    both = (
        waits[[*key, "value"]]
        .astype({"node": str, "session_id": str})
        .merge(
            lost[[*key, "value"]].astype({"node": str, "session_id": str}),
            on=key,
            suffixes=("_wait", "_lost"),
        )
    )
    return Times(
        both["value_wait"].to_numpy(np.float64), both["value_lost"].to_numpy(np.float64) == 1.0
    )


def sessions(run: RunReader) -> Times:
    """How long viewers stayed, by their seconds; those in progress at the end are censored."""
    samples = run.samples
    if samples.empty:
        return NONE
    grouped = samples.assign(end_s=samples["t_us"] / 1e6 + samples["duration_s"]).groupby(
        ["node", "session_id"], observed=True
    )
    lengths = grouped["duration_s"].sum().to_numpy(np.float64)
    last_s = grouped["end_s"].max().to_numpy(np.float64)
    return Times(lengths, last_s < run.spans[-1].end_s - _LAST_S)


def boots(lines: Iterable[str]) -> Times:
    """Boot times in an orchestrator's log; a boot that failed is as long as it was waited for."""
    seconds: list[float] = []
    for line in lines:
        if '"worker.ready"' in line:
            try:
                seconds.append(float(json.loads(line)["boot_s"]))
            except (ValueError, KeyError, TypeError):
                continue
    return Times(np.array(seconds), np.ones(len(seconds), dtype=np.bool_))


def as_scenario(found: dict[str, Fitted]) -> str:
    """The part of a scenario that was fitted, as YAML."""
    load = {name: found[name].written for name in ("session", "patience") if name in found}
    part: dict[str, Any] = {"load": load} if load else {}
    if "boot" in found:
        part["pool"] = {"boot": found["boot"].written}
    return str(yaml.safe_dump(part, sort_keys=False))


def fit_runs(
    runs: Sequence[RunReader], log: Iterable[str] = ()
) -> tuple[dict[str, Fitted], list[str]]:
    """Fit what the runs show; and one line for each thing of which there is too little.

    Raises:
        BadModel: nothing could be fitted.
    """
    times = {"session": NONE, "patience": NONE, "boot": boots(log)}
    for run in runs:
        times["session"] = times["session"].joined(sessions(run))
        times["patience"] = times["patience"].joined(patience(run))
    found: dict[str, Fitted] = {}
    missing: list[str] = []
    for name, seen in times.items():
        try:
            found[name] = fit(seen, name)
        except BadModel as error:
            missing.append(str(error))
    if not found:
        raise BadModel("nothing to fit: " + "; ".join(missing))
    return found, missing
