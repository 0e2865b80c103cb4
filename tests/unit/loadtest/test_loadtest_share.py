"""One run as one process of the load generator sees it."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import pytest

from loadtest._order import Order, machine_id
from loadtest._share import RunShare
from scenarios.loader import loads
from system.client import hostproto
from system.protocol import tokens

OPEN = """\
version: 1
name: open
seed: 3
stream: {resolution: 640x360, fps: 25, codec: vp8, pacing: constant}
load:
  model: open
  arrivals: {process: deterministic}
  session: 5s
  patience: 3s
  projects: 2
  receive: {frames: 50%, decode: 50%}
  input: {rate: 4/s, mix: {camera:orbit: 3, device:click: 1}}
  stages: [{name: hold, for: 20s, rate: 1/s}]
"""
CLOSED = "version: 1\nname: closed\nload: {model: closed, users: 4, session: 2s, for: 10s}\n"


@pytest.fixture
def order(tmp_path: Path) -> Order:
    (tmp_path / "parts").mkdir()
    return Order(
        run_dir=str(tmp_path),
        machine=machine_id(),
        epoch=time.time(),
        scenario_text=OPEN,
        url="ws://127.0.0.1:8080",
        secret="s" * 40,
    )


def command(share: RunShare, index: int = 0) -> hostproto.Start:
    return share.command(share.arrivals[index], f"v{index}", share.order.epoch)


def test_an_order_survives_being_a_message(order: Order) -> None:
    assert Order(**order.plain()) == order
    assert "ssss" not in repr(order)


def test_a_session_is_started_as_the_scenario_draws_it(order: Order) -> None:
    share = RunShare(order)
    start, arrival = command(share, 1), share.arrivals[1]
    assert (start.user_id, start.project_id) == (arrival.user_id, arrival.project_id)
    assert (start.tier, start.seed, start.stage) == (arrival.tier, arrival.input_seed, "hold")
    assert (start.session_s, start.patience_s) == (5.0, 3.0)
    assert (start.codec, start.fps, start.pacing) == ("vp8", 25, "constant")
    assert start.input == hostproto.InputMix(4.0, {"camera:orbit": 3.0, "device:click": 1.0})


def test_the_network_of_the_scenario_is_every_viewers_path(order: Order) -> None:
    text = OPEN + "network: {rtt: 40ms, jitter: 8ms, loss: 0.5%}\n"
    start = command(RunShare(replace(order, scenario_text=text)))
    assert start.network == hostproto.Network(0.040, 0.008, 0.005)
    assert command(RunShare(order)).network is None


def test_a_session_without_end_and_without_inputs_says_so(order: Order) -> None:
    text = "version: 1\nname: stay\nload: {model: closed, users: 1, for: 10s}\n"
    share = RunShare(replace(order, scenario_text=text))
    assert math.isinf(share.arrivals[0].session_s)
    assert command(share).session_s is None
    assert command(share).input is None


def test_each_session_gets_a_join_token_of_its_own(order: Order) -> None:
    share = RunShare(order)
    start = command(share, 2)
    assert start.token is not None
    keys = tokens.Keys.from_secret("s" * 40)
    claims = tokens.verify(keys, tokens.Audience.CLIENT, start.token, now_s=time.time())
    assert (claims.subject, claims.project_id) == (start.user_id, start.project_id)


def test_a_recorded_load_is_read_from_the_runs_own_copy(order: Order, tmp_path: Path) -> None:
    text = (
        "version: 1\nname: recorded\nload:\n  model: open\n"
        "  arrivals: {trace: day.csv, time: at, session: length}\n"
    )
    (tmp_path / "day.csv").write_text("at,length\n10,2\n11.5,3\n")
    loads(text, str(tmp_path / "s.yaml")).keep_files(tmp_path / "files")
    (tmp_path / "day.csv").unlink()
    share = RunShare(replace(order, scenario_text=text, files=str(tmp_path / "files")))
    assert [(arrival.at_s, arrival.session_s) for arrival in share.arrivals] == [
        (0.0, 2.0),
        (1.5, 3.0),
    ]


def test_a_token_file_is_read_again_and_survives_a_moment_of_absence(
    order: Order, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    share = RunShare(replace(order, secret=None, token_file=str(file)))
    assert command(share).token == "first"
    file.write_text("second\n")
    assert command(share).token == "second"
    file.unlink()
    assert command(share).token == "second"


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("ws://127.0.0.1:1", ("127.0.0.1",)),
        ("ws://localhost:1", ("127.0.0.1",)),
        ("ws://[::1]:1", ("::1",)),
        ("wss://staging.example", None),
    ],
)
def test_a_system_on_loopback_is_reached_by_loopback_candidates_alone(
    order: Order, url: str, addresses: tuple[str, ...] | None
) -> None:
    assert command(RunShare(replace(order, url=url))).ice.addresses == addresses


def test_parts_go_to_the_run_directory_only_on_its_machine(order: Order) -> None:
    assert RunShare(order).parts == Path(order.run_dir) / "parts"
    elsewhere = RunShare(replace(order, machine="another"))
    assert elsewhere.order.parts is None
    assert elsewhere.parts.is_dir()
    elsewhere.parts.rmdir()


def test_the_cap_on_joins_is_shared_among_the_processes(order: Order) -> None:
    share = RunShare(replace(order, joins_per_s=4.0, share_index=1, share_count=2))
    assert [share.cap.reserve(0.0) for _ in range(3)] == pytest.approx([0.0, 0.5, 1.0])


def test_viewer_numbers_are_taken_again_when_given_back(order: Order) -> None:
    share = RunShare(replace(order, scenario_text=CLOSED, users=4, share_index=1, share_count=2))
    assert [share.take_number() for _ in range(3)] == [1, 3, 5]
    share.give_number(3)
    share.give_number(1)
    assert [share.take_number() for _ in range(3)] == [1, 3, 7]


def test_more_viewers_than_the_scenario_has_are_welcome(order: Order) -> None:
    share = RunShare(replace(order, scenario_text=CLOSED, users=2))
    assert len(share.arrivals) == 2
    assert share.first(1) == share.arrivals[1]
    assert share.first(7).user_id == "user-7"


def test_a_closed_viewer_goes_on_until_locust_ends_the_run(order: Order) -> None:
    share = RunShare(
        replace(order, scenario_text=CLOSED, users=4, epoch=time.time() - 3600)  # long over
    )
    following = share.after(share.arrivals[1])
    assert following is not None
    assert following.user_id == "user-1"
    assert following.index == share.arrivals[1].index + 4


def test_what_a_process_notes_itself_are_rows_of_the_run(order: Order) -> None:
    share = RunShare(replace(order, epoch=time.time() - 10.0))
    start = share.command(share.arrivals[0], "v0", share.order.epoch + 9.5)
    share.note_arrival(start)
    share.note_lost(start)
    arrival, lost = share.events
    assert arrival["event"] == "arrival"
    assert arrival["value"] == pytest.approx(0.5, abs=0.4)
    assert arrival["t_us"] == 9_500_000
    assert (lost["event"], lost["value"], lost["session_id"]) == ("session.failed", 1.0, "v0")


def test_helpers_are_told_of_pictures_to_judge_where_viewers_decode(order: Order) -> None:
    assert RunShare(order).pictures is None
    asked = replace(order, picture_every_s=2.0)
    share = RunShare(asked)
    assert share.pictures == (640, 360)
    assert command(share).picture_every_s == 2.0
    assert RunShare(replace(asked, scenario_text=CLOSED)).pictures is None
