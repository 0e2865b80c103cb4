"""Policies as a user writes them, and in a few words."""

from __future__ import annotations

from typing import Any

from scenarios.policies import (
    Buffer,
    Fixed,
    PerRequest,
    Policy,
    Predictive,
    Scaling,
    Schedule,
    Target,
    TwoTier,
    singles,
)


def kind(policy: Policy) -> str:
    """What alternatives are grouped by."""
    names = []
    for _, part in singles(policy):
        name = getattr(part, "kind", "")
        method = f" {part.method}" if isinstance(part, Predictive) else ""
        share = " share" if isinstance(getattr(part, "warm", 0), float) else ""
        names.append(f"{name}{method}{share}")
    return " + ".join(names)


def as_written(policy: Policy) -> Any:
    """The policy as it stands in a scenario file: a mapping, or a list of them."""
    parts = [_mapping(part) for _, part in singles(policy)]
    return parts[0] if len(parts) == 1 else parts


def in_words(policy: Policy) -> str:
    """The policy on one line."""
    return " and ".join(_words(part) for _, part in singles(policy))


def _mapping(part: Scaling) -> dict[str, Any]:
    fields = type(part).model_fields
    written: dict[str, Any] = {"kind": getattr(part, "kind", "")}
    own = [name for name in fields if name not in Scaling.model_fields]
    for name in [*own, *Scaling.model_fields]:
        field, value = fields[name], getattr(part, name)
        if name == "kind" or (value == field.default and name != "interval_s"):
            continue
        key = field.alias or name
        if isinstance(part, Schedule) and name == "steps":
            value = [{"at": clock(step.at_s), "warm": _value("warm", step.warm)} for step in value]
        written[key] = _value(name, value)
    return written


def _value(name: str, value: Any) -> Any:
    if name.endswith("_s") and isinstance(value, float | int):
        return duration(float(value))
    if isinstance(value, float):
        return f"{100 * value:.6g}%"
    return value


def _words(part: Scaling) -> str:
    written = _mapping(part)
    first = str(written.pop("kind"))
    method = written.pop("method", None)
    words = [f"{first} {method}" if method else first]
    for key, value in written.items():
        if key == "steps":
            value = " ".join(f"{step['warm']} from {step['at']}" for step in value)
        words.append(f"{key} {value}")
    return ", ".join(words).replace(", ", " ", 1)


def meaning(policy: Policy) -> str:
    """What the policy does, for somebody who has never heard of it."""
    return ", and ".join(_meaning(part) for _, part in singles(policy))


def _meaning(part: Scaling) -> str:
    match part:
        case Fixed():
            text = f"run {part.size} workers, always"
        case TwoTier():
            text = (
                f"keep {_workers(part.warm)} ready beyond those in use, and {part.stopped} more "
                "stopped, to be started before new ones are launched"
            )
        case Buffer():
            text = f"keep {_workers(part.warm)} ready beyond those in use"
        case Target():
            text = f"run so many workers that {100 * part.utilisation:.6g}% of their slots are used"
        case Predictive():
            known = "from the arrival rates that this scenario says, " * (part.method == "mtginf")
            text = (
                "run workers for the load predicted for when a launch would be ready, "
                f"{known}and {_workers(part.headroom)} more"
            )
        case PerRequest():
            text = (
                "launch a worker for each session that finds none idle, and let it go after "
                f"{duration(part.idle_s)} without work"
            )
        case Schedule():
            steps = ", ".join(
                f"{_workers(step.warm)} from {clock(step.at_s)}" for step in part.steps
            )
            text = f"keep ready beyond those in use: {steps}"
        case _:
            text = _words(part)
    if part.min:
        text += f", never fewer than {part.min}"
    if part.max is not None:
        text += f", never more than {part.max}"
    if part.scale_in_delay_s:
        text += f"; let one go when it was not needed for {duration(part.scale_in_delay_s)}"
    return text


def _workers(count: int | float) -> str:
    if isinstance(count, float):
        return f"{100 * count:.6g}% of those in use"
    return f"{count} worker{'' if count == 1 else 's'}"


def duration(second: float) -> str:
    """A time as a scenario would have it, in the largest unit that is whole."""
    for unit, size in (("h", 3600), ("min", 60)):
        if second and second % size == 0:
            return f"{second / size:g}{unit}"
    return f"{second:g}s"


def clock(second: float) -> str:
    """A time of day."""
    return f"{int(second // 3600) % 24:02d}:{int(second // 60) % 60:02d}"
