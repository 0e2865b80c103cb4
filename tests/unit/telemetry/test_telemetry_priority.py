"""Niceness that weighs on the whole machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from system.telemetry import priority


@pytest.fixture
def leader() -> Iterator[int]:
    """A process that leads a session of its own."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1, start_new_session=True)
    try:
        yield child.pid
    finally:
        child.communicate(b"\n", timeout=20)


def _session_niceness(pid: int) -> int:
    """Of the session, where the kernel schedules by sessions; else of the process."""
    try:
        return int(Path(f"/proc/{pid}/autogroup").read_text().rpartition(" ")[2])
    except OSError:
        return os.getpriority(os.PRIO_PROCESS, pid)


def test_a_session_yields_as_a_whole(leader: int) -> None:
    assert any(priority.lower(leader, 7) for _ in range(1000))
    assert os.getpriority(os.PRIO_PROCESS, leader) == 7
    assert _session_niceness(leader) == 7


def test_a_process_that_is_gone_is_an_error() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait(20)
    with pytest.raises(ProcessLookupError):
        priority.lower(child.pid, 3)
