"""Says why a measured run has no sample of a metric, where the reader can do something about it."""

from __future__ import annotations

from typing import Final

from reports.attributes import attributes
from reports.rundir import RunReader
from system.protocol.metrics import METRICS, Per
from system.protocol.records import UNJUDGED

NOT_DECODED: Final = (
    "no viewer decodes what it receives: say e.g. load.receive: {frames: 95%, decode: 5%}"
)


def reasons(run: RunReader) -> dict[str, str]:
    """Find why pictures were not judged, by metric; nothing of a run that judged some."""
    found = _unseen(run)
    pictures = [name for name, metric in METRICS.items() if metric.per is Per.FRAME]
    return dict.fromkeys(pictures, found) if found else {}


def _unseen(run: RunReader) -> str:
    if run.info.kind == "simulated":
        return ""
    if not run.scenario.load.receive.decode:
        return NOT_DECODED
    told = run.rows(UNJUDGED)["attrs"].astype(str).value_counts()
    if len(told):
        return str(attributes(told.index[0]).get("reason", ""))
    if "decode" not in set(run.samples["tier"].astype(str)):
        return "none of the viewers that joined was one that decodes"
    return "no picture was judged"
