"""Secrets leave the command line; the fingerprint is coarse and stable."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import fingerprint


@pytest.mark.parametrize(
    ("argv", "cleaned"),
    [
        (["--token", "abc", "-u", "3"], ["--token", "***", "-u", "3"]),
        (["--token=abc"], ["--token=***"]),
        (["--token-file", "/home/me/t"], ["--token-file", "***"]),
        (["--store-password=x"], ["--store-password=***"]),
        (["--client-secret", "x"], ["--client-secret", "***"]),
        (["--token", "--headless"], ["--token", "--headless"]),
        (["--api-key", "x"], ["--api-key", "***"]),
        (["--host", "wss://u:p@h:1/ws"], ["--host", "wss://***@h:1/ws"]),
        (["--host=https://h/?access_token=a&x=1"], ["--host=https://h/?access_token=***&x=1"]),
        (["redis://:pw@127.0.0.1:6379/0"], ["redis://***@127.0.0.1:6379/0"]),
        (["Bearer eyJhbGciOi.eyJzdWIi.sig-_1"], ["Bearer ***"]),
        (["--headless", "--scenario", "a.yaml"], ["--headless", "--scenario", "a.yaml"]),
        (["-f", "loadtest/", "--keyframes", "3"], ["-f", "loadtest/", "--keyframes", "3"]),
        (["http://[::1"], ["***"]),
    ],
)
def test_secrets_are_removed_from_a_command_line(argv: list[str], cleaned: list[str]) -> None:
    assert fingerprint.clean_argv(argv) == cleaned


def test_the_machine_has_a_stable_digest() -> None:
    first = fingerprint.machine()
    assert first == fingerprint.machine()
    assert len(first["id"]) == 12
    assert first["cores"] >= 1


def test_outside_git_the_source_is_unknown(tmp_path: Path) -> None:
    assert fingerprint.source(tmp_path) == {"sha": None, "dirty": None}
