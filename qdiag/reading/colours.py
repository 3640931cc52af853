"""The colours of layers on a graph: the same in the report and in the files for other viewers.

Nine classes of a diverging scale that people with red-green blindness can tell apart (ColorBrewer, RdYlBu, Brewer and
Harrower 2003), cut down to those that dark text can be read on; the last one lies between two of its blues, so that
neighbours can be told apart.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shade:
    """One colour.

    Attributes:
        fill: of the box, as `#rrggbb`; dark text can be read on it.
        label: what it stands for.
    """

    fill: str
    label: str


DECIBEL_LIMITS = (10.0, 20.0, 30.0, 40.0)
"""Where one colour ends and the next begins, in dB: noise of 32, 10, 3.2 and 1 % of the signal's amplitude."""

DECIBEL_SHADES = (
    Shade("#f46d43", "below 10 dB"),
    Shade("#fdae61", "10 to 20 dB"),
    Shade("#fee090", "20 to 30 dB"),
    Shade("#e0f3f8", "30 to 40 dB"),
    Shade("#82b9da", "40 dB and above"),
)
UNKNOWN_SHADE = Shade("#e6e6e6", "not measured")
EXACT_SHADE = Shade("#d9ead3", "exact")

CAUSE_SHADE = Shade("#f46d43", "cause")
SUSPECT_SHADE = Shade("#fee090", "suspected, not a cause here")
UNTRIED_SHADE = Shade("#fff7d6", "found, no repair tests it")
QUIET_SHADE = Shade("#eef3f6", "no finding")
RANGE_SHADE = Shade("#eef3f6", "from its least to its largest value")


def decibel_shade(decibels: float) -> Shade:
    """Of an SQNR in dB; NaN is not measured, infinity is exact."""
    if math.isnan(decibels):
        return UNKNOWN_SHADE
    if decibels == math.inf:
        return EXACT_SHADE
    return DECIBEL_SHADES[sum(decibels >= limit for limit in DECIBEL_LIMITS)]


def verdict_shade(verdicts: tuple[str, ...]) -> Shade:
    """Of a layer by the verdicts on what was found there, the most serious first; empty text where none was reached."""
    if "cause" in verdicts:
        return CAUSE_SHADE
    if any(verdicts):
        return SUSPECT_SHADE
    return UNTRIED_SHADE if verdicts else QUIET_SHADE
