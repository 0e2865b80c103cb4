"""When pictures are judged, with a judge that notes what it is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import av
import pytest

from system.client import pictures
from system.client.judge import Busy, PictureJudge, Unjudged
from system.client.pictures import NO_ANSWER, PictureSample, PictureSampler, SamplerCallbacks
from system.media.marker import FrameMarker
from system.media.project import Project
from system.media.project_changes import changes
from system.protocol.channels import CameraView, FrameRequest, FrameShown, ProjectRows

VIEW = CameraView(azimuth=1.0, elevation=30.0, distance=20.0, target=(0.0, 0.0, 0.0), fov=40.0)
PROJECT = Project.default("p")
_ALL = changes(Project(), PROJECT, 1_000_000)
ROWS = ProjectRows(fresh=True, name="p", devices=_ALL.devices, connections=_ALL.connections)


class FakeJudge(PictureJudge):
    """Marks every picture by its own timestamp, or refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.refusal: Unjudged | None = None

    async def judge(
        self, picture: av.VideoFrame, shown: FrameShown, project: Project
    ) -> tuple[float, float]:
        assert project.digest() == PROJECT.digest()
        if self.refusal is not None:
            raise self.refusal
        return float(picture.pts or 0), 0.9


@dataclass
class Room:
    judge: FakeJudge
    asked: asyncio.Queue[FrameRequest] = field(default_factory=asyncio.Queue)
    samples: asyncio.Queue[PictureSample] = field(default_factory=asyncio.Queue)
    unjudged: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        callbacks = SamplerCallbacks(self._ask, self.samples.put_nowait, self.unjudged.put_nowait)
        self.sampler = PictureSampler(self.judge, callbacks, every_s=0.001, phase=0.5)

    def _ask(self, request: FrameRequest) -> bool:
        self.asked.put_nowait(request)
        return True

    def decode(self, *frame_ids: int) -> None:
        for frame_id in frame_ids:
            picture = av.VideoFrame(16, 16, "yuv420p")
            picture.pts = frame_id
            self.sampler.picture(FrameMarker(frame_id, 0), picture)

    async def request(self) -> FrameRequest:
        return await asyncio.wait_for(self.asked.get(), 5)

    def answer(self, request: FrameRequest, frame_id: int) -> None:
        rows = None if request.project == PROJECT.digest() else ROWS
        self.sampler.shown(
            FrameShown(
                request=request.request,
                frame_id=frame_id,
                width=16,
                height=16,
                renderer="painter",
                camera=VIEW,
                selection=None,
                project=PROJECT.digest(),
                changes=rows,
            )
        )


@asynccontextmanager
async def sampling() -> AsyncIterator[Room]:
    judge = FakeJudge()
    room = Room(judge)
    task = asyncio.create_task(room.sampler.run())
    try:
        yield room
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        judge.close()


async def test_the_frame_that_the_worker_names_is_judged_whenever_it_was_decoded() -> None:
    async with sampling() as room:
        for decoded_first in (True, False):
            request = await room.request()
            if decoded_first:
                room.decode(5, 6, 7)
                await asyncio.sleep(0)
                room.answer(request, 6)
            else:
                room.answer(request, 6)
                await asyncio.sleep(0)
                room.decode(5, 6, 7)
            sample = await asyncio.wait_for(room.samples.get(), 5)
            assert (sample.frame_id, sample.psnr_db, sample.ssim) == (6, 6.0, 0.9)
        assert (await room.request()).project == PROJECT.digest(), "what is known is not sent again"


async def test_an_answer_to_another_request_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "ANSWER_S", 0.01)
    async with sampling() as room:
        late = await room.request()
        await room.request()
        room.answer(late, 1)
        room.decode(1)
        last = await room.request()
        room.decode(2)
        room.answer(last, 2)
        assert (await asyncio.wait_for(room.samples.get(), 5)).frame_id == 2


async def test_a_frame_that_is_never_decoded_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "PICTURE_S", 0.01)
    async with sampling() as room:
        room.answer(await room.request(), 9)
        await room.request()
        assert room.sampler.skipped == 1
        assert room.unjudged.empty()


async def test_a_worker_that_never_answers_is_reported_once_and_asked_less_and_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pictures, "ANSWER_S", 0.001)
    async with sampling() as room:
        assert await asyncio.wait_for(room.unjudged.get(), 5) == NO_ANSWER
        for _ in range(3):
            await room.request()
        assert room.unjudged.empty()


async def test_a_refusal_is_reported_once_and_a_busy_judge_is_not() -> None:
    async with sampling() as room:
        for refusal in (Busy("busy"), Unjudged("no GPU"), Unjudged("no GPU")):
            room.judge.refusal = refusal
            request = await room.request()
            room.decode(1)
            room.answer(request, 1)
        await room.request()
        assert room.sampler.skipped == 3
        assert room.unjudged.get_nowait() == "no GPU"
        assert room.unjudged.empty()


async def test_what_the_lost_worker_said_is_not_compared_with_the_next_ones_pictures() -> None:
    async with sampling() as room:
        request = await room.request()
        room.answer(request, 3)
        room.sampler.restart()
        room.decode(3)
        again = await room.request()
        assert room.samples.empty()
        assert again.request > request.request
