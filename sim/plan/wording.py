"""Policies as a user writes them, and in a few words."""

from __future__ import annotations

from typing import Any

from scenarios.policies import Policy, Predictive, Scaling, Schedule, singles


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
        return f"{value:g}s"
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


def clock(second: float) -> str:
    """A time of day."""
    return f"{int(second // 3600) % 24:02d}:{int(second // 60) % 60:02d}"
