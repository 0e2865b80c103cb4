"""A real coturn takes the credentials that signaling hands out, and media flows through it.

Debian's ``coturn`` must be installed: `tox -e turn`. Everything stays on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aioice.ice
import aioice.stun
import pytest
from aioice.turn import create_turn_endpoint
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection

from system.media.rtc.ice import LOOPBACK
from system.media.rtc.peer import close_peer, new_peer_connection
from system.protocol.fields import IceServer
from system.signaling.config import IceOptions
from system.signaling.ice import servers

SECRET = "a secret that only the TURN server and signaling know"
UNAUTHORIZED = 401


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """Port and log of a coturn on loopback; it may relay to loopback, here alone."""
    program = shutil.which("turnserver")
    assert program is not None, "install Debian's coturn"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "turn.log"
    process = subprocess.Popen(
        [
            *(program, "-n", "--no-cli", "--no-tls", "--no-dtls", "--allow-loopback-peers"),
            *("--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1"),
            *("--listening-port", str(port), "--realm", "test", "--verbose"),
            *("--use-auth-secret", "--static-auth-secret", SECRET),
            *("--userdb", str(tmp_path / "users"), "--pidfile", str(tmp_path / "pid")),
            *("--log-file", str(log), "--simple-log"),
        ],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_listening(port)
        yield port, log
    finally:
        process.terminate()
        process.wait(10)


def _wait_listening(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        assert time.monotonic() < deadline, "coturn does not listen"
        time.sleep(0.05)


def told(port: int, *, secret: str = SECRET, now_s: float | None = None) -> IceServer:
    """What signaling tells a viewer."""
    options = IceOptions(turn_urls=(f"turn:127.0.0.1:{port}",), turn_secret=secret)
    (server,) = servers(options, "ada", now_s=time.time() if now_s is None else now_s)
    return server


@contextlib.asynccontextmanager
async def allocation(port: int, server: IceServer) -> AsyncIterator[tuple[str, int]]:
    """The relayed address that coturn gives for these credentials."""
    transport, _ = await create_turn_endpoint(
        asyncio.DatagramProtocol,
        server_addr=("127.0.0.1", port),
        username=server.username,
        password=server.credential,
    )
    try:
        yield transport.get_extra_info("sockname")
    finally:
        transport.close()
        await asyncio.sleep(0)


async def test_coturn_takes_valid_credentials_and_no_others(relay: tuple[int, Path]) -> None:
    port, log = relay
    good = told(port)
    async with allocation(port, good) as (host, relayed):
        assert host == "127.0.0.1"
        assert relayed != port
    expired = told(port, now_s=time.time() - 400)
    foreign = told(port, secret="another secret")
    for bad in (expired, foreign):
        with pytest.raises(aioice.stun.TransactionFailed) as refused:
            async with allocation(port, bad):
                pass
        assert refused.value.response.attributes["ERROR-CODE"][0] == UNAUTHORIZED
    written = log.read_text() if log.exists() else ""
    assert SECRET not in written
    assert str(good.credential) not in written


async def test_a_viewer_behind_a_relay_reaches_a_worker(
    relay: tuple[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, _ = relay
    server = told(port)
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [])
    viewer = RTCPeerConnection(
        RTCConfiguration(
            iceServers=[
                RTCIceServer(
                    urls=list(server.urls), username=server.username, credential=server.credential
                )
            ]
        )
    )
    worker = new_peer_connection(LOOPBACK)
    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    worker.on("datachannel", lambda channel: channel.on("message", heard.set_result))
    channel = viewer.createDataChannel("input")
    channel.on("open", lambda: channel.send("through the relay"))
    try:
        async with asyncio.timeout(20):
            await viewer.setLocalDescription(await viewer.createOffer())
            kinds = {
                line.split(" typ ")[1].split()[0]
                for line in viewer.localDescription.sdp.splitlines()
                if " typ " in line
            }
            assert kinds == {"relay"}
            await worker.setRemoteDescription(viewer.localDescription)
            await worker.setLocalDescription(await worker.createAnswer())
            await viewer.setRemoteDescription(worker.localDescription)
            assert await heard == "through the relay"
    finally:
        await viewer.close()
        await close_peer(worker)
