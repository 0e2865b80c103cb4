"""The frame that an acknowledgement names is the first to show the input, and shows it."""

from __future__ import annotations

import asyncio
import random

import numpy as np
import numpy.typing as npt
import pytest
from worker_harness import SIZE, Viewer, until, worker

from system.media.convert import Converter
from system.media.decoder import VideoDecoder, luma
from system.media.marker import read_marker
from system.media.project import Project
from system.media.quality import psnr
from system.media.renderers.chain import open_renderer
from system.media.scene import Scene

Luma = npt.NDArray[np.uint8]

INPUTS = 24


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_every_frame_shows_exactly_the_inputs_acknowledged_up_to_it(codec: str) -> None:
    """Inputs come at any moment, also while a frame is rendered or encoded.

    Each frame is compared with local renderings of the scene after every number
    of inputs: the closest one must be after those that its acknowledgement, or
    an earlier frame's, names.
    """
    rng = random.Random(8)
    moves = [(rng.choice((-1, 1)) * rng.uniform(25, 60), rng.uniform(-8, 8)) for _ in range(INPUTS)]
    async with worker(bitrate_bps=6_000_000) as bench:
        viewer = await bench.viewer(codecs=(codec,))
        await until(lambda: len(viewer.frames) > 16)
        for x, y in moves:
            seq = viewer.send("camera:orbit", {"deltaX": x, "deltaY": y})
            await asyncio.sleep(rng.uniform(0.0, 0.07))
        last = await viewer.acked(seq)
        await until(lambda: viewer.frame_ids()[-1] >= last + 3)
        assert {frame.codec for frame in viewer.frames} == {codec}
        pictures = decoded(viewer)
        acks = dict(viewer.acks)
    references = rendered_after_each(moves)
    first = min(acks.values())
    for frame_id, picture in pictures.items():
        shown = sum(1 for named in acks.values() if named <= frame_id)
        if frame_id >= first - 3:
            likeness = [psnr(reference, picture) for reference in references]
            assert int(np.argmax(likeness)) == shown, f"frame {frame_id} of {codec}"


def decoded(viewer: Viewer) -> dict[int, Luma]:
    """Pictures by the frame id in their marker."""
    pictures: dict[int, Luma] = {}
    decoder = VideoDecoder(viewer.frames[0].codec)
    for frame in viewer.frames:
        marker = read_marker(frame.data, frame.codec)
        assert marker is not None
        assert frame.decodable
        (picture,) = decoder.decode(frame.data)
        pictures[marker.frame_id] = luma(picture).copy()
    decoder.close()
    return pictures


def rendered_after_each(moves: list[tuple[float, float]]) -> list[Luma]:
    """Local renderings: before any move, after one, after two, ..."""
    scene = Scene(Project.default("floor"))
    renderer = open_renderer(*SIZE)
    converter = Converter(*SIZE)
    pictures = []
    for move in [None, *moves]:
        if move is not None:
            scene.orbit(*move)
        pictures.append(luma(converter.frame(renderer.render(scene))).copy())
    renderer.close()
    return pictures
