"""Messages of the WebRTC data channels ``input`` and ``edit``.

``input`` is unordered with no retransmission: what is lost is lost, and the
client's measure of it is ``input.lost``. ``edit`` is reliable and carries what
must not be lost. A client that opens no ``edit`` channel sends edits on
``input``; the worker accepts them there as well.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from system.protocol.fields import Id
from system.protocol.messages import Message, Ping, Pong

INPUT_CHANNEL: Final = "input"
EDIT_CHANNEL: Final = "edit"

Finite = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]


class _Data(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    pass


class OrbitData(_Data, frozen=True):
    """Pointer movement in CSS pixels."""

    delta_x: Finite
    delta_y: Finite


class ZoomData(_Data, frozen=True):
    """Wheel steps; positive moves closer."""

    delta: Finite


class ClickData(_Data, frozen=True):
    """A click in the picture; an empty ``device_id`` asks the worker to pick.

    ``screen_x`` and ``screen_y`` are pixels of a view of ``width`` x ``height``;
    without those, of the stream's own size.
    """

    device_id: str = ""
    screen_x: Finite = 0.0
    screen_y: Finite = 0.0
    width: Finite | None = None
    height: Finite | None = None


class DragData(_Data, frozen=True):
    """A device's new position in metres; ``end`` is true for the last of a drag.

    False says that an end will come; None, or nothing, that none need come: such a
    drag is over when it has been quiet.
    """

    device_id: Id
    position: tuple[Finite, Finite, Finite]
    end: bool | None = None


class ConnectData(_Data, frozen=True):
    source_device_id: Id
    target_device_id: Id
    type: Id


class Input(Message, frozen=True):
    """Base of the inputs. ``timestamp`` and ``seq`` are the client's own."""

    timestamp: float = 0.0
    seq: int | None = None


class CameraOrbit(Input, frozen=True, kw_only=True, tag="camera:orbit"):
    data: OrbitData


class CameraZoom(Input, frozen=True, kw_only=True, tag="camera:zoom"):
    data: ZoomData


class DeviceClick(Input, frozen=True, kw_only=True, tag="device:click"):
    data: ClickData


class DeviceDrag(Input, frozen=True, kw_only=True, tag="device:drag"):
    data: DragData
    edit_id: str | None = None


class ConnectionCreate(Input, frozen=True, kw_only=True, tag="connection:create"):
    data: ConnectData
    edit_id: str | None = None


class InputAck(Message, frozen=True, tag="input:ack"):
    """Frame ``frame_id`` is the first that shows the inputs ``seqs``; once per frame."""

    frame_id: int
    seqs: tuple[int, ...]


class DeviceSelected(Message, frozen=True, tag="device:selected"):
    """Answer to a click: the picked device, None where there was none."""

    device_id: str | None
    seq: int | None = None


class State(Message, frozen=True, tag="state"):
    """The session's scene as the worker holds it; after edits, selections and on request."""

    revision: int
    state: dict[str, object]


class StateRequest(Message, frozen=True, tag="state:get"):
    pass


class FrameRequest(Message, frozen=True, tag="frame:get"):
    """What does the next frame show? Asked by who measures the picture it gets.

    ``request`` is the client's own and comes back; ``project`` is the digest of
    the project as the client knows it, "" for not at all.
    """

    request: int
    project: str = ""


class CameraView(_Data, frozen=True):
    """The orbit camera of a frame: degrees, metres, ``fov`` vertical."""

    azimuth: Finite
    elevation: Finite
    distance: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    target: tuple[Finite, Finite, Finite]
    fov: Annotated[float, msgspec.Meta(gt=0, lt=180)]


class ProjectRows(_Data, frozen=True):
    """Devices and connections that are new or changed in the project as the client knows it.

    ``fresh``: there are no others. Too many for one message come in parts, with the
    answers to the next requests.
    """

    fresh: bool
    name: str
    devices: tuple[dict[str, Any], ...] = ()
    connections: tuple[dict[str, Any], ...] = ()


class FrameShown(Message, frozen=True, tag="frame:shown"):
    """All that the picture of frame ``frame_id``, just sent, was rendered from.

    ``project`` is a digest; ``changes`` lead there from what the client knows,
    None where it knows that project already. ``renderer`` is its kind.
    """

    request: int
    frame_id: int
    width: int
    height: int
    renderer: str
    camera: CameraView
    selection: str | None
    project: str
    changes: ProjectRows | None = None
    block_code: bool = False


class EditAck(Message, frozen=True, tag="edit:ack"):
    """The edit is in the project's log; ``code`` is set where it was refused instead."""

    edit_id: str
    index: int = 0
    code: str | None = None


FromClientChannel = (
    CameraOrbit
    | CameraZoom
    | DeviceClick
    | DeviceDrag
    | ConnectionCreate
    | StateRequest
    | FrameRequest
    | Ping
)
ToClientChannel = InputAck | DeviceSelected | State | FrameShown | EditAck | Pong
