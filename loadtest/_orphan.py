"""Ends a forked Locust worker whose master is gone, however it went.

Locust itself waits a minute for a master's heartbeat. A worker of
``--processes`` is a child of its master: another parent means that it died.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Final

import gevent

from reports.verdict import Exit

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.5
RELEASE_S: Final = 1.0
"""What this worker holds gets so long to end in order."""


def watch(
    master: int,
    release: Callable[[float], object],
    *,
    parent: Callable[[], int] = os.getppid,
    end: Callable[[int], object] = os._exit,
) -> None:
    """Look after the process ``master`` for ever; a greenlet's work.

    ``release`` is told how long it may take.
    """
    while parent() == master:
        gevent.sleep(LOOK_EVERY_S)
    logger.error("the master process is gone")
    with gevent.Timeout(2 * RELEASE_S, False):
        release(RELEASE_S)
    end(int(Exit.INTERNAL))
