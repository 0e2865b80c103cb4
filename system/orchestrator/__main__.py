"""``python -m system.orchestrator``: one orchestrator as a process."""

from __future__ import annotations

import json
from pathlib import Path

import click

from system.orchestrator import pools
from system.orchestrator.app import create_app
from system.orchestrator.providers.local import LocalProvider
from system.orchestrator.service import Orchestrator
from system.store.base import open_store
from system.store.ledger import Ledger
from system.telemetry import config as flags
from system.telemetry import logs, runner


@click.command(context_settings=flags.CONTEXT)
@flags.listen_options
@click.option("--store", "store_url", required=True, help="redis://, rediss:// or unix:// URL.")
@click.option("--pool-config", required=True, type=click.Path(path_type=Path), help="JSON file.")
@click.option("--provider", type=click.Choice(["local"]), default="local", show_default=True)
@click.option("--signaling", required=True, help="WebSocket URL that workers connect to.")
@click.option("--worker-args", default="[]", help="Further arguments of every worker, as JSON.")
@click.option(
    "--worker-log-dir",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=None,
    help="One log file per worker; without it they log where the orchestrator does.",
)
@click.option("--heartbeat", type=flags.Duration(), default="2s", show_default=True)
@click.option("--lease", type=flags.Duration(), default="5s", show_default=True)
@click.option("--node", default="orchestrator", show_default=True, help="Name in logs.")
def main(
    *,
    host: str,
    port: int,
    ready_fd: int | None,
    log_level: str,
    store_url: str,
    pool_config: Path,
    provider: str,
    signaling: str,
    worker_args: str,
    worker_log_dir: Path | None,
    heartbeat: float,
    lease: float,
    node: str,
) -> None:
    """Keep the warm pools and allocate workers to sessions.

    The secret comes from the environment: RR_SECRET; without it, on loopback
    only, no tokens are checked.
    """
    logs.configure("orchestrator", node, log_level)
    flags.refuse_memory(store_url)
    keys = flags.keys_for(host)
    try:
        specs = pools.load(pool_config)
        store = open_store(store_url)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    arguments = _arguments(worker_args)

    async def serve() -> None:
        local = LocalProvider(
            signaling=signaling, worker_args=arguments, keys=keys, log_dir=worker_log_dir
        )
        ledger = Ledger(store, lease_ms=int(lease * 1000), heartbeat_ms=int(heartbeat * 1000))
        app = create_app(Orchestrator(store, ledger, local, specs), keys)
        await runner.serve(app, host=host, port=port, ready_fd=ready_fd)

    runner.run(serve)


def _arguments(text: str) -> list[str]:
    try:
        arguments = json.loads(text)
    except ValueError:
        arguments = None
    if not isinstance(arguments, list) or not all(isinstance(a, str) for a in arguments):
        raise click.UsageError("--worker-args is a JSON list of strings")
    return arguments


if __name__ == "__main__":
    main(prog_name="python -m system.orchestrator")
