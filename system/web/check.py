"""Installs, type-checks, tests and builds the browser client; says when dist/ is out of date.

Standard library alone: `tox -e web` runs it in an environment without the project.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DIST = HERE / "dist"
MIN_NODE = (20, 19)
MISSING = (
    f"this needs Node.js {MIN_NODE[0]}.{MIN_NODE[1]} or newer with npm. Only changing the browser "
    "client takes it: the built page is committed in system/web/dist and served from there."
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-install", action="store_true", help="keep node_modules as they are")
    arguments = parser.parse_args()
    problem = node_problem()
    if problem is not None:
        return fail(problem)
    steps = [["npm", "run", "check"], ["npm", "test"]]
    if not arguments.no_install:
        steps.insert(0, ["npm", "ci", "--no-audit", "--no-fund"])
    for step in steps:
        if not run(step):
            return fail(f"failed: {' '.join(step)}")
    with tempfile.TemporaryDirectory() as made:
        if not run(["npm", "run", "build", "--", "--outDir", made, "--emptyOutDir"]):
            return fail("failed: npm run build")
        stale = differences(DIST, Path(made))
    if stale:
        return fail(
            f"system/web/dist is not what its source builds ({', '.join(stale)}): "
            "run `npm run build` in system/web and commit dist/"
        )
    print("system/web/dist is current")  # noqa: T201
    return 0


def node_problem() -> str | None:
    """Why Node.js cannot be used here; None where it can."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return MISSING
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
    try:
        major, minor = (int(part) for part in told.strip().removeprefix("v").split(".")[:2])
    except ValueError:
        return MISSING
    if (major, minor) < MIN_NODE:
        return f"{MISSING} Found: {told.strip()}."
    return None


def run(command: list[str]) -> bool:
    print("+", *command, flush=True)  # noqa: T201
    return subprocess.run(command, cwd=HERE, check=False).returncode == 0


def differences(committed: Path, built: Path) -> list[str]:
    """Names of files that are in one folder only, or that differ."""
    names = sorted({path.name for folder in (committed, built) for path in folder.glob("*")})
    _, differing, missing = filecmp.cmpfiles(committed, built, names, shallow=False)
    return sorted(differing + missing)


def fail(text: str) -> int:
    print(f"Error: {text}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
