from __future__ import annotations

import json
import time

import pytest
import yaml
from click.testing import CliRunner

from system.cli import options
from system.cli.system_group import group
from system.protocol import tokens
from system.stack import config

SECRET = "a secret that is long enough for keys"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.delenv("RR_SECRET", raising=False)
    return CliRunner()


def test_config_prints_what_the_options_describe(command: CliRunner) -> None:
    given = "--workers 3 --resolution 640x360 --bitrate 800kbps --fps 24 --format json"
    done = command.invoke(group, ["config", *given.split()])
    assert done.exit_code == 0
    shown = json.loads(done.stdout)
    stream = shown["stream"]
    assert (stream["width"], stream["height"], stream["fps"]) == (640, 360, 24)
    assert stream["bitrate_bps"] == 800_000
    assert shown["pools"][0]["policy"] == {"kind": "fixed", "size": 3}
    assert shown["secret"] == "none"


def test_config_is_the_same_in_yaml_and_json(command: CliRunner) -> None:
    as_json = command.invoke(group, ["config", "--format", "json"]).stdout
    as_yaml = command.invoke(group, ["config"]).stdout
    assert yaml.safe_load(as_yaml) == json.loads(as_json)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--resolution 640by360", "no resolution; an example: 1280x720"),
        ("--bitrate 3", "no bitrate; examples: 2.5Mbps, 800kbps"),
        ("--resolution 641x360", "not even"),
        ("--store memory://", "cannot use memory:"),
        ("--host 0.0.0.0", "only loopback is allowed"),
        ("--slots 0", "slots is 0"),
    ],
)
def test_bad_options_exit_2_and_say_what_is_wrong(
    command: CliRunner, arguments: str, says: str
) -> None:
    done = command.invoke(group, ["config", *arguments.split()])
    assert done.exit_code == 2
    assert says in done.stderr


def test_a_token_is_valid_for_its_audience_and_project(
    command: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RR_SECRET", SECRET)
    done = command.invoke(group, ["token", "--user", "ada", "--project", "p1"])
    assert done.exit_code == 0
    keys = tokens.Keys.from_secret(SECRET)
    claims = tokens.verify(keys, tokens.Audience.CLIENT, done.stdout.strip(), now_s=time.time())
    assert (claims.subject, claims.project_id) == ("ada", "p1")


@pytest.mark.parametrize(
    ("secret", "arguments", "says"),
    [
        (None, "--user ada --project p", "RR_SECRET is not set"),
        ("short", "--user ada --project p", "at least 32"),
        (SECRET, "--user ada", "needs --project"),
        (SECRET, "--user ada --audience king", "is not one of"),
    ],
)
def test_a_token_that_cannot_be_made_is_a_usage_error(
    command: CliRunner,
    monkeypatch: pytest.MonkeyPatch,
    secret: str | None,
    arguments: str,
    says: str,
) -> None:
    if secret is not None:
        monkeypatch.setenv("RR_SECRET", secret)
    done = command.invoke(group, ["token", *arguments.split()])
    assert done.exit_code == 2
    assert says in done.stderr


def test_the_choices_of_the_command_are_those_of_the_stack() -> None:
    assert options.PACINGS == config.PACINGS
    assert options.RENDERERS == config.RENDERERS
