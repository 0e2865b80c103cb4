"""Scenarios whose answer is known from ``exact``, and their run through the command."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from exact import (
    Answer,
    WarmPool,
    erlang_a,
    erlang_b,
    erlang_c_wait,
    renewal_wait,
    transient,
)

from sim.cli import group


@dataclass(frozen=True)
class Known:
    """A scenario as text with ``@`` hours, and the means it must have, by metric in its unit."""

    text: str
    truths: dict[str, float]
    hours: float = 100


def minutes(mean: float) -> str:
    return f"{{dist: exponential, mean: {mean:.9f}min}}"


def scenario(
    rate: str, session: str, pool: str, load: str = "", sim: str = "{warmup: 3h}", hours: str = "@"
) -> str:
    return (
        f"version: 1\nname: known\nseed: 5\nload:\n  model: open\n  session: {session}\n{load}"
        f"  stages: [{{name: all, for: {hours}h, rate: {rate}}}]\npool: {pool}\nsim: {sim}\n"
    )


def of_answer(answer: Answer) -> dict[str, float]:
    """From minutes to the units of the metrics."""
    return {
        "pool.wait": answer.waits,
        "session.abandoned": answer.abandons,
        "pool.wait_time": answer.wait_time * 60,
        "pool.workers.ready": answer.ready,
        "pool.workers.booting": answer.booting,
        "pool.workers.busy": answer.busy,
    }


def warm_pool(pool: WarmPool, hours: float = 100) -> Known:
    keys = [
        f"boot: {minutes(1 / pool.boot)}",
        f"max_workers: {pool.most}",
        f"policy: {{kind: buffer, warm: {pool.warm}, interval: 0s}}",
    ]
    if not pool.reuse:
        keys.append("reuse: false")
    if pool.fails:
        keys.append(f"mtbf: {1 / pool.fails:.9f}min")
    if pool.boot_fails:
        keys.append(f"boot_failure: {pool.boot_fails:.6%}")
    patience = ""
    if pool.loss:
        patience = "  patience: 0s\n"
    elif pool.patience:
        patience = f"  patience: {minutes(1 / pool.patience)}\n"
    written = scenario(
        f"{pool.arrivals}/min", minutes(1 / pool.session), f"{{{', '.join(keys)}}}", patience
    )
    return Known(written, of_answer(pool.solve()), hours)


def always_warm(servers: int, more: str = "") -> str:
    return (
        f"{{initial: {servers}, max_workers: {servers}, {more}"
        f"policy: {{kind: fixed, size: {servers}}}}}"
    )


def ramp(minute: float) -> float:
    """Arrivals per minute: up from 0.5 to 6 in an hour, an hour there, an hour down again."""
    return 0.5 + 5.5 * max(0.0, min(minute / 60, 1.0, (180 - minute) / 60))


RAMP = (
    "version: 1\nname: known\nseed: 5\nload:\n  model: open\n"
    f"  session: {minutes(1)}\n%s  stages:\n"
    "    - {name: up, for: 1h, rate: 0.5/min, to: 6/min}\n"
    "    - {name: hold, for: 1h, rate: 6/min}\n"
    "    - {name: down, for: 1h, rate: 6/min, to: 0.5/min}\n"
    f"pool: {always_warm(5)}\n"
)


def ramped(room: int, load: str) -> Known:
    late, queue, busy = transient(ramp, 1.0, 5, 180, room)
    arrivals = 3.25 * 60 + 6 * 60 + 3.25 * 60
    truths = {"pool.wait": late, "pool.workers.busy": busy}
    if room > 5:
        truths["pool.wait_time"] = queue * 180 / arrivals * 60
    return Known(RAMP % load, truths)


def lossy(session: str, erlangs: float, servers: int, rate: str) -> Known:
    blocked = erlang_b(erlangs, servers)
    pool = always_warm(servers, "price: {running: 2 USD/h}, ")
    truths = {
        "pool.wait": blocked,
        "session.abandoned": blocked,
        "pool.workers.busy": erlangs * (1 - blocked),
    }
    return Known(scenario(rate, session, pool, "  patience: 0s\n"), truths, 60)


def waiting(slots: int) -> Known:
    waits, mean, _ = erlang_c_wait(6, 1, 8)
    pool = always_warm(8 // slots, f"slots_per_worker: {slots}, ")
    truths = {"pool.wait": waits, "pool.wait_time": 60 * mean}
    if slots == 1:
        truths |= {"pool.workers.busy": 6.0, "pool.workers.ready": 2.0}
    return Known(scenario("6/min", minutes(1), pool), truths, 60)


def evenly(servers: int) -> Known:
    """D/M/c: arrivals every minute."""
    session = 0.8 * servers
    waits, mean = renewal_wait(lambda s: math.exp(-s), session, servers)
    load = "  arrivals: {process: deterministic}\n"
    truths = {"pool.wait": waits, "pool.wait_time": 60 * mean}
    return Known(scenario("1/min", minutes(session), always_warm(servers), load), truths, 200)


def base_stock(boot: str, load: str, truths: dict[str, float]) -> Known:
    pool = f"{{reuse: false, boot: {boot}, policy: {{kind: buffer, warm: 18, interval: 0s}}}}"
    return Known(scenario("0.1/s", "{dist: weibull, shape: 0.7, scale: 60s}", pool, load), truths)


KNOWN: dict[str, Known] = {
    "warm pool, small quota": warm_pool(WarmPool(0.5, 0.1, 1 / 3, 0.2, warm=3, most=6)),
    "warm pool, nothing spare": warm_pool(WarmPool(0.5, 0.1, 1 / 3, 0.2, warm=0, most=30)),
    "warm pool as large as its quota": warm_pool(WarmPool(0.5, 0.1, 1 / 3, 0.2, warm=5, most=5)),
    "warm pool, short sessions": warm_pool(WarmPool(3, 1, 2, 4, warm=2, most=10), 40),
    "warm pool, nobody leaves": warm_pool(
        WarmPool(0.5, 0.1, 1 / 3, 0, warm=2, most=8, queue=200), 150
    ),
    "warm pool, nobody waits": warm_pool(WarmPool(0.5, 0.1, 1 / 3, 0, warm=3, most=12, loss=True)),
    "warm pool of workers that die": warm_pool(
        WarmPool(0.5, 0.1, 1 / 3, 0.2, warm=3, most=30, fails=1 / 60)
    ),
    "warm pool, boots that fail": warm_pool(
        WarmPool(0.5, 0.1, 1 / 3, 0.2, warm=3, most=30, boot_fails=0.3)
    ),
    "single use, patience": warm_pool(
        WarmPool(1, 0.5, 0.5, 1 / 3, warm=4, most=16, reuse=False), 60
    ),
    "single use, lost sales, quota": warm_pool(
        WarmPool(1, 0.5, 0.5, 0, warm=4, most=9, reuse=False, loss=True), 60
    ),
    "base stock, lognormal boot": base_stock(
        "{dist: lognormal, mean: 120s, cv: 0.8}", "", {"pool.wait": 0.0629657}
    ),
    "base stock, lost sales": base_stock(
        "120s", "  patience: 0s\n", {"session.abandoned": erlang_b(12, 18)}
    ),
    "Erlang B, weibull": lossy(
        "{dist: weibull, shape: 2, scale: 1min}", 8 * math.gamma(1.5), 10, "8/min"
    ),
    "Erlang B, fixed length": lossy("90s", 12.0, 12, "8/min"),
    "Erlang C": waiting(1),
    "Erlang C, two slots a worker": waiting(2),
    "Erlang A": Known(
        scenario("6/min", minutes(1), always_warm(6), f"  patience: {minutes(2)}\n"),
        of_answer(erlang_a(6, 1, 2, 6)),
        60,
    ),
    "even arrivals, one worker": evenly(1),
    "even arrivals, four workers": evenly(4),
    "ramps, nobody waits": ramped(5, "  patience: 0s\n"),
    "ramps, all wait": ramped(200, ""),
}


def run(known: Known, folder: Path, times: float, engine: str, replications: int) -> Any:
    """The document that ``sim run FILE --json -`` prints, and nothing else."""
    file = folder / "known.yaml"
    file.write_text(known.text.replace("@", f"{known.hours * times:.6f}"))
    arguments = ["run", file, "--run-dir", folder / "run", "--json", "-"]
    more = ["--engine", engine, "--replications", replications]
    result = CliRunner().invoke(group, [str(one) for one in (*arguments, *more)])
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)["metrics"]


def misses(metrics: Any, truths: dict[str, float], sure: float) -> list[str]:
    """What lies outside of ``sure`` times its 95 % interval, which a zero need not have."""
    found = []
    for name, truth in truths.items():
        mean, interval = metrics[name]["mean"], metrics[name]["ci95"]["mean"]
        half = (interval[1] - interval[0]) / 2
        if abs(mean - truth) > sure * half + 1e-9 * max(1.0, truth):
            found.append(f"{name}: {mean:.6g} ± {half:.3g}, not {truth:.6g}")
    return found
