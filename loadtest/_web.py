"""The tab "Streams" of Locust's web page: live charts of what viewers see, and of the pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Response, jsonify, request

from loadtest._live import HISTORY, Tick

KEY: Final = "streams"
SCRIPT: Final = Path(__file__).with_name("_streams.js")
_TAG: Final = b'<script src="./remote-render/streams.js" defer></script></body>'


def install(web_ui: Any, ticks: Callable[[], Sequence[Tick]]) -> None:
    """Add the tab, its script, and ``/remote-render/live`` with the seconds that it draws.

    ``web_ui`` is Locust's, which is not typed. Its page is made by React from a
    list of tabs, and a tab of ours is empty there: the script fills it.
    """
    web_ui.template_args["extended_tabs"] = [{"title": "Streams", "key": KEY}]
    base = web_ui.app.blueprints["locust"].url_prefix or ""
    pages = Blueprint("remote-render", __name__, url_prefix=f"{base}/remote-render")

    def live() -> Response:
        seconds = request.args.get("seconds", default=HISTORY, type=int)
        shown = list(ticks())[-max(1, min(seconds, HISTORY)) :]
        return jsonify({"ticks": [asdict(tick) for tick in shown]})

    def script() -> Response:
        return Response(SCRIPT.read_bytes(), mimetype="text/javascript")

    pages.add_url_rule("/live", "live", web_ui.auth_required_if_enabled(live))
    pages.add_url_rule("/streams.js", "script", web_ui.auth_required_if_enabled(script))
    web_ui.app.register_blueprint(pages)
    web_ui.app.after_request(_with_script)


def _with_script(response: Response) -> Response:
    if request.endpoint == "locust.index" and response.mimetype == "text/html":
        response.set_data(response.get_data().replace(b"</body>", _TAG))
    return response
