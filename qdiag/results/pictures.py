"""The pictures of a result by their names, those of the whole network first."""

from collections.abc import Callable
from functools import partial

from matplotlib.figure import Figure

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.writers.plots.mse import mse_figure
from qdiag.writers.plots.pictures import report_pictures
from qdiag.writers.plots.ranges import ranges_figure
from qdiag.writers.plots.sqnr import sqnr_figure


def pictures_of(result: Diagnosis | Measurement | RangeReport) -> dict[str, Callable[[], Figure]]:
    """What draws each picture; the first one is what the result is about."""
    if isinstance(result, Diagnosis):
        return {"sqnr": partial(sqnr_figure, result.measurement)} | {p.name: p.draw for p in report_pictures(result)}
    if isinstance(result, Measurement):
        return {"sqnr": partial(sqnr_figure, result), "mse": partial(mse_figure, result)}
    return {"ranges": partial(ranges_figure, result)}
