"""Pictures that a decoding viewer judges are compared with the scene of exactly their frame."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import av
import msgspec
import pytest

from system.client.client import RemoteRenderClient
from system.client.config import Callbacks, ClientConfig
from system.client.judge import PictureJudge
from system.client.pictures import PictureSample
from system.media.project import Project
from system.media.rtc.ice import LOOPBACK
from system.media.scene import Camera
from system.protocol.channels import CameraView, FrameShown
from system.protocol.fields import StreamOptions
from system.stack import EmbeddedStack, PoolConfig, StackConfig, StreamConfig

STEP_PX = 12.0
"""A frame's worth of a quick turn; 3.6 degrees."""


@dataclass(frozen=True)
class Judged:
    picture: av.VideoFrame
    shown: FrameShown
    project: Project
    psnr_db: float
    ssim: float


@dataclass
class Watching:
    """A viewer, its judge's cases, and what it was told."""

    client: RemoteRenderClient
    judge: Recorder
    samples: list[PictureSample] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)

    async def until(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0.01)


class Recorder(PictureJudge):
    """A judge that keeps its cases."""

    def __init__(self) -> None:
        super().__init__()
        self.cases: list[Judged] = []

    async def judge(
        self, picture: av.VideoFrame, shown: FrameShown, project: Project
    ) -> tuple[float, float]:
        marks = await super().judge(picture, shown, project)
        self.cases.append(Judged(picture, shown, project, *marks))
        return marks


@pytest.fixture(scope="module")
def stack() -> Iterator[EmbeddedStack]:
    config = StackConfig(
        pools=(PoolConfig(initial=1, max_workers=1),),
        stream=StreamConfig(width=640, height=360, fps=30, bitrate_bps=2_000_000),
        secret="",
        min_ready=1,
    )
    with EmbeddedStack(config) as running:
        yield running


@pytest.fixture(params=[False, True], ids=["plain", "block_code"])
async def watching(stack: EmbeddedStack, request: pytest.FixtureRequest) -> AsyncIterator[Watching]:
    judge = Recorder()
    samples: list[PictureSample] = []
    unjudged: list[str] = []
    config = ClientConfig(
        url=f"{stack.url}/ws",
        ice=LOOPBACK,
        tier="decode",
        picture_every_s=0.05,
        stream=StreamOptions(block_code=request.param),
    )
    callbacks = Callbacks(on_judged=samples.append, on_unjudged=unjudged.append)
    client = RemoteRenderClient(config, callbacks, judge=judge)
    await client.connect("ada", f"pictures-{request.param}")
    try:
        yield Watching(client, judge, samples, unjudged)
    finally:
        await client.disconnect()
        judge.close()


def orbited(shown: FrameShown, delta_x: float) -> FrameShown:
    """The same frame, but for the camera."""
    view = shown.camera
    camera = Camera(view.azimuth, view.elevation, view.distance, view.target, view.fov)
    turned = camera.orbited(delta_x, 0.0)
    moved = CameraView(
        azimuth=turned.azimuth,
        elevation=turned.elevation,
        distance=turned.distance,
        target=turned.target,
        fov=turned.fov,
    )
    return msgspec.structs.replace(shown, camera=moved)


def corrupted(picture: av.VideoFrame) -> av.VideoFrame:
    """The picture with a sixteenth of it turned into its negative, as lost packets leave it."""
    planes = picture.to_ndarray(format="yuv420p").copy()
    high, wide = picture.height // 4, picture.width // 4
    planes[high : 2 * high, wide : 2 * wide] = 255 - planes[high : 2 * high, wide : 2 * wide]
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")


async def test_a_moving_picture_is_nearest_to_the_reference_of_its_own_frame(
    watching: Watching,
) -> None:
    client, judge = watching.client, watching.judge
    async with asyncio.timeout(30):
        while len(judge.cases) < 12:
            client.send_camera_orbit(STEP_PX, 0.0)
            await asyncio.sleep(1 / 30)
    await watching.until(lambda: len(watching.samples) >= 12)
    cameras = {case.shown.camera.azimuth for case in judge.cases}
    assert len(cameras) > 6, "the camera did not move"
    for case in judge.cases[:12]:
        before, after = [
            await PictureJudge.judge(judge, case.picture, orbited(case.shown, x), case.project)
            for x in (-STEP_PX, STEP_PX)
        ]
        assert case.psnr_db > max(before[0], after[0]) + 3.0
        assert case.ssim > max(before[1], after[1])
        broken = await PictureJudge.judge(judge, corrupted(case.picture), case.shown, case.project)
        assert broken[0] < case.psnr_db - 3.0
        assert broken[1] < case.ssim
    assert watching.unjudged == []
    assert client.meter.totals.histograms["video.psnr"].n == len(watching.samples)


async def test_edits_and_selections_are_in_the_reference(watching: Watching) -> None:
    client, judge = watching.client, watching.judge
    await watching.until(lambda: bool(judge.cases))
    first = judge.cases[0].project
    source, target, *_ = sorted(first.devices)
    client.send_connection_create(source, target, "power")
    client.send_device_click(source, 0.0, 0.0)
    client.send_device_drag(target, (3.0, 3.0, 0.0), end=True)

    def shows(case: Judged) -> bool:
        moved = case.project.devices[target].position[:2] == (3.0, 3.0)
        linked = len(case.project.connections) > len(first.connections)
        return moved and linked and case.shown.selection == source

    await watching.until(lambda: any(map(shows, judge.cases)))
    case = next(filter(shows, judge.cases))
    stale = await PictureJudge.judge(judge, case.picture, case.shown, first)
    assert case.psnr_db > stale[0]
    assert case.psnr_db > 25.0
