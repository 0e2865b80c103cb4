"""Owns judging decoded pictures: renders what a frame should show, and compares. One thread.

Errors::

    Unjudged            no verdict, and there will be none on the next picture either
    +-- Busy            too many pictures wait already; the next one may be judged
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

import av

from system.media.convert import Converter
from system.media.decoder import luma
from system.media.project import Project, ProjectError
from system.media.project_changes import changed
from system.media.quality import psnr, ssim
from system.media.renderers.base import Renderer, RendererUnavailable
from system.media.renderers.chain import open_renderer
from system.media.scene import Camera, Scene
from system.protocol.channels import FrameShown, ProjectRows
from system.telemetry import logs

logger = logs.get(__name__)

P = ParamSpec("P")
T = TypeVar("T")

MAX_WAITING: Final = 8
"""Jobs that wait for the thread; a picture beyond is not judged."""
MAX_RENDERERS: Final = 4
"""Kept open: building another project's scene costs ten times as much as drawing it."""


class Unjudged(Exception):
    """This client cannot judge what this worker draws; the message says why."""


class Busy(Unjudged):
    """The thread has too much to do."""


class PictureJudge:
    """Compares decoded frames with what they should show; shared by the clients of a process.

    What is compared is luma: the Y plane (BT.601, limited range) of the frame as the client's
    decoder gave it, against the Y plane of the same scene drawn by a renderer of the worker's
    kind and size, converted as the worker converts before it encodes. So the distance is what
    encoder, network and decoder did to the picture. See ``system.media.quality``.

    Nothing here runs on the event loop. Close it when no client uses it any more.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="judge")
        self._waiting = 0
        self._open: dict[tuple[str, int, int, str], tuple[Renderer, Converter]] = {}
        self._refused: dict[str, str] = {}

    def warm(self, width: int, height: int) -> None:
        """Load and try a renderer before pictures come; returns at once."""
        self._executor.submit(_warm, width, height)

    async def project(self, known: Project, rows: ProjectRows) -> Project:
        """The worker's project, by what the client knew of it; raises Unjudged."""
        return await self._run(_changed, known, rows)

    async def judge(
        self, picture: av.VideoFrame, shown: FrameShown, project: Project
    ) -> tuple[float, float]:
        """PSNR in dB and SSIM of the picture of frame ``shown``; raises Unjudged."""
        return await self._run(self._judge, picture, shown, project)

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
        for renderer, _ in self._open.values():
            renderer.close()
        self._open.clear()

    async def _run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._waiting >= MAX_WAITING:
            raise Busy(f"{MAX_WAITING} pictures wait already")
        self._waiting += 1
        future = self._executor.submit(work, *args, **kwargs)
        try:
            return await asyncio.wrap_future(future)
        finally:
            self._waiting -= 1

    def _judge(
        self, picture: av.VideoFrame, shown: FrameShown, project: Project
    ) -> tuple[float, float]:
        if (picture.width, picture.height) != (shown.width, shown.height):
            raise Unjudged(
                f"the worker says {shown.width}x{shown.height}, "
                f"the picture is {picture.width}x{picture.height}"
            )
        view = shown.camera
        camera = Camera(view.azimuth, view.elevation, view.distance, view.target, view.fov)
        try:
            renderer, converter = self._renderer(shown, project.name)
            scene = Scene(project, camera=camera, selection=shown.selection)
            code = shown.frame_id if shown.block_code else None
            converter.frame(renderer.look(scene), block_code=code)
        except RendererUnavailable as error:
            raise Unjudged(f"the worker draws with {shown.renderer}, here {error}") from None
        except (ValueError, RuntimeError) as error:
            raise Unjudged(f"the worker's scene cannot be drawn: {error}") from None
        decoded = luma(picture)
        return psnr(converter.luma, decoded), ssim(converter.luma, decoded)

    def _renderer(self, shown: FrameShown, project: str) -> tuple[Renderer, Converter]:
        """An open renderer that drew this project last, or a new one in place of the oldest."""
        key = shown.renderer, shown.width, shown.height, project
        found = self._open.pop(key, None)
        if found is None:
            if (why := self._refused.get(shown.renderer)) is not None:
                raise RendererUnavailable(why)
            while len(self._open) >= MAX_RENDERERS:
                self._open.pop(next(iter(self._open)))[0].close()
            try:
                renderer = open_renderer(shown.width, shown.height, (shown.renderer,))
            except RendererUnavailable as error:
                self._refused[shown.renderer] = str(error)
                raise
            found = renderer, Converter(shown.width, shown.height)
        self._open[key] = found
        return found


def _changed(known: Project, rows: ProjectRows) -> Project:
    try:
        return changed(
            Project() if rows.fresh else known, rows.name, rows.devices, rows.connections
        )
    except ProjectError as error:
        raise Unjudged(f"the worker's project cannot be read: {error}") from None


def _warm(width: int, height: int) -> None:
    try:
        renderer = open_renderer(width, height)
    except RendererUnavailable:
        return
    try:
        renderer.look(Scene(Project.default("warm")))
    finally:
        renderer.close()
