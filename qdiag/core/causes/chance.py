"""Whether the float network is right more often than one that guesses."""

from dataclasses import dataclass

from qdiag.core.measures.counts import wilson_interval
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.task import TOP_1


@dataclass(frozen=True, slots=True)
class ByChance:
    """Answers of the float network among which chance alone could have made as many right.

    Attributes:
        right_count: right answers of the float network, among `sample_count`.
        class_count: scores of the output that is judged.
    """

    right_count: int
    sample_count: int
    class_count: int


def by_chance(measurement: Measurement) -> ByChance | None:
    """The float network's top-1 where it is not above one in `class_count`; None where it is, or nothing says so.

    It is above where the lower bound of its 95 % score interval is (Wilson, see `wilson_interval`).
    """
    judged = measurement.task.judged
    if judged is None or judged.criterion != TOP_1 or judged.counts is None:
        return None
    name = measurement.task.choice.output
    shapes = [output.shape for output in measurement.outputs if not name or output.name == name]
    if len(shapes) != 1 or len(shapes[0]) != 1:
        return None
    class_count, counts = shapes[0][0], judged.counts
    right_count = counts.both + counts.reference_only
    if class_count < 2 or wilson_interval(right_count, counts.sample_count).low > 100.0 / class_count:
        return None
    return ByChance(right_count, counts.sample_count, class_count)
