"""The built workspace page, as a node serves it: its files, and what guards them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from aiohttp import web

DIST: Final = Path(__file__).resolve().parent.parent / "web" / "dist"
FILES: Final = ("app.js", "index.css")

_HEADERS: Final = {
    # A page may be told another signaling server, so sockets may go anywhere; nothing else may.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    # Asked for again each time, by entity tag: the names in a build never change.
    "Cache-Control": "no-cache",
}


def serve(request: web.Request) -> web.StreamResponse:
    """The page at ``/`` where it is installed, else a line of text."""
    page = DIST / "index.html"
    if request.path == "/" and page.is_file():
        return web.FileResponse(page, headers=_HEADERS)
    return web.Response(text="Remote Render signaling: connect with a WebSocket.\n")


def routes() -> list[web.RouteDef]:
    """The files that the page loads."""
    return [web.get(f"/{name}", _file(DIST / name)) for name in FILES]


def _file(path: Path) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def send(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(path, headers=_HEADERS)

    return send
