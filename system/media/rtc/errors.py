"""What this package raises.

::

    RtcError(Exception)
    └── GatheringFailed     no configured address could be bound

``BadDescription`` and ``BadCandidate``, for what a peer sent, are
``system.protocol.errors``.
"""

from __future__ import annotations


class RtcError(Exception):
    """A peer connection cannot do what was asked."""


class GatheringFailed(RtcError):
    """No UDP socket could be bound on any configured address and port."""
