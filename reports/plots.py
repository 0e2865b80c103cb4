"""The plots of a report, in the order in which it shows them."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl

from reports import svg
from reports.assess import Assessment
from reports.distributions import spread
from reports.heatmap import heatmap
from reports.joins import joins
from reports.levels import levels
from reports.svg import Plot
from reports.timeline import timeline


def plots(assessment: Assessment) -> list[Plot]:
    """Draw every plot for which the run has data."""
    makers: tuple[Callable[[Assessment], Plot | None], ...] = (
        levels,
        timeline,
        joins,
        spread,
        heatmap,
    )
    with mpl.rc_context(svg.style()):
        drawn = [make(assessment) for make in makers]
    return [plot for plot in drawn if plot is not None]
