"""Owns the order in which renderers are tried: a real GPU, the CPU rasteriser, the painter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from system.media.renderers.base import Renderer, RendererUnavailable
from system.telemetry import logs

_log = logs.get(__name__)


def open_renderer(
    width: int, height: int, prefer: Sequence[str] = ("egl", "tinydisplay", "painter")
) -> Renderer:
    """The first of `prefer` that works here; the log says which, and why others did not.

    Raises `RendererUnavailable` with every reason when none works.
    """
    refused: dict[str, str] = {}
    for name in prefer:
        maker = _MAKERS.get(name)
        if maker is None:
            raise ValueError(f"unknown renderer {name!r}; known: {', '.join(_MAKERS)}")
        try:
            renderer = maker(width, height)
        except RendererUnavailable as error:
            refused[name] = str(error)
            _log.info("renderer.refused", renderer=name, reason=str(error))
            continue
        _log.info("renderer.opened", renderer=name, width=width, height=height)
        return renderer
    reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
    raise RendererUnavailable(f"no renderer works here ({reasons or 'none was asked for'})")


def _panda(name: str) -> Callable[[int, int], Renderer]:
    def make(width: int, height: int) -> Renderer:
        try:
            from system.media.renderers.panda import PandaRenderer
        except ImportError as error:
            raise RendererUnavailable(f"panda3d cannot be imported: {error}") from None
        return PandaRenderer(name, width, height)

    return make


def _painter(width: int, height: int) -> Renderer:
    try:
        from system.media.renderers.painter import PainterRenderer
    except ImportError as error:
        raise RendererUnavailable(f"cv2 cannot be imported: {error}") from None
    return PainterRenderer(width, height)


_MAKERS: dict[str, Callable[[int, int], Renderer]] = {
    "egl": _panda("egl"),
    "tinydisplay": _panda("tinydisplay"),
    "painter": _painter,
}
