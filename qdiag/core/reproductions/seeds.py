"""What one seed of an experiment gave: figures and curves by their keys."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A cell of the table of an experiment: a variant, and a figure of it."""

    row: str
    column: str


@dataclass(frozen=True, slots=True)
class Measured:
    """The value at a place."""

    place: Place
    value: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a drawing.

    Attributes:
        drawing: key of the drawing. row: what the line belongs to.
        values: one per epoch, or one for each of the labels, such as the names of layers.
    """

    drawing: str
    row: str
    values: tuple[float, ...]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Diverged:
    """A training that ended in numbers that are not finite.

    Attributes:
        row: the variant that is missing for it; empty where nothing after it could be run.
        detail: what was not finite, and when.
    """

    row: str
    detail: str


@dataclass(frozen=True, slots=True)
class SeedResult:
    """Everything that was trained and measured once.

    Attributes:
        seed: of the division of the images, of the initial weights, and of the order of the samples.
        trained_epochs: passes over the training images, all trainings together.
        seconds: of all of it. cpu_seconds: of processors, which tells more where others use them too.
        diverged: trainings that did; the figures of their variants are missing.
    """

    seed: int
    measured: tuple[Measured, ...]
    curves: tuple[Curve, ...] = ()
    trained_epochs: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    diverged: tuple[Diverged, ...] = ()

    def value(self, place: Place) -> float | None:
        """The figure at a place; None where it was not measured."""
        return next((found.value for found in self.measured if found.place == place), None)
