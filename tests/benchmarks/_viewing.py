"""One measured session: the same client, the same motion, whatever worker serves it.

Everything that depends on the worker is passed in: where to connect, and whose CPU to read.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median

import av
import numpy as np
import numpy.typing as npt
import psutil

from system.client.client import RemoteRenderClient
from system.client.config import Callbacks, ClientConfig
from system.client.inputs import InputPlan
from system.client.latency import InputSample
from system.client.meter import Second
from system.media.convert import Converter
from system.media.decoder import luma
from system.media.marker import FrameMarker, draw_block_code
from system.media.project import Project
from system.media.quality import psnr
from system.media.renderers.chain import open_renderer
from system.media.rtc.assembler import ReceivedFrame
from system.media.rtc.ice import LOOPBACK
from system.media.scene import Scene
from system.protocol.channels import CameraOrbit, InputAck
from system.protocol.fields import StreamOptions

WIDTH, HEIGHT, FPS = 1280, 720, 30
PROJECT = "benchmark"
WARM_UP_S = 3.0
DECIDED_S = 0.5
"""Left after a segment, in which its last inputs' frames arrive."""
REST_S = 1.2
"""At the end, in which the picture settles."""
SAMPLE_EVERY = 8
SEED = 20


@dataclass(frozen=True)
class Segment:
    """A stretch of a session with inputs at one rate."""

    name: str
    inputs_per_s: float
    duration_s: float


@dataclass(frozen=True)
class Figures:
    """What one segment gave. Bitrate counts encoded video, without RTP headers."""

    cpu_per_frame_s: float
    cpu_cores: float
    others_cores: float
    """Cores that neither this process nor the worker used, but somebody else on the machine."""
    fps: float
    input_to_frame_s: list[float]
    inputs_unseen: int
    bitrate_bps: float
    psnr_db: list[float]


@dataclass
class _Window:
    """Readings at a segment's two ends."""

    times_s: tuple[float, float]
    cpu_s: float
    others_s: float


@dataclass
class Viewing:
    """Records one session and makes figures of it once it is over."""

    url: str
    worker_pid: int
    token: str | None = None
    _frames: list[tuple[float, int]] = field(default_factory=list)
    _bytes: list[tuple[float, int]] = field(default_factory=list)
    _samples: list[InputSample] = field(default_factory=list)
    _acks: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    _pictures: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict)
    _inputs: dict[int, CameraOrbit] = field(default_factory=dict)
    _windows: dict[str, _Window] = field(default_factory=dict)

    async def run(self, segments: list[Segment]) -> None:
        """Join, move through the segments, rest for a moment and leave."""
        config = ClientConfig(
            url=self.url,
            ice=LOOPBACK,
            codec="h264",
            tier="decode",
            fps=FPS,
            stream=StreamOptions(block_code=True),
        )
        callbacks = Callbacks(
            on_frame=self._received,
            on_message=self._message,
            on_second=self._second,
            on_picture=self._picture,
        )
        client = RemoteRenderClient(config, callbacks)
        process = psutil.Process(self.worker_pid)
        await client.connect("benchmark", PROJECT, self.token)
        try:
            first = segments[0]
            await self._move(client, first.inputs_per_s, WARM_UP_S)
            for segment in segments:
                began, cpu_s, others_s = time.monotonic(), _cpu_s(process), _others_s(process)
                await self._move(client, segment.inputs_per_s, segment.duration_s)
                self._windows[segment.name] = _Window(
                    times_s=(began, time.monotonic()),
                    cpu_s=_cpu_s(process) - cpu_s,
                    others_s=_others_s(process) - others_s,
                )
                await self._move(client, segment.inputs_per_s, DECIDED_S)
            await asyncio.sleep(REST_S)
        finally:
            await client.disconnect()

    async def _move(self, client: RemoteRenderClient, per_s: float, duration_s: float) -> None:
        """Orbit for a while; an input that is sent late counts from when it was due."""
        began = time.monotonic()
        for planned in InputPlan(SEED, per_s, {"camera:orbit": 1.0}):
            if planned.at_s >= duration_s:
                break
            due = began + planned.at_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            assert isinstance(planned.message, CameraOrbit)
            client.send(planned.message, scheduled_s=due)
            self._inputs[len(self._inputs) + 1] = planned.message
        await asyncio.sleep(max(0.0, began + duration_s - time.monotonic()))

    # --- callbacks --------------------------------------------------------------

    def _received(self, frame: ReceivedFrame, marker: FrameMarker | None) -> None:
        self._bytes.append((frame.delivered_s, len(frame.data)))

    def _message(self, message: object) -> None:
        if isinstance(message, InputAck):
            self._acks.append((message.frame_id, message.seqs))

    def _second(self, second: Second, samples: list[InputSample]) -> None:
        self._samples += samples

    def _picture(self, marker: FrameMarker | None, picture: av.VideoFrame) -> None:
        """In the decoder's thread. Keeps every eighth picture."""
        if marker is None:
            return
        self._frames.append((time.monotonic(), marker.frame_id))
        if marker.frame_id % SAMPLE_EVERY == 0:
            self._pictures[marker.frame_id] = luma(picture).copy()

    # --- afterwards -------------------------------------------------------------

    def figures(self, segment: str) -> Figures:
        """What a segment gave; needs the session to be over."""
        window = self._windows[segment]
        began, ended = window.times_s
        duration_s = ended - began
        times = [at for at, _ in self._frames]
        first, last = bisect_right(times, began), bisect_right(times, ended)
        captured = self._frames[last - 1][1] - self._frames[first - 1][1]
        due = [s for s in self._samples if began <= s.scheduled_s < ended]
        encoded = sum(size for at, size in self._bytes if began < at <= ended)
        shown = {frame_id for _, frame_id in self._frames[first:last]}
        return Figures(
            cpu_per_frame_s=window.cpu_s / captured,
            cpu_cores=window.cpu_s / duration_s,
            others_cores=max(0.0, window.others_s / duration_s),
            fps=(last - first) / duration_s,
            input_to_frame_s=[s.value_s for s in due if s.value_s is not None],
            inputs_unseen=sum(s.value_s is None for s in due),
            bitrate_bps=8 * encoded / duration_s,
            psnr_db=[db for frame_id, db in self._quality.items() if frame_id in shown],
        )

    def settled_psnr_db(self) -> float:
        """Of the last picture kept, when nothing had moved for about a second."""
        return self._quality[max(self._quality)]

    @cached_property
    def _quality(self) -> dict[int, float]:
        """By frame id: PSNR against what the same inputs make here, of the pictures kept.

        A frame shows the inputs that were acknowledged with it or an earlier one, in the order of
        their numbers; orbits are all there is.
        """
        scene = Scene(Project.default(PROJECT))
        renderer = open_renderer(WIDTH, HEIGHT)
        converter = Converter(WIDTH, HEIGHT)
        acks = sorted(self._acks)
        quality = {}
        try:
            for frame_id in sorted(self._pictures):
                while acks and acks[0][0] <= frame_id:
                    for seq in sorted(acks.pop(0)[1]):
                        data = self._inputs[seq].data
                        scene.orbit(data.delta_x, data.delta_y)
                picture = renderer.render(scene)
                draw_block_code(picture, frame_id)
                converter.i420(picture)
                quality[frame_id] = psnr(converter.luma, self._pictures[frame_id])
        finally:
            renderer.close()
        return quality


def _cpu_s(process: psutil.Process) -> float:
    """User and system time of that process alone."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _others_s(process: psutil.Process) -> float:
    """CPU time of everything on the machine but the worker and this process."""
    now = psutil.cpu_times()
    busy = sum(now) - now.idle - getattr(now, "iowait", 0.0) - getattr(now, "guest", 0.0)
    return float(busy) - _cpu_s(process) - _cpu_s(psutil.Process())


def medians(rounds: list[Figures]) -> dict[str, float]:
    """Rounds of one variant as one row: medians over rounds, percentiles over all their inputs."""
    waits = list(itertools.chain.from_iterable(each.input_to_frame_s for each in rounds))
    levels = list(itertools.chain.from_iterable(each.psnr_db for each in rounds))
    p50, p95 = np.percentile(waits, [50, 95]) if waits else (float("nan"), float("nan"))
    return {
        "cpu_per_frame_ms": 1e3 * median(each.cpu_per_frame_s for each in rounds),
        "cpu_cores": median(each.cpu_cores for each in rounds),
        "others_cores": median(each.others_cores for each in rounds),
        "fps": median(each.fps for each in rounds),
        "input_to_frame_p50_ms": 1e3 * float(p50),
        "input_to_frame_p95_ms": 1e3 * float(p95),
        "inputs": float(len(waits)),
        "inputs_unseen": float(sum(each.inputs_unseen for each in rounds)),
        "bitrate_mbps": median(each.bitrate_bps for each in rounds) / 1e6,
        "psnr_db": median(levels),
    }
