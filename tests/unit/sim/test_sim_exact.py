"""The command against exact answers: chains solved numerically, formulas, replays by hand.

A truth may lie outside of a few of so many intervals, but not outside of 1.7
times one (99.9 %). ``tests/validation`` runs all of ``KNOWN``, and for longer.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exact import WarmPool, erlang_c_wait, first_come_first_served, renewal_wait, turned_away
from exact_cases import KNOWN, Known, always_warm, misses, run

pytestmark = pytest.mark.timeout(600)
"""The first use of the fast engine compiles it, which takes a quarter of a minute."""

SOME = (
    "warm pool, small quota",
    "warm pool, nobody waits",
    "warm pool of workers that die",
    "single use, patience",
    "Erlang B, fixed length",
    "Erlang C, two slots a worker",
    "even arrivals, four workers",
    "ramps, nobody waits",
)


def test_the_chain_gives_the_published_table() -> None:
    found = WarmPool(0.5, 0.1, 1 / 3, 0.2, warm=3, most=30).solve()
    assert found.waits == pytest.approx(0.0397338, rel=1e-5)
    assert found.abandons == pytest.approx(0.00399709, rel=1e-5)
    assert found.wait_time == pytest.approx(0.0199855, rel=1e-5)
    assert (found.ready, found.booting) == pytest.approx((2.36372, 1.01482), rel=1e-5)
    assert found.busy == pytest.approx(4.98001, rel=1e-5)


def test_the_queue_with_any_gaps_is_erlangs_for_exponential_ones() -> None:
    waits, mean, _ = erlang_c_wait(1, 3.2, 4)
    assert renewal_wait(lambda s: 1 / (1 + s), 3.2, 4) == pytest.approx((waits, mean))


@pytest.mark.parametrize("name", SOME)
def test_the_command_gives_the_exact_answer(name: str, tmp_path: Path) -> None:
    known = KNOWN[name]
    assert not misses(run(known, tmp_path, 0.1, "fast", 20), known.truths, 1.7)


@pytest.mark.parametrize("engine", ["fast", "simpy"])
@pytest.mark.parametrize("servers", [1, 3])
def test_a_recorded_day_is_replayed_exactly(servers: int, engine: str, tmp_path: Path) -> None:
    """Ties, lengths of 0, an overload, and a queue that outlasts the last arrival."""
    rng = np.random.default_rng(servers)
    at_s, length_s = np.floor(np.sort(rng.random(300) * 600)), np.floor(rng.exponential(6, 300))
    length_s[-1] = 0
    rows = "".join(f"{at},{length}\n" for at, length in zip(at_s, length_s, strict=True))
    (tmp_path / "day.csv").write_text(f"at,stays\n{rows}")
    waits_s = first_come_first_served(at_s, length_s, servers)
    for patience, truths in (
        ("", {"pool.wait": (waits_s > 0).mean(), "pool.wait_time": waits_s.mean()}),
        ("  patience: 0s\n", {"pool.wait": turned_away(at_s, length_s, servers).mean()}),
    ):
        text = (
            "version: 1\nname: replay\nload:\n  model: open\n"
            f"  arrivals: {{trace: day.csv, time: at, session: stays}}\n{patience}"
            f"pool: {always_warm(servers)}\n"
        )
        folder = tmp_path / f"patience{len(patience)}"
        folder.mkdir()
        (folder / "day.csv").write_text((tmp_path / "day.csv").read_text())
        metrics = run(Known(text, {}), folder, 1, engine, 2)
        for name, truth in truths.items():
            assert metrics[name]["mean"] == pytest.approx(truth, abs=1e-9), name
        assert metrics["pool.wait"]["n"] == 600


def test_the_reference_engine_gives_the_exact_answer(tmp_path: Path) -> None:
    known = KNOWN["warm pool, small quota"]
    assert not misses(run(known, tmp_path, 0.1, "simpy", 20), known.truths, 1.7)
