"""What a process of the load generator is told when a run begins; plain values, a message."""

from __future__ import annotations

import socket
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from loadtest._arrivals import Share


@dataclass(frozen=True, slots=True)
class Order:
    """A run, and this process's share of it.

    ``epoch`` is second 0 on CLOCK_REALTIME. ``users`` is how many viewers a
    closed load has, whatever its scenario says. ``secret`` signs join tokens of
    the embedded stack; ``token_file`` holds the token for another host.
    ``files`` is where copies of the files that the scenario names are.
    """

    run_dir: str
    machine: str
    epoch: float
    scenario_text: str
    url: str
    share_index: int = 0
    share_count: int = 1
    users: int = 1
    joins_per_s: float | None = None
    picture_every_s: float | None = None
    token_file: str | None = None
    files: str | None = None
    secret: str | None = field(default=None, repr=False)

    @property
    def share(self) -> Share:
        return Share(self.share_index, self.share_count)

    @property
    def parts(self) -> Path | None:
        """Where this process may put Parquet parts; None on another machine."""
        parts = Path(self.run_dir) / "parts"
        return parts if self.machine == machine_id() and parts.is_dir() else None

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def machine_id() -> str:
    """The same for all processes of a machine until it boots again."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()
