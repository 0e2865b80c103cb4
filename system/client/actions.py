"""What a viewer may send: the input half of the client's API, its sequence numbers and edits."""

from __future__ import annotations

import time
import uuid

import msgspec

from system.client.inputs import AnyInput
from system.client.media import Media
from system.client.meter import SessionMeter
from system.protocol import channels, codec

MAX_UNACKED_EDITS = 256


class InputApi:
    """Base of the client: numbers inputs, keeps edits until they are acknowledged."""

    def __init__(self, meter: SessionMeter) -> None:
        self.meter = meter
        self._media: Media | None = None
        self._seq = 0
        self._unacked_edits: dict[str, str] = {}
        self._state_wanted = False

    def request_state(self) -> None:
        """Ask for the scene; the answer comes to ``on_message`` as a channels.State.

        The first frame may be there before the edit channel is: then it is asked
        when that opens.
        """
        text = codec.encode(channels.StateRequest())
        self._state_wanted = self._media is None or not self._media.send_edit(text)

    def send(self, message: AnyInput, *, scheduled_s: float | None = None) -> bool:
        """Send an input now; whether a channel took it.

        Its latency counts from ``scheduled_s`` (monotonic), by default now. A new
        connection and the end of a drag are edits: they are kept until
        acknowledged, and not measured as inputs.
        """
        self._seq += 1
        now = time.monotonic()
        sequenced = msgspec.structs.replace(
            message, seq=self._seq, timestamp=round(time.time() * 1000)
        )
        if isinstance(sequenced, channels.ConnectionCreate) or (
            isinstance(sequenced, channels.DeviceDrag) and sequenced.data.end
        ):
            return self._send_edit(sequenced)
        sent = self._media is not None and self._media.send_input(codec.encode(sequenced))
        self.meter.input(self._seq, scheduled_s or now, now if sent else None)
        return sent

    def _send_edit(self, message: channels.ConnectionCreate | channels.DeviceDrag) -> bool:
        edit_id = uuid.uuid4().hex
        text = codec.encode(msgspec.structs.replace(message, edit_id=edit_id))
        if len(self._unacked_edits) >= MAX_UNACKED_EDITS:
            return False
        self._unacked_edits[edit_id] = text
        return self._media is not None and self._media.send_edit(text)

    def send_camera_orbit(self, dx: float, dy: float) -> bool:
        return self.send(channels.CameraOrbit(data=channels.OrbitData(delta_x=dx, delta_y=dy)))

    def send_camera_zoom(self, delta: float) -> bool:
        return self.send(channels.CameraZoom(data=channels.ZoomData(delta=delta)))

    def send_device_click(self, device_id: str, x: float, y: float) -> bool:
        data = channels.ClickData(device_id=device_id, screen_x=x, screen_y=y)
        return self.send(channels.DeviceClick(data=data))

    def send_device_drag(
        self, device_id: str, position: tuple[float, float, float], end: bool | None = None
    ) -> bool:
        """``end``: whether it is the last of its drag; not said, it is when 200 ms were quiet."""
        data = channels.DragData(device_id=device_id, position=position, end=end)
        return self.send(channels.DeviceDrag(data=data))

    def send_connection_create(self, source: str, target: str, type: str) -> bool:  # noqa: A002
        data = channels.ConnectData(source_device_id=source, target_device_id=target, type=type)
        return self.send(channels.ConnectionCreate(data=data))

    def _resend_edits(self) -> None:
        """The edit channel opened: what no worker has acknowledged goes again, by the same id."""
        if self._state_wanted:
            self.request_state()
        if self._media is not None:
            for text in self._unacked_edits.values():
                self._media.send_edit(text)

    def _edit_acknowledged(self, edit_id: str) -> None:
        self._unacked_edits.pop(edit_id, None)
