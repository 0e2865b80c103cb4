"""``report.md``: the same answers in plain text, for a pull request or a terminal."""

from __future__ import annotations

from reports import highlights
from reports.assess import Assessment
from reports.html import command, facts
from scenarios.quantities import render


def markdown(assessment: Assessment) -> str:
    """Build the text."""
    info = assessment.run.info
    lines = [f"# {assessment.verdict.word}: {info.name}", "", assessment.verdict.reason, ""]
    lines += ["; ".join(facts(assessment)) + ".", ""]
    lines += _table(
        ["", "", "", ""],
        [
            [f"**{figure.name}**", figure.value, figure.detail, figure.samples]
            for figure in highlights.key_figures(assessment)
        ],
    )
    slowest = highlights.slowest_phase(assessment)
    if slowest:
        lines += [slowest, ""]
    if assessment.gates:
        lines += ["## Gates", ""]
        rows = []
        for result in assessment.gates:
            gate = result.gate
            sign = "≤" if gate.op == "<=" else "≥"
            during = f" during {gate.during}" if gate.during else ""
            interval = ""
            if result.ci95:
                interval = " to ".join(render(end, gate.unit) for end in result.ci95)
            limit = f"{sign} {render(gate.limit, gate.unit)}"
            what = f"{gate.metric} {gate.stat}{during}"
            rows.append([gate.id, what, limit, result.reason, interval, f"**{result.verdict}**"])
        lines += _table(["gate", "metric", "limit", "measured", "95 % interval", "verdict"], rows)
    if assessment.checks:
        lines += ["## Validity", ""]
        for check in assessment.checks:
            mark = "x" if check.ok else " "
            lines.append(f"- [{mark}] {check.text}: {check.shown} (at most {check.shown_limit})")
        lines.append("")
    broken = highlights.failures(assessment)
    if broken:
        lines += ["## Sessions that broke", ""]
        lines += _table(["what", "reason", "sessions"], [[a, b, str(n)] for a, b, n in broken])
    return "\n".join([*lines, "## Reproduce", "", "```", command(info), "```", ""])


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    def line(cells: list[str]) -> str:
        return (
            "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
        )

    return [line(head), line(["---"] * len(head)), *(line(row) for row in rows), ""]
