"""How a session is given up: freed at once, or kept for a client that may come back.

Both may raise StoreUnavailable and may be repeated.
"""

from __future__ import annotations

from system.protocol import messages as m
from system.signaling.node import Node
from system.signaling.placement import Placement
from system.telemetry import logs

log = logs.get(__name__)


async def release(node: Node, placement: Placement, reason: str) -> None:
    """Free the slot, and have the worker drop the session."""
    log.info("session.released", session_id=placement.session_id, reason=reason)
    ended = m.SessionEnded(session_id=placement.session_id, reason=reason, fence=placement.fence)
    await node.relay.to_worker(placement.worker_id, ended)
    await node.ledger.release(placement.session_id, fence=placement.fence, reason=reason)


async def suspend(node: Node, placement: Placement) -> None:
    """Keep the session for its client, unless the client is back already."""
    session = await node.ledger.get_session(placement.session_id)
    if session is None or session.node != node.name:
        return
    if placement.session_id in node.attached.clients:
        return
    if await node.ledger.suspend(placement.session_id) is None:
        await release(node, placement, "client_left")
        return
    log.info("session.suspended", session_id=placement.session_id)
    if not node.closing:
        gone = m.ClientDisconnected(session_id=placement.session_id, fence=placement.fence)
        await node.relay.to_worker(placement.worker_id, gone)
