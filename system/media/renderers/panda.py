"""Owns Panda3D: one scene graph per renderer, on EGL (a real GPU) or on its CPU rasteriser.

Panda3D keeps one graphics engine per process and renders every active buffer in a frame, so
all work here is done under one lock, and a buffer is active only while its own frame is drawn.
An EGL context belongs to the thread that made it current: for EGL all work goes to one thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from panda3d import core

from system.media.project import (
    FLOOR_HALF_X_M,
    FLOOR_HALF_Y_M,
    MAX_DEVICES,
    Connection,
    Device,
    Triple,
)
from system.media.renderers.base import Picture, Renderer, RendererUnavailable
from system.media.scene import Camera, Scene, SceneView
from system.media.shapes import (
    BACKGROUND,
    FLOOR,
    GRID,
    HIGHLIGHT,
    Solid,
    connection_solids,
    grid_lines,
    placed_solids,
    shaded,
)

T = TypeVar("T")

core.loadPrcFileData(
    "remote-render",
    "notify-level-display fatal\n"
    "notify-level-x11display fatal\n"
    "notify-level-tinydisplay fatal\n"
    "notify-level-egldisplay fatal\n"
    "textures-power-2 none\n"
    "audio-library-name null\n",
)

# Panda3D sorts what it draws by memory address, which decides between surfaces that touch. Drawn in
# the order of the scene graph instead, the same scene gives the same picture in any process.
core.CullBinManager.getGlobalPtr().setBinType("opaque", core.CullBinManager.BTUnsorted)

_LOCK = threading.Lock()
_PIPES = {
    "egl": ("eglGraphicsPipe", "p3headlessgl"),
    "tinydisplay": ("TinyOffscreenGraphicsPipe", "p3tinydisplay"),
}
_SOFTWARE_GL = ("llvmpipe", "softpipe", "swrast", "software", "lavapipe", "swiftshader")
_GPU_NODES = ("dri/renderD*", "nvidia[0-9]*", "dxg", "mali*", "kgsl*")
_names = count(1)
# Closed renderers' buffers by (name, width, height), under the lock. They are used again because
# the CPU rasteriser never frees a removed buffer's memory (8 bytes a pixel); as many are kept as
# were open at once.
_idle: dict[tuple[str, int, int], list[tuple[Any, Any]]] = {}


class PandaRenderer(Renderer):
    """One offscreen buffer and its scene graph; only what changed in the scene is touched."""

    def __init__(self, name: str, width: int, height: int) -> None:
        super().__init__(width, height)
        self.name = name
        if name == "egl" and not any(any(Path("/dev").glob(node)) for node in _GPU_NODES):
            raise RendererUnavailable("no GPU device node")
        self._picture: Picture = np.empty((height, width, 4), dtype=np.uint8)
        self._closed = False
        self._call: Callable[[Callable[[], Any]], Any] = _caller(name)
        self._call(self._open)

    def render(self, scene: Scene) -> Picture:
        np.copyto(self._picture, self.look(scene))
        return self._picture

    def look(self, scene: Scene) -> Picture:
        if self._closed:
            raise RuntimeError("the renderer is closed")
        view = scene.view
        picture: Picture = self._call(lambda: self._draw(view))
        return picture

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._call(self._free)

    def _open(self) -> None:
        key = self.name, self.width, self.height
        idle = _idle.setdefault(key, [])
        self._buffer, self._texture = idle.pop() if idle else _open_buffer(*key)
        self._graph = _Graph(self.width / self.height)
        self._region = self._buffer.makeDisplayRegion()
        self._region.setCamera(self._graph.camera)

    def _draw(self, view: SceneView) -> Picture:
        self._graph.update(view)
        self._buffer.setActive(True)
        try:
            core.GraphicsEngine.getGlobalPtr().renderFrame()
        finally:
            self._buffer.setActive(False)
        image = self._texture.getRamImage()
        if len(image) != self._picture.nbytes:
            raise RuntimeError("the renderer read no picture back")
        pixels = np.frombuffer(image, dtype=np.uint8).reshape(self._picture.shape)
        picture: Picture = pixels[::-1]  # OpenGL's first row is the lowest
        return picture

    def _free(self) -> None:
        self._buffer.removeDisplayRegion(self._region)
        self._graph.free()
        _idle[self.name, self.width, self.height].append((self._buffer, self._texture))


class _Graph:
    """The scene graph of one renderer, and what of the scene it holds at the moment."""

    def __init__(self, aspect: float) -> None:
        self.root = core.NodePath("scene")
        self._lens = core.PerspectiveLens()
        self._lens.setNearFar(0.5, 200.0)
        self._aspect = aspect
        self.camera = self.root.attachNewNode(core.Camera("camera", self._lens))
        self._camera: Camera | None = None
        self._project: object = None
        self._selection: str | None = None
        self._devices: dict[str, tuple[Device, bool, Any]] = {}
        self._links: dict[str, tuple[tuple[Connection, Device, Device], Any]] = {}
        self._lay_floor()

    def update(self, view: SceneView) -> None:
        if view.camera != self._camera:
            self._place_camera(view.camera)
        if view.project is not self._project or view.selection != self._selection:
            self._update_devices(view)
        if view.project is not self._project:
            self._update_links(view)
        self._project, self._selection = view.project, view.selection

    def free(self) -> None:
        self.root.removeNode()
        self._devices.clear()
        self._links.clear()

    def _place_camera(self, camera: Camera) -> None:
        self._camera = camera
        vertical = np.radians(camera.fov)
        horizontal = 2 * np.arctan(np.tan(vertical / 2) * self._aspect)
        self._lens.setFov(float(np.degrees(horizontal)), camera.fov)
        self.camera.setPos(*camera.eye.tolist())
        self.camera.lookAt(core.Point3(*camera.target), core.Vec3(0, 0, 1))

    def _update_devices(self, view: SceneView) -> None:
        devices = view.project.devices
        for gone in self._devices.keys() - devices.keys():
            self._devices.pop(gone)[2].removeNode()
        for place, key in enumerate(sorted(devices)):
            device, lit = devices[key], key == view.selection
            held = self._devices.get(key)
            if held is None or (_at_origin(held[0]), held[1]) != (_at_origin(device), lit):
                if held is not None:
                    held[2].removeNode()
                solids = placed_solids(_at_origin(device))
                node = core.NodePath(_geometry(solids, HIGHLIGHT if lit else None))
            else:
                node = held[2]
            node.setPos(*device.position)
            node.reparentTo(self.root, place)
            self._devices[key] = (device, lit, node)

    def _update_links(self, view: SceneView) -> None:
        devices = view.project.devices
        wanted = {
            link.id: (link, devices[link.source], devices[link.target])
            for link in view.project.connections.values()
        }
        for key in [key for key, held in self._links.items() if wanted.get(key) != held[0]]:
            self._links.pop(key)[1].removeNode()
        for place, key in enumerate(sorted(wanted), MAX_DEVICES):
            if key not in self._links:
                node = core.NodePath(_geometry(connection_solids(*wanted[key])))
                self._links[key] = (wanted[key], node)
            self._links[key][1].reparentTo(self.root, place)

    def _lay_floor(self) -> None:
        """Floor, then grid, before all else and without depth: no fighting at z = 0."""
        x, y = FLOOR_HALF_X_M, FLOOR_HALF_Y_M
        corners = np.array([[-x, -y, 0.0], [x, -y, 0.0], [x, y, 0.0], [-x, y, 0.0]])
        floor = self.root.attachNewNode(_geometry((Solid(corners, ((0, 1, 2, 3),), FLOOR),)))
        segments = core.LineSegs("grid")
        segments.setColor(*GRID, 1.0)
        for start, end in grid_lines():
            segments.moveTo(*start.tolist())
            segments.drawTo(*end.tolist())
        grid = self.root.attachNewNode(segments.create())
        for order, node in enumerate((floor, grid)):
            node.setBin("background", order)
            node.setDepthWrite(False)
            node.setDepthTest(False)


def _at_origin(device: Device) -> Device:
    return replace(device, id="", position=(0.0, 0.0, 0.0))


def _geometry(solids: tuple[Solid, ...], color: Triple | None = None) -> Any:
    """One node of flat triangles with the light baked into their colours.

    The sun stands still and devices do not turn, and the CPU rasteriser multiplies a lit
    vertex's colour in twice: so every renderer takes the same shades from `shapes.shaded`.
    """
    data = core.GeomVertexData("solids", core.GeomVertexFormat.getV3c4(), core.Geom.UHStatic)
    vertex = core.GeomVertexWriter(data, "vertex")
    shade = core.GeomVertexWriter(data, "color")
    triangles = core.GeomTriangles(core.Geom.UHStatic)
    used = 0
    for solid in solids:
        corners = solid.vertices.tolist()
        shades = shaded(color or solid.color, solid.normals).tolist()
        for face, rgb in zip(solid.faces, shades, strict=True):
            for corner in face:
                vertex.addData3(*corners[corner])
                shade.addData4(*rgb, 1.0)
            for i in range(1, len(face) - 1):
                triangles.addVertices(used, used + i, used + i + 1)
            used += len(face)
    geom = core.Geom(data)
    geom.addPrimitive(triangles)
    node = core.GeomNode("solids")
    node.addGeom(geom)
    return node


def _open_buffer(name: str, width: int, height: int) -> tuple[Any, Any]:
    """A new inactive offscreen buffer and the texture which its frames are copied to."""
    engine = core.GraphicsEngine.getGlobalPtr()
    wanted = core.FrameBufferProperties()
    wanted.setRgbaBits(8, 8, 8, 8)
    wanted.setDepthBits(24)
    size = core.WindowProperties.size(width, height)
    title = f"{name}-{next(_names)}"
    refuse = core.GraphicsPipe.BFRefuseWindow
    buffer = engine.makeOutput(_pipe(name), title, 0, wanted, size, refuse)
    if buffer is None:
        raise RendererUnavailable("no offscreen buffer")
    engine.openWindows()
    gsg = buffer.getGsg()
    if gsg is None or not buffer.isValid():
        engine.removeWindow(buffer)
        raise RendererUnavailable("the offscreen buffer did not open")
    driver = f"{gsg.getDriverVendor()} {gsg.getDriverRenderer()}".strip()
    if name == "egl" and any(word in driver.lower() for word in _SOFTWARE_GL):
        engine.removeWindow(buffer)
        raise RendererUnavailable(f"EGL is in software ({driver})")
    texture = core.Texture("readback")
    buffer.addRenderTexture(texture, core.GraphicsOutput.RTMCopyRam)
    buffer.setClearColor(core.LColor(*BACKGROUND, 1.0))
    buffer.setActive(False)
    return buffer, texture


@cache
def _pipe(name: str) -> Any:
    kind, module = _PIPES[name]
    pipe = core.GraphicsPipeSelection.getGlobalPtr().makePipe(kind, module)
    if pipe is None or not pipe.isValid():
        raise RendererUnavailable(f"{module} does not load")
    return pipe


@cache
def _gpu_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="egl")


def _caller(name: str) -> Callable[[Callable[[], T]], T]:
    def locked(work: Callable[[], T]) -> T:
        with _LOCK:
            return work()

    if name != "egl":
        return locked
    return lambda work: _gpu_thread().submit(locked, work).result()
