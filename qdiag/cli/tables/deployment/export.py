"""What `qdiag export` prints: what was written, and what the runtime makes of it."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from qdiag.cli.parameters import as_options
from qdiag.cli.tables.sqnr_header import (
    Lines,
    capture_lines,
    header_grid,
    model_lines,
    scheme_lines,
    size_lines,
)
from qdiag.core.causes.repair import RepairStep
from qdiag.core.causes.repair_traits import repair_title
from qdiag.core.listed import listed
from qdiag.core.measures.deployed.export import ExportReport
from qdiag.core.measures.measurement import DataInfo
from qdiag.reading.layer_names import layers_named
from qdiag.reading.words.deployed.operations import float_words, integer_words
from qdiag.reading.words.network_end import written_end_words
from qdiag.reading.words.numbers import count_noun

_LAYERS_AT_MOST = 3


def print_export(console: Console, report: ExportReport) -> None:
    """Header, the file, and its operations on `console`."""
    console.print(
        header_grid(
            *model_lines(report.model),
            *scheme_lines(report.scheme),
            *size_lines(report.size),
            *calibration_lines(report.data),
            *capture_lines(report.capture),
            *repair_lines(report.repairs),
            *_file_lines(report),
            *_operation_lines(report),
        )
    )


def calibration_lines(data: DataInfo) -> Lines:
    """What the ranges come from; what is measured without data stands out."""
    free = "DATA-FREE: " if data.is_data_free else ""
    told = f"{free}{data.calibration_source}: {count_noun(data.calibration_count, 'sample')} to calibrate"
    yield "data", Text(f"{told}, nothing is measured", style="bold yellow" if free else "")
    yield "", Text(f"{data.preprocessing}; batch {data.batch_size}, seed {data.seed}")


def repair_lines(steps: Iterable[RepairStep]) -> Lines:
    """What became of each repair that was asked for."""
    word = "repairs"
    for step in steps:
        if step.refused is not None:
            yield word, Text(f"{step.repair} refused: {as_options(step.refused)}", style="yellow")
        else:
            names = layers_named(step.layers, _LAYERS_AT_MOST)
            yield word, Text(f"{step.repair}: {repair_title(step.repair)}, {names}")
        word = ""


def _file_lines(report: ExportReport) -> Lines:
    where = f" to {report.written_to}" if report.written_to is not None else ""
    yield "file", Text(f"{report.format}{where}, {report.byte_count:,} bytes", style="bold")
    origin = (
        "the graph of the model's own file, with quantizers put in" if report.graph == "file" else "the captured graph"
    )
    yield "", Text(f"its nodes are those of {origin}")
    if report.why_captured is not None:
        yield "", Text(f"not those of the model's own file: {report.why_captured}")
    end = written_end_words(report.capture.left_out, has_own_graph=report.graph == "file")
    if end is not None:
        yield "", Text(end, style="" if report.graph == "file" else "yellow")
    weights = count_noun(report.integer_weight_count, "weight")
    yield "", Text(f"{count_noun(report.integer_tensor_count, 'activation')} and {weights} are integers in it")
    reasons = dict.fromkeys(reason for _, reason in report.float_layers)
    for reason in reasons:
        names = [name for name, other in report.float_layers if other == reason]
        counted = f"{len(names)} layers, " if len(names) > _LAYERS_AT_MOST else ""
        named = listed(names, _LAYERS_AT_MOST) if counted else layers_named(names, _LAYERS_AT_MOST)
        yield "in float", Text(f"{counted}{named}: {reason}")


def _operation_lines(report: ExportReport) -> Lines:
    if report.operations is None:
        yield "runtime", Text(f"not run: {report.unrun}", style="yellow")
        return
    style = "green" if report.operations.integer_count else "bold yellow"
    yield "runtime", Text(integer_words(report.operations), style=style)
    yield "", Text(float_words(report.operations))
    if report.fallen_back:
        names = layers_named(report.fallen_back, 8)
        yield "", Text(f"in float, although the plan has integers for them: {names}", style="bold red")
