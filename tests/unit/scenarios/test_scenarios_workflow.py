"""The ready GitHub workflow: what it names is there, and its scripts are scripts."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from reports.cli import group
from scenarios.loader import load

ROOT = Path(__file__).parents[3]
WORKFLOW = ROOT / ".github" / "workflows" / "remote-render.yml"


def scripts() -> dict[str, str]:
    jobs: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    return {
        f"{name}: {step['name']}": step["run"]
        for name, job in jobs.items()
        for step in job["steps"]
        if "run" in step
    }


@pytest.mark.parametrize("name", scripts())
def test_a_script_of_the_workflow_is_one(name: str) -> None:
    done = subprocess.run(["bash", "-n"], input=scripts()[name], text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_scenarios_that_the_workflow_names_can_be_run() -> None:
    named = set(re.findall(r"scenarios/[\w.-]+\.yaml", WORKFLOW.read_text(encoding="utf-8")))
    assert named == {"scenarios/ci.yaml", "scenarios/compare.yaml"}
    for file in named:
        load(ROOT / file)


def test_the_workflow_compares_as_the_command_takes_it(tmp_path: Path) -> None:
    """The options are known: what is wrong is that there are no such runs."""
    compare = scripts()["compare: Compare"]
    words = re.findall(r"(--[a-z]+) %s", compare)
    assert words == ["--against"]
    runs = [str(tmp_path / name) for name in ("new-1", "old-1")]
    done = CliRunner().invoke(group, ["gate", runs[0], *words, runs[1]])
    assert done.exit_code == 2
    assert done.stderr == f"error: {runs[0]}: no such directory\n"
