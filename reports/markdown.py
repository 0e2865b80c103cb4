"""``report.md``: the same answers in plain text, for a pull request or a terminal."""

from __future__ import annotations

from reports import highlights
from reports.assess import Assessment
from reports.faults import faults
from reports.html import command, facts
from reports.joins import slowest_phase
from reports.marks import gate_line, moment


def markdown(assessment: Assessment) -> str:
    """Build the text."""
    info = assessment.run.info
    lines = [f"# {assessment.verdict.word}: {info.name}", "", assessment.verdict.reason, ""]
    lines += ["; ".join(facts(assessment)) + ".", ""]
    lines += _table(
        ["figure", "", "spread", "change", "samples"],
        [
            [f"**{figure.name}**", figure.value, figure.detail, figure.delta, figure.samples]
            for figure in highlights.key_figures(assessment)
        ],
    )
    if assessment.capacity is not None:
        lines += [assessment.capacity.sentence, ""]
    slowest = slowest_phase(assessment)
    if slowest:
        lines += [slowest, ""]
    if assessment.gates:
        lines += ["## Gates", ""]
        rows = []
        for result in assessment.gates:
            line = gate_line(result)
            stat = result.gate.stat
            what = f"{line.metric.replace(' ', f' {stat} ', 1)}" if " " in line.metric else ""
            what = what or f"{line.metric} {stat}"
            rows.append(
                [line.id, what, line.rule, result.reason, line.interval, f"**{line.verdict}**"]
            )
        lines += _table(["gate", "metric", "limit", "measured", "95 % interval", "verdict"], rows)
    if assessment.checks:
        lines += ["## Validity", ""]
        for check in assessment.checks:
            mark = "x" if check.ok else " "
            lines.append(f"- [{mark}] {check.text}: {check.shown} (at most {check.shown_limit})")
        lines.append("")
    found = faults(assessment.run)
    if found:
        lines += ["## Faults", ""]
        rows = [
            [str(number), fault.kind, moment(fault.at_s), *fault.told]
            for number, fault in enumerate(found, start=1)
        ]
        lines += _table(["", "fault", "at", "hit", "viewers", "pictures again after"], rows)
    broken = highlights.failures(assessment)
    if broken:
        lines += ["## Errors", ""]
        rows = [
            [one.what, one.reason, str(one.count), *(moment(at_s) for at_s in one.between_s)]
            for one in broken
        ]
        lines += _table(["what", "reason", "times", "first", "last"], rows)
    compared = highlights.against_model(assessment)
    if compared:
        lines += ["## Model and measurement", ""]
        rows = [
            [
                f"{c.metric} {c.stat}",
                c.measured,
                c.predicted,
                f"**{c.apart}**" if c.beyond else c.apart,
                c.chance,
            ]
            for c in compared
        ]
        lines += _table(["", "measured", "predicted", "apart", "by chance"], rows)
        lines += [highlights.BY_CHANCE, ""]
    return "\n".join([*lines, "## Reproduce", "", "```", command(info), "```", ""])


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    def line(cells: list[str]) -> str:
        return (
            "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
        )

    return [line(head), line(["---"] * len(head)), *(line(row) for row in rows), ""]
