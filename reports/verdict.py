"""The verdict of a run and its exit code, the same for every program."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class GateVerdict(StrEnum):
    """What became of one gate."""

    PASS = "PASS"
    FAIL = "FAIL"
    SKIPPED = "SKIPPED"
    INCONCLUSIVE = "INCONCLUSIVE"


class Exit(IntEnum):
    """Exit codes of locust, ``report`` and ``sim``."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    INCONCLUSIVE = 3
    INVALID = 4
    INTERNAL = 5


_PRECEDENCE = (Exit.USAGE, Exit.INVALID, Exit.FAIL, Exit.INCONCLUSIVE, Exit.PASS)


@dataclass(frozen=True)
class Verdict:
    """PASS, FAIL, INVALID or INCONCLUSIVE, and why in one sentence."""

    code: Exit
    reason: str

    @property
    def word(self) -> str:
        return self.code.name


def worst(codes: Iterable[Exit]) -> Exit:
    """Pick the exit code that wins: 2 over 4 over 1 over 3 over 0; 5 over all."""
    found = set(codes)
    if Exit.INTERNAL in found:
        return Exit.INTERNAL
    return next((code for code in _PRECEDENCE if code in found), Exit.PASS)


def decide(gates: Iterable[tuple[str, GateVerdict]], invalid: Iterable[str]) -> Verdict:
    """Decide on a run from its gates (id, verdict) and the reasons why it is not valid."""
    listed = list(gates)
    reasons = list(invalid)
    by_verdict = {
        verdict: [gate for gate, found in listed if found is verdict] for verdict in GateVerdict
    }
    failed = by_verdict[GateVerdict.FAIL]
    undecided = by_verdict[GateVerdict.INCONCLUSIVE]
    passed = by_verdict[GateVerdict.PASS]
    if reasons:
        return Verdict(Exit.INVALID, "the measurement cannot be trusted: " + "; ".join(reasons))
    if failed:
        return Verdict(
            Exit.FAIL, f"{_count(failed, 'gate')} of {len(listed)} failed: " + _names(failed)
        )
    if undecided:
        return Verdict(Exit.INCONCLUSIVE, "undecided: " + _names(undecided))
    if not listed:
        return Verdict(Exit.PASS, "the scenario has no gates; the run is valid")
    if not passed:
        return Verdict(Exit.INCONCLUSIVE, "no gate of the scenario could be evaluated")
    skipped = by_verdict[GateVerdict.SKIPPED]
    tail = f", {len(skipped)} skipped" if skipped else ""
    return Verdict(Exit.PASS, f"{_count(passed, 'gate')} of {len(listed)} passed{tail}")


def _count(items: list[str], noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def _names(items: list[str]) -> str:
    return ", ".join(items)
