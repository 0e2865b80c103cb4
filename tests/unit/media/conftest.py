"""Pictures for the media tests: one small scene, and renderers that close themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from system.media.project import Project
from system.media.renderers.base import Renderer, RendererUnavailable
from system.media.renderers.chain import open_renderer
from system.media.scene import Scene

WIDTH, HEIGHT = 640, 360


@pytest.fixture
def scene() -> Scene:
    return Scene(Project.default("demo"))


@pytest.fixture
def open_named() -> Iterator[Callable[..., Renderer]]:
    opened: list[Renderer] = []

    def make(name: str, width: int = WIDTH, height: int = HEIGHT) -> Renderer:
        try:
            opened.append(open_renderer(width, height, (name,)))
        except RendererUnavailable as error:
            pytest.fail(f"{error} (Debian: apt install libx11-6; see the README)")
        return opened[-1]

    yield make
    for renderer in opened:
        renderer.close()


@pytest.fixture(params=["tinydisplay", "painter"])
def renderer(request: pytest.FixtureRequest, open_named: Callable[..., Renderer]) -> Renderer:
    return open_named(request.param)
