"""``junit.xml``: validity and every gate as a test case, for CI systems."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from reports.assess import Assessment
from reports.verdict import GateVerdict

_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(assessment: Assessment) -> str:
    """Build the XML text: an invalid run is an error, a missed limit a failure."""
    name = assessment.run.info.name
    suite = ElementTree.Element("testsuite", name=name)
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)

    def case(title: str) -> ElementTree.Element:
        counts["tests"] += 1
        return ElementTree.SubElement(suite, "testcase", classname=name, name=_clean(title))

    def mark(element: ElementTree.Element, kind: str, counter: str, reason: str) -> None:
        counts[counter] += 1
        ElementTree.SubElement(element, kind, message=_clean(reason))

    for check in assessment.checks:
        element = case(f"validity: {check.id}")
        if not check.ok:
            mark(element, "error", "errors", check.reason)
    for result in assessment.gates:
        gate = result.gate
        element = case(f"{gate.id}: {gate.metric} {gate.stat}")
        if result.verdict is GateVerdict.FAIL:
            mark(element, "failure", "failures", result.reason)
        elif result.verdict in (GateVerdict.SKIPPED, GateVerdict.INCONCLUSIVE):
            mark(element, "skipped", "skipped", result.reason)
    suite.attrib.update({key: str(value) for key, value in counts.items()})
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("�", text)
