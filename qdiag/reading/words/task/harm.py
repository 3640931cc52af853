"""Whether quantization does harm, by what judges, in one sentence for every surface."""

import math

from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.lost_outputs import lost_outputs
from qdiag.core.causes.ranking import Harm
from qdiag.core.causes.score import Score
from qdiag.core.measures.measurement import Measurement
from qdiag.reading.words.numbers import SILENT
from qdiag.reading.words.task.choice import PROXY
from qdiag.reading.words.task.figures import WEAKEST_SQNR, bounds_words, loss_words
from qdiag.reading.words.task.reservations import reservation_words

LOST_OUTPUT = "an output is lost"
RESERVED = "no harm measured, with a reservation"


def state_words(harm: Harm) -> str:
    """`harmed`, `healthy`, or why it is neither."""
    if harm.state != "unsure":
        return harm.state
    if math.isnan(harm.value):
        return "no verdict is possible"
    return "no harm measured, too few samples to be sure" if harm.verdict == "healthy" else "too few samples to tell"


def cost_words(harm: Harm) -> str:
    """`the loss of top-1 is 67.4 pp (95 %: 63.0 to 71.3), and harm begins beyond 1.0 pp`."""
    criterion, limit = harm.criterion, loss_words(harm.criterion, harm.limit)
    bounds = bounds_words(criterion, harm.interval)
    value = loss_words(criterion, harm.value) + (f" ({bounds})" if bounds else "")
    if criterion is None:
        return f"the {WEAKEST_SQNR} is {value}, and harm begins below {limit}, {PROXY}"
    if criterion.is_against_float and criterion.is_share:
        return f"{value} of the answers changed, and harm begins beyond {limit}"
    return f"the loss of {criterion.name} is {value}, and harm begins beyond {limit}"


def measured_harm(measurement: Measurement) -> Harm:
    """Of a measurement, which holds no verdict of its own."""
    return harm_of(Score(measurement.outputs, measurement.task))


def measured_harm_words(measurement: Measurement) -> str:
    """`Harmed: the loss of top-1 is 67.4 pp (95 %: 63.0 to 71.3), and harm begins beyond 1.0 pp.`"""
    harm = measured_harm(measurement)
    if math.isnan(harm.value):
        is_silent = Score(measurement.outputs, measurement.task).is_silent
        return f"No verdict is possible: what quantization costs is not known{f': {SILENT}' if is_silent else ''}."
    words, reservation = state_words(harm), reservation_words(measurement)
    if harm.verdict == "healthy" and lost_outputs(Score(measurement.outputs, measurement.task)):
        words = LOST_OUTPUT
    elif harm.state == "healthy" and reservation:
        words = f"{RESERVED} ({reservation})"
    elif harm.verdict == "healthy" and reservation:
        words = f"{words}, and with a reservation ({reservation})"
    drawn = ", on drawn inputs" if measurement.data.is_data_free else ""
    return f"{words[:1].upper()}{words[1:]}: {cost_words(harm)}{drawn}."
