"""Log lines are JSON, carry their fields, and no secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from system.telemetry import logs


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    logs.configure("signaling", "n1", "info")
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


def only(written: io.StringIO) -> dict[str, object]:
    (line,) = written.getvalue().splitlines()
    parsed: dict[str, object] = json.loads(line)
    return parsed


def test_an_event_is_one_json_line_with_its_fields(lines: io.StringIO) -> None:
    logs.get("x").info("worker.started", worker_id="w1", boot_s=1.5, sessions=("a",))
    line = only(lines)
    assert line.pop("time")
    assert line == {
        "level": "info",
        "role": "signaling",
        "node": "n1",
        "event": "worker.started",
        "worker_id": "w1",
        "boot_s": 1.5,
        "sessions": ["a"],
    }


@pytest.mark.parametrize("field", ["token", "sdp", "secret", "resume_token", "credential"])
def test_secrets_do_not_reach_the_log(lines: io.StringIO, field: str) -> None:
    logs.get("x").warning("client.refused", **{field: "s3cret"})
    assert "s3cret" not in lines.getvalue()
    assert only(lines)[field] == "[removed]"


def test_other_libraries_records_become_json_too(lines: io.StringIO) -> None:
    logging.getLogger("somebody").warning("a %s\nline", "long" * 1000)
    line = only(lines)
    assert line["event"] == "log.message"
    assert str(line["message"]).startswith("a long")
    assert len(str(line["message"])) <= 2000


def test_an_exception_is_one_line_with_its_traceback_in_a_field(lines: io.StringIO) -> None:
    try:
        raise RuntimeError("boom")
    except RuntimeError as error:
        logs.get("x").exception("request.failed", error, path="/x")
    line = only(lines)
    assert (line["level"], line["event"], line["path"]) == ("error", "request.failed", "/x")
    assert "RuntimeError: boom" in str(line["traceback"])


def test_below_the_level_nothing_is_written(lines: io.StringIO) -> None:
    logs.get("x").debug("policy.decided")
    logging.getLogger("aiohttp.access").info("GET /")
    assert lines.getvalue() == ""


def test_a_value_json_does_not_know_is_written_as_text(lines: io.StringIO) -> None:
    logs.get("x").info("worker.started", error=ValueError("odd"))
    assert only(lines)["error"] == "odd"
