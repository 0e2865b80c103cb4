"""Lets processes yield to others of the machine, also where the kernel schedules by sessions.

With ``sched_autogroup`` (on by default in most distributions) niceness weighs
tasks against those of their own session only; what weighs one session against
others is written to ``/proc/<pid>/autogroup``. See sched(7).
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

TRIES: Final = 30
AGAIN_S: Final = 0.11
"""Who is not root may write once in 0.1 s, all processes together."""


def lower(pid: int, niceness: int) -> bool:
    """Set the niceness of a session leader and of its session; False where it could be tried again.

    Raises OSError where the process is gone or not ours.
    """
    os.setpriority(os.PRIO_PROCESS, pid, niceness)
    try:
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness), encoding="ascii")
    except BlockingIOError:
        return False
    except OSError:  # this kernel has no such groups
        return True
    return True


async def follow(pid: int) -> None:
    """Give a new session leader the niceness that this process has, unless that is 0."""
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    if niceness <= 0:
        return
    for _ in range(TRIES):
        try:
            if lower(pid, niceness):
                return
        except OSError:
            return
        await asyncio.sleep(AGAIN_S)
