"""Every extra is enough for its component: what it does not bring cannot be imported here."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = "remote-render"

PARTS = {
    "signaling": ("system.signaling.__main__", "system.signaling.app"),
    "orchestrator": ("system.orchestrator.__main__", "system.orchestrator.app"),
    "worker": ("system.worker.__main__", "system.worker.service"),
    "client": ("system.client.client", "system.client.host"),
    "report": ("reports.cli", "reports.build", "scenarios.cli"),
    "sim": ("sim.cli", "sim.run", "scenarios.cli"),
}

BLOCK = """
import importlib, sys

refused = set({refused!r})

class Refuser:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"not in this extra: {{name}}", name=name)

sys.meta_path.insert(0, Refuser())
for part in {parts!r}:
    importlib.import_module(part)
"""


OWNERS = metadata.packages_distributions()


def split(requirement: str) -> tuple[str, list[str]]:
    """Normal name and extras; markers are not judged, so more is allowed than is installed."""
    match = re.match(r"([A-Za-z0-9._-]+)(?:\[([^\]]*)\])?", requirement)
    assert match is not None
    extras = [part.strip() for part in (match[2] or "").split(",") if part.strip()]
    return re.sub(r"[-_.]+", "-", match[1]).lower(), extras


def brought(extra: str) -> set[str]:
    """Distributions that the extra brings, as their own metadata say."""
    found: set[str] = set()
    waiting = [*PROJECT["dependencies"], f"{OURS}[{extra}]"]
    while waiting:
        name, extras = split(waiting.pop())
        if name == OURS:
            for each in extras:
                waiting += PROJECT["optional-dependencies"][each]
        elif name not in found:
            found.add(name)
            try:
                needed = metadata.requires(name) or []
            except metadata.PackageNotFoundError:
                continue
            waiting += [each for each in needed if "extra ==" not in each]
    return found


@pytest.mark.parametrize("extra", PARTS)
def test_an_extra_is_enough_for_its_component(extra: str) -> None:
    allowed = brought(extra)
    refused = sorted(
        package
        for package, owners in OWNERS.items()
        if not {split(owner)[0] for owner in owners} & (allowed | {OURS})
    )
    assert "locust" in refused
    code = BLOCK.format(refused=refused, parts=PARTS[extra])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
