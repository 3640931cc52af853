"""The pictures of a report: which ones there are to draw from a diagnosis, and how their files are called."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from qdiag.core.diagnosis import Diagnosis
from qdiag.files.atomic import write_file
from qdiag.reading.layers.entry import worst_layers
from qdiag.reading.words.diagnosis_ranges import range_report_of
from qdiag.writers.plots.bits import bits_figure
from qdiag.writers.plots.bn import bn_figure
from qdiag.writers.plots.channels import channels_figure
from qdiag.writers.plots.drawing.figure import PlotFormat, figure_bytes, settle_layout
from qdiag.writers.plots.histogram import histogram_figure
from qdiag.writers.plots.losses import losses_figure
from qdiag.writers.plots.mse import mse_figure
from qdiag.writers.plots.ranges import ranges_figure
from qdiag.writers.plots.sensitivity import sensitivity_figure
from qdiag.writers.plots.sqnr import sqnr_figure
from qdiag.writers.plots.waterfall import waterfall_figure

LAYERS_DRAWN = 8
"""Layers with pictures of their own: the worst ones."""

_NAME_AT_MOST = 48


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture.

    Attributes:
        name: of its files, without suffix; unique in a report.
        section: what it belongs to: `sqnr`, `mse`, `losses`, `ranges`, `batchnorm`, `causes`, `sensitivity`, `bits`, or
            `channels` and `histogram` for a single layer.
        alt: what it shows, for those who cannot see it.
        layer: None for pictures of the whole network.
    """

    name: str
    section: str
    alt: str
    draw: Callable[[], Figure]
    layer: str | None = None


def report_pictures(diagnosis: Diagnosis) -> tuple[Picture, ...]:
    """Every picture for which the diagnosis has something to draw."""
    return (*_whole(diagnosis), *_by_layer(diagnosis))


def _whole(diagnosis: Diagnosis) -> Iterator[Picture]:
    measurement, audit = diagnosis.measurement, diagnosis.batchnorms
    if diagnosis.ranking.waterfall:
        yield Picture("causes", "causes", "What each repair recovers", partial(waterfall_figure, diagnosis))
    yield Picture("sqnr", "sqnr", "SQNR by layer", partial(sqnr_figure, measurement))
    yield Picture("mse", "mse", "Mean squared error by layer", partial(mse_figure, measurement))
    if any(record.losses is not None for record in measurement.records):
        yield Picture("losses", "losses", "The five losses by layer", partial(losses_figure, measurement))
    ranges = range_report_of(diagnosis)
    if ranges.records:
        yield Picture("ranges", "ranges", "Ranges of weights and outputs by layer", partial(ranges_figure, ranges))
    if audit is not None and audit.records:
        yield Picture("batchnorm", "batchnorm", "BatchNorm gains by layer", partial(bn_figure, audit))
    if diagnosis.sensitivity is not None and diagnosis.sensitivity.rows:
        yield Picture(
            "sensitivity", "sensitivity", "Sensitivity by layer", partial(sensitivity_figure, diagnosis.sensitivity)
        )
    if diagnosis.bits:
        yield Picture("bits", "bits", "Accuracy against bits", partial(bits_figure, diagnosis))


def _by_layer(diagnosis: Diagnosis) -> Iterator[Picture]:
    facts = {f.layer: f for f in diagnosis.facts}
    for record in worst_layers(diagnosis, LAYERS_DRAWN):
        stem = f"layer{record.index:03d}_{_file_words(record.name)}"
        own = facts.get(record.name)
        if own is None:
            continue
        if own.weight is not None and own.weight.channel_min:
            alt = f"Weight range by output channel of {record.name}"
            draw = partial(channels_figure, diagnosis, record.name)
            yield Picture(f"{stem}_channels", "channels", alt, draw, record.name)
        if record.range is not None and record.range.histogram is not None and record.range.histogram.total:
            alt = f"Output values and quantization grid of {record.name}"
            draw = partial(histogram_figure, diagnosis, record.name)
            yield Picture(f"{stem}_outputs", "histogram", alt, draw, record.name)


def _file_words(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name)[-_NAME_AT_MOST:].strip("-.") or "layer"


def draw_picture(picture: Picture, folder: Path, formats: tuple[PlotFormat, ...]) -> tuple[Path, ...]:
    """Draws once and writes each format.

    Raises:
        WriteError: a file cannot be written.
    """
    figure = picture.draw()
    settle_layout(figure)
    paths = []
    for format_ in formats:
        path = folder / f"{picture.name}.{format_}"
        write_file(path, figure_bytes(figure, format_))
        paths.append(path)
    return tuple(paths)
