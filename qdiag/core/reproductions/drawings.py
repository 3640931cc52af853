"""Which figures of an experiment are drawn together, and how."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bars:
    """A group of bars for each row, one for each column: means, with the spread, and a mark where it was published."""

    key: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Points:
    """A point for each row, one column across and another one up."""

    key: str
    rows: tuple[str, ...]
    x: str
    y: str


@dataclass(frozen=True, slots=True)
class Lines:
    """The curves with this key: the mean over the seeds, and a band from the smallest to the largest."""

    key: str


Drawing = Bars | Points | Lines
