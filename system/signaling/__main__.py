"""``python -m system.signaling``: one signaling node as a process."""

from __future__ import annotations

import logging
import os

import click

from system.signaling.app import create_app
from system.signaling.config import Bounds, IceOptions, SignalingConfig
from system.store.base import open_store
from system.telemetry import config as flags
from system.telemetry import logs, runner


@click.command(context_settings=flags.CONTEXT)
@flags.listen_options
@click.option("--store", "store_url", required=True, help="redis://, rediss:// or unix:// URL.")
@click.option("--orchestrator", "orchestrator_url", required=True, help="http://host:port")
@click.option("--node", required=True, help="Name of this node; unique in the deployment.")
@click.option("--heartbeat", type=flags.Duration(), default="2s", show_default=True)
@click.option("--origin", "origins", multiple=True, help="Origin of pages allowed besides ours.")
@click.option(
    "--address-rate", default=500.0, show_default=True, help="New sockets a second of one address."
)
@click.option("--stun-url", "stun_urls", multiple=True, help="stun: URL told to peers.")
@click.option("--turn-url", "turn_urls", multiple=True, help="turn: URL told to peers.")
def main(
    *,
    host: str,
    port: int,
    ready_fd: int | None,
    log_level: str,
    store_url: str,
    orchestrator_url: str,
    node: str,
    heartbeat: float,
    origins: tuple[str, ...],
    address_rate: float,
    stun_urls: tuple[str, ...],
    turn_urls: tuple[str, ...],
) -> None:
    """Serve clients and workers over WebSockets.

    Secrets come from the environment: RR_SECRET (without it, no tokens are
    checked), RR_TURN_SECRET (shared with the TURN servers).
    """
    logs.configure("signaling", node, log_level)
    # It would log the subprotocols a client offers, and a token is one of them.
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)
    flags.refuse_memory(store_url)
    turn_secret = os.environ.get("RR_TURN_SECRET", "")
    if turn_urls and not turn_secret:
        raise click.UsageError(
            "--turn-url needs RR_TURN_SECRET, the secret that the TURN servers are run with "
            "(coturn: --use-auth-secret --static-auth-secret)"
        )
    config = SignalingConfig(
        node=node,
        orchestrator_url=orchestrator_url,
        host=host,
        port=port,
        heartbeat_s=heartbeat,
        keys=flags.keys_for(host),
        origins=origins or None,
        bounds=Bounds(address_rate=address_rate, address_burst=4 * address_rate),
        ice=IceOptions(
            stun_urls=stun_urls,
            turn_urls=turn_urls,
            turn_secret=turn_secret,
        ),
    )
    try:
        store = open_store(store_url)
    except ValueError as error:
        raise click.UsageError(str(error)) from None

    async def serve() -> None:
        try:
            app = create_app(config, store)
            await runner.serve(app, host=host, port=port, ready_fd=ready_fd)
        finally:
            await store.close()

    runner.run(serve)


if __name__ == "__main__":
    main(prog_name="python -m system.signaling")
