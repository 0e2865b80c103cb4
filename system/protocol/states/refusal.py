"""The answer to an event that does not fit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """The event does not fit the record; ``reason`` is for logs and tests."""

    reason: str


def refuse(state: str, event: object) -> Refusal:
    """The refusal of an event in a state where it has no meaning."""
    return Refusal(f"{type(event).__name__} does not fit state {state}")
