"""Options of ``system up`` and ``system config``, and the stack that they describe.

The stack itself is imported only to make it: the other commands of the group
must work where one component alone is installed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from system.stack import StackConfig

F = TypeVar("F", bound=Callable[..., Any])

PACINGS: Final = ("on_demand", "constant")
RENDERERS: Final = ("auto", "egl", "tinydisplay", "painter")

_RESOLUTION: Final = re.compile(r"(\d{2,5})x(\d{2,5})")
_BITRATE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(bps|kbps|Mbps)")
_BITS: Final = {"bps": 1, "kbps": 1_000, "Mbps": 1_000_000}


class Resolution(click.ParamType[tuple[int, int]]):
    """``1280x720`` to ``(1280, 720)``."""

    name = "WxH"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = _RESOLUTION.fullmatch(value)
        if match is None:
            self.fail(f"'{value}' is no resolution; an example: 1280x720", param, ctx)
        return int(match[1]), int(match[2])


class Bitrate(click.ParamType[int]):
    """``2.5Mbps`` to bits per second."""

    name = "rate"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        match = _BITRATE.fullmatch(value)
        if match is None:
            self.fail(f"'{value}' is no bitrate; examples: 2.5Mbps, 800kbps", param, ctx)
        return round(float(match[1]) * _BITS[match[2]])


_OPTIONS: Final = (
    click.option("--workers", default=2, show_default=True, type=click.IntRange(0, 256)),
    click.option(
        "--slots", default=1, show_default=True, help="Sessions that one worker serves at once."
    ),
    click.option(
        "--store",
        default="embedded",
        show_default=True,
        help="embedded, redis://host:port/db or unix:///path.",
    ),
    click.option("--host", default="127.0.0.1", show_default=True),
    click.option(
        "--port",
        default=0,
        help="Of signaling; by default a free one.",
        type=click.IntRange(0, 65535),
    ),
    click.option("--resolution", default="1280x720", show_default=True, type=Resolution()),
    click.option("--fps", default=30, show_default=True),
    click.option("--bitrate", default="2.5Mbps", show_default=True, type=Bitrate()),
    click.option("--pacing", default="on_demand", show_default=True, type=click.Choice(PACINGS)),
    click.option("--renderer", default="auto", show_default=True, type=click.Choice(RENDERERS)),
    click.option(
        "--log-dir", type=click.Path(path_type=Path), help="Keep the components' logs there."
    ),
)


def stack_options(command: F) -> F:
    """The options above, on ``command``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def stack_config(
    *,
    workers: int,
    slots: int,
    store: str,
    host: str,
    port: int,
    resolution: tuple[int, int],
    fps: int,
    bitrate: int,
    pacing: Any,
    renderer: str,
    log_dir: Path | None,
) -> StackConfig:
    """What the options describe; tokens are asked for only where ``RR_SECRET`` is set.

    Raises:
        click.UsageError: a combination that cannot work.
    """
    from system.stack import PoolConfig, StackConfig, StreamConfig
    from system.stack.errors import BadConfig

    try:
        return StackConfig(
            pools=(PoolConfig(initial=workers, slots=slots, max_workers=max(workers, 1)),),
            stream=StreamConfig(*resolution, fps=fps, bitrate_bps=bitrate, pacing=pacing),
            store_url=None if store == "embedded" else store,
            host=host,
            port=port,
            renderer=renderer,
            secret=os.environ.get("RR_SECRET", ""),
            log_dir=log_dir,
        )
    except BadConfig as error:
        raise click.UsageError(str(error)) from None
