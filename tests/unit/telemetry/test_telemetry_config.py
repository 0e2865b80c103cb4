"""Shared flags, secrets and metrics."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from system.protocol.errors import ErrorCode
from system.telemetry import config, metrics
from system.telemetry.http import STATUS, overall, refused


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2s", 2.0),
        ("500ms", 0.5),
        ("1.5min", 90.0),
        ("1h", 3600.0),
        (" 10 us ", 1e-5),
        ("1d", 86400),
    ],
)
def test_durations_have_units(text: str, seconds: float) -> None:
    assert config.parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["2", "s", "-1s", "1 week", "", "1e9s"])
def test_a_duration_without_a_known_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        config.parse_duration_s(text)


@click.command(context_settings=config.CONTEXT)
@config.listen_options
@click.option("--heartbeat", type=config.Duration(), default="2s")
def command(host: str, port: int, ready_fd: int | None, log_level: str, heartbeat: float) -> None:
    click.echo(f"{host} {port} {ready_fd} {log_level} {heartbeat}")


def test_every_flag_is_also_a_variable() -> None:
    runner = CliRunner()
    assert runner.invoke(command, []).output == "127.0.0.1 0 None info 2.0\n"
    environment = {"RR_HOST": "::1", "RR_READY_FD": "7", "RR_HEARTBEAT": "250ms"}
    result = runner.invoke(command, ["--port", "80"], env=environment)
    assert result.output == "::1 80 7 info 0.25\n"
    assert runner.invoke(command, ["--heartbeat", "soon"]).exit_code == 2


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.org", False),
        ("localhost.example.org", False),
    ],
)
def test_development_mode_is_for_loopback_alone(
    host: str, loopback: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(config.SECRET_VARIABLE, raising=False)
    if loopback:
        assert config.keys_for(host) is None
    else:
        with pytest.raises(click.UsageError, match="RR_SECRET"):
            config.keys_for(host)
    monkeypatch.setenv(config.SECRET_VARIABLE, "x" * 32)
    assert config.keys_for(host) is not None


def test_a_short_secret_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(config.SECRET_VARIABLE, "hunter2")
    with pytest.raises(click.UsageError) as caught:
        config.keys_for("127.0.0.1")
    assert "hunter2" not in str(caught.value)


def test_a_registry_is_its_own_and_says_who_it_is() -> None:
    one, two = metrics.new_registry("worker", "w1"), metrics.new_registry("worker", "w2")
    body, content_type = metrics.exposition(one)
    assert b'remote_render_process_info{node="w1",role="worker"} 1.0' in body
    assert b"process_cpu_seconds_total" in body
    assert b"w1" not in metrics.exposition(two)[0]
    assert content_type.startswith("text/plain")


def test_the_worst_part_decides_the_health() -> None:
    assert overall({}) == "healthy"
    assert overall({"a": "healthy", "b": "degraded"}) == "degraded"
    assert overall({"a": "unhealthy", "b": "degraded"}) == "unhealthy"


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_has_an_error_status(code: ErrorCode) -> None:
    assert 400 <= refused(code, "text").status < 600
    assert refused(code, "text").status == STATUS.get(code, 400)
