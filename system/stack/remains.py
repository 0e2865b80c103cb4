"""Finds and ends every process of a stack by a marker in its environment.

The last resort behind signals and the lifeline: it also finds what was started
at the very moment of a Ctrl-C, before anybody held its process id.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Final

import psutil

VARIABLE: Final = "RR_STACK_ID"
PASSES: Final = 5


def find(stack_id: str) -> list[psutil.Process]:
    """The live processes that were started for the stack ``stack_id``, this one excluded."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(VARIABLE) == stack_id:
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill(stack_id: str) -> int:
    """End them at once, also those that appear meanwhile; returns how many there were."""
    count = 0
    for _ in range(PASSES):
        processes = find(stack_id)
        if not processes:
            break
        count += len(processes)
        for process in processes:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        wait_gone(processes, 1.0)
    return count


def wait_gone(processes: Iterable[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Those that still run after ``timeout_s``; sleeps in short steps, so gevent can switch."""
    deadline = time.monotonic() + timeout_s
    alive = [process for process in processes if _runs(process)]
    while alive and time.monotonic() < deadline:
        time.sleep(0.02)
        alive = [process for process in alive if _runs(process)]
    return alive


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
