"""What a reader wants to know first: key figures, what broke, and how the model did."""

from __future__ import annotations

from dataclasses import dataclass, replace

from reports.assess import Assessment
from reports.attributes import attributes, happened_s
from reports.marks import NONE
from scenarios.quantities import render
from system.protocol.metrics import METRICS, Per
from system.protocol.records import UNJUDGED

_COMPARED = ("mean", "p50", "p95")
_REFUSAL = "session.error"
_WRONG = {
    "session.failed": "failed",
    "session.abandoned": "abandoned",
    "session.interrupted": "interrupted",
    _REFUSAL: "refused",
    "input.lost": "input lost",
}
_UNNAMED = {
    "abandoned": "waited longer than their patience",
    "input lost": "no frame showed it within 2 s",
}

BY_CHANCE = (
    "By chance: how far one run like this is off, 95 % of the time, if the model is right. "
    "What is further apart stands out; of many figures, one in twenty does so by chance."
)


@dataclass(frozen=True)
class Figure:
    """One key figure: its name, its big number, what stands below it, and the change."""

    name: str
    value: str
    detail: str
    samples: str
    delta: str = ""


@dataclass(frozen=True)
class Failure:
    """What went wrong in the same way; ``between_s``: first and last, seconds of the run."""

    what: str
    reason: str
    count: int
    between_s: tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """A figure of the model beside the measured one, and how far they are apart.

    ``chance`` is how far one run is off, 95 % of the time, if the model is
    right; ``beyond``: they are further apart than that.
    """

    metric: str
    stat: str
    measured: str
    predicted: str
    apart: str
    chance: str = NONE
    beyond: bool = False


def key_figures(assessment: Assessment) -> list[Figure]:
    """Build the figures at the top of a report; a simulation has others than a load test."""
    if assessment.run.info.kind == "simulated":
        return [
            _figure(assessment, "session.join_time", "Join time", "p50", "p95", "arrivals"),
            _figure(assessment, "pool.wait", "Waited or blocked", "mean", "", "arrivals"),
            _figure(assessment, "pool.wait_time", "Wait for a worker", "mean", "p95", "arrivals"),
            _figure(assessment, "session.abandoned", "Abandoned", "mean", "", "arrivals"),
            _figure(assessment, "pool.cost", "Cost", "mean", "max", "changes of the pool"),
        ]
    return [
        _figure(assessment, "session.join_time", "Join time", "p50", "p95", "joins"),
        _figure(assessment, "input.to_frame", "Input to frame", "p50", "p95", "inputs"),
        _figure(assessment, "video.fps", "Frame rate", "p50", "p05", "viewer seconds"),
        _figure(assessment, "video.bitrate", "Bitrate", "mean", "p95", "viewer seconds"),
        _figure(assessment, "video.freeze_ratio", "Frozen time", "mean", "max", "sessions"),
        *_quality(assessment),
    ]


def failures(assessment: Assessment) -> list[Failure]:
    """Group sessions that broke, refusals and lost inputs by reason, commonest first.

    A refusal is what the system told a viewer whose session went on.
    """
    found: list[Failure] = []
    for event, what in _WRONG.items():
        rows = assessment.run.rows(event)
        if event != _REFUSAL:
            rows = rows[rows["value"] == 1.0]
        unnamed = _UNNAMED.get(what, "no reason given")
        by_reason: dict[str, list[float]] = {}
        for text, at_s in zip(rows["attrs"], happened_s(rows).tolist(), strict=True):
            by_reason.setdefault(_reason(text) or unnamed, []).append(at_s)
        for reason, times in by_reason.items():
            found.append(Failure(what, reason, len(times), (min(times), max(times))))
    return sorted(found, key=lambda failure: -failure.count)


def against_model(assessment: Assessment) -> list[Comparison]:
    """Lay what was predicted beside what was measured, for every figure that both have."""
    model = assessment.model
    if model is None:
        return []
    lines = []
    for name, stats in assessment.stats.items():
        for stat in _COMPARED:
            predicted, measured = model.figure(name, stat), stats.values[stat]
            metric = METRICS[name]
            if stat != "mean" and (metric.unit == "ratio" or metric.per is Per.TIME):
                continue
            if predicted is None or predicted == measured == 0.0:
                continue
            apart = f"{measured / predicted - 1:+.1%}" if predicted else NONE
            noise = model.chance(name, stat)
            lines.append(
                Comparison(
                    name,
                    stat,
                    _with_interval(measured, stats.ci95.get(stat), stats.unit),
                    _with_interval(predicted, model.interval(name, stat), stats.unit),
                    apart.replace("inf%", "∞"),
                    f"±{noise / abs(predicted):.1%}" if noise and predicted else NONE,
                    noise is not None and not abs(measured - predicted) <= noise,
                )
            )
    return lines


def shown(value: float | None, unit: str) -> str:
    """Render a number that may be absent."""
    return NONE if value is None else render(value, unit)


def _figure(
    assessment: Assessment, metric: str, name: str, first: str, second: str, noun: str
) -> Figure:
    word = "mean" if first == "mean" else "median"
    stats = assessment.stats.get(metric)
    if stats is None:
        return Figure(f"{name}, {word}", NONE, "no data", "")
    unit = stats.unit
    detail = ""
    if second:
        interval = stats.ci95.get(second)
        detail = f"{second} {_with_interval(stats.values[second], interval, unit)}"
    began = assessment.from_start.get(metric)
    tail = f", {stats.censored} never came" if stats.censored else ""
    if began is not None and began[first] < 0.99 * stats.values[first]:
        tail += f"; {render(began[first], unit)} without the generator's delay"
    return Figure(
        f"{name}, {word}",
        render(stats.values[first], unit),
        detail,
        f"n = {stats.n} {noun}{tail}",
        _delta(assessment, metric, first),
    )


def _quality(assessment: Assessment) -> list[Figure]:
    """Picture quality, where it was measured or, where viewers said so, why it was not."""
    why = assessment.absent.get("video.psnr")
    if "video.psnr" not in assessment.stats and assessment.run.rows(UNJUDGED).empty:
        return []
    figure = _figure(assessment, "video.psnr", "Picture, PSNR", "p50", "p05", "pictures")
    similar = assessment.stats.get("video.ssim")
    if why is not None:
        return [replace(figure, samples=why)]
    if similar is not None:
        ssim = f"; SSIM {similar.values['p50']:.3f}"
        return [replace(figure, samples=f"{figure.samples}{ssim}")]
    return [figure]


def _delta(assessment: Assessment, metric: str, stat: str) -> str:
    center = assessment.history.center(metric, stat)
    value = assessment.stats[metric].values[stat]
    if center is None or not 0 < value < float("inf"):
        return ""
    count = len(assessment.history.runs)
    change = round(100 * (value / center - 1), 1)
    told = f"{change:+.1f} %" if change else "unchanged"
    return f"{told} against {count} baseline run{'' if count == 1 else 's'}"


def _with_interval(value: float, interval: tuple[float, float] | None, unit: str) -> str:
    if interval is None:
        return render(value, unit)
    low, high = interval
    return f"{render(value, unit)} ({render(low, unit)} to {render(high, unit)})"


def _reason(text: object) -> str:
    parsed = attributes(text)
    told = next((str(parsed[key]) for key in ("code", "reason", "error") if parsed.get(key)), "")
    if told and parsed.get("phase"):
        told += f" in phase {parsed['phase']}"
    return told[:200]
