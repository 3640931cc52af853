"""What a long run will cost, in the words of a remark."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qdiag.pipeline.diagnose import DiagnoseOptions
    from qdiag.pipeline.estimate import Estimate
    from qdiag.simulate.case import Case
    from qdiag.simulate.session import Session


def diagnosis_cost_words(
    session: "Session", case: "Case", options: "DiagnoseOptions", *, with_plots: bool = False
) -> str:
    """`about 40 s, and 2 min more if there is something to repair (500 samples, 3.1 s for a float pass)`."""
    from qdiag.pipeline.estimate import estimate

    cost, report = estimate(session, case, options), ""
    if with_plots:
        from qdiag.writers.plots.drawing.drawing_time import drawing_seconds

        report = f", then {minutes(drawing_seconds(len(case.network.graph.layers)))} for the pictures"
    fixed, more = minutes(cost.examine_s + cost.sweeps_s), minutes(cost.repairs_s)
    return f"about {fixed}, and {more} more if there is something to repair{report}{pass_words(cost)}"


def pass_words(cost: "Estimate") -> str:
    """On how much data, and how long one float pass takes."""
    return f" ({cost.sample_count} samples, {cost.pass_s:.1f} s for a float pass)"


def minutes(seconds: float) -> str:
    """Seconds below a minute and a half, minutes above."""
    return f"{seconds:.0f} s" if seconds < 90.0 else f"{seconds / 60.0:.0f} min"
