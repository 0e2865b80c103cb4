"""Asks the policies again what they were asked in a log, and compares the answers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from system.orchestrator.boots import BootTimes
from system.orchestrator.policy import (
    ALL,
    LAUNCH,
    MEMORIES,
    OBSERVATION_FIELDS,
    START,
    STOP,
    TERMINATE,
    Decision,
    Numbers,
)
from system.orchestrator.policy.combined import highest
from system.orchestrator.pools import BadPool, PoolSpec
from system.orchestrator.pools import policy as live_policy

EVENT = "policy.decided"

_BY_THE_CLOCK = ("schedule", "mtginf")
"""Kinds whose parameters are not in a pool's configuration alone."""

_ACTIONS = (("launch", LAUNCH), ("terminate", TERMINATE), ("start", START), ("stop", STOP))


class BadLog(ValueError):
    """A log that cannot be replayed; the text says why."""


@dataclass
class Replayed:
    """Decisions of a log, and those that came out otherwise."""

    decisions: int = 0
    different: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Part:
    """One policy of a decision: its kind, its numbers, and what it remembered, if logged."""

    kind: str
    parameters: tuple[float, ...]
    memory: tuple[float, ...]


def replay(
    lines: Iterable[str], policies: Mapping[str, Sequence[Numbers]] | None = None
) -> Replayed:
    """Replay every ``policy.decided`` line.

    A line says what the policy remembered, because decisions without an action
    are logged at level debug only and may be missing; where it does not, each
    pool's memory begins when its log does.

    ``policies`` are the parameters by pool, of each part of its policy, for logs
    whose lines do not carry them.

    Raises:
        BadLog: there is no decision in it, or one that cannot be asked again.
    """
    found = Replayed()
    memories: dict[tuple[str, int, str, tuple[float, ...]], Numbers] = {}
    for number, line in enumerate(lines, start=1):
        if EVENT not in line:
            continue
        record = _record(line, number)
        if record is None:
            continue
        pool = str(record.get("pool", "default"))
        parts = _parts(record, pool, policies, number)
        observation = _observation(record, number)
        decisions = []
        for index, part in enumerate(parts):
            key = (pool, index, part.kind, part.parameters)
            memory = part.memory or memories.get(key, MEMORIES[part.kind])
            decision = _asked(part, observation, memory, number)
            memories[key] = decision[1]
            decisions.append(decision)
        actions = highest(decisions)
        again = {name: int(actions[index]) for name, index in _ACTIONS}
        logged = {name: record[name] for name in again if name in record}
        found.decisions += 1
        if logged != {name: again[name] for name in logged} or "launch" not in logged:
            found.different.append(f"line {number}: logged {logged}, replayed {again}")
    if not found.decisions:
        raise BadLog(f"there is no {EVENT} in the log")
    return found


def _asked(part: _Part, observation: Numbers, memory: Numbers, number: int) -> Decision:
    try:
        return ALL[part.kind](observation, part.parameters, memory)
    except (ArithmeticError, IndexError, ValueError):
        raise BadLog(
            f"line {number}: {part.kind} cannot be asked with these parameters and this memory"
        ) from None


def parameters_of(pool: PoolSpec) -> list[Numbers]:
    """The parameters of each part of a policy of a ``--pool-config`` file; raises BadLog."""
    try:
        lead_s = BootTimes(pool.boot, seed=pool.seed).mean_s
        found = live_policy(pool.policy, pool.max_workers, lead_s=lead_s)
        return [part.parameters for part in found.parts]
    except BadPool as error:
        raise BadLog(str(error)) from None


def _record(line: str, number: int) -> dict[str, Any] | None:
    """The JSON object in a line, whatever stands before it."""
    match = re.search(r"\{.*\}", line)
    try:
        found = json.loads(match[0]) if match else None
    except ValueError:
        raise BadLog(f"line {number}: not a JSON log line") from None
    if not isinstance(found, dict) or EVENT not in (found.get("event"), found.get("message")):
        return None
    return found


def _parts(
    record: Mapping[str, Any],
    pool: str,
    policies: Mapping[str, Sequence[Numbers]] | None,
    number: int,
) -> list[_Part]:
    """The policies that decided together; one, unless the record has ``parts``."""
    listed = record.get("parts", [record])
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise BadLog(f"line {number}: parts is not a list of policies")
    known = (policies or {}).get(pool, ())
    parts = []
    for index, one in enumerate(listed):
        kind = str(one.get("kind"))
        if kind not in ALL:
            raise BadLog(f"line {number}: policy kind {kind!r} is none of {', '.join(ALL)}")
        parameters = _numbers(one.get("parameters"))
        if not parameters and kind in _BY_THE_CLOCK:
            raise BadLog(
                f"line {number}: a {kind} policy counts from when its orchestrator started, and "
                "the line does not carry its parameters: it cannot be asked again"
            )
        if not parameters and len(known) == len(listed):
            parameters = tuple(known[index])
        if not parameters:
            raise BadLog(
                f"line {number}: the parameters of pool {pool!r} are not known: "
                "name its --pool-config"
            )
        parts.append(_Part(kind, parameters, _numbers(one.get("memory"))))
    if not parts:
        raise BadLog(f"line {number}: parts is empty")
    return parts


def _numbers(logged: object) -> tuple[float, ...]:
    """A list of numbers of the log, in which infinity is null; empty if it is not one."""
    if not isinstance(logged, list) or not all(
        value is None or isinstance(value, int | float) for value in logged
    ):
        return ()
    return tuple(math.inf if value is None else float(value) for value in logged)


def _observation(record: Mapping[str, Any], number: int) -> Numbers:
    seen = record.get("observation")
    if (
        not isinstance(seen, dict)
        or set(seen) != set(OBSERVATION_FIELDS)
        or not all(isinstance(value, int | float) for value in seen.values())
    ):
        raise BadLog(f"line {number}: the observation is not one of this version")
    return tuple(float(seen[name]) for name in OBSERVATION_FIELDS)
