"""Bytes to messages and back. Decoding returns a message or raises ProtocolError, nothing else."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from system.protocol import channels, limits, messages
from system.protocol.errors import BadMessage, MessageTooLarge, UnknownType

T = TypeVar("T")

_encoder = msgspec.json.Encoder()


def encode(message: msgspec.Struct) -> str:
    """One message as the JSON text that goes on the wire."""
    return _encoder.encode(message).decode()


class Decoder(Generic[T]):
    """Decodes one direction of one connection.

    Args:
        types: the union of messages that direction may carry.
        max_bytes: longest message accepted.
    """

    def __init__(self, types: Any, *, max_bytes: int = limits.MAX_MESSAGE_BYTES) -> None:
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(types)
        self._known = frozenset(
            str(struct.__struct_config__.tag) for struct in getattr(types, "__args__", (types,))
        )
        self._max_bytes = max_bytes

    def decode(self, raw: str | bytes) -> T:
        """The message in ``raw``.

        Raises:
            MessageTooLarge: longer than allowed; nothing was parsed.
            UnknownType: an object whose ``type`` is none of this direction's.
            BadMessage: anything else that is not such a message.
        """
        data = _to_bytes(raw)
        if len(data) > self._max_bytes:
            raise MessageTooLarge(f"message exceeds {self._max_bytes} bytes")
        try:
            message: T = self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._explain(data, error) from None
        return message

    def _explain(self, data: bytes, error: Exception) -> BadMessage | UnknownType:
        if not isinstance(error, msgspec.ValidationError):
            return BadMessage("message is not valid JSON")
        try:
            tag = _TAG.decode(data).type
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return BadMessage('message must be a JSON object with a text field "type"')
        if tag not in self._known:
            return UnknownType("unknown message type; known: " + ", ".join(sorted(self._known)))
        return BadMessage(f"{tag}: {error}")


class BodyDecoder(Generic[T]):
    """Decodes one HTTP body; raises as Decoder does, but never UnknownType."""

    def __init__(self, body: type[T], *, max_bytes: int = limits.MAX_MESSAGE_BYTES) -> None:
        self._decoder = msgspec.json.Decoder(body)
        self._max_bytes = max_bytes

    def decode(self, raw: str | bytes) -> T:
        """The body in ``raw``; raises BadMessage or MessageTooLarge."""
        data = _to_bytes(raw)
        if len(data) > self._max_bytes:
            raise MessageTooLarge(f"body exceeds {self._max_bytes} bytes")
        try:
            return self._decoder.decode(data)
        except msgspec.ValidationError as error:
            raise BadMessage(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise BadMessage("body is not valid JSON") from None


class _Tagged(msgspec.Struct):
    type: str


_TAG = msgspec.json.Decoder(_Tagged)


def _to_bytes(raw: str | bytes) -> bytes:
    if isinstance(raw, bytes):
        return raw
    try:
        return raw.encode()
    except UnicodeEncodeError:
        raise BadMessage("message is not valid UTF-8") from None


from_client: Decoder[messages.FromClient] = Decoder(messages.FromClient)
to_client: Decoder[messages.ToClient] = Decoder(messages.ToClient)
from_worker: Decoder[messages.FromWorker] = Decoder(messages.FromWorker)
to_worker: Decoder[messages.ToWorker] = Decoder(
    messages.ToWorker, max_bytes=limits.MAX_CONTROL_BYTES
)
from_client_channel: Decoder[channels.FromClientChannel] = Decoder(channels.FromClientChannel)
to_client_channel: Decoder[channels.ToClientChannel] = Decoder(channels.ToClientChannel)

allocate_request = BodyDecoder(messages.AllocateRequest)
allocated = BodyDecoder(messages.Allocated)
ticket = BodyDecoder(messages.Ticket)
refused = BodyDecoder(messages.Refused)
release_request = BodyDecoder(messages.ReleaseRequest)
pool_patch = BodyDecoder(messages.PoolPatch)
