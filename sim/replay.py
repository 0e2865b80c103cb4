"""Asks the policies again what they were asked in a log, and compares the answers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from system.orchestrator.policy import (
    ALL,
    LAUNCH,
    MEMORIES,
    OBSERVATION_FIELDS,
    TERMINATE,
    Numbers,
)
from system.orchestrator.pools import BadPool
from system.orchestrator.pools import policy as live_policy

EVENT = "policy.decided"


class BadLog(ValueError):
    """A log that cannot be replayed; the text says why."""


@dataclass
class Replayed:
    """Decisions of a log, and those that came out otherwise."""

    decisions: int = 0
    different: list[str] = field(default_factory=list)


def replay(lines: Iterable[str], policies: Mapping[str, Numbers] | None = None) -> Replayed:
    """Replay every ``policy.decided`` line.

    A line says what the policy remembered, because decisions without an action
    are logged at level debug only and may be missing; where it does not, each
    pool's memory begins when its log does.

    ``policies`` are the parameters by pool, for logs whose lines do not carry them.

    Raises:
        BadLog: there is no decision in it, or one that cannot be asked again.
    """
    found = Replayed()
    memories: dict[tuple[str, str, Numbers], Numbers] = {}
    for number, line in enumerate(lines, start=1):
        if EVENT not in line:
            continue
        record = _record(line, number)
        if record is None:
            continue
        pool, kind = str(record.get("pool", "default")), str(record.get("kind"))
        if kind not in ALL:
            raise BadLog(f"line {number}: policy kind {kind!r} is none of {', '.join(ALL)}")
        parameters = _parameters(record, pool, policies, number)
        key = (pool, kind, tuple(parameters))
        observation = _observation(record, number)
        memory = _numbers(record.get("memory")) or memories.get(key, MEMORIES[kind])
        actions, memories[key] = ALL[kind](observation, parameters, memory)
        logged = (record.get("launch"), record.get("terminate"))
        again = (int(actions[LAUNCH]), int(actions[TERMINATE]))
        found.decisions += 1
        if logged != again:
            found.different.append(f"line {number}: logged {logged}, replayed {again}")
    if not found.decisions:
        raise BadLog(f"there is no {EVENT} in the log")
    return found


def parameters_of(given: Mapping[str, Any], max_workers: int | None) -> Numbers:
    """The parameters of a policy of a ``--pool-config`` file; raises BadLog."""
    try:
        return live_policy(given, max_workers).parameters
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


def _parameters(
    record: Mapping[str, Any], pool: str, policies: Mapping[str, Numbers] | None, number: int
) -> Numbers:
    logged = _numbers(record.get("parameters"))
    if logged:
        return logged
    if policies and pool in policies:
        return policies[pool]
    raise BadLog(
        f"line {number}: the parameters of pool {pool!r} are not known: name its --pool-config"
    )


def _numbers(logged: object) -> Numbers:
    """A list of numbers of the log, in which infinity is null."""
    if not isinstance(logged, list):
        return ()
    return tuple(math.inf if value is None else float(value) for value in logged)


def _observation(record: Mapping[str, Any], number: int) -> Numbers:
    seen = record.get("observation")
    if not isinstance(seen, dict) or set(seen) != set(OBSERVATION_FIELDS):
        raise BadLog(f"line {number}: the observation is not one of this version")
    return tuple(float(seen[name]) for name in OBSERVATION_FIELDS)
