from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from system.stack.component import child_environment, describe_exit, log_tail


def test_the_tail_is_the_last_error_of_a_json_log(tmp_path: Path) -> None:
    log = tmp_path / "signaling.log"
    lines = [
        {"time": "t", "level": "info", "role": "signaling", "event": "server.started", "port": 1},
        {"time": "t", "level": "error", "role": "signaling", "event": "store.lost", "url": "u"},
        {"time": "t", "level": "info", "role": "signaling", "event": "server.stopped"},
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert log_tail(log) == "store.lost url=u"


def test_the_tail_of_a_traceback_is_its_last_line(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_text("Traceback (most recent call last):\n  File x\nImportError: no av here\n\n")
    assert log_tail(log) == "ImportError: no av here"


def test_a_traceback_inside_a_json_line_becomes_one_line(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    record = {"level": "error", "event": "x.failed", "traceback": "Traceback\n  File\nOSError: no"}
    log.write_text(json.dumps(record) + "\n")
    assert log_tail(log) == "x.failed OSError: no"


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_log_is_said_to_be_empty(tmp_path: Path, content: str) -> None:
    log = tmp_path / "x.log"
    log.write_text(content)
    assert log_tail(log) == "it wrote no log"
    assert log_tail(tmp_path / "none.log") == "it wrote no log"


def test_a_long_last_line_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("y" * 100_000)
    assert log_tail(log) == "y" * 300


def test_exit_codes_are_told_in_words() -> None:
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "SIGKILL"
    assert describe_exit(-200) == "signal 200"


def test_children_find_our_packages_and_none_of_the_working_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"/elsewhere{os.pathsep}")
    env = child_environment({"A": "b"})
    first, *rest = env["PYTHONPATH"].split(os.pathsep)
    assert (Path(first) / "system" / "stack").is_dir()
    assert rest == ["/elsewhere"]
    assert env["PYTHONSAFEPATH"] == "1"
    assert env["A"] == "b"


def test_flags_of_other_components_in_the_environment_do_not_reach_a_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RR_PORT", "80")
    monkeypatch.setenv("RR_SECRET", "x" * 32)
    monkeypatch.setenv("RR_LOG_LEVEL", "debug")
    env = child_environment({})
    assert "RR_PORT" not in env
    assert "RR_SECRET" not in env
    assert env["RR_LOG_LEVEL"] == "debug"
