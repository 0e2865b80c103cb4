"""Which part of the system a missed gate points to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from reports.attributes import attributes
from reports.rundir import RunReader
from reports.samples import Samples
from scenarios.schedule import StageSpan
from system.protocol.metrics import JOIN_PHASES

PHASE_OWNERS = {
    "schedule": "load generator",
    "ws": "signaling",
    "allocate": "orchestrator",
    "queue": "pool",
    "sdp": "worker",
    "ice": "network",
    "dtls": "worker",
    "first_packet": "worker",
    "first_frame": "network",
}
"""By phase of a join, the part of the system that makes a viewer wait in it."""

_CODES = {
    "no_capacity": "pool",
    "queue_full": "pool",
    "abandoned": "pool",
    "worker_lost": "worker",
    "media_failed": "network",
    "unreachable": "signaling",
    "closed": "signaling",
    "unauthorized": "signaling",
    "helper_gone": "load generator",
}
_ROLES = ("worker", "signaling", "orchestrator", "store")
_LOSSY = 0.01
_SLOWER = 2.0


def component(
    run: RunReader,
    samples: Mapping[str, Samples],
    spans: Sequence[StageSpan],
    metric: str,
    stage: str,
    before: str | None,
) -> str:
    """Name the part of the system behind ``metric`` in ``stage``.

    ``before`` is a stage in which all was well. Failures point to their
    commonest reason, joins to the phase that grew most, latency and frames to the
    network where it lost or slowed packets, else to the busiest process.
    """
    if metric.startswith("pool."):
        return "pool"
    if metric.startswith("session."):
        # A failed join ranks last among join times: it may be what missed the gate.
        failed = "session.failed" if metric.startswith("session.join") else metric
        return _by_reason(run, failed, stage) or _by_phase(samples, spans, stage, before)
    if metric.startswith("net.") or _network(samples, spans, stage, before):
        return "network"
    return _busiest(run, spans, stage)


def _mean(
    samples: Mapping[str, Samples], spans: Sequence[StageSpan], name: str, stage: str | None
) -> float:
    if name not in samples or stage is None:
        return 0.0
    values = samples[name].during(spans, stage).values
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else 0.0


def _by_phase(
    samples: Mapping[str, Samples], spans: Sequence[StageSpan], stage: str, before: str | None
) -> str:
    def grew(phase: str) -> float:
        name = f"session.join.{phase}"
        return _mean(samples, spans, name, stage) - _mean(samples, spans, name, before)

    return PHASE_OWNERS[max(JOIN_PHASES, key=grew)]


def _by_reason(run: RunReader, metric: str, stage: str) -> str:
    rows = run.rows(metric)
    rows = rows[(rows["stage"] == stage) & (rows["value"] == 1.0)]
    found: Counter[str] = Counter()
    for text in rows["attrs"]:
        attrs = attributes(text)
        known = _CODES.get(str(attrs.get("code", "")))
        owner = known or PHASE_OWNERS.get(str(attrs.get("phase", "")))
        if owner:
            found[owner] += 1
    if not found and metric == "session.abandoned":
        return "pool"
    return found.most_common(1)[0][0] if found else ""


def _network(
    samples: Mapping[str, Samples], spans: Sequence[StageSpan], stage: str, before: str | None
) -> bool:
    if _mean(samples, spans, "net.loss", stage) > _LOSSY:
        return True
    usual = _mean(samples, spans, "net.rtt", before)
    return usual > 0.02 and _mean(samples, spans, "net.rtt", stage) > _SLOWER * usual


def _busiest(run: RunReader, spans: Sequence[StageSpan], stage: str) -> str:
    span = next(span for span in spans if span.name == stage)
    system = run.system
    rows = system[
        system["role"].isin(_ROLES)
        & (system["t_us"] >= span.start_s * 1e6)
        & (system["t_us"] < span.end_s * 1e6)
    ]
    if rows.empty:
        return "worker"
    used = rows.groupby("node", observed=True)["cpu"].mean()
    return str(rows[rows["node"] == used.idxmax()]["role"].iloc[0])
