"""What the load test's command line accepts, and the one line it refuses the rest with."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtest import _options
from loadtest._refusal import Refusal

OPEN = """\
version: 1
name: small
load:
  model: open
  session: 5s
  stages: [{name: hold, for: 10s, rate: 1/s, to: 8/s}]
pool: {policy: {kind: fixed, size: 1}}
"""
CLOSED = """\
version: 1
name: three
load: {model: closed, users: 3, for: 10s}
pool: {policy: {kind: fixed, size: 1}}
"""

Check = Callable[..., _options.Settings]


def parse(*argv: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--master", action="store_true")
    parser.add_argument("-u", dest="num_users", type=int)
    parser.add_argument("-r", dest="spawn_rate", type=float)
    parser.add_argument("-t", dest="run_time", type=int)
    _options.add_arguments(parser)
    return vars(parser.parse_args(argv))


@pytest.fixture
def check() -> Check:
    return lambda *argv: _options.check(parse(*argv))


@pytest.fixture
def open_file(tmp_path: Path) -> str:
    (tmp_path / "open.yaml").write_text(OPEN)
    return str(tmp_path / "open.yaml")


@pytest.fixture
def closed_file(tmp_path: Path) -> str:
    (tmp_path / "closed.yaml").write_text(CLOSED)
    return str(tmp_path / "closed.yaml")


def refusal(check: Check, *argv: str) -> str:
    with pytest.raises(Refusal) as caught:
        check(*argv)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_a_host_the_embedded_stack_is_loaded_without_a_cap(check: Check) -> None:
    settings = check()
    assert settings.host is None
    assert settings.joins_per_s is None
    assert not settings.has_shape


@pytest.mark.parametrize("driver", ["whep", "pixelstreaming"])
def test_a_driver_that_is_not_built_is_refused_by_name(check: Check, driver: str) -> None:
    assert driver in refusal(check, "--driver", driver)


def test_a_master_without_a_host_is_refused(check: Check) -> None:
    assert "--master needs --host" in refusal(check, "--master")
    assert check("--master", "--host", "ws://127.0.0.1:1").host == "ws://127.0.0.1:1"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("ws://127.0.0.1:8080", "ws://127.0.0.1:8080"),
        ("http://localhost:8080/", "ws://localhost:8080"),
        ("https://localhost/render/", "wss://localhost/render"),
        ("wss://[::1]:8443/ws", "wss://[::1]:8443/ws"),
    ],
)
def test_web_addresses_become_websocket_addresses(check: Check, given: str, url: str) -> None:
    assert check("--host", given).host == url


@pytest.mark.parametrize(
    "given",
    ["localhost:8080", "ftp://localhost", "ws://", "ws://u:p@localhost", "ws://localhost:port"],
)
def test_what_is_no_address_is_refused(check: Check, given: str) -> None:
    assert "is not an address" in refusal(check, "--host", given)


@pytest.mark.parametrize(
    "host", ["wss://staging.example", "ws://10.0.0.1:80", "ws://[2001:db8::1]"]
)
def test_a_host_that_is_not_this_machine_needs_permission_and_is_capped(
    check: Check, host: str
) -> None:
    assert "--i-may-load-this-host" in refusal(check, "--host", host)
    settings = check("--host", host, "--i-may-load-this-host")
    assert settings.joins_per_s == _options.FOREIGN_JOINS_PER_S


def test_the_cap_can_be_moved_and_lifted(check: Check) -> None:
    foreign = ("--host", "wss://staging.example", "--i-may-load-this-host")
    assert check(*foreign, "--join-rate-cap", "90/min").joins_per_s == pytest.approx(1.5)
    assert check(*foreign, "--join-rate-cap", "none").joins_per_s is None
    assert check("--join-rate-cap", "2/s").joins_per_s == 2.0


@pytest.mark.parametrize("cap", ["5", "0/s", "-1/s", "5/day", "all"])
def test_a_cap_that_is_no_rate_is_a_usage_error(
    cap: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(f"--join-rate-cap={cap}")
    assert caught.value.code == 2
    assert "is not a rate" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [("-u", "5"), ("-r", "1"), ("-t", "10"), ("-u", "5", "-t", "9")])
def test_users_rate_or_time_beside_an_open_scenario_are_refused(
    check: Check, open_file: str, flags: tuple[str, ...]
) -> None:
    text = refusal(check, "--scenario", open_file, *flags)
    assert "/".join(flag for flag in flags if flag.startswith("-")) in text
    assert "small" in text


def test_a_closed_scenario_takes_users_rate_and_time(check: Check, closed_file: str) -> None:
    settings = check("--scenario", closed_file, "-u", "5", "-r", "1", "-t", "9")
    assert settings.scenario is not None
    assert not settings.has_shape
    assert settings.scenario_text == CLOSED


def test_a_schedule_or_a_rate_above_the_cap_is_refused(
    check: Check, open_file: str, closed_file: str
) -> None:
    assert "8 joins/s" in refusal(check, "--scenario", open_file, "--join-rate-cap", "5/s")
    assert check("--scenario", open_file, "--join-rate-cap", "8/s").has_shape
    text = refusal(check, "--scenario", closed_file, "-r", "9", "--join-rate-cap", "5/s")
    assert "-r 9" in text


def test_a_scenario_that_is_missing_is_refused_with_its_name(check: Check) -> None:
    assert refusal(check, "--scenario", "nowhere.yaml").startswith("nowhere.yaml: no such file")


def test_a_misspelt_key_is_refused_with_line_and_column(check: Check, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(OPEN.replace("session:", "sesion:"))
    with pytest.raises(Refusal, match=r"bad\.yaml:5:3: load\.sesion: .*session"):
        check("--scenario", str(file))


def test_a_run_directory_in_use_is_refused(check: Check, tmp_path: Path) -> None:
    assert check("--run-dir", str(tmp_path)).run_dir == tmp_path
    (tmp_path / "run.json").write_text("{}")
    assert "not empty" in refusal(check, "--run-dir", str(tmp_path))


def test_a_token_file_is_for_hosts_and_must_hold_something(check: Check, tmp_path: Path) -> None:
    file = tmp_path / "token"
    host = ("--host", "ws://127.0.0.1:1")
    assert "no such file" in refusal(check, *host, "--token-file", str(file))
    file.write_text("\n")
    assert "is empty" in refusal(check, *host, "--token-file", str(file))
    file.write_text("abc\n")
    assert "needs --host" in refusal(check, "--token-file", str(file))
    assert check(*host, "--token-file", str(file)).token_file == file


def test_metrics_are_of_a_host_and_as_far_away_as_one_may_load(check: Check) -> None:
    near = "http://127.0.0.1:9100/metrics"
    host = ("--host", "ws://127.0.0.1:1")
    assert check(*host).metrics == ()
    assert check(*host, "--metrics", f"{near}, http://[::1]:1/m").metrics == (
        near,
        "http://[::1]:1/m",
    )
    assert "needs --host" in refusal(check, "--metrics", near)
    assert "is not an address" in refusal(check, *host, "--metrics", "127.0.0.1:9100")
    away = ("--metrics", "https://198.51.100.7/metrics")
    assert "--i-may-load-this-host" in refusal(check, *host, *away)
    assert check(*host, *away, "--i-may-load-this-host").metrics == (away[1],)


def test_the_parsed_options_are_plain_enough_for_a_message_to_a_worker() -> None:
    plain = (str, int, float, bool, type(None))
    assert all(isinstance(value, plain) for value in parse("--helpers", "2").values())


TRACE = (
    "version: 1\nname: recorded\nload:\n  model: open\n"
    "  arrivals: {trace: day.csv, time: at, session: length}\n"
)


def test_a_trace_is_read_before_anything_starts(check: Check, tmp_path: Path) -> None:
    file = tmp_path / "recorded.yaml"
    file.write_text(TRACE)
    assert f"{file}:5:21: load.arrivals.trace: day.csv: no such file" in refusal(
        check, "--scenario", str(file)
    )


def test_the_cap_holds_for_the_busiest_second_of_a_trace(check: Check, tmp_path: Path) -> None:
    file = tmp_path / "recorded.yaml"
    file.write_text(TRACE)
    (tmp_path / "day.csv").write_text("at,length\n0,1\n5.1,1\n5.9,1\n")
    assert check("--scenario", str(file), "--join-rate-cap", "2/s").has_shape
    assert "up to 2 joins/s" in refusal(check, "--scenario", str(file), "--join-rate-cap", "1/s")


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ("faults: [{at: 1s, kind: partition, for: 2s}]", "partition"),
        ("stream: {source: clip}", "clip"),
    ],
)
def test_a_section_that_the_target_cannot_honour_is_an_error_with_its_place(
    check: Check, tmp_path: Path, section: str, named: str
) -> None:
    file = tmp_path / "wants.yaml"
    file.write_text(OPEN + section)
    for host in ((), ("--host", "ws://127.0.0.1:1")):
        assert refusal(check, "--scenario", str(file), *host).startswith(f"{file}:8:")
        assert named in refusal(check, "--scenario", str(file), *host)


@pytest.mark.parametrize(("given", "every_s"), [((), 1.0), (("--picture-samples", "30/min"), 2.0)])
def test_decoding_viewers_judge_a_picture_once_a_second_or_as_told(
    check: Check, given: tuple[str, ...], every_s: float
) -> None:
    assert check(*given).picture_every_s == every_s


def test_pictures_are_not_judged_where_nobody_wants_it(check: Check) -> None:
    assert check("--picture-samples", "none").picture_every_s is None


@pytest.mark.parametrize("given", ["0/s", "11/s", "1", "often"])
def test_what_is_no_rate_of_pictures_is_refused(
    check: Check, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        check("--picture-samples", given)
    assert f"'{given}' is not a rate up to 10/s: write e.g. 1/s, or none" in capsys.readouterr().err


def test_a_gate_on_pictures_needs_samples(check: Check, tmp_path: Path) -> None:
    file = tmp_path / "gated.yaml"
    gate = '{id: sharp, metric: video.psnr, stat: p05, ">=": 30dB}'
    file.write_text(f"{CLOSED}gates: [{gate}]\n")
    text = refusal(check, "--scenario", str(file), "--picture-samples", "none")
    assert "cannot go with the gate 'sharp' on video.psnr" in text
