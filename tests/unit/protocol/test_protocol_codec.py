"""The codec returns a message or raises one documented error, whatever comes in."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from system.protocol import channels, codec, limits, messages
from system.protocol.errors import (
    BadMessage,
    ErrorCode,
    MessageTooLarge,
    ProtocolError,
    UnknownType,
)
from system.protocol.fields import Fence, ProjectState

OFFER = {"type": "offer", "sdp": {"type": "offer", "sdp": "v=0"}}


def test_the_documents_offer_with_a_null_session_id_is_read() -> None:
    message = codec.from_client.decode(json.dumps({**OFFER, "sessionId": None}))
    assert isinstance(message, messages.ClientOffer)
    assert message.offer().negotiation == 1
    assert not message.moves


def test_a_client_that_names_its_negotiation_or_its_wishes_can_be_moved() -> None:
    for more in ({"negotiation": 1}, {"stream": {}}):
        message = codec.from_client.decode(json.dumps({**OFFER, **more}))
        assert isinstance(message, messages.ClientOffer)
        assert message.moves


def test_unknown_fields_are_ignored() -> None:
    message = codec.from_client.decode(json.dumps({**OFFER, "from": "x"}))
    assert isinstance(message, messages.ClientOffer)


def test_a_browsers_candidate_keeps_the_w3c_field_names() -> None:
    raw = {
        "type": "ice-candidate",
        "candidate": {
            "candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host",
            "sdpMid": "0",
            "sdpMLineIndex": 0,
            "usernameFragment": None,
        },
    }
    message = codec.from_client.decode(json.dumps(raw))
    assert isinstance(message, messages.IceCandidate)
    assert json.loads(codec.encode(message))["candidate"] == raw["candidate"]


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        ("{", BadMessage),
        ("", BadMessage),
        ("[]", BadMessage),
        ("null", BadMessage),
        ("{}", BadMessage),
        ('{"type": 3}', BadMessage),
        ('{"type": "offer"}', BadMessage),
        ('{"type": "offer", "sdp": "v=0"}', BadMessage),
        ('{"type": "register", "workerId": "w", "generation": 1}', UnknownType),
        ('{"type": "nonsense"}', UnknownType),
        (b"\xff\xfe", BadMessage),
        ('"\ud800"', BadMessage),
        ("[" * 60_000, BadMessage),
        ('{"type":"ping","x":' + "[" * 6_000 + "]" * 6_000 + "}", BadMessage),
        ('{"type":"ping","x":"' + "a" * limits.MAX_MESSAGE_BYTES + '"}', MessageTooLarge),
        (json.dumps({**OFFER, "negotiation": 0}), BadMessage),
        (
            json.dumps({"type": "offer", "sdp": {"type": "offer", "sdp": "a" * 33_000}}),
            BadMessage,
        ),
    ],
)
def test_what_is_not_a_message_raises_the_documented_error(
    raw: str | bytes, error: type[ProtocolError]
) -> None:
    with pytest.raises(ProtocolError) as caught:
        codec.from_client.decode(raw)
    assert type(caught.value) is error
    assert isinstance(caught.value.code, ErrorCode)


def test_an_error_text_never_repeats_the_input() -> None:
    secret = "s3cret-value"
    for raw in (f'{{"type": "{secret}"}}', f'{{"type": "offer", "sdp": "{secret}"}}', secret):
        with pytest.raises(ProtocolError) as caught:
            codec.from_client.decode(raw)
        assert secret not in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300))
def test_random_input_raises_nothing_but_protocol_errors(raw: bytes | str) -> None:
    for decoder in (codec.from_client, codec.from_worker, codec.from_client_channel):
        with pytest.raises(ProtocolError):
            decoder.decode(raw)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_messages_are_read_or_refused(data: st.DataObject) -> None:
    text = bytearray(json.dumps({**OFFER, "negotiation": 2}).encode())
    for _ in range(data.draw(st.integers(1, 6))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = codec.from_client.decode(bytes(text))
    except ProtocolError:
        return
    assert isinstance(message, messages.Message)


def test_every_worker_message_survives_a_round_trip() -> None:
    fence = Fence(epoch=3, n=9)
    sent = (
        messages.Registered(heartbeat_ms=2000),
        messages.SessionAssigned(session_id="s", fence=fence, project=ProjectState(project_id="p")),
        messages.ClientDisconnected(session_id="s", fence=fence),
        messages.Drain(deadline_ms=5),
    )
    assert tuple(codec.to_worker.decode(codec.encode(m)) for m in sent) == sent


def test_inputs_have_the_documents_names() -> None:
    message = codec.from_client_channel.decode(
        '{"type":"device:drag","timestamp":1,"data":{"deviceId":"d","position":[1,2,3]}}'
    )
    assert isinstance(message, channels.DeviceDrag)
    assert message.data.position == (1.0, 2.0, 3.0)
    assert message.seq is None
    ack = json.loads(codec.encode(channels.InputAck(frame_id=7, seqs=(1, 2))))
    assert ack == {"type": "input:ack", "frameId": 7, "seqs": [1, 2]}


@pytest.mark.parametrize("number", ["1e400", "NaN", "Infinity", "1e30", '"1"'])
def test_an_input_with_an_unusable_number_is_refused(number: str) -> None:
    raw = '{"type":"camera:zoom","data":{"delta":0}}'.replace("0", number)
    with pytest.raises(BadMessage):
        codec.from_client_channel.decode(raw)


def test_required_gpu_has_its_own_spelling() -> None:
    body = codec.allocate_request.decode('{"clientId":"c","projectId":"p","requiredGPU":"A10G"}')
    assert body.required_gpu == "A10G"
    assert codec.allocate_request.decode('{"clientId":"c","projectId":"p"}').required_gpu == "any"
    with pytest.raises(BadMessage):
        codec.allocate_request.decode('{"clientId":"","projectId":"p"}')


def test_fences_order_by_epoch_first() -> None:
    assert Fence(epoch=1, n=900) < Fence(epoch=2, n=1)
    assert Fence(epoch=2, n=1) < Fence(epoch=2, n=2)
    assert msgspec.convert({"epoch": 2, "n": 1}, Fence) == Fence(epoch=2, n=1)
