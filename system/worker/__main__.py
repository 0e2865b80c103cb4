"""``python -m system.worker``: parses flags before anything heavy is imported."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence

from system.telemetry import lifeline, logs
from system.worker.config import parse
from system.worker.exits import INTERNAL


def main(argv: Sequence[str] | None = None) -> int:
    """Run a worker; its exit code (``system.worker.exits``)."""
    began_s = time.monotonic()
    config = parse(sys.argv[1:] if argv is None else argv)
    logs.configure("worker", config.worker_id, config.log_level)
    lifeline.watch()
    from system.worker.service import serve

    try:
        return asyncio.run(serve(config, began_s))
    except Exception as error:  # noqa: BLE001 - the end of the process
        logs.get("system.worker").exception("worker.failed", error)
        return INTERNAL


if __name__ == "__main__":
    sys.exit(main())
