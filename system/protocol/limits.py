"""Bounds of everything a peer may send; one place, so that every side agrees."""

from __future__ import annotations

from typing import Final

PROTOCOL_VERSION: Final = 1

MAX_MESSAGE_BYTES: Final = 64 * 1024
"""One WebSocket or data channel message, encoded."""

MAX_CONTROL_BYTES: Final = 8 * 1024 * 1024
"""One message between authenticated services (a project with its log may be long)."""

MAX_SDP_BYTES: Final = 32 * 1024
MAX_SDP_MEDIA_SECTIONS: Final = 8
MAX_CANDIDATES: Final = 64
"""Candidates a peer may send for one negotiation."""

MAX_CANDIDATE_CHARS: Final = 512
MAX_ID_CHARS: Final = 128
MAX_BUFFERED_MESSAGES: Final = 96
"""Offers and candidates held back until the worker, or the description, is there."""

MAX_NEGOTIATION: Final = 1_000_000
MAX_EDITS_PER_PROJECT: Final = 100_000
MAX_QUEUE: Final = 10_000
"""Waiting sessions of one pool; more are refused with ``queue_full``."""
