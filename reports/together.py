"""Several candidate runs judged as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reports.assess import Assessment, assess
from reports.assess import judge as assess_again
from reports.errors import RunDirError
from reports.noninferiority import CANDIDATES_MAX, PAIRS_MAX
from reports.rundir import RunReader
from reports.verdict import Exit, worst
from reports.workload import workload


def judge(
    runs: Sequence[Path], against: Sequence[Path] = (), baseline_dir: Path | None = None
) -> list[Assessment]:
    """Assess runs of one build together; regression gates look at all of them.

    Raises RunDirError: a run is unfit, named twice, or was not made alike; too many.
    """
    most = PAIRS_MAX if against else CANDIDATES_MAX
    if len(runs) > most:
        raise RunDirError(f"{len(runs)} candidate runs: more than {most} would decide by chance")
    paths = [path.resolve() for path in [*runs, *against]]
    if len(set(paths)) < len(paths):
        raise RunDirError("a run is named twice")
    others = [assess(RunReader(path), baseline_dir=baseline_dir) for path in against]
    alone = [assess(RunReader(path), baseline_dir=baseline_dir) for path in runs]
    for other in others:
        if any(not check.ok for check in other.checks):
            raise RunDirError(f"{other.run.path}: is not valid: nothing can be compared with it")
    _refuse_unlike([*alone, *others])
    return [
        assess_again(one, together=[other for other in alone if other is not one], against=others)
        for one in alone
    ]


def verdict(assessments: Sequence[Assessment]) -> Exit:
    """The exit code of runs that were judged together."""
    return worst(assessment.verdict.code for assessment in assessments)


def _refuse_unlike(assessments: Sequence[Assessment]) -> None:
    first = assessments[0].run
    for assessment in assessments[1:]:
        run = assessment.run
        if workload(run.scenario_text) != workload(first.scenario_text):
            raise RunDirError(f"{run.path}: is of another scenario than {first.path}")
        if run.info.fingerprint != first.info.fingerprint:
            raise RunDirError(f"{run.path}: was made on another machine than {first.path}")
