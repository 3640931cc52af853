"""What all plots share: colours, font sizes, and bytes that are equal for equal figures."""

import io
from pathlib import Path
from typing import Literal

import matplotlib as mpl
from matplotlib.figure import Figure

from qdiag.errors import WriteError
from qdiag.files.atomic import write_file

# Okabe & Ito, "Color Universal Design", 2008: told apart with every common form of colour blindness.
BLUE = "#0072B2"
ORANGE = "#E69F00"
VERMILION = "#D55E00"
GREEN = "#009E73"
SKY = "#56B4E9"
PURPLE = "#CC79A7"
GREY = "#767676"
LIGHT_GREY = "#D9D9D9"

PlotFormat = Literal["png", "svg"]


def settle_layout(figure: Figure) -> None:
    """Computes the places of axes and legends once; every format drawn after that takes them as they are.

    With a layout engine, even a placeholder, matplotlib draws everything twice for each file.
    """
    engine = figure.get_layout_engine()
    if engine is not None and figure.axes:
        engine.execute(figure)
    with mpl.rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)


def figure_bytes(figure: Figure, format_: PlotFormat) -> bytes:
    """The figure as a file, without dates or random identifiers."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "qdiag", "svg.fonttype": "none"}):
        metadata = {"Date": None} if format_ == "svg" else {}
        figure.savefig(buffer, format=format_, dpi=150, metadata=metadata)
    return buffer.getvalue()


def save_figure(figure: Figure, path: Path) -> None:
    """Writes PNG or SVG, as the suffix says.

    Raises:
        WriteError: another suffix, or the file cannot be written.
    """
    match path.suffix.lower():
        case ".png":
            write_file(path, figure_bytes(figure, "png"))
        case ".svg":
            write_file(path, figure_bytes(figure, "svg"))
        case _:
            raise WriteError("plots are written as .png or .svg", at=str(path))
