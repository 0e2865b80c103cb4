"""What GitHub shows of a run: the step summary, and an annotation per gate that did not pass."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reports.assess import Assessment
from reports.markdown import markdown
from reports.verdict import Exit, GateVerdict

_LEVELS = {Exit.PASS: "notice", Exit.INCONCLUSIVE: "warning"}


def append_summary(assessment: Assessment, environ: Mapping[str, str]) -> None:
    """Append the Markdown report to the step summary, where there is one."""
    file = environ.get("GITHUB_STEP_SUMMARY")
    if not file:
        return
    try:
        with Path(file).open("a", encoding="utf-8") as summary:
            summary.write(markdown(assessment) + "\n")
    except OSError:
        return  # the report stands in its own file; a summary that cannot be written is no verdict


def workflow_commands(assessment: Assessment, environ: Mapping[str, str]) -> list[str]:
    """Build workflow commands, to be printed; none outside of GitHub Actions."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return []
    name, verdict = assessment.run.info.name, assessment.verdict
    level = _LEVELS.get(verdict.code, "error")
    lines = [_command(level, f"{verdict.word}: {name}", verdict.reason)]
    for result in assessment.gates:
        if result.verdict is GateVerdict.FAIL:
            lines.append(_command("error", f"gate {result.gate.id}", result.reason))
        elif result.verdict is GateVerdict.INCONCLUSIVE:
            lines.append(_command("warning", f"gate {result.gate.id}", result.reason))
    return lines


def _command(level: str, title: str, text: str) -> str:
    return f"::{level} title={_escaped(title, ':,')}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    for character in more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
