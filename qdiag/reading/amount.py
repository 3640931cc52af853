"""What a repair recovers, in the parts that tables lay out: number, unit, interval."""

import math
from dataclasses import dataclass

from qdiag.core.causes.score import Recovery
from qdiag.core.measures.task import Criterion, Interval
from qdiag.reading.words.numbers import UNKNOWN
from qdiag.reading.words.task.figures import bounds_words, change_unit, digits, gain_of

_LEVEL = "95 %: "


@dataclass(frozen=True, slots=True)
class Amount:
    """A change of a figure.

    Attributes:
        number: its digits; `not known` for NaN. unit: empty where there is none.
        interval: `63.0 to 71.3`, 95 %; empty where it is not known.
    """

    number: str
    unit: str
    interval: str = ""

    @property
    def words(self) -> str:
        """`67.4 pp`."""
        return self.number if self.number == UNKNOWN else f"{self.number} {self.unit}".rstrip()

    @property
    def bounds(self) -> str:
        """`95 %: 63.0 to 71.3`."""
        return f"{_LEVEL}{self.interval}" if self.interval else ""

    @property
    def full(self) -> str:
        """`67.4 pp (95 %: 63.0 to 71.3)`."""
        return f"{self.words} ({self.bounds})" if self.interval else self.words


def amount_of(recovery: Recovery, criterion: Criterion | None) -> Amount:
    """By the task where it is judged, in dB at the weakest output otherwise."""
    own, value, interval = gain_of(recovery, criterion)
    return change_amount(own, value, interval)


def decibels_of(recovery: Recovery) -> Amount:
    """At the output that had lost most."""
    return change_amount(None, recovery.recovered_db, recovery.db_interval)


def change_amount(criterion: Criterion | None, change: float, interval: Interval | None = None) -> Amount:
    """Any difference of two values of a figure."""
    bounds = bounds_words(criterion, interval).removeprefix(_LEVEL) if interval is not None else ""
    number = UNKNOWN if math.isnan(change) else digits(criterion, change)
    return Amount(number, change_unit(criterion), bounds)
