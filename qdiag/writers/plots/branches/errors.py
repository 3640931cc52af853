"""Mean squared error at the end of every block, before and after fusion (arXiv 2212.01593, figure 6)."""

import math

from matplotlib.figure import Figure

from qdiag.core.measures.branches import BranchesReport
from qdiag.reading.words.layers import shorten
from qdiag.writers.plots.two_errors import two_errors_figure


def fusion_error_figure(report: BranchesReport) -> Figure:
    """At the end of every block, inside the quantized network as it was read and in the fused one."""
    heading = f"Mean squared error at the end of each block: {shorten(report.model.architecture, 48)}"
    heading += f", {report.before.scheme.name}"
    blocks = [block for block in report.blocks if block.before is not None or block.after is not None]
    before = [block.before.mse if block.before is not None else math.nan for block in blocks]
    after = [block.after.mse if block.after is not None else math.nan for block in blocks]
    return two_errors_figure([block.name for block in blocks], before, after, ("as read", "fused"), heading)
