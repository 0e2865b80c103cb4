"""What this package raises.

::

    ClientError(Exception)
    ├── JoinFailed           no first frame; ``code``, ``text`` and ``phase`` say why and where
    │   └── JoinAbandoned    the viewer's patience ended while it was queued
    └── HelperGone           a helper process ended, or its pipe did

``code`` is an ``ErrorCode`` from the wire where the server refused, else one of
``timeout``, ``unreachable``, ``closed``, ``media_failed``, ``bad_answer``.
``phase`` is one of ``system.protocol.metrics.JOIN_PHASES``.
"""

from __future__ import annotations


class ClientError(Exception):
    """Base of what a client or a helper raises."""


class JoinFailed(ClientError):
    """A session did not get as far as its first frame."""

    def __init__(self, code: str, text: str, phase: str) -> None:
        super().__init__(f"{code} during {phase}: {text}")
        self.code = code
        self.text = text
        self.phase = phase


class JoinAbandoned(JoinFailed):
    """The viewer left the queue; ``waited_s`` is for how long it was in it."""

    def __init__(self, waited_s: float) -> None:
        super().__init__("abandoned", f"left the queue after {waited_s:.3f} s", "queue")
        self.waited_s = waited_s


class HelperGone(ClientError):
    """A helper process is not there any more; its sessions are lost."""
