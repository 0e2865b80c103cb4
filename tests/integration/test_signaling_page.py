"""The page as a node serves it: guarded, revalidated, with nothing inline."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from system.signaling import page

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async def door(request: web.Request) -> web.StreamResponse:
        return page.serve(request)

    app = web.Application()
    app.router.add_get("/", door)
    app.router.add_get("/ws", door)
    app.router.add_routes(page.routes())
    async with TestClient(TestServer(app)) as made:
        yield made


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "text/html"), ("/app.js", "/javascript"), ("/index.css", "text/css")],
)
async def test_a_file_comes_with_its_type_and_guards_and_is_not_sent_twice(
    client: Client, path: str, kind: str
) -> None:
    async with client.get(path) as first:
        assert first.status == 200
        assert first.content_type.endswith(kind)
        body = await first.text()
        guards = first.headers.copy()
    assert guards["Cache-Control"] == "no-cache"
    assert guards["X-Content-Type-Options"] == "nosniff"
    assert guards["Referrer-Policy"] == "no-referrer"
    policy = dict(part.split(" ", 1) for part in guards["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in guards["Content-Security-Policy"]
    assert body
    async with client.get(path, headers={"If-None-Match": guards["ETag"]}) as again:
        assert again.status == 304
        assert again.headers["Content-Security-Policy"] == guards["Content-Security-Policy"]
        assert await again.read() == b""


async def test_the_page_has_no_script_or_style_of_its_own(client: Client) -> None:
    async with client.get("/") as answer:
        html = await answer.text()
    assert html.count("<script") == html.count('<script type="module" crossorigin src=') == 1
    assert "<style" not in html
    assert " style=" not in html
    assert re.search(r"\son\w+=", html) is None


async def test_a_socket_path_and_a_missing_build_are_a_line_of_text(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with client.get("/ws") as answer:
        assert answer.content_type == "text/plain"
    monkeypatch.setattr(page, "DIST", tmp_path)
    async with client.get("/") as answer:
        assert "connect with a WebSocket" in await answer.text()
