"""Tokens are good for one audience, one role and a short time."""

import base64
import json

import jwt
import pytest

from system.protocol import tokens
from system.protocol.errors import Unauthorized
from system.protocol.tokens import Audience, Keys

KEYS = Keys.from_secret("a secret of at least thirty-two characters")
NOW = 1_000_000.0


def _token(audience: Audience = Audience.CLIENT, ttl_s: float = 60) -> str:
    return tokens.sign(KEYS, audience, "viewer", now_s=NOW, ttl_s=ttl_s, project_id="p")


def test_a_token_is_read_back_by_its_own_audience() -> None:
    claims = tokens.verify(KEYS, Audience.CLIENT, _token(), now_s=NOW + 1)
    assert claims == tokens.Claims("viewer", Audience.CLIENT, "p")


@pytest.mark.parametrize("signed_for", list(Audience))
@pytest.mark.parametrize("shown_to", list(Audience))
def test_a_token_is_refused_by_every_other_audience(
    signed_for: Audience, shown_to: Audience
) -> None:
    token = _token(signed_for)
    if signed_for is shown_to:
        assert tokens.verify(KEYS, shown_to, token, now_s=NOW).subject == "viewer"
    else:
        with pytest.raises(Unauthorized):
            tokens.verify(KEYS, shown_to, token, now_s=NOW)


def test_a_token_expires_after_its_time_and_the_leeway() -> None:
    token = _token(ttl_s=60)
    assert tokens.verify(KEYS, Audience.CLIENT, token, now_s=NOW + 60 + tokens.LEEWAY_S)
    with pytest.raises(Unauthorized, match="expired"):
        tokens.verify(KEYS, Audience.CLIENT, token, now_s=NOW + 61 + tokens.LEEWAY_S)


def test_an_unsigned_token_is_refused() -> None:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"aud": Audience.CLIENT.value, "role": "client", "sub": "x", "exp": 9e9}
    token = f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."
    with pytest.raises(Unauthorized):
        tokens.verify(KEYS, Audience.CLIENT, token, now_s=NOW)


@pytest.mark.parametrize("missing", ["aud", "role", "sub", "exp"])
def test_a_token_without_a_required_claim_is_refused(missing: str) -> None:
    claims = {"aud": Audience.CLIENT.value, "role": "client", "sub": "x", "exp": NOW + 60}
    del claims[missing]
    token = jwt.encode(claims, KEYS.client, algorithm="HS256")
    with pytest.raises(Unauthorized):
        tokens.verify(KEYS, Audience.CLIENT, token, now_s=NOW)


@pytest.mark.parametrize("garbage", ["", ".", "a.b.c", "\ud800", "x" * 10_000, "é.é.é"])
def test_garbage_is_unauthorized_and_nothing_else(garbage: str) -> None:
    with pytest.raises(Unauthorized):
        tokens.verify(KEYS, Audience.CLIENT, garbage, now_s=NOW)


def test_a_role_of_another_audience_is_refused_even_when_signed() -> None:
    claims = {"aud": Audience.CLIENT.value, "role": "worker", "sub": "x", "exp": NOW + 60}
    token = jwt.encode(claims, KEYS.client, algorithm="HS256")
    with pytest.raises(Unauthorized):
        tokens.verify(KEYS, Audience.CLIENT, token, now_s=NOW)


def test_short_or_equal_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="32"):
        Keys.from_secret("short")
    with pytest.raises(ValueError, match="32"):
        Keys(b"a", b"b" * 32, b"c" * 32)
    with pytest.raises(ValueError, match="differ"):
        Keys(b"a" * 32, b"a" * 32, b"c" * 32)


def test_keys_do_not_show_in_a_repr() -> None:
    assert KEYS.client.hex() not in repr(KEYS)
    assert repr(KEYS.client) not in repr(KEYS)


def test_turn_credentials_follow_the_rest_api() -> None:
    username, password = tokens.turn_credentials("secret", "viewer", now_s=100, ttl_s=300)
    assert username == "400:viewer"
    # printf '400:viewer' | openssl dgst -sha1 -hmac secret -binary | base64
    assert password == "u2KZ5kJHGfdlBIE6I8SpSsV//Xo="
