"""All pictures of `qdiag branches`, by the name of their files."""

from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib.figure import Figure

from qdiag.core.measures.branches import BranchesReport
from qdiag.files.atomic import write_file
from qdiag.writers.plots.branches.distributions import activations_figure, weights_figure
from qdiag.writers.plots.branches.errors import fusion_error_figure
from qdiag.writers.plots.branches.gains import gains_figure
from qdiag.writers.plots.drawing.figure import figure_bytes, settle_layout

PICTURES: Mapping[str, Callable[[BranchesReport], Figure]] = {
    "gains": gains_figure,
    "weights": weights_figure,
    "activations": activations_figure,
    "errors": fusion_error_figure,
}


def write_pictures(report: BranchesReport, folder: Path) -> tuple[Path, ...]:
    """PNG and SVG of each in an existing folder, and their paths.

    Raises:
        WriteError: a file cannot be written.
    """
    written = []
    for name, draw in PICTURES.items():
        figure = draw(report)
        settle_layout(figure)
        for format_ in ("png", "svg"):
            path = folder / f"{name}.{format_}"
            write_file(path, figure_bytes(figure, "png" if format_ == "png" else "svg"))
            written.append(path)
    return tuple(written)
