"""What a viewer does: inputs from a seed, at a rate, in a mix. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from system.protocol.channels import (
    CameraOrbit,
    CameraZoom,
    ClickData,
    ConnectData,
    ConnectionCreate,
    DeviceClick,
    DeviceDrag,
    DragData,
    OrbitData,
    ZoomData,
)

AnyInput = CameraOrbit | CameraZoom | DeviceClick | DeviceDrag | ConnectionCreate

INPUT_TYPES: tuple[str, ...] = (
    "camera:orbit",
    "camera:zoom",
    "device:click",
    "device:drag",
    "connection:create",
)

_STROKE = 12
"""Inputs of one drag of the pointer before it turns or lets go."""

_FLOOR_M = 6.0
_CONNECTIONS = ("conveyor", "pipe", "power", "data")


@dataclass(frozen=True, slots=True)
class Planned:
    """An input to send ``at_s`` seconds after the first frame."""

    at_s: float
    message: AnyInput


class InputPlan:
    """An endless, reproducible sequence of inputs.

    ``ticks`` spaces them evenly from a random phase on; ``poisson`` draws
    exponential gaps. Orbits are strokes in one direction that bend slowly, so
    that motion looks like a hand's. Drags and connections need the ids of devices
    (``devices`` may be filled in later); until there are any, a click takes
    their place. Every drag ends with ``end`` after a stroke.
    """

    def __init__(
        self,
        seed: int,
        rate_per_s: float,
        mix: Mapping[str, float],
        *,
        process: Literal["ticks", "poisson"] = "ticks",
        width: int = 1280,
        height: int = 720,
    ) -> None:
        unknown = set(mix) - set(INPUT_TYPES)
        if unknown:
            raise ValueError(f"unknown inputs: {', '.join(sorted(unknown))}")
        if rate_per_s <= 0 or sum(mix.values()) <= 0:
            raise ValueError("inputs need a rate and a weight above 0")
        self.devices: Sequence[str] = ()
        self._rng = random.Random(seed)
        self._rate_per_s = rate_per_s
        self._types = list(mix)
        self._weights = list(mix.values())
        self._process = process
        self._size = (width, height)
        self._stroke_left = 0
        self._heading = 0.0
        self._dragged: tuple[str, float, float] | None = None
        self._drag_left = 0

    def __iter__(self) -> Iterator[Planned]:
        at = self._rng.random() / self._rate_per_s
        while True:
            yield Planned(at, self._next())
            if self._process == "ticks":
                at += 1 / self._rate_per_s
            else:
                at += self._rng.expovariate(self._rate_per_s)

    def _next(self) -> AnyInput:
        kind = self._rng.choices(self._types, self._weights)[0]
        if kind == "camera:orbit":
            return self._orbit()
        if kind == "camera:zoom":
            return CameraZoom(data=ZoomData(delta=self._rng.choice((-1.0, 1.0))))
        if kind == "device:drag" and self.devices:
            return self._drag()
        if kind == "connection:create" and len(self.devices) >= 2:
            source, target = self._rng.sample(list(self.devices), 2)
            return ConnectionCreate(
                data=ConnectData(
                    source_device_id=source,
                    target_device_id=target,
                    type=self._rng.choice(_CONNECTIONS),
                )
            )
        width, height = self._size
        return DeviceClick(
            data=ClickData(
                screen_x=round(self._rng.uniform(0, width), 1),
                screen_y=round(self._rng.uniform(0, height), 1),
                width=width,
                height=height,
            )
        )

    def _orbit(self) -> CameraOrbit:
        if self._stroke_left == 0:
            self._stroke_left = _STROKE
            self._heading = self._rng.uniform(-math.pi, math.pi)
        self._stroke_left -= 1
        self._heading += self._rng.gauss(0, 0.1)
        # Fast in the middle of a stroke, slow at its ends; mostly sideways.
        speed = 4 + 16 * math.sin(math.pi * (self._stroke_left + 0.5) / _STROKE)
        return CameraOrbit(
            data=OrbitData(
                delta_x=round(speed * math.cos(self._heading), 2),
                delta_y=round(0.4 * speed * math.sin(self._heading), 2),
            )
        )

    def _drag(self) -> DeviceDrag:
        if self._dragged is None:
            device = self._rng.choice(list(self.devices))
            self._dragged = (
                device,
                self._rng.uniform(-_FLOOR_M, _FLOOR_M),
                self._rng.uniform(-_FLOOR_M, _FLOOR_M),
            )
            self._drag_left = _STROKE
        device, x, y = self._dragged
        x = min(max(x + self._rng.uniform(-0.2, 0.2), -_FLOOR_M), _FLOOR_M)
        y = min(max(y + self._rng.uniform(-0.2, 0.2), -_FLOOR_M), _FLOOR_M)
        self._drag_left -= 1
        end = self._drag_left == 0
        self._dragged = None if end else (device, x, y)
        return DeviceDrag(
            data=DragData(device_id=device, position=(round(x, 3), round(y, 3), 0.0), end=end)
        )
