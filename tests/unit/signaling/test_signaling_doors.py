"""Who gets in: rates, origins, credentials; and what is told to those who do not."""

from __future__ import annotations

import time

import pytest

from system.protocol.errors import ErrorCode, Unauthorized
from system.protocol.tokens import Audience, Keys, sign
from system.signaling import ice, replies
from system.signaling.auth import Credentials, Gatekeeper, credentials
from system.signaling.config import IceOptions
from system.signaling.limits import AddressBuckets, Bucket
from system.signaling.origins import OriginPolicy

KEYS = Keys.generate()
NOW_S = 1_800_000_000.0


def test_a_bucket_allows_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(rate=2.0, burst=3.0, now=10.0)
    assert [bucket.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.take(10.4) is False
    assert bucket.take(10.6) is True
    assert bucket.take(10.6) is False
    assert [bucket.take(99.0) for _ in range(4)] == [True, True, True, False]


def test_addresses_have_buckets_of_their_own_and_are_bounded() -> None:
    buckets = AddressBuckets(rate=1.0, burst=1.0, maximum=3)
    assert buckets.take("a", 0.0)
    assert not buckets.take("a", 0.0)
    for address in "bcd":
        assert buckets.take(address, 0.0)
    assert len(buckets) == 3
    assert buckets.take("a", 0.0), "forgotten as the one unseen longest"


LOOK_ALIKES = [
    "null",
    "",
    "https://evil.example",
    "http://localhost.evil.example",
    "http://localhost@evil.example",
    "http://evil.example/localhost",
    "http://evil.example#localhost",
    "http://evil.example?localhost",
    "http://127.0.0.1.evil.example",
    "http://127.0.0.1@evil.example",
    "http://127.1",
    "http://0.0.0.0",
    "http://[::]",
    "http://localhost:99999",
    "http://localhost:80:80",
    "http://localhost/",
    "http://localhost\\.evil.example",
    "http://localhost%2eevil.example",
    "http://local host",
    "http://xn--lcalhost-54a",
    "http://lоcalhost",
    "ftp://localhost",
    "file://",
    "javascript:alert(1)",
    "//localhost",
    "localhost",
    "http:localhost",
    "https://app.example.evil.example",
    "https://app.example:444",
    "http://app.example",
    "https://evil-app.example",
]


@pytest.mark.parametrize("origin", LOOK_ALIKES)
def test_an_origin_that_only_looks_right_is_refused(origin: str) -> None:
    listed = OriginPolicy(("https://app.example",), trust_host=True)
    assert not listed.allows(origin, "signal.example")
    assert not OriginPolicy(None, trust_host=False).allows(origin, "localhost:8080")


@pytest.mark.parametrize("origin", ["http://localhost:5173", "https://127.0.0.1", "http://[::1]"])
def test_loopback_pages_are_welcome_until_origins_are_listed(origin: str) -> None:
    assert OriginPolicy(None, trust_host=False).allows(origin, "127.0.0.1:1")
    assert not OriginPolicy(("https://app.example",), trust_host=True).allows(origin, "x")


def test_listed_and_own_origins_are_welcome_and_so_are_programs() -> None:
    policy = OriginPolicy(("https://app.example",), trust_host=True)
    assert policy.allows("https://app.example", "signal.example")
    assert policy.allows("https://APP.example:443", "signal.example")
    assert policy.allows("https://signal.example", "signal.example")
    assert policy.allows(None, "signal.example")


def test_in_development_mode_the_host_header_vouches_for_nobody() -> None:
    """A page whose name resolves to 127.0.0.1 sends its own name as Host."""
    assert not OriginPolicy(None, trust_host=False).allows("http://evil.example", "evil.example")


def test_credentials_come_from_the_header_or_from_subprotocols() -> None:
    assert credentials({}) == Credentials()
    assert credentials({"Authorization": "bearer  abc "}) == Credentials(token="abc")
    assert credentials({"Authorization": "Basic abc"}) == Credentials()
    offered = "remote-render.v1, token.abc,resume.xyz"
    assert credentials({"Sec-WebSocket-Protocol": offered}) == Credentials(
        token="abc", resume="xyz", protocol="remote-render.v1"
    )
    both = {"Sec-WebSocket-Protocol": "token.abc", "Authorization": "Bearer header"}
    assert credentials(both) == Credentials(token="header")


def test_credentials_are_not_shown() -> None:
    assert "abc" not in repr(Credentials(token="abc", resume="abc"))


def _token(audience: Audience, subject: str, **more: str) -> str:
    return sign(KEYS, audience, subject, now_s=NOW_S, ttl_s=60, **more)


def test_a_token_is_good_for_its_user_project_and_role_only() -> None:
    gate = Gatekeeper(KEYS, clock=lambda: NOW_S)
    gate.client(_token(Audience.CLIENT, "u"), "u", "any project")
    gate.client(_token(Audience.CLIENT, "u", project_id="p"), "u", "p")
    gate.worker(_token(Audience.WORKER, "w"), "w")
    for wrong in (
        "",
        "x" * 5000,
        _token(Audience.CLIENT, "v"),
        _token(Audience.CLIENT, "u", project_id="q"),
        _token(Audience.WORKER, "u"),
        _token(Audience.SERVICE, "u"),
    ):
        with pytest.raises(Unauthorized):
            gate.client(wrong, "u", "p")
    with pytest.raises(Unauthorized):
        gate.worker(_token(Audience.CLIENT, "w"), "w")


def test_an_expired_token_opens_nothing_and_without_keys_everybody_is_trusted() -> None:
    late = Gatekeeper(KEYS, clock=lambda: NOW_S + 66)
    with pytest.raises(Unauthorized):
        late.client(_token(Audience.CLIENT, "u"), "u", "p")
    Gatekeeper(None, clock=time.time).client("", "u", "p")


def test_no_ice_server_is_told_unless_configured() -> None:
    assert ice.servers(IceOptions(), "u", now_s=NOW_S) == ()
    assert ice.servers(IceOptions(turn_urls=("turn:t",)), "u", now_s=NOW_S) == ()


def test_turn_credentials_are_short_lived_and_of_the_user() -> None:
    options = IceOptions(stun_urls=("stun:s",), turn_urls=("turn:t",), turn_secret="hidden")
    stun, turn = ice.servers(options, "u", now_s=NOW_S)
    assert (stun.urls, stun.credential) == (("stun:s",), None)
    assert turn.username == f"{int(NOW_S) + 300}:u"
    assert turn.credential
    assert "hidden" not in repr(options)


def test_clients_read_our_words_and_never_those_of_another_process() -> None:
    assert all(replies.text(code) for code in ErrorCode)
    assert replies.reason("media_lost") == "media_lost"
    for foreign in ("Traceback (most recent call last)", "", "a" * 99, "<script>", "x\ny"):
        assert replies.reason(foreign) == "ended"
