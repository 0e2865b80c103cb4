"""Owns the worker's running totals: frames, their cost, inputs, sessions. Plain numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """Totals since the start; a heartbeat and the metrics both read them."""

    frames: int = 0
    frames_unsent: int = 0
    keyframes: int = 0
    payload_bytes: int = 0
    render_s: float = 0.0
    encode_s: float = 0.0
    inputs: int = 0
    malformed: int = 0
    refused: int = 0
    channel_overflows: int = 0
    edits: int = 0
    sessions: int = 0
    stale_commands: int = 0
    reconnects: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Frames since the last look, and the mean seconds to encode one."""

    frames: int
    encode_s: float


class UsageMeter:
    """Differences of a tally between two looks."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._frames = tally.frames
        self._encode_s = tally.encode_s

    def look(self) -> Usage:
        frames = self._tally.frames - self._frames
        encode_s = self._tally.encode_s - self._encode_s
        self._frames, self._encode_s = self._tally.frames, self._tally.encode_s
        return Usage(frames, encode_s / frames if frames else 0.0)
