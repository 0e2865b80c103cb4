"""Calibrates a scenario by what measured runs of it have shown.

Runs say how long each thing took, and whether that was its own end: a session
that went on when the test ended, a viewer who was served before patience ran
out, and a boot that failed or went on are censored. Several runs are pooled;
the first one's scenario is the one that is calibrated.

Boots of an embedded run are a real start and the scenario's own ``boot``, which
is drawn. The latter is what is fitted; the former becomes ``sim.adds.boot``
(likewise for starts of stopped workers), so that both the simulator and a
further embedded run reproduce what was seen. Its ``scrub`` is the scenario's,
too: what comes on top is ``sim.adds.scrub``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import pandas as pd
import yaml

from reports.attributes import attributes
from reports.rundir import RunReader
from reports.runinfo import write_text
from scenarios import loader
from scenarios.document import parse
from scenarios.errors import ScenarioError
from scenarios.load import CapacityLoad, OpenLoad
from sim.fit import NONE, Fitted, Times, fit
from sim.model import BadModel
from sim.shapes import seconds_text
from system.protocol.records import STILL_GOING_ON

Part = Literal["session", "patience", "boot", "start"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)
EVENTS: Final[dict[Part, str]] = {
    "session": "session.length",
    "patience": "session.patience",
    "boot": "worker.boot",
    "start": "worker.start",
}
NEEDED: Final[dict[Part, str]] = {
    "session": "nobody joined",
    "boot": "no worker was launched after the beginning",
}
"""Parts without which a simulation says little, and what it means that a run has none."""

_DRAWN: Final = ("boot", "start")
"""Parts that an embedded run draws and adds to real ones."""
_ADDED: Final = {
    "boot": "a real start adds {:.3g} s to each drawn boot",
    "start": "a real start adds {:.3g} s to each drawn one from stopped",
    "session": "a slot is held {:.3g} s longer than its viewer stays",
    "scrub": "a freed worker serves again {:.3g} s later than `scrub` says",
}


@dataclass(frozen=True)
class Calibration:
    """What was fitted, why the rest was not, and what the system adds to drawn times."""

    fitted: dict[Part, Fitted]
    left: dict[Part, str] = field(default_factory=dict)
    adds_s: dict[str, float] = field(default_factory=dict)
    """To the drawn times that ``sim.adds`` names, where it is something."""
    boot_failures: tuple[int, int] = (0, 0)
    """Boots that failed, of those that were decided."""

    def as_json(self) -> dict[str, Any]:
        """For ``--json -``; infinite times are null."""
        parts = {name: asdict(one) | {"fits": one.fits} for name, one in self.fitted.items()}
        text = json.dumps(parts, allow_nan=True).replace("Infinity", "null")
        return {
            "fitted": json.loads(text),
            "left": self.left,
            "adds_s": self.adds_s,
            "boot_failures": {"failed": self.boot_failures[0], "of": self.boot_failures[1]},
        }


@dataclass(frozen=True)
class _Comings:
    times: Times
    adds_s: float
    failed: int


def read_run(path: Path) -> RunReader:
    """A run that can be fitted to.

    Raises:
        RunDirError: it is no run.
        BadModel: it is one of which nothing can be learnt.
    """
    run = RunReader(path)
    if run.info.kind != "measured":
        raise BadModel(f"{path}: is a simulated run: only measured ones say how a system is")
    if run.unfinished:
        raise BadModel(f"{path}: was not finished, or is still in progress")
    if isinstance(run.scenario.load, CapacityLoad):
        raise BadModel(f"{path}: is a capacity search, which cannot be simulated; fit another load")
    if run.events.empty:
        raise BadModel(f"{path}: is empty: it has no events")
    return run


def calibrate(runs: Sequence[RunReader], keep: Collection[str] = ()) -> Calibration:
    """Fit what the runs show; parts to ``keep`` stay as the scenario has them.

    Raises:
        BadModel: sessions or boots are not to be kept and were not seen, or nothing was.
    """
    boots, starts = _comings(runs, EVENTS["boot"]), _comings(runs, EVENTS["start"])
    seen: dict[Part, Times] = {
        "session": _times(runs, EVENTS["session"]),
        "patience": _times(runs, EVENTS["patience"]),
        "boot": boots.times,
        "start": starts.times,
    }
    fitted: dict[Part, Fitted] = {}
    left: dict[Part, str] = {}
    for part in PARTS:
        if part in keep:
            left[part] = "kept as it was, as asked"
        elif len(seen[part].seconds) and not seen[part].seconds.any() and part in _DRAWN:
            left[part] = f"the scenario draws none: what a {part} takes is in sim.adds"
        elif not len(seen[part].seconds):
            _must_not_lack(part, runs)
            left[part] = "was never seen"
        else:
            try:
                fitted[part] = fit(seen[part], part)
            except BadModel as error:
                if part in NEEDED:
                    raise BadModel(f"{error}; fit several runs together, or --keep it") from None
                left[part] = str(error).partition(": ")[2]
    if not fitted:
        raise BadModel("nothing was fitted: every part is kept or was never seen")
    decided = boots.failed + boots.times.observed
    adds_s = {
        "boot": boots.adds_s,
        "start": starts.adds_s,
        "session": _held(runs),
        "scrub": _late_scrubs(runs),
    }
    adds_s = {name: seconds for name, seconds in adds_s.items() if seconds > 0}
    return Calibration(fitted, left, adds_s, (boots.failed, decided))


def _must_not_lack(part: Part, runs: Sequence[RunReader]) -> None:
    if part not in NEEDED:
        return
    named = ", ".join(str(run.path) for run in runs)
    why = NEEDED[part]
    if part == "boot" and not any(run.info.shows_pool for run in runs):
        why = "the host that was driven does not show its pool"
    remedy = f"--keep {part} leaves the scenario's"
    raise BadModel(f"{named}: {why}, so that {part} times cannot be fitted; {remedy}")


# --- what runs show ------------------------------------------------------------------


def _rows(run: RunReader, event: str) -> pd.DataFrame:
    """Rows of a duration, with ``after_s`` and the other numbers of ``attrs`` as columns."""
    rows = run.rows(event)
    told = [attributes(text) for text in rows["attrs"]]
    numbers = {
        key: [_number(each.get(key)) for each in told] for key in ("after_s", "drawn_s", "held_s")
    }
    whys = [str(each.get("why", "")) for each in told]
    return rows[["t_us", "value"]].reset_index(drop=True).assign(**numbers, why=whys)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _times(runs: Sequence[RunReader], event: str) -> Times:
    found = NONE
    for run in runs:
        rows = _rows(run, event)
        values = rows["value"].to_numpy(np.float64)
        seconds = np.where(np.isnan(values), rows["after_s"].to_numpy(np.float64), values)
        known = np.isfinite(seconds) & (seconds >= 0)
        found = found.joined(Times(seconds[known], ~np.isnan(values[known])))
    return found


def _comings(runs: Sequence[RunReader], event: str) -> _Comings:
    """Those that began during the load; what was drawn is told apart from the real start."""
    rows = pd.concat([_rows(run, event) for run in runs], ignore_index=True)
    rows = rows[rows["t_us"] >= 0]
    values = rows["value"].to_numpy(np.float64)
    ended = ~np.isnan(values)
    drawn = rows["drawn_s"].to_numpy(np.float64)
    real = (values - drawn)[ended & ~np.isnan(drawn)]
    adds_s = float(real.mean()) if len(real) else 0.0
    so_far = np.maximum(rows["after_s"].to_numpy(np.float64) - adds_s, 0.0)
    seconds = np.where(ended, np.where(np.isnan(drawn), values, drawn), so_far)
    known = np.isfinite(seconds)
    failed = int((~ended & (rows["why"] != STILL_GOING_ON).to_numpy()).sum())
    return _Comings(Times(seconds[known], ended[known]), adds_s, failed)


def _held(runs: Sequence[RunReader]) -> float:
    """How much longer than the viewer stayed a slot was held, on average."""
    rows = pd.concat([_rows(run, EVENTS["session"]) for run in runs], ignore_index=True)
    more = (rows["held_s"] - rows["value"]).dropna()
    return float(more.mean()) if len(more) else 0.0


def _late_scrubs(runs: Sequence[RunReader]) -> float:
    """How much later than its ``scrub`` says a freed worker served again, on average."""
    late = [
        value - run.scenario.pool.scrub.mean
        for run in runs
        for value in _rows(run, "worker.scrub")["value"].dropna()
    ]
    return max(float(np.mean(late)), 0.0) if late else 0.0


# --- the scenario --------------------------------------------------------------------


def write(output: Path, runs: Sequence[RunReader], found: Calibration) -> None:
    """Write the first run's scenario, calibrated; files that it names come beside it.

    Raises:
        BadModel: the result could not be loaded.
        RunDirError: it cannot be written.
    """
    text = as_scenario(runs, found)
    try:
        loader.loads(text, str(output), host=None, base=output.parent)
        runs[0].scenario.keep_files(output.parent)
    except ScenarioError as error:
        raise BadModel(f"{output}: would not load: {str(error).splitlines()[0]}") from None
    except OSError as error:
        raise BadModel(f"{output.parent}: cannot be written: {error.strerror}") from None
    write_text(output, text)


def as_scenario(runs: Sequence[RunReader], found: Calibration) -> str:
    """The first run's scenario with what was fitted, as YAML."""
    first = runs[0]
    data: dict[str, Any] = parse(first.scenario_text, "scenario.yaml").data
    data["name"] = f"{str(data['name'])[:57]}-fitted"
    load = data["load"]
    pool = data.setdefault("pool", {})
    pool = pool[0] if isinstance(pool, list) else pool
    recorded = isinstance(first.scenario.load, OpenLoad) and first.scenario.load.session is None
    for part, one in found.fitted.items():
        if part == "session" and recorded:
            continue  # the trace says how long each stays
        (load if part in ("session", "patience") else pool)[part] = one.written
    failed, decided = found.boot_failures
    if failed:
        pool["boot_failure"] = f"{100 * failed / max(decided, failed + 1):.4g}%"
    adds = {name: seconds_text(seconds) for name, seconds in found.adds_s.items()}
    if adds:
        data["sim"] = {**(data.get("sim") or {}), "adds": adds}
    names = ", ".join(run.path.name for run in runs)
    notes = [f"Fitted to {names}.", *(line for line in told(found))]
    head = "".join(f"# {note}\n" for note in notes)
    return head + yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def told(found: Calibration) -> list[str]:
    """A line for each part: what it is, of how many, and how well it fits."""
    lines = [f"{name}: {_told(one)}" for name, one in found.fitted.items()]
    lines += [f"{name}: not fitted: {why}" for name, why in found.left.items()]
    lines += [_ADDED[name].format(seconds) for name, seconds in found.adds_s.items()]
    failed, decided = found.boot_failures
    if failed:
        lines.append(f"{failed} of {decided} boots failed")
    return lines


def _told(one: Fitted) -> str:
    written = ", ".join(str(value) if key == "dist" else f"{key} {value}"
                        for key, value in one.written.items())  # fmt: skip
    low, high = one.mean_ci95_s
    text = f"{written}; mean {one.mean_s:.4g} s ({low:.4g} to {high:.4g}); {one.n} seen"
    text += f", {one.censored} of them cut off" if one.censored else ", all to their end"
    if one.written["dist"] == "deterministic":
        return text
    text += f"; the shape is off by {one.distance:.1%} at most, chance alone makes {one.noise:.1%}"
    return text if one.fits else f"{text}: NO SHAPE FITS WELL, look at the data"
