"""What a viewer sends, before and after its channels are there."""

from __future__ import annotations

from system.client.actions import InputApi
from system.client.meter import SessionMeter
from system.protocol import channels, codec


class Channel:
    """The part of the media that takes edits: shut, then open."""

    def __init__(self) -> None:
        self.open = False
        self.sent: list[object] = []

    def send_edit(self, text: str) -> bool:
        if self.open:
            self.sent.append(codec.from_client_channel.decode(text))
        return self.open


def test_the_scene_is_asked_for_once_the_edit_channel_is_open() -> None:
    channel = Channel()
    api = InputApi(SessionMeter(frame_time_s=1 / 30))
    api._media = channel  # type: ignore[assignment]
    api.request_state()
    channel.open = True
    api._resend_edits()
    assert channel.sent == [channels.StateRequest()]
    api._resend_edits()
    assert channel.sent == [channels.StateRequest()]
