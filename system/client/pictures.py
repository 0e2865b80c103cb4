"""Owns when a client's picture is judged: asks what a frame shows, and has that frame compared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import av

from system.client.judge import Busy, PictureJudge, Unjudged
from system.media.marker import FrameMarker
from system.media.project import Project
from system.protocol.channels import FrameRequest, FrameShown

ANSWER_S: Final = 3.0
"""An idle stream has a frame a second, and the answer comes with a frame."""
PICTURE_S: Final = 1.0
"""A frame that is not decoded by then never will be."""
HELD: Final = 8
"""Pictures kept until the worker has said which of them it describes; they are references."""
SILENT_AFTER: Final = 3
"""Requests without an answer, after which the worker is taken to know of none."""
LONGEST_PAUSE: Final = 16

NO_ANSWER: Final = "the worker does not say what its frames show"


@dataclass(frozen=True, slots=True)
class PictureSample:
    """A decoded frame against its reference; ``at_s`` is monotonic, ``ssim`` 0..1."""

    at_s: float
    frame_id: int
    psnr_db: float
    ssim: float


@dataclass(frozen=True, slots=True)
class SamplerCallbacks:
    """All on the event loop.

    ``ask`` sends a request, and says whether it could. ``unjudged`` tells why
    there is no sample, each reason once.
    """

    ask: Callable[[FrameRequest], bool]
    sampled: Callable[[PictureSample], None]
    unjudged: Callable[[str], None]


class PictureSampler:
    """Judges about one decoded frame every ``every_s`` seconds while ``run`` runs.

    One at a time, and none where the judge has too much to do. ``phase`` (0..1)
    spreads the clients of a process. ``picture`` is called in a decoder thread,
    everything else on the event loop.
    """

    def __init__(
        self, judge: PictureJudge, callbacks: SamplerCallbacks, *, every_s: float, phase: float
    ) -> None:
        self._judge = judge
        self._tell = callbacks
        self._every_s = every_s
        self._phase = phase
        self._loop = asyncio.get_running_loop()
        self._request = 0
        self._answer: asyncio.Future[FrameShown] | None = None
        self._pictures: dict[int, av.VideoFrame] = {}
        self._holding = False
        self._wanted: int | None = None
        self._held = asyncio.Event()
        self._project = Project()
        self._told: set[str] = set()
        self.skipped = 0
        """Frames that were described and not judged: not decoded in time, or too busy."""

    def picture(self, marker: FrameMarker | None, picture: av.VideoFrame) -> None:
        """A frame was decoded."""
        if self._holding and marker is not None:
            self._loop.call_soon_threadsafe(self._hold, marker.frame_id, picture)

    def shown(self, message: FrameShown) -> None:
        """The worker's answer."""
        answer = self._answer
        if answer is not None and not answer.done() and message.request == self._request:
            self._wanted = message.frame_id
            answer.set_result(message)

    def restart(self) -> None:
        """Another worker took over: what is being asked of the old one will not be said."""
        self._request += 1
        self._project = Project()

    async def run(self) -> None:
        """Until cancelled."""
        due = self._loop.time() + self._phase * self._every_s
        unanswered = 0
        while True:
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            unanswered = 0 if await self._sample() else unanswered + 1
            if unanswered == SILENT_AFTER:
                self._unjudged(NO_ANSWER)
            pause = min(2 ** max(0, unanswered - SILENT_AFTER), LONGEST_PAUSE)
            due = max(due + pause * self._every_s, self._loop.time())

    async def _sample(self) -> bool:
        """Judge one frame; False where the worker did not answer."""
        self._request += 1
        request = FrameRequest(request=self._request, project=self._project.digest())
        self._answer = self._loop.create_future()
        self._wanted = None
        self._holding = True
        try:
            if not self._tell.ask(request):
                return True
            try:
                shown = await asyncio.wait_for(self._answer, ANSWER_S)
            except TimeoutError:
                return request.request != self._request
            await self._compare(shown)
        except Unjudged as error:
            self.skipped += 1
            if not isinstance(error, Busy):
                self._unjudged(str(error))
        finally:
            self._holding = False
            self._answer = None
            self._pictures.clear()
        return True

    async def _compare(self, shown: FrameShown) -> None:
        if shown.changes is not None:
            self._project = await self._judge.project(self._project, shown.changes)
        if self._project.digest() != shown.project:
            return  # a large project comes in parts
        picture = await self._picture(shown.frame_id)
        if picture is None or shown.request != self._request:
            self.skipped += 1
            return
        self._holding = False
        self._pictures.clear()
        at_s = self._loop.time()
        marks = await self._judge.judge(picture, shown, self._project)
        self._tell.sampled(PictureSample(at_s, shown.frame_id, *marks))

    async def _picture(self, frame_id: int) -> av.VideoFrame | None:
        """The frame's picture, once it is decoded; None where it was not in time."""
        try:
            async with asyncio.timeout(PICTURE_S):
                while frame_id not in self._pictures:
                    self._held.clear()
                    await self._held.wait()
        except TimeoutError:
            return None
        return self._pictures[frame_id]

    def _hold(self, frame_id: int, picture: av.VideoFrame) -> None:
        if not self._holding:
            return
        self._pictures[frame_id] = picture
        for held in list(self._pictures)[:-HELD]:
            if held != self._wanted:
                del self._pictures[held]
        self._held.set()

    def _unjudged(self, reason: str) -> None:
        if reason not in self._told:
            self._told.add(reason)
            self._tell.unjudged(reason)
