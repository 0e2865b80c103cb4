"""``python -m system.client.host --fd N``: many clients in one asyncio loop, told by a pipe.

Started by ``system.client.hosts``. No gevent here: an asyncio loop inside a
gevent-patched process is unsafe. The process ends when its pipe does, by
whatever cause, having released its sessions and written its rows.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import socket
import time
from dataclasses import replace
from pathlib import Path

import aiohttp
import msgspec

from system.client.health import HealthMeter
from system.client.hostproto import (
    MAX_LINE_BYTES,
    Command,
    Drain,
    Drained,
    Ended,
    Event,
    Health,
    Ready,
    Run,
    Start,
    Stop,
    decode_command,
    encode,
)
from system.client.judge import PictureJudge
from system.client.live import LiveTally
from system.client.parts import PartWriter
from system.client.session import Session, Surroundings
from system.client.summary import RunClock
from system.client.tiers import DecodePool
from system.protocol.records import SystemRow
from system.telemetry import logs

logger = logs.get(__name__)

FLUSH_INTERVAL_S = 5.0
DRAIN_TIMEOUT_S = 8.0
MAX_UNREAD_BYTES = 16 * 1024 * 1024
"""Events that the parent has not read; a parent that far behind is not there any more."""


class Host:
    """Runs the commands of one pipe."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._sessions: dict[str, Session] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._parts: PartWriter | None = None
        self._tally = LiveTally()
        self._around = Surroundings(
            clock=RunClock(time.time(), time.time() - time.monotonic(), "helper-0"),
            writer=None,
            emit=self._emit,
            tally=self._tally,
            http=aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)),
            pool=DecodePool(),
            judge=PictureJudge(),
        )

    async def run(self) -> None:
        """Until the pipe ends."""
        meter = HealthMeter()
        self._emit(Ready(pid=os.getpid()))
        chores = [
            asyncio.create_task(self._report_health(meter)),
            asyncio.create_task(self._flush_often()),
        ]
        try:
            while line := await self._reader.readline():
                try:
                    await self._command(decode_command(line))
                except msgspec.DecodeError as error:
                    logger.error("helper.bad_command", error=error)
        except (ConnectionError, ValueError):
            logger.info("helper.pipe_lost")
        finally:
            await self._end_sessions()
            for chore in chores:
                chore.cancel()
            await asyncio.wait(chores)
            meter.close()
            await self._flush()
            await self._around.http.close()
            self._around.pool.close()
            self._around.judge.close()
            self._writer.close()

    async def _command(self, command: Command) -> None:
        if isinstance(command, Run):
            await self._flush()
            offset_s = time.time() - time.monotonic()
            clock = RunClock(command.epoch, offset_s, command.node, command.stages)
            self._parts = PartWriter(Path(command.parts), command.node) if command.parts else None
            self._around = replace(self._around, clock=clock, writer=self._parts)
            if command.pictures is not None:
                self._around.judge.warm(*command.pictures)
        elif isinstance(command, Start):
            self._start(command)
        elif isinstance(command, Stop):
            session = self._sessions.get(command.id)
            if session is not None:
                session.stop()
        elif isinstance(command, Drain):
            await self._end_sessions()
            await self._flush()
            parts = self._parts.written if self._parts else ()
            self._emit(Drained(parts=parts, inputs=self._tally.take_inputs()))

    def _start(self, command: Start) -> None:
        if command.id in self._sessions:
            logger.error("helper.duplicate_session", id=command.id)
            return
        session = Session(command, self._around)
        self._sessions[command.id] = session
        task = asyncio.create_task(session.run())
        self._tasks[command.id] = task
        task.add_done_callback(lambda done: self._ended(command.id, done))

    def _ended(self, session_id: str, task: asyncio.Task[None]) -> None:
        del self._sessions[session_id]
        del self._tasks[session_id]
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            # A bug of ours must fail its session, not leave its user waiting.
            if error is not None:
                logger.exception("session.crashed", error, id=session_id)
            reason = "internal" if error is not None else "helper_closed"
            self._emit(Ended(id=session_id, outcome="failed", reason=reason, summary={}))

    async def _end_sessions(self) -> None:
        tasks = list(self._tasks.values())
        for session in self._sessions.values():
            session.stop()
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=DRAIN_TIMEOUT_S)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=DRAIN_TIMEOUT_S)

    async def _report_health(self, meter: HealthMeter) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            began_s, due = time.monotonic(), due + 1.0
            await asyncio.sleep(max(0.0, due - loop.time()))
            sample = meter.take()
            sessions = len(self._sessions)
            self._emit(
                Health(
                    cpu=sample.cpu,
                    rss_bytes=sample.rss_bytes,
                    loop_lag_s=sample.loop_lag_s,
                    udp_drops=sample.udp_drops,
                    sessions=sessions,
                    inputs=self._tally.take_inputs(),
                    figures=self._tally.take(self._silences_s()),
                )
            )
            if self._parts is not None:
                clock = self._around.clock
                self._parts.add_system(
                    SystemRow(
                        t_us=clock.t_us(began_s),
                        node=clock.node,
                        role="helper",
                        cpu=sample.cpu,
                        rss_bytes=sample.rss_bytes,
                        loop_lag_s=sample.loop_lag_s,
                        udp_drops=sample.udp_drops,
                        sessions=sessions,
                    )
                )

    def _silences_s(self) -> list[float]:
        """Since the last frame of each session that has had one."""
        now = time.monotonic()
        found = (session.silent_s(now) for session in self._sessions.values())
        return [silent_s for silent_s in found if silent_s is not None]

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_INTERVAL_S)
            await self._flush()

    async def _flush(self) -> None:
        if self._parts is None:
            return
        try:
            await asyncio.to_thread(self._parts.flush)
        except OSError as error:
            logger.error("helper.rows_lost", error=error.strerror)

    def _emit(self, event: Event) -> None:
        if self._writer.is_closing():
            return
        self._writer.write(encode(event))
        if self._writer.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            logger.error("helper.events_unread")
            self._writer.transport.abort()


async def serve(fd: int) -> None:
    """Run a host on an inherited descriptor of a stream socket."""
    pipe = socket.socket(fileno=fd)
    reader, writer = await asyncio.open_connection(sock=pipe, limit=MAX_LINE_BYTES)
    host = Host(reader, writer)
    loop = asyncio.get_running_loop()
    running = asyncio.create_task(host.run())
    with contextlib.suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGTERM, reader.feed_eof)
    await running


def main() -> None:
    parser = argparse.ArgumentParser(description="host headless clients; started by a swarm")
    parser.add_argument("--fd", type=int, required=True, help="descriptor of the command socket")
    arguments = parser.parse_args()
    logs.configure("helper", level="warning")
    # An interrupt reaches the whole process group: the parent ends the run in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    asyncio.run(serve(arguments.fd))


if __name__ == "__main__":
    main()
