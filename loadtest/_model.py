"""Has the simulator predict a run before its load begins, for gates with ``agrees_with``.

In a process of its own: the load generator and the simulator share no code.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from loadtest._refusal import Refusal
from scenarios.model import Scenario

SIMULATE: Final = (sys.executable, "-c", "from sim.cli import group; group()", "run")
DEADLINE_S: Final = 600.0
ROOT: Final = Path(__file__).resolve().parents[1]


def is_needed(scenario: Scenario) -> bool:
    """Whether a gate compares the run with a prediction."""
    return any(gate.agrees_with is not None for gate in scenario.gates)


def predict(scenario_file: Path, model: Path) -> None:
    """Simulate the scenario into the directory ``model``.

    Raises:
        Refusal: the simulator is not installed, cannot simulate it, or takes too long.
    """
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        done = subprocess.run(
            [*SIMULATE, str(scenario_file), "--run-dir", str(model)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Refusal(f"agrees_with: the simulation took longer than {DEADLINE_S:g} s") from None
    if (model / "summary.json").is_file():
        return  # its exit code says what the gates make of the model, which is not the question
    lines = done.stderr.strip().splitlines() or ["it said nothing"]
    if "ModuleNotFoundError" in lines[-1]:
        raise Refusal(
            "agrees_with: the simulator is not installed: pip install 'remote-render[sim]'"
        )
    raise Refusal(f"agrees_with: the scenario cannot be simulated: {lines[-1]}")
