"""Installs, checks, tests, builds and packs the browser client; says when dist/ is out of date.

Standard library alone: `tox -e web` runs it in an environment without the project.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DIST = HERE / "dist"
MIN_NODE = (20, 19)
USER_OPTIONS = {
    "target": "es2022",
    "module": "nodenext",
    "lib": ["es2022", "dom", "dom.iterable"],
    "types": [],
    "jsx": "react-jsx",
    "strict": True,
    "noEmit": True,
}
"""An application's, which checks declarations too."""

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
    with tempfile.TemporaryDirectory() as made:
        problem = package_problem(Path(made))
    if stale:
        return fail(
            f"system/web/dist is not what its source builds ({', '.join(stale)}): "
            "run `npm run build` in system/web and commit dist/"
        )
    if problem is not None:
        return fail(problem)
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


def package_problem(user: Path) -> str | None:
    """What an application in an empty folder finds wrong with the packed package, or None."""
    if not run(["npm", "pack", "--silent", "--pack-destination", str(user)]):
        return "failed: npm pack"
    modules = user / "node_modules"
    installed = modules / "@remote-render" / "client"
    installed.parent.mkdir(parents=True)
    for module in (HERE / "node_modules").iterdir():
        if not module.name.startswith("."):
            (modules / module.name).symlink_to(module)
    (archive,) = user.glob("*.tgz")
    with tarfile.open(archive) as packed:
        packed.extractall(user, filter="data")
    (user / "package").rename(installed)
    samples = re.findall(r"^```(tsx?)\n(.*?)^```", (HERE / "README.md").read_text(), re.M | re.S)
    for number, (kind, code) in enumerate(samples):
        (user / f"sample{number}.{kind}").write_text(code)
    (user / "package.json").write_text('{"type": "module"}')
    (user / "tsconfig.json").write_text(json.dumps({"compilerOptions": USER_OPTIONS}))
    if not run([str(HERE / "node_modules" / ".bin" / "tsc"), "-p", str(user)]):
        return "the README's examples do not compile against the package"
    script = (
        "import { RemoteRenderClient as c } from '@remote-render/client';"
        "import { useRemoteRender as h } from '@remote-render/client/react';"
        "if (!c || !h) throw new Error('an export is missing')"
    )
    if not run(["node", "--input-type=module", "-e", script], user):
        return "the package cannot be imported"
    return None


def run(command: list[str], folder: Path = HERE) -> bool:
    print("+", *command, flush=True)  # noqa: T201
    return subprocess.run(command, cwd=folder, check=False).returncode == 0


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
