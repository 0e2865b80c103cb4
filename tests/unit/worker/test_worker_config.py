from __future__ import annotations

import pytest

from system.worker.config import WorkerConfig, parse

REQUIRED = ["--id", "w1", "--signaling", "ws://127.0.0.1:1/ws"]


def test_two_flags_are_enough() -> None:
    assert parse(REQUIRED, {}) == WorkerConfig(worker_id="w1", signaling="ws://127.0.0.1:1/ws")


def test_every_flag_is_read() -> None:
    config = parse(
        [
            *REQUIRED,
            *["--generation", "3", "--pool", "gpu", "--slots", "2", "--width", "640"],
            *["--height", "360", "--fps", "25", "--bitrate", "1.5Mbps", "--pacing", "constant"],
            *["--renderer", "painter", "--codecs", "vp8", "--ice-addresses", "127.0.0.1,::1"],
            *["--ice-ports", "40000-40010", "--ice-announce", "203.0.113.9"],
            *["--ice-deny", "10.0.0.0/8", "--boot-delay", "1.5", "--drain-timeout", "500ms"],
            *["--metrics-port", "0", "--log-level", "debug"],
        ],
        {},
    )
    assert config == WorkerConfig(
        worker_id="w1",
        signaling="ws://127.0.0.1:1/ws",
        generation=3,
        pool="gpu",
        slots=2,
        width=640,
        height=360,
        fps=25,
        bitrate_bps=1_500_000,
        pacing="constant",
        renderer="painter",
        codecs=("vp8",),
        ice_addresses=("127.0.0.1", "::1"),
        ice_ports=(40000, 40010),
        ice_announce="203.0.113.9",
        ice_deny=("10.0.0.0/8",),
        boot_delay_s=1.5,
        drain_timeout_s=0.5,
        metrics_port=0,
        log_level="debug",
    )


def test_the_environment_stands_in_for_flags_and_flags_win() -> None:
    environ = {"RR_ID": "w9", "RR_SIGNALING": "wss://h/ws", "RR_SLOTS": "4", "RR_FPS": "10"}
    config = parse(["--fps", "20"], environ)
    assert (config.worker_id, config.signaling) == ("w9", "wss://h/ws")
    assert (config.slots, config.fps) == (4, 20)


def test_the_token_comes_from_the_environment_alone_and_is_not_shown() -> None:
    config = parse(REQUIRED, {"RR_TOKEN": "a.b.c", "RR_SECRET": "s" * 32})
    assert config.token == "a.b.c"
    assert "a.b.c" not in repr(config)
    assert "s" * 32 not in repr(config)


def test_every_local_address_can_be_asked_for() -> None:
    assert parse([*REQUIRED, "--ice-addresses", "all"], {}).ice_addresses is None


@pytest.mark.parametrize(
    "wrong",
    [
        ["--id", ""],
        ["--signaling", "http://127.0.0.1/ws"],
        ["--slots", "0"],
        ["--slots", "-1"],
        ["--width", "641"],
        ["--bitrate", "fast"],
        ["--bitrate", "0"],
        ["--pacing", "always"],
        ["--renderer", "vtk"],
        ["--codecs", "av1"],
        ["--codecs", "vp8,vp8"],
        ["--ice-addresses", "localhost"],
        ["--ice-ports", "5-1"],
        ["--ice-deny", "10.0.0.1/8"],
        ["--boot-delay", "soon"],
        ["--metrics-port", "70000"],
        ["--no-such-flag", "1"],
    ],
)
def test_a_wrong_flag_ends_with_usage(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([*REQUIRED, *wrong], {})
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("environ", [{"RR_SLOTS": "none"}, {"RR_PACING": "x"}])
def test_a_wrong_environment_ends_with_usage(environ: dict[str, str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(REQUIRED, environ)
    assert ended.value.code == 2


@pytest.mark.parametrize("missing", [["--id", "w"], ["--signaling", "ws://h/ws"]])
def test_what_is_required_is_said(missing: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(missing, {})
    assert "is required" in capsys.readouterr().err
