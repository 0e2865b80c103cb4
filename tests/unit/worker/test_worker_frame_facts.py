from __future__ import annotations

from system.media.project import Project, move
from system.media.scene import Scene
from system.protocol import codec
from system.protocol.channels import FrameRequest, FrameShown
from system.worker.frame_facts import FrameFacts


def facts() -> FrameFacts:
    return FrameFacts("painter", 640, 360)


def test_only_a_frame_after_a_request_is_described_and_once() -> None:
    told = facts()
    scene = Scene(Project.default("p"))
    assert told.answer(1, scene, block_code=False) is None
    told.ask(FrameRequest(request=7))
    told.ask(FrameRequest(request=8))
    shown = told.answer(2, scene, block_code=True)
    assert shown is not None
    assert (shown.request, shown.frame_id, shown.renderer) == (8, 2, "painter")
    assert (shown.width, shown.height, shown.block_code) == (640, 360, True)
    assert told.answer(3, scene, block_code=False) is None


def test_a_frame_is_described_by_its_own_camera_selection_and_project() -> None:
    told = facts()
    project = Project.default("p")
    chosen = next(iter(project.devices))
    scene = Scene(project, selection=chosen)
    scene.orbit(33.3, 7.7)
    told.ask(FrameRequest(request=1))
    sent = told.answer(1, scene, block_code=False)
    assert sent is not None
    received = codec.to_client_channel.decode(codec.encode(sent))
    assert received == sent, "numbers survive the wire exactly"
    assert isinstance(received, FrameShown)
    assert received.camera.azimuth == scene.camera.azimuth
    assert (received.selection, received.project) == (chosen, project.digest())


def test_a_project_is_sent_once_and_then_what_changed() -> None:
    told = facts()
    project = Project.default("p")
    device = next(iter(project.devices))

    def answer(known: str, project: Project) -> FrameShown:
        told.ask(FrameRequest(request=1, project=known))
        found = told.answer(1, Scene(project), block_code=False)
        assert found is not None
        return found

    first = answer("", project)
    assert first.changes is not None
    assert first.changes.fresh
    assert len(first.changes.devices) == len(project.devices)
    assert answer(first.project, project).changes is None
    moved = move(project, device, (1.0, 1.0, 0.0))
    second = answer(first.project, moved)
    assert second.changes is not None
    assert not second.changes.fresh
    assert [row["id"] for row in second.changes.devices] == [device]
    again = answer("unknown", moved)
    assert again.changes is not None
    assert again.changes.fresh, "who knows another project is told all of it"
