"""What judging a decoded picture costs: ``python tests/benchmarks/bench_client_pictures.py``.

Per picture: the reference drawn by this machine's renderer, its conversion, PSNR and SSIM. The
viewers of more projects than renderers are kept open cost the building of a scene as well.
"""

from __future__ import annotations

import asyncio
import time

import av

from system.client.judge import MAX_RENDERERS, PictureJudge
from system.media.convert import Converter
from system.media.project import Project
from system.media.renderers.chain import open_renderer
from system.media.scene import Scene
from system.protocol.channels import CameraView, FrameShown

SIZES = ((640, 360), (1280, 720))
PICTURES = 40


async def cost(width: int, height: int, projects: int) -> str:
    """Milliseconds of CPU and of time per picture, and the worst delay of the event loop."""
    made = [Project.default(f"p{i}") for i in range(projects)]
    renderer = open_renderer(width, height)
    converter = Converter(width, height)
    source = converter.frame(renderer.render(Scene(made[0])))
    picture = av.VideoFrame.from_ndarray(source.to_ndarray(), format="yuv420p")
    renderer.close()
    judge = PictureJudge()

    async def one(number: int) -> None:
        project = made[number % projects]
        camera = CameraView(
            azimuth=number % 360, elevation=38, distance=28, target=(0, 0, 0.4), fov=38
        )
        shown = FrameShown(
            request=1,
            frame_id=1,
            width=width,
            height=height,
            renderer=renderer.name,
            camera=camera,
            selection=None,
            project=project.digest(),
        )
        await judge.judge(picture, shown, project)

    for number in range(projects):
        await one(number)
    watching = asyncio.create_task(worst_lag_s())
    await asyncio.sleep(0)
    cpu_s, began_s = time.process_time(), time.perf_counter()
    for number in range(PICTURES):
        await one(number)
    cpu_s, took_s = time.process_time() - cpu_s, time.perf_counter() - began_s
    watching.cancel()
    lag_s = LAGS.pop()
    judge.close()
    return (
        f"{width}x{height} {renderer.name}, {projects} projects: "
        f"{1000 * cpu_s / PICTURES:.1f} ms CPU, {1000 * took_s / PICTURES:.1f} ms a picture; "
        f"loop late by at most {1000 * lag_s:.1f} ms"
    )


LAGS: list[float] = []


async def worst_lag_s() -> None:
    """Probe the loop every 5 ms; the worst so far is the last of ``LAGS``."""
    LAGS[:] = [0.0]
    while True:
        due = time.perf_counter() + 0.005
        await asyncio.sleep(0.005)
        LAGS[0] = max(LAGS[0], time.perf_counter() - due)


def main() -> None:
    for size in SIZES:
        for projects in (1, MAX_RENDERERS, 2 * MAX_RENDERERS):
            print(asyncio.run(cost(*size, projects)))  # noqa: T201


if __name__ == "__main__":
    main()
