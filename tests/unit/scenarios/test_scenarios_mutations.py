"""Files that went wrong at random: each loads, or is refused with located lines."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from scenarios import document
from scenarios.errors import Problem
from scenarios.loader import ScenarioError, loads
from scenarios.support import HOSTS, unsupported

HERE = Path(__file__).parent
FILES = [
    *sorted((HERE / "good").glob("*.yaml")),
    *sorted((HERE.parents[2] / "scenarios").glob("*.yaml")),
]
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 10**30, 1.5, -0.0, 1e308, "", "x", "0s", "5s", "-5s", "1e99h",
    "0%", "20%", "100%", "900%", "1/s", "0/s", "08:00", "99:99", "1 USD/h", "nan", "inf", [], {},
    [[]], [None], ["5s", 3], {"kind": "buffer"}, {"kind": "max", "of": []}, {"dist": "weibull"},
    {"from": 1, "to": 3}, {"from": "1%", "to": "2%", "step": "0%"}, {"from": 1}, "\N{SNOWMAN}",
    {"model": "capacity", "from": 1, "step": 1, "hold": "1s", "max": 2}, "a" * 5000, {"": ""},
]  # fmt: skip
MUTANTS = 400


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [place, *(found for key, each in below for found in _places(each, (*place, key)))]


def _mutate(data: Any, rng: random.Random) -> Any:
    data = copy.deepcopy(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        *above, last = rng.choice([place for place in _places(data) if place] or [("name",)])
        holder = data
        for key in above:
            holder = holder[key]
        action = rng.random()
        if action < 0.7:
            holder[last] = copy.deepcopy(rng.choice(ODD))
        elif action < 0.85 or not isinstance(holder, dict):
            del holder[last]
        else:
            holder[str(rng.choice(("warm", "for", "at", "kind", "x", "max")))] = holder.pop(last)
    return data


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_that_went_wrong_at_random_is_loaded_or_refused(path: Path) -> None:
    sound = document.parse(path.read_text(encoding="utf-8"), path.name).data
    for seed in range(MUTANTS // len(FILES)):
        text = json.dumps(_mutate(sound, random.Random(f"{path.stem}:{seed}")))
        found = _problems(text)
        assert all(problem.line == 1 for problem in found), seed
        assert not any("\n" in str(problem) for problem in found), seed
        assert all(len(problem.message) <= document.MESSAGE_MAX for problem in found), seed


def _problems(text: str) -> tuple[Problem, ...]:
    try:
        scenario = loads(text, "mutant.yaml", host=None)
    except ScenarioError as error:
        return error.problems
    return tuple(
        scenario.problem(use.place, use.text)
        for host in HOSTS
        for use in unsupported(scenario, host)
    )
