"""How a session is given up: freed at once, or kept for a client that may come back.

Both may raise StoreUnavailable and may be repeated.
"""

from __future__ import annotations

from system.protocol import messages as m
from system.protocol.states import Session, SessionState
from system.signaling.node import Node
from system.signaling.placement import Placement
from system.telemetry import logs

log = logs.get(__name__)


async def release(node: Node, placement: Placement, reason: str) -> None:
    """Free the slot, and have the worker drop the session."""
    log.info("session.released", session_id=placement.session_id, reason=reason)
    await drop(node, placement, reason)
    await node.ledger.release(
        placement.session_id, fence=placement.fence, reason=reason, node=node.name
    )


async def drop(node: Node, placement: Placement, reason: str) -> None:
    """Have the worker drop the session, which goes on without it or not at all."""
    ended = m.SessionEnded(session_id=placement.session_id, reason=reason, fence=placement.fence)
    await node.relay.to_worker(placement.worker_id, ended)


async def tell_client(node: Node, session: Session) -> None:
    """Tell the session's client that the worker is lost; the record, just changed, says more."""
    told: m.SessionMoved | m.SessionEnded = m.SessionMoved(session_id=session.session_id)
    if session.state is SessionState.ENDED:
        told = m.SessionEnded(session_id=session.session_id, reason=session.reason)
    await node.relay.to_client(session.session_id, told)


async def suspend(node: Node, placement: Placement, *, closed: bool) -> None:
    """Keep the session for its client, unless the client is back already.

    ``closed``: its side ended the socket, see ClientDisconnected.
    """
    session = await node.ledger.get_session(placement.session_id)
    if session is None or session.node != node.name:
        return
    if placement.session_id in node.attached.clients:
        return
    suspended = await node.ledger.suspend(placement.session_id)
    if suspended is None:
        await release(node, placement, "client_left")
        return
    log.info("session.suspended", session_id=placement.session_id)
    if suspended.fence != placement.fence:
        await drop(node, placement, "moved")
    elif not node.closing:
        gone = m.ClientDisconnected(
            session_id=placement.session_id, fence=placement.fence, closed=closed
        )
        await node.relay.to_worker(placement.worker_id, gone)
