"""The tab of Locust's web page, over Flask's test client: no socket, no browser."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from locust.env import Environment
from locust.user import User

from loadtest import _web
from loadtest._live import HISTORY, Tick


class Nobody(User):
    """Locust wants a user class."""


@pytest.fixture(autouse=True)
def _command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locust lists its options, for which it reads the command line."""
    monkeypatch.setattr(sys, "argv", ["locust"])


def ticks(count: int) -> list[Tick]:
    return [
        Tick(
            t_s=float(t),
            watching=2,
            pending=0,
            stalled=0,
            fps=29.5,
            bitrate_bps=2e6,
            i2f_p50_s=None,
            i2f_p95_s=None,
        )
        for t in range(count)
    ]


def client(count: int, base: str | None = None) -> Any:
    environment = Environment(user_classes=[Nobody])
    environment.create_local_runner()
    web_ui = environment.create_web_ui(delayed_start=True, web_base_path=base)
    _web.install(web_ui, lambda: ticks(count))
    return web_ui.app.test_client()


@pytest.mark.parametrize("base", [None, "/load"])
def test_the_page_has_the_tab_and_its_script_is_served_beside_it(base: str | None) -> None:
    browser = client(3, base)
    page = browser.get(f"{base or ''}/").get_data(as_text=True)
    assert '"extended_tabs": [{"key": "streams", "title": "Streams"}]' in page
    assert page.count('src="./remote-render/streams.js"') == 1
    script = browser.get(f"{base or ''}/remote-render/streams.js")
    assert script.status_code == 200
    assert script.mimetype == "text/javascript"
    assert "./remote-render/live" in script.get_data(as_text=True)


def test_nothing_of_the_tab_comes_from_anywhere_else() -> None:
    text = _web.SCRIPT.read_text(encoding="utf-8")
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")


def test_the_last_seconds_are_told_with_what_is_not_known_as_null() -> None:
    told = client(5).get("/remote-render/live?seconds=2").get_json()["ticks"]
    assert [tick["t_s"] for tick in told] == [3.0, 4.0]
    assert (told[0]["fps"], told[0]["i2f_p95_s"], told[0]["ready"]) == (29.5, None, None)


@pytest.mark.parametrize(("asked", "count"), [("", 5), ("?seconds=0", 1), ("?seconds=x", 5)])
def test_any_question_is_answered(asked: str, count: int) -> None:
    assert HISTORY > 5
    assert len(client(5).get(f"/remote-render/live{asked}").get_json()["ticks"]) == count
