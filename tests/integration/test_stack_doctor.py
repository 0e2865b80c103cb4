"""The doctor on this very machine, which runs the other tests and so must be sound."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_doctor_finds_this_machine_sound() -> None:
    code = "from system.cli.system_group import group; group()"
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    report = json.loads(done.stdout)
    assert done.returncode == 0, report
    found = {check["name"]: check for check in report["checks"]}
    assert report["ok"]
    assert found["renderer"]["detail"].split(",")[0] in ("egl", "tinydisplay", "painter")
    assert found["encoder"]["detail"].startswith("libx264")
    assert found["loopback UDP"]["ok"]
