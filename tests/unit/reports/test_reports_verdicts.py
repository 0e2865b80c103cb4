"""Gates, validity and exit codes of whole runs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from synthetic_run import SCENARIO, event

from reports.assess import Assessment, assess
from reports.highlights import key_figures
from reports.rundir import RunReader
from reports.verdict import Exit, GateVerdict, decide, worst
from system.protocol.records import UNJUDGED

Maker = Callable[..., Path]


def _assess(path: Path) -> Assessment:
    return assess(RunReader(path))


def _with_gate(gate: str) -> str:
    return SCENARIO[: SCENARIO.index("gates:")] + f"gates:\n  - {{{gate}}}\n"


def _gate(assessment: Assessment, name: str) -> GateVerdict:
    return next(result.verdict for result in assessment.gates if result.gate.id == name)


def test_a_good_run_passes(make_run: Maker) -> None:
    assessment = _assess(make_run())
    assert assessment.verdict.code is Exit.PASS
    assert assessment.verdict.word == "PASS"
    assert [result.verdict for result in assessment.gates] == [GateVerdict.PASS] * 4
    assert all(check.ok for check in assessment.checks)


def test_an_impossible_gate_fails_the_run_with_exit_1(make_run: Maker) -> None:
    gate = 'id: magic, metric: input.to_frame, stat: p50, "<=": 1us'
    assessment = _assess(make_run(scenario=_with_gate(gate)))
    assert assessment.verdict.code is Exit.FAIL
    assert "magic" in assessment.verdict.reason


def test_a_gate_on_its_own_limit_passes(make_run: Maker) -> None:
    gate = 'id: edge, metric: session.failed, stat: mean, "<=": 0%'
    assert _assess(make_run(scenario=_with_gate(gate))).verdict.code is Exit.PASS


def test_a_lower_bound_fails_below_it(make_run: Maker) -> None:
    gate = 'id: fps, metric: video.fps, stat: p50, ">=": 60/s'
    assessment = _assess(make_run(scenario=_with_gate(gate)))
    assert _gate(assessment, "fps") is GateVerdict.FAIL
    assert "18/s < 60/s" in assessment.gates[0].reason


def test_a_percentile_among_failed_joins_fails_its_gate(make_run: Maker) -> None:
    assessment = _assess(make_run(failed=(7,)))
    assert _gate(assessment, "join") is GateVerdict.FAIL
    assert _gate(assessment, "errors") is GateVerdict.FAIL
    join = assessment.gates[0]
    assert join.value == math.inf
    assert join.reason == "p95 is not defined: 1 of 13 never came and rank last"


def test_a_gate_without_data_fails(make_run: Maker) -> None:
    gate = 'id: psnr, metric: video.psnr, stat: p05, ">=": 30dB'
    assessment = _assess(make_run(scenario=_with_gate(gate)))
    assert assessment.verdict.code is Exit.FAIL
    assert assessment.gates[0].reason.startswith("no data in the measured stages: ")


PSNR = 'id: psnr, metric: video.psnr, stat: p05, ">=": 30dB'


def test_a_gate_on_pictures_that_nobody_decoded_says_what_to_write(make_run: Maker) -> None:
    blind = _with_gate(PSNR).replace("  receive: {frames: 80%, decode: 20%}\n", "")
    assessment = _assess(make_run(scenario=blind))
    assert _gate(assessment, "psnr") is GateVerdict.FAIL
    assert assessment.gates[0].reason == (
        "no data in the measured stages: no viewer decodes what it receives: "
        "say e.g. load.receive: {frames: 95%, decode: 5%}"
    )


def test_a_gate_on_pictures_that_could_not_be_judged_says_why(make_run: Maker) -> None:
    attrs = {"reason": "the worker draws with egl, here no renderer works here"}
    told = event(6.0, "s-001", "ramp", UNJUDGED, None, **attrs)
    assessment = _assess(make_run(scenario=_with_gate(PSNR), extra_events=[told]))
    assert _gate(assessment, "psnr") is GateVerdict.FAIL
    assert assessment.gates[0].reason == f"no data in the measured stages: {attrs['reason']}"
    assert all(check.ok for check in assessment.checks), "the run is valid all the same"
    figure = next(one for one in key_figures(assessment) if one.name.startswith("Picture"))
    assert figure.samples == attrs["reason"]


def test_judged_pictures_are_gated_and_shown(make_run: Maker) -> None:
    rows = [
        event(6.0 + i, "s-001", "ramp", metric, value)
        for i in range(4)
        for metric, value in (("video.psnr", 35.0 + i), ("video.ssim", 0.95))
    ]
    assessment = _assess(make_run(scenario=_with_gate(PSNR), extra_events=rows))
    assert _gate(assessment, "psnr") is GateVerdict.PASS
    figure = next(one for one in key_figures(assessment) if one.name.startswith("Picture"))
    assert (figure.value, figure.samples) == ("36 dB", "n = 4 pictures; SSIM 0.950")


def test_a_gate_on_pictures_is_skipped_in_a_simulation(make_run: Maker) -> None:
    assessment = _assess(make_run(kind="simulated", with_rows=False, scenario=_with_gate(PSNR)))
    assert _gate(assessment, "psnr") is GateVerdict.SKIPPED


def test_a_gate_during_a_stage_without_data_fails(make_run: Maker) -> None:
    gate = 'id: x, metric: session.interrupted, stat: mean, "<=": 1%, during: hold'
    extra = [event(6.0, "s-001", "ramp", "session.interrupted", 0.0)]
    assessment = _assess(make_run(scenario=_with_gate(gate), extra_events=extra))
    assert assessment.gates[0].reason == "no data in stage hold"
    assert assessment.verdict.code is Exit.FAIL


def test_a_pool_gate_on_a_host_that_hides_its_pool_is_skipped(make_run: Maker) -> None:
    gate = 'id: wait, metric: pool.wait, stat: mean, "<=": 1%'
    text = _with_gate(gate)
    hidden = _assess(make_run("a", scenario=text, target="ws://127.0.0.1:1/"))
    assert _gate(hidden, "wait") is GateVerdict.SKIPPED
    assert hidden.verdict.code is Exit.INCONCLUSIVE
    shown = _assess(make_run("b", scenario=text))
    assert _gate(shown, "wait") is GateVerdict.FAIL


def test_a_video_gate_of_a_simulation_is_skipped_and_nothing_is_invalid(make_run: Maker) -> None:
    assessment = _assess(make_run(kind="simulated", with_rows=False))
    assert _gate(assessment, "smooth") is GateVerdict.SKIPPED
    assert _gate(assessment, "join") is GateVerdict.FAIL
    assert assessment.checks == []
    assert assessment.verdict.code is Exit.FAIL


@pytest.mark.parametrize(
    ("knobs", "failing"),
    [
        ({"helper_cpu": 1.9}, "cpu"),
        ({"loop_lag_s": 0.03}, "loop_lag"),
        ({"loop_lag_s": math.nan}, "loop_lag"),
        ({"udp_drops": 1}, "udp_drops"),
        ({"late_s": 0.2}, "late"),
        ({"skip_sessions": (5,)}, "late"),
    ],
)
def test_a_generator_that_cannot_keep_up_makes_the_run_invalid(
    make_run: Maker, knobs: dict[str, object], failing: str
) -> None:
    assessment = _assess(make_run(**knobs))
    assert [check.id for check in assessment.checks if not check.ok] == [failing]
    assert assessment.verdict.code is Exit.INVALID
    assert assessment.verdict.word == "INVALID"


def test_a_slow_target_does_not_make_the_run_invalid(make_run: Maker) -> None:
    """The synthetic workers use 1.5 cores, lag by 300 ms and drop datagrams."""
    assessment = _assess(make_run())
    assert assessment.run.system.query("role == 'worker'")["loop_lag_s"].min() >= 0.3
    assert assessment.verdict.code is Exit.PASS


def test_one_slow_second_of_the_generator_does_not_decide(make_run: Maker) -> None:
    path = make_run()
    run = RunReader(path)
    run.system.loc[run.system["role"] == "helper", "loop_lag_s"] = [0.001] * 39 + [2.0]
    assert assess(run).verdict.code is Exit.PASS


def test_an_arrival_cut_short_by_the_end_is_no_fault_of_the_generator(make_run: Maker) -> None:
    """The last of the fifteen arrives 1.25 s before the end."""
    assert _assess(make_run("a", skip_sessions=(14,))).verdict.code is Exit.PASS
    assert _assess(make_run("b", skip_sessions=(5, 14))).verdict.code is Exit.INVALID


def test_a_silent_generator_makes_the_run_invalid(make_run: Maker) -> None:
    assessment = _assess(make_run(with_rows=False))
    assert assessment.verdict.code is Exit.INVALID
    assert "did not report" in assessment.verdict.reason


def test_a_noted_problem_makes_the_run_invalid(make_run: Maker) -> None:
    path = make_run()
    data = json.loads((path / "run.json").read_text())
    data["problems"] = ["helper-1 died"]
    (path / "run.json").write_text(json.dumps(data))
    verdict = _assess(path).verdict
    assert verdict.code is Exit.INVALID
    assert "helper-1 died" in verdict.reason


def _lag_limit(assessment: Assessment) -> float:
    return next(check.limit for check in assessment.checks if check.id == "loop_lag")


def test_the_allowed_lag_is_a_tenth_of_the_tightest_latency_gate(make_run: Maker) -> None:
    assert _lag_limit(_assess(make_run("a"))) == pytest.approx(0.025)
    without = SCENARIO[: SCENARIO.index("gates:")]
    assert _lag_limit(_assess(make_run("b", scenario=without))) == 0.020


def test_a_gate_that_no_lag_explains_does_not_invalidate_the_run(make_run: Maker) -> None:
    """p50 of the synthetic latency is about 60 ms."""
    gate = 'id: i2f, metric: input.to_frame, stat: p50, "<=": {}'
    hopeless = _assess(make_run("a", scenario=_with_gate(gate.format("1ms")), loop_lag_s=0.015))
    assert hopeless.verdict.code is Exit.FAIL
    close = _assess(make_run("b", scenario=_with_gate(gate.format("50ms")), loop_lag_s=0.015))
    assert _gate(close, "i2f") is GateVerdict.FAIL
    assert _lag_limit(close) == pytest.approx(0.005)
    assert close.verdict.code is Exit.INVALID


@pytest.mark.parametrize(
    ("codes", "winner"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 3], 3),
        ([3, 1, 0], 1),
        ([1, 4, 3], 4),
        ([4, 2, 1], 2),
        ([2, 5], 5),
    ],
)
def test_exit_codes_have_an_order(codes: Iterable[int], winner: int) -> None:
    assert worst(Exit(code) for code in codes) == winner


@pytest.mark.parametrize(
    ("gates", "invalid", "code"),
    [
        ([], [], Exit.PASS),
        ([GateVerdict.PASS], [], Exit.PASS),
        ([GateVerdict.PASS, GateVerdict.SKIPPED], [], Exit.PASS),
        ([GateVerdict.SKIPPED], [], Exit.INCONCLUSIVE),
        ([GateVerdict.PASS, GateVerdict.INCONCLUSIVE], [], Exit.INCONCLUSIVE),
        ([GateVerdict.FAIL, GateVerdict.INCONCLUSIVE], [], Exit.FAIL),
        ([GateVerdict.FAIL], ["broken"], Exit.INVALID),
        ([], ["broken"], Exit.INVALID),
    ],
)
def test_a_run_is_decided_by_its_gates_and_its_validity(
    gates: list[GateVerdict], invalid: list[str], code: Exit
) -> None:
    listed = [(f"g{number}", verdict) for number, verdict in enumerate(gates)]
    assert decide(listed, invalid).code is code
