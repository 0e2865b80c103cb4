"""Turns matplotlib figures into small SVGs that follow the colours of the page around them.

A figure is drawn in marker colours; each stands for a colour of the theme.
Inside the report they become CSS variables, so that one plot reads in light,
dark and print; in a file of its own they become colours that suit both.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from reports.samples import Floats

FOREGROUND = "#010101"
MUTED = "#010102"
GRID = "#010103"
LIMIT = "#010104"
SERIES = tuple(f"#0101{number:02x}" for number in range(0x11, 0x1A))

_THEME: dict[str, tuple[str, str]] = {
    FOREGROUND: ("--fg", "#5b6472"),
    MUTED: ("--muted", "#7c8696"),
    GRID: ("--grid", "#b9c0ca"),
    LIMIT: ("--bad", "#cf3f4f"),
    **{
        marker: (f"--c{number}", colour)
        for number, (marker, colour) in enumerate(
            zip(
                SERIES,
                (
                    "#3273dc",
                    "#df7a1c",
                    "#2e9e63",
                    "#8757c9",
                    "#16929c",
                    "#b7872b",
                    "#d163a7",
                    "#7d8aa0",
                    "#5a8f29",
                ),
                strict=True,
            ),
            start=1,
        )
    },
}

WIDTH_IN = 9.0
POINTS_MAX = 300
AXIS: dict[str, Any] = {"fontsize": 8, "color": MUTED}
"""How axes are labelled."""

_STEPS_S = (1, 2, 5, 10, 20, 60, 120, 300, 600, 1200, 3600, 7200, 14_400, 28_800, 86_400)
_TICKS_MAX = 9
MINUTES_FROM_S = 300.0
_HOURS_FROM_S = 3 * 3600.0

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "remote-render",
    "font.family": "sans-serif",
    "font.size": 8.5,
    "text.color": FOREGROUND,
    "axes.labelcolor": FOREGROUND,
    "axes.edgecolor": GRID,
    "axes.linewidth": 0.7,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": GRID,
    "grid.alpha": 0.45,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.0,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
    "lines.solid_joinstyle": "round",
    "hatch.linewidth": 0.4,
}


@dataclass(frozen=True)
class Plot:
    """A rendered figure: its name, what it shows in words, and its SVG in marker colours."""

    name: str
    title: str
    alt: str
    svg: str

    def inline(self) -> str:
        """Build the SVG element for an HTML page that defines the theme's variables."""
        text = self.svg
        for marker, (variable, _) in _THEME.items():
            text = text.replace(marker, f"var({variable})")
        return text

    def standalone(self) -> str:
        """Build a file of its own."""
        text = self.svg
        for marker, (_, colour) in _THEME.items():
            text = text.replace(marker, colour)
        return '<?xml version="1.0" encoding="utf-8"?>\n' + text


def plot(figure: Figure, name: str, title: str, alt: str) -> Plot:
    """Render a figure; call it inside ``style()``."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return Plot(name, title, alt, _slim(buffer.getvalue(), name, alt))


def style() -> mpl.RcParams:
    """Give the parameters under which figures are drawn, for ``rc_context``."""
    return mpl.RcParams(STYLE)


def thin(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Keep at most ``POINTS_MAX`` points, evenly, with the last."""
    if len(x) <= POINTS_MAX:
        return x, y
    keep = np.unique(np.linspace(0, len(x) - 1, POINTS_MAX).round().astype(np.int64))
    return x[keep], y[keep]


def time_axis(axis: Axes, end_s: float) -> None:
    """Label an x axis of seconds in the way in which such lengths are told."""
    step_s = next((step for step in _STEPS_S if end_s / step <= _TICKS_MAX), _STEPS_S[-1])
    axis.xaxis.set_major_locator(MultipleLocator(step_s))
    if end_s < MINUTES_FROM_S:
        axis.set_xlabel("seconds since the start", **AXIS)
        return
    hours = end_s >= _HOURS_FROM_S
    part_s = 60 if hours else 1

    def told(at_s: float, _: object) -> str:
        whole, rest = divmod(round(at_s / part_s), 60)
        return f"{whole}:{rest:02d}"

    axis.xaxis.set_major_formatter(FuncFormatter(told))
    axis.set_xlabel(f"{'hours:minutes' if hours else 'minutes:seconds'} since the start", **AXIS)


def _slim(text: str, name: str, alt: str) -> str:
    """Strip what an inline SVG does not need and make its ids unique in the page."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    used = set(re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r'xlink:href="#', f'xlink:href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'="[^"]*"', lambda m: _rounded(m[0]), text)
    text = re.sub(r"\n\s+", "\n", text)
    head, _, body = text.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    escaped = alt.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return f'{head} role="img" aria-label="{escaped}">\n<title>{escaped}</title>{body}'


def _rounded(attribute: str) -> str:
    """Coordinates need no more than a digit after the point; what is read keeps them."""
    return re.sub(r"(?<!opacity: )(\d+\.\d)\d+", r"\1", attribute)
