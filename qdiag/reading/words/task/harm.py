"""Whether quantization does harm, by what judges, in one sentence for every surface."""

import math
from collections.abc import Sequence

from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.lost_outputs import SQNR_LIMIT_DB, lost_outputs
from qdiag.core.causes.ranking import Harm
from qdiag.core.causes.score import Score
from qdiag.core.listed import listed
from qdiag.core.measures.measurement import Measurement, OutputRecord
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
    """`the loss of top-1 is 67.4 pp (95 %: 63.0 to 71.3), and harm begins beyond 1.0 pp`.

    What is no loss is said as it is: `top-1 improves by 2.8 pp (95 %: -0.4 to 6.0), and harm begins beyond a loss of
    1.0 pp`.
    """
    criterion, limit = harm.criterion, loss_words(harm.criterion, harm.limit)
    if criterion is not None and harm.value < 0.0 and loss_words(criterion, -harm.value) != loss_words(criterion, 0.0):
        bounds = bounds_words(criterion, harm.interval.turned)
        gain = loss_words(criterion, -harm.value) + (f" ({bounds})" if bounds else "")
        return f"{criterion.name} improves by {gain}, and harm begins beyond a loss of {limit}"
    bounds = bounds_words(criterion, harm.interval)
    value = loss_words(criterion, harm.value) + (f" ({bounds})" if bounds else "")
    if criterion is None:
        return f"the {WEAKEST_SQNR} is {value}, and harm begins below {limit}, {PROXY}"
    if criterion.is_against_float and criterion.is_share:
        return f"{value} of the answers changed, and harm begins beyond {limit}"
    return f"the loss of {criterion.name} is {value}, and harm begins beyond {limit}"


def output_words(output: OutputRecord, *, is_only: bool = False) -> str:
    """`branch sigmoid of output boxes`, or the output as a whole."""
    name = "the output" if is_only else f"output {output.name}"
    return f"{output.weakest.name} of {name}" if output.weakest else name


def left_words(lost: Sequence[OutputRecord]) -> str:
    """`output boxes has 3.0 dB of SQNR left, below 20.0 dB`, of outputs that are lost."""
    left = [f"{output_words(o)} has {loss_words(None, o.weakest_sqnr_db)} of SQNR left" for o in lost]
    return f"{listed(left, 3)}, below {loss_words(None, SQNR_LIMIT_DB)}"


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
    lost = lost_outputs(Score(measurement.outputs, measurement.task))
    if harm.verdict == "healthy" and lost:
        words = f"{LOST_OUTPUT}, which the figure that judges does not show ({left_words(lost)})"
    elif harm.state == "healthy" and reservation:
        words = f"{RESERVED} ({reservation})"
    elif harm.verdict == "healthy" and reservation:
        words = f"{words}, and with a reservation ({reservation})"
    drawn = ", on drawn inputs" if measurement.data.is_data_free else ""
    return f"{words[:1].upper()}{words[1:]}: {cost_words(harm)}{drawn}."
