"""What the orchestrator asks of whatever starts and stops workers."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass


class ProviderError(Exception):
    """A worker could not be started; the text is safe to log."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A worker to start; one that was stopped is started as its next generation."""

    worker_id: str
    generation: int
    pool: str
    slots: int
    boot_delay_s: float = 0.0
    """The worker waits so long before it registers."""
    anew: bool = True
    """False: it was there before and was stopped, under the same id."""


@dataclass(frozen=True, slots=True)
class Exit:
    """A worker that has ended; ``status`` is its exit status, negative for a signal."""

    worker_id: str
    pool: str
    status: int


class Provider(ABC):
    """Starts and stops workers; the ledger, not the provider, knows what they do.

    ``changed`` is set when a worker has ended, so that nobody has to poll.
    """

    def __init__(self) -> None:
        self.changed = asyncio.Event()

    @abstractmethod
    async def start(self, launch: Launch) -> None:
        """Begin to start a worker; it registers by itself.

        Raises:
            ProviderError: it cannot be started.
        """

    @abstractmethod
    async def stop(self, worker_id: str, grace_s: float) -> bool:
        """Ask a worker to end, and end it after ``grace_s``; returns without waiting.

        False: not one of this provider's.
        """

    @abstractmethod
    def running(self) -> dict[str, str]:
        """Pool of each worker that has been started and has not ended, by id."""

    @abstractmethod
    def exited(self) -> list[Exit]:
        """Workers that have ended since this was last asked."""

    @abstractmethod
    async def close(self) -> None:
        """Stop what this provider runs, and wait for it, bounded."""
