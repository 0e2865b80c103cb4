from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

HEAVY = ("pandas", "aiortc", "aiohttp", "av", "cv2", "panda3d", "numpy", "locust", "pydantic")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with our distribution's metadata as an installer would write it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    folder = tmp_path_factory.mktemp("site")
    info = folder / "remote_render-0.0.dist-info"
    info.mkdir()
    extras = "".join(f"Provides-Extra: {name}\n" for name in project["optional-dependencies"])
    info.joinpath("METADATA").write_text(
        f"Metadata-Version: 2.1\nName: remote-render\nVersion: 9.8.7\n{extras}"
    )
    groups = project["entry-points"]["remote_render.commands"]
    lines = "".join(f"{name} = {target}\n" for name, target in groups.items())
    info.joinpath("entry_points.txt").write_text(f"[remote_render.commands]\n{lines}")
    return folder


def run(
    installed: Path, *arguments: str, before: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command in a fresh interpreter, which then tells what it has imported."""
    code = (
        "import sys, json\n"
        f"{before}\n"
        "from system.cli.main import main\n"
        f"code = main({list(arguments)!r})\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print('IMPORTED', json.dumps(heavy), file=sys.stderr)\n"
        "sys.exit(code)\n"
    )
    path = os.pathsep.join((str(installed), str(ROOT)))
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": path, "RR_TRACEBACK": "", **environment},
    )


def imported(done: subprocess.CompletedProcess[str]) -> list[str]:
    line = next(line for line in done.stderr.splitlines() if line.startswith("IMPORTED "))
    found: list[str] = json.loads(line.removeprefix("IMPORTED "))
    return found


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if not line.startswith("IMPORTED ")]


def test_help_names_every_group_and_imports_none(installed: Path) -> None:
    done = run(installed, "--help")
    assert done.returncode == 0
    for name in ("system", "scenario", "report"):
        assert f"\n  {name} " in done.stdout
    assert imported(done) == []


def test_the_system_group_lists_its_commands_without_the_media_or_network_packages(
    installed: Path,
) -> None:
    done = run(installed, "system", "--help")
    assert done.returncode == 0
    for name in ("up", "signaling", "orchestrator", "worker", "token", "doctor", "config"):
        assert f"\n  {name} " in done.stdout
    assert imported(done) == []


def test_the_version_is_the_distributions(installed: Path) -> None:
    assert "9.8.7" in run(installed, "--version").stdout


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["system", "nonsense"], ["system", "up", "--fps", "many"], ["--nonsense"]],
)
def test_a_usage_error_exits_2_without_a_traceback(installed: Path, arguments: list[str]) -> None:
    done = run(installed, *arguments)
    assert done.returncode == 2
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_extra_is_one_line_that_says_what_to_install(installed: Path) -> None:
    done = run(installed, "report", "build", "x", before="sys.modules['reports.cli'] = None")
    assert done.returncode == 5, "our own module missing is no missing extra"
    block = "import types\nclass F:\n    def find_spec(self, name, path=None, target=None):\n"
    block += "        if name == 'reports.cli': raise ModuleNotFoundError(name='pandas')\n"
    block += "sys.meta_path.insert(0, F())"
    done = run(installed, "report", "build", "x", before=block)
    assert done.returncode == 2
    assert said(done) == [
        "remote-render report build needs the package 'pandas': pip install 'remote-render[report]'"
    ]


BROKEN = (
    "import click, types, importlib.metadata as m\n"
    "import system.cli.main as cli\n"
    "broken = click.Command('broken', callback=lambda: 1 / 0)\n"
    "class Entry:\n"
    "    name = 'broken'\n"
    "    def load(self): return broken\n"
    "cli.found = lambda: {'broken': Entry()}\n"
)


def test_an_unexpected_error_is_one_line_and_exit_code_5(installed: Path) -> None:
    done = run(installed, "broken", before=BROKEN)
    assert done.returncode == 5
    assert said(done) == [
        "Error: internal error: ZeroDivisionError: division by zero (RR_TRACEBACK=1 shows where)"
    ]


def test_a_traceback_is_shown_to_those_who_ask(installed: Path) -> None:
    done = run(installed, "broken", before=BROKEN, RR_TRACEBACK="1")
    assert done.returncode == 5
    assert "Traceback (most recent call last)" in done.stderr
