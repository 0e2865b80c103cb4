"""Quantities with units, parsed to base units; a number without its unit is refused.

Base units: seconds, 1/s, ratio (1.0 = 100 %), bit/s, USD/h, dB.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction


class QuantityError(ValueError):
    """The text is no quantity of the wanted kind; the message says what would be."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of quantity: its units, each with its size in the base unit."""

    name: str
    base: str
    units: Mapping[str, Fraction]
    example: str

    @property
    def pattern(self) -> str:
        """The regular expression of a valid text, for the JSON schema."""
        units = "|".join(re.escape(unit) for unit in self.units)
        return rf"^[0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?\s*({units})$"


def _units(**sizes: str) -> dict[str, Fraction]:
    return {unit: Fraction(size) for unit, size in sizes.items()}


DURATION = Kind(
    "duration",
    "s",
    _units(us="1/1000000", ms="1/1000", s="1", min="60", h="3600", d="86400"),
    "30s",
)
RATE = Kind(
    "rate",
    "1/s",
    {"/s": Fraction(1), "/min": Fraction(1, 60), "/h": Fraction(1, 3600)},
    "0.5/s",
)
SHARE = Kind("share", "ratio", {"%": Fraction(1, 100)}, "5%")
BITRATE = Kind("bitrate", "bit/s", _units(kbps="1000", Mbps="1000000"), "2.5Mbps")
PRICE = Kind("price", "USD/h", {"USD/h": Fraction(1)}, "1.006 USD/h")
LEVEL = Kind("level", "dB", _units(dB="1"), "30dB")

KINDS: tuple[Kind, ...] = (DURATION, RATE, SHARE, BITRATE, PRICE, LEVEL)
BY_BASE: dict[str, Kind] = {kind.base: kind for kind in KINDS}

_NUMBER = re.compile(
    r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,2})?)\s*(.*)", re.DOTALL | re.ASCII
)


def parse(value: object, kind: Kind) -> float:
    """Parse ``value`` as a quantity of ``kind``, in its base unit.

    Raises QuantityError: no text, no number, no or a foreign unit, negative.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise QuantityError(f"'{value}' is not a finite number")
        if value < 0:
            raise QuantityError(f"'{value:g}' must not be negative")
        number = f"{value:.12g}"
        unit = re.sub(r"[0-9. ]", "", kind.example)
        raise QuantityError(f"'{number}' needs a unit, e.g. {number}{unit}")
    if not isinstance(value, str):
        raise QuantityError(f"must be a {kind.name}, e.g. {kind.example}")
    match = _NUMBER.fullmatch(value.strip())
    if match is None:
        raise QuantityError(f"'{value}' is not a {kind.name}: write e.g. {kind.example}")
    number, unit = match.groups()
    if not unit:
        raise QuantityError(
            f"'{value}' needs a unit, e.g. {number}{re.sub('[0-9. ]', '', kind.example)}"
        )
    size = kind.units.get(unit)
    if size is None:
        raise QuantityError(
            f"'{value}': unit '{unit}' is not one of {', '.join(kind.units)}{_hint(unit, kind)}"
        )
    parsed = float(Fraction(Decimal(number)) * size)
    if parsed < 0:
        raise QuantityError(f"'{value}' must not be negative")
    return parsed


def _hint(unit: str, kind: Kind) -> str:
    folded = {known.lower(): known for known in kind.units}
    near = difflib.get_close_matches(unit.lower(), folded, n=1, cutoff=0.5)
    return f", did you mean '{folded[near[0]]}'?" if near else ""


_NEARLY = 0.9995
"""What three digits round up to the next unit."""


def render(value: float, base: str) -> str:
    """Write a number of base unit ``base`` the way a person would, e.g. ``250 ms``."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "–"
    if base == "s":
        if value == 0 or value >= _NEARLY:
            return f"{value:.3g} s" if value < _NEARLY * 1000 else f"{value:.0f} s"
        return f"{value * 1e3:.3g} ms" if value >= _NEARLY / 1e3 else f"{value * 1e6:.3g} µs"
    if base == "ratio":
        return f"{value * 100:.3g} %" if value < 9.995 else f"{value * 100:.0f} %"
    if base == "bit/s":
        return f"{value / 1e6:.3g} Mbps" if value >= _NEARLY * 1e6 else f"{value / 1e3:.3g} kbps"
    number = f"{value:.3g}" if abs(value) < _NEARLY * 1000 else f"{value:.0f}"
    if base == "1/s":
        return f"{number}/s"
    return number if base == "count" else f"{number} {base}"
