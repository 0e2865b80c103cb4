"""Predictions by a simulator that a test plays."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from loadtest import _model
from loadtest._refusal import Refusal
from scenarios.loader import loads

AGREES = """\
version: 1
name: compared
load: {model: open, session: 2s, stages: [{name: hold, for: 9s, rate: 1/s}]}
gates: [{id: wait, metric: pool.wait_time, stat: mean, agrees_with: sim, within: 20%}]
"""


def play(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(_model, "SIMULATE", (sys.executable, "-c", script))


def test_only_gates_that_compare_need_a_prediction() -> None:
    assert _model.is_needed(loads(AGREES))
    assert not _model.is_needed(loads(AGREES.partition("gates:")[0]))


@pytest.mark.parametrize("code", [0, 1, 3])
def test_what_the_models_own_gates_say_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    script = "import sys; open(sys.argv[3] + '/summary.json', 'w').write(sys.argv[1])"
    play(monkeypatch, f"{script}; sys.exit({code})")
    (tmp_path / "model").mkdir()
    _model.predict(tmp_path / "s.yaml", tmp_path / "model")
    assert (tmp_path / "model" / "summary.json").read_text() == str(tmp_path / "s.yaml")


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "import sys; sys.stderr.write('error: s.yaml:3:1: no'); sys.exit(2)",
            "cannot be simulated: error: s.yaml:3:1: no",
        ),
        ("import sys; sys.exit(2)", "it said nothing"),
        ("import no_such_module", "is not installed: pip install"),
        ("import time; time.sleep(60)", "took longer than 0.3 s"),
    ],
)
def test_a_prediction_that_cannot_be_made_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, told: str
) -> None:
    monkeypatch.setattr(_model, "DEADLINE_S", 0.3 if "sleep" in script else 30.0)
    play(monkeypatch, script)
    with pytest.raises(Refusal) as caught:
        _model.predict(tmp_path / "s.yaml", tmp_path / "model")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
