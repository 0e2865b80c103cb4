"""The lifeline: ends this process when the stack's parent is gone, however it went.

The parent holds the write end of a pipe that it hands to nobody; its children
and their children inherit the read end, named by RR_LIFELINE_FD. The end of
file on it cannot be missed, not even after a kill -9 of the parent.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Final

VARIABLE: Final = "RR_LIFELINE_FD"
GRACE_S: Final = 2.0


def descriptor() -> int | None:
    """The inherited read end, or None where there is no lifeline."""
    try:
        fd = int(os.environ[VARIABLE])
        os.fstat(fd)
    except (KeyError, ValueError, OSError):
        return None
    return fd


def watch() -> bool:
    """Watch the lifeline in a daemon thread; False where there is none."""
    fd = descriptor()
    if fd is None:
        return False
    threading.Thread(target=_watch, args=(fd,), name="lifeline", daemon=True).start()
    return True


def wait_closed(fd: int) -> None:
    """Block until the write end is closed everywhere."""
    while True:
        try:
            if not os.read(fd, 64):
                return
        except InterruptedError:
            continue
        except OSError:
            return


def _watch(fd: int) -> None:
    wait_closed(fd)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)
