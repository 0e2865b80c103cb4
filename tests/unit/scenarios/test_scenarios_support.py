"""Every host refuses by name what it cannot honour, and nothing else."""

from __future__ import annotations

from typing import get_args

import pytest

from scenarios.loader import ScenarioError, loads
from scenarios.model import Scenario
from scenarios.support import HOSTS, NOT_YET, REFUSED, Host, refuse_unsupported, uses

STAGES = "  session: 10s\n  stages: [{name: hold, for: 20s, rate: 1/s}]\n"
WAIT = 'gates: [{id: wait, metric: pool.wait_time, stat: p95, "<=": 2s%s}]\n'
USES = {
    "network": "network: {rtt: 40ms}\n",
    "source.clip": "stream: {source: clip}\n",
    "load.retry": "load:\n  model: open\n  patience: 5s\n  retry: {after: 10s}\n" + STAGES,
    "regions": "regions: [{name: eu, rtt: 20ms}]\n"
    "pool: {region: eu, policy: {kind: fixed, size: 1}}\n",
    "load.capacity": "load: {model: capacity, from: 1, step: 1, hold: 5s, max: 4}\n" + WAIT % "",
    "arrivals.trace": "load:\n  model: open\n  arrivals: {trace: a.csv, time: t, session: s}\n",
    "pools": "pool:\n  - {name: a, share: 100%, policy: {kind: fixed, size: 1}}\n"
    "  - {name: b, route: overflow, policy: {kind: fixed, size: 1}}\n",
    "policy.schedule": 'pool: {policy: {kind: schedule, steps: [{at: "08:00", warm: 1}]}}\n',
    "policy.target": "pool: {policy: {kind: target, utilisation: 80%}}\n",
    "policy.predictive": "pool: {policy: {kind: predictive, method: ewma}}\n",
    "policy.mtginf": "pool: {policy: {kind: predictive, method: mtginf}}\n",
    "policy.two-tier": "pool: {policy: {kind: two-tier, warm: 1, stopped: 1}}\n",
    "policy.per-request": "pool: {policy: {kind: per-request, idle: 10min}}\n",
    "policy.max": "pool: {policy: [{kind: fixed, size: 1}, {kind: buffer, warm: 1}]}\n",
    "gate.strict": WAIT % ", strict: true",
    "gate.abort": WAIT % ", abort: {after: 5s}",
    "gate.regression": (WAIT % ", regression: {margin: 5%}").replace(' "<=": 2s,', ""),
    "gate.agrees_with": (WAIT % ", agrees_with: sim, within: 5%").replace(' "<=": 2s,', ""),
    **{
        f"pool.{key}": f"pool: {{{setting}, policy: {{kind: fixed, size: 1}}}}\n"
        for key, setting in {
            "launch_bucket": "launch_bucket: {burst: 10, refill: 1/s}",
            "boot_failure": "boot_failure: 1%",
            "mtbf": "mtbf: 500h",
            "spot": "spot: {kill_rate: 0.1/h}",
            "outages": "outages: [{at: 5s, for: 5s}]",
            "boot.empirical": "boot: {dist: empirical, file: a.csv, column: s}",
            "start.empirical": "start: {dist: empirical, file: a.csv, column: s}",
            "scrub.random": "scrub: {dist: exponential, mean: 2s}",
            "release": "release: false",
            "orphans": "orphans: {share: 5%, lease: 2min}",
            "reap": "reap: 10min",
        }.items()
    },
    **{
        f"fault.{kind}": f"faults: [{{at: 5s, kind: {kind}{extra}}}]\n"
        for kind, extra in {
            "worker_kill": "",
            "worker_hang": ", for: 5s",
            "signaling_restart": "",
            "store_outage": ", for: 5s",
            "partition": ", for: 5s",
            "network": ", for: 5s, loss: 5%",
        }.items()
    },
}


def _text(part: str) -> str:
    load = "" if part.startswith("load:") else "load:\n  model: open\n" + STAGES
    return f"version: 1\nname: small\n{part}{load}"


def _scenario(part: str) -> Scenario:
    return loads(_text(part), host=None)


def test_every_refused_feature_has_an_example() -> None:
    assert {feature for host in HOSTS for feature in REFUSED[host]} <= set(USES)
    assert set(get_args(Host)) == set(HOSTS) == set(REFUSED)


@pytest.mark.parametrize("feature", USES)
def test_a_feature_is_seen_where_it_is_used(feature: str) -> None:
    assert feature in {use.feature for use in uses(_scenario(USES[feature]))}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("feature", USES)
def test_a_host_refuses_exactly_what_the_table_says(feature: str, host: Host) -> None:
    scenario = _scenario(USES[feature])
    named = {use.feature for use in uses(scenario)} & set(REFUSED[host])
    if not named:
        refuse_unsupported(scenario, host)
        return
    with pytest.raises(ScenarioError) as caught:
        refuse_unsupported(scenario, host)
    assert len(caught.value.problems) == len(named)
    assert all(problem.line for problem in caught.value.problems)
    refuse_unsupported(scenario, host, supported=named)


def test_a_refusal_has_the_line_and_column_of_the_section() -> None:
    scenario = _scenario("pool: {release: false, policy: {kind: fixed, size: 1}}\n")
    with pytest.raises(ScenarioError) as caught:
        refuse_unsupported(scenario, "measured")
    assert str(caught.value) == (
        "<scenario>:3:8: pool.release: pool key `release` is not possible in a measured run: "
        "the stack always gives slots back"
    )


def test_loading_refuses_what_a_measured_run_cannot_do_unless_told_otherwise() -> None:
    text = _text(USES["pool.reap"])
    with pytest.raises(ScenarioError, match="not possible in a measured run"):
        loads(text)
    assert loads(text, host="simulated").pool.reap_s == 600.0
    assert loads(text, host=None).pool.reap_s == 600.0


def test_what_is_to_be_built_says_so() -> None:
    pending = [
        (host, feature)
        for host, table in REFUSED.items()
        for feature, reason in table.items()
        if reason == NOT_YET
    ]
    for host, feature in pending:
        with pytest.raises(ScenarioError, match=r" is not supported in .* yet"):
            refuse_unsupported(_scenario(USES[feature]), host)


def test_one_file_may_drive_the_swarm_and_the_planner() -> None:
    plain = (
        "sim: {replications: 5}\nplan: {budget: 10s}\npool: {start: 12s, price: {stopped: 1 USD/h}"
    )
    loads(_text(f"{plain}, policy: {{kind: fixed, size: 1}}}}\n" + WAIT % ""))
