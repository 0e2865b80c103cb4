"""The judge itself, on pictures that are drawn and converted as a worker does."""

from __future__ import annotations

from collections.abc import Iterator

import av
import msgspec
import pytest

from system.client.judge import MAX_RENDERERS, PictureJudge, Unjudged
from system.media.convert import Converter
from system.media.project import Project
from system.media.quality import PSNR_CAP_DB
from system.media.renderers.chain import open_renderer
from system.media.scene import Scene
from system.protocol.channels import CameraView, FrameShown, ProjectRows

SIZE = 320, 192
PROJECT = Project.default("p")


@pytest.fixture
def judge() -> Iterator[PictureJudge]:
    made = PictureJudge()
    yield made
    made.close()


def drawn(*, azimuth: float = -62.0, block_code: bool = False) -> tuple[av.VideoFrame, FrameShown]:
    """A frame as it leaves the worker's converter, and its description."""
    scene = Scene(PROJECT)
    camera = scene.camera
    shown = FrameShown(
        request=1,
        frame_id=77,
        width=SIZE[0],
        height=SIZE[1],
        renderer="painter",
        camera=CameraView(
            azimuth=azimuth,
            elevation=camera.elevation,
            distance=camera.distance,
            target=camera.target,
            fov=camera.fov,
        ),
        selection=None,
        project=PROJECT.digest(),
        block_code=block_code,
    )
    renderer = open_renderer(*SIZE, ("painter",))
    converter = Converter(*SIZE)
    picture = converter.frame(renderer.render(scene), block_code=77 if block_code else None)
    frame = av.VideoFrame.from_ndarray(picture.to_ndarray(), format="yuv420p")
    renderer.close()
    return frame, shown


@pytest.mark.parametrize("block_code", [False, True])
async def test_the_reference_of_an_unharmed_frame_is_the_frame(
    judge: PictureJudge, block_code: bool
) -> None:
    assert await judge.judge(*drawn(block_code=block_code), PROJECT) == (PSNR_CAP_DB, 1.0)


async def test_another_camera_is_another_picture(judge: PictureJudge) -> None:
    psnr_db, ssim = await judge.judge(*drawn(azimuth=-60.0), PROJECT)
    assert psnr_db < 30
    assert ssim < 0.95


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"renderer": "egl"}, "the worker draws with egl, here no renderer works here"),
        ({"renderer": "crayon"}, "the worker's scene cannot be drawn: unknown renderer 'crayon'"),
        ({"width": 640}, "the worker says 640x192, the picture is 320x192"),
        ({"selection": "nobody"}, "the worker's scene cannot be drawn: unknown device 'nobody'"),
    ],
)
async def test_what_cannot_be_drawn_here_says_why(
    judge: PictureJudge, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], text: str
) -> None:
    monkeypatch.setattr("system.media.renderers.panda._GPU_NODES", ())
    picture, shown = drawn()
    with pytest.raises(Unjudged) as caught:
        await judge.judge(picture, msgspec.structs.replace(shown, **change), PROJECT)
    assert str(caught.value).startswith(text)


async def test_few_renderers_are_kept_open(judge: PictureJudge) -> None:
    picture, shown = drawn()
    for number in range(MAX_RENDERERS + 2):
        project = Project(PROJECT.devices, PROJECT.connections, f"p{number}")
        assert (await judge.judge(picture, shown, project))[0] == PSNR_CAP_DB
    assert len(judge._open) == MAX_RENDERERS


async def test_a_project_that_is_none_is_refused(judge: PictureJudge) -> None:
    rows = ProjectRows(fresh=True, name="p", devices=({"id": "x"},))
    with pytest.raises(Unjudged, match="the worker's project cannot be read"):
        await judge.project(Project(), rows)
