"""A worker of the orchestrator tests: registers in the ledger itself and beats."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal

from system.protocol.messages import Register
from system.store.base import StoreUnavailable, open_store
from system.store.ledger import Ledger


async def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("id", "pool", "signaling"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("generation", "slots"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--boot-delay")
    parser.add_argument("--never-ready", action="store_true")
    options = parser.parse_args()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    store = open_store(options.signaling, deadline_s=0.5)
    ledger = Ledger(store, heartbeat_ms=300)
    if not options.never_ready:
        await ledger.register(
            Register(
                worker_id=options.id,
                generation=options.generation,
                pool=options.pool,
                slots=options.slots,
                endpoint="fake",
            ),
            "test-node",
        )
    while not stop.is_set():
        with contextlib.suppress(StoreUnavailable):
            await ledger.heartbeat(options.id, options.generation)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await stop.wait()
    await store.close()


asyncio.run(main())
