"""Owns the proof that this machine can serve: a frame made before the worker registers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from system.media.encoder import EncoderUnavailable
from system.media.project import Project
from system.media.renderers.base import RendererUnavailable
from system.worker.pipeline import FramePipeline, Shot
from system.worker.render_pool import RenderPool
from system.worker.viewer_scene import ViewerScene

HARDWARE = ("h264_nvenc",)


class ProbeFailed(Exception):
    """No frame could be made here; ``str(error)`` is one line that says why."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What made the first frame. ``encoders`` are hardware ones to prefer from now on."""

    renderer: str
    encoder: str
    encoders: tuple[str, ...]
    render_s: float
    encode_s: float


async def probe(pool: RenderPool, codecs: Sequence[str], fps: int, bitrate_bps: int) -> Probe:
    """Make one frame with every codec that will be offered; raises ProbeFailed."""
    try:
        async with pool.renderer() as renderer, pool.turn():
            pipeline = FramePipeline(renderer, fps=fps, prefer=HARDWARE)
            return await pool.run(_make_frames, pipeline, renderer.name, codecs, bitrate_bps)
    except (RendererUnavailable, EncoderUnavailable, RuntimeError) as error:
        raise ProbeFailed(" ".join(str(error).split())) from error


def _make_frames(
    pipeline: FramePipeline, renderer: str, codecs: Sequence[str], bitrate_bps: int
) -> Probe:
    scene = ViewerScene(Project.default("probe"))
    encoders: list[str] = []
    costs: list[tuple[float, float]] = []
    for number, codec in enumerate(codecs, start=1):
        encoders.append(pipeline.use(codec, bitrate_bps))
        made = pipeline.make(Shot(scene.still(), number, True, bitrate_bps, False))
        if not made.encoded.keyframe or not made.encoded.data:
            raise RuntimeError(f"{encoders[-1]} made no key frame")
        costs.append((made.render_s, made.encoded.encode_s))
    pipeline.close()
    render_s, encode_s = costs[0]
    hardware = tuple(name for name in encoders if name in HARDWARE)
    return Probe(renderer, encoders[0], hardware, render_s, encode_s)
