"""What all plots share: colours, font sizes, and bytes that are equal for equal figures."""

import io
from pathlib import Path
from typing import Literal

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text

from qdiag.core.printable import printable
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
    _make_printable(figure)
    engine = figure.get_layout_engine()
    if engine is not None and figure.axes:
        engine.execute(figure)
    with mpl.rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)


def figure_bytes(figure: Figure, format_: PlotFormat) -> bytes:
    """The figure as a file, without dates or random identifiers."""
    buffer = io.BytesIO()
    _make_printable(figure)
    with mpl.rc_context({"svg.hashsalt": "qdiag", "svg.fonttype": "none", "text.parse_math": False}):
        metadata = {"Date": None} if format_ == "svg" else {}
        figure.savefig(buffer, format=format_, dpi=150, metadata=metadata)
    if format_ == "svg":  # XML cannot hold them, and labels of axes are made while it is drawn
        return printable(buffer.getvalue().decode("utf-8", "backslashreplace"), lines=True).encode()
    return buffer.getvalue()


def _make_printable(figure: Figure) -> None:
    """No text of a picture is mathematics, and none holds what a viewer would act on."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)
        text.set_text(printable(text.get_text(), lines=True))


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
