"""What was measured, on what, and how: the lines above the table of layers."""

from collections import defaultdict
from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from qdiag.core.measures.deployed.file import DeployedFile
from qdiag.core.measures.measurement import (
    CaptureInfo,
    DataInfo,
    Measurement,
    ModelInfo,
    counts_parts,
    lowest_sqnr_db,
)
from qdiag.core.measures.size import NetworkSize
from qdiag.core.measures.task import Figure, TaskResult
from qdiag.core.scheme import QuantScheme
from qdiag.reading.layer_names import layers_named
from qdiag.reading.words.deployed.file import deployed_lines
from qdiag.reading.words.digests import digest_words
from qdiag.reading.words.float_ops import HasFloatOps, float_op_words, float_share_warning
from qdiag.reading.words.layers import arithmetic_words, override_lines, own_format_words, tensor_scheme_words
from qdiag.reading.words.network_end import network_end_words
from qdiag.reading.words.numbers import SILENT, UNKNOWN, count_noun, number, with_unit
from qdiag.reading.words.preprocessing import preprocessing_warning
from qdiag.reading.words.size import size_words
from qdiag.reading.words.stored_ranges import stored_range_lines
from qdiag.reading.words.task.choice import counts_no_answers, judged_words, next_step_words, rests_on_a_name
from qdiag.reading.words.task.figures import WEAKEST_SQNR, figure_parts

Lines = Iterator[tuple[str, Text]]

_NAMES_AT_MOST = 4


def sqnr_header(measurement: Measurement) -> RenderableType:
    """Two columns: a word, and what there is to say."""
    return header_grid(
        *model_lines(measurement.model),
        *scheme_lines(measurement.scheme, with_layers=measurement.deployed is None),
        *file_lines(measurement.deployed),
        *_stored_lines(measurement.capture),
        *size_lines(measurement.size),
        *data_lines(measurement.data),
        *preprocessing_lines(measurement),
        *capture_lines(measurement.capture),
        *_task_lines(measurement),
        *_own_format_lines(measurement),
        *float_lines(measurement),
        *(("note", Text(note)) for note in measurement.notes),
    )


def header_grid(*lines: tuple[str, Text]) -> RenderableType:
    """The lines as a table without borders."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for word, text in lines:
        grid.add_row(word, text)
    return grid


def model_lines(model: ModelInfo) -> Lines:
    """File, what it turned out to be, size."""
    yield "model", Text(f"{model.source} ({model.format}, {digest_words(model)})")
    yield "", Text(f"{model.architecture}, {_count(model.parameter_count)} parameters")


def data_lines(data: DataInfo, *, with_calibration: bool = True, use: str = "to calibrate") -> Lines:
    """Source, counts, split, preprocessing; what is measured without data stands out.

    Args:
        use: what the samples are for that are not measured.
    """
    if data.is_data_free:
        yield (
            "data",
            Text(
                f"DATA-FREE: {data.source}; {data.measured_count} measured, no real input was seen", style="bold yellow"
            ),
        )
    else:
        labels = "labelled" if data.is_labelled else "no labels"
        yield "data", Text(f"{data.source}: {data.measured_count} measured, {labels}")
    if with_calibration:
        yield "", Text(_calibration_words(data, use) if data.calibration_count else data.split)
    yield "", Text(f"{data.preprocessing}; batch {data.batch_size}, seed {data.seed}")


def data_use(measurement: Measurement) -> str:
    """What the samples are for that are not measured."""
    return "to calibrate" if measurement.deployed is None else "for the ranges of repairs"


def _calibration_words(data: DataInfo, use: str) -> str:
    other = f" from {data.calibration_source}" if data.calibration_source != data.source else ""
    return f"{data.calibration_count} {use}{other}; {data.split}"


def capture_lines(capture: CaptureInfo) -> Lines:
    """The route, what is not measured, routes that failed before, BatchNorms."""
    yield "graph", Text(f"captured by {capture.route}")
    end = network_end_words(capture.left_out)
    if end is not None:
        yield "", Text(end, style="yellow")
    for skipped in capture.skipped:
        yield "", Text(f"not by {skipped.route}: {skipped.reason}")
    yield from _checked_lines(capture)
    if capture.folded_batchnorms:
        line = f"{count_noun(len(capture.folded_batchnorms), 'BatchNorm')} folded"
        if capture.fold_max_abs_delta is not None:
            line += f", output moved by {capture.fold_max_abs_delta:.1e} at most"
        if capture.fold_relative_delta is not None:
            line += f" ({capture.fold_relative_delta:.1e} of the largest)"
        yield "", Text(line)
    reasons = _by_reason((kept.name, kept.reason) for kept in capture.kept_batchnorms)
    for reason, names in reasons.items():
        yield "", Text(f"{count_noun(len(names), 'BatchNorm')} kept: {layers_named(names, _NAMES_AT_MOST)} ({reason})")


def _checked_lines(capture: CaptureInfo) -> Lines:
    """On what the graph was compared with the network, and what was found out about both."""
    if capture.checked_sample_count:
        sizes = ", ".join(map(str, capture.checked_batch_sizes))
        samples = count_noun(capture.checked_sample_count, "sample")
        yield "", Text(f"agrees with the network on {samples}, in batches of {sizes}")
    for doubt in capture.doubts:
        yield "", Text(f"follows one way, which was the network's on all samples: {doubt}")
    if capture.batch_size is not None:
        yield "", Text(f"holds for batches of {capture.batch_size} alone: measured at that batch size")
    if capture.depends_on_batch:
        told = "what comes out for a sample depends on the samples beside it in the batch"
        yield "", Text(f"{told}: the figures hold for this batch size", style="yellow")
    if capture.trained_modules:
        names = layers_named(capture.trained_modules, _NAMES_AT_MOST)
        yield "", Text(f"forward puts {names} into training mode, and is measured so", style="yellow")


def scheme_lines(scheme: QuantScheme, *, with_layers: bool = True) -> Lines:
    """Name, formats, arithmetic, and what is different at some layers."""
    yield "scheme", Text(scheme.name, style="bold")
    yield "", Text(f"weights      {tensor_scheme_words(scheme.weights)}")
    yield "", Text(f"activations  {tensor_scheme_words(scheme.activations)}")
    yield "", Text(arithmetic_words(scheme))
    for line in override_lines(scheme) if with_layers else ():
        yield "", Text(f"layers       {line}")


def file_lines(file: DeployedFile | None) -> Lines:
    """The quantized file that says what is quantized, and how much of it was found."""
    for i, line in enumerate(deployed_lines(file)):
        yield "" if i else "file", Text(line)


def _stored_lines(capture: CaptureInfo) -> Lines:
    """Ranges that the network brings with it."""
    for i, line in enumerate(stored_range_lines(capture.stored_ranges)):
        yield "" if i else "ranges", Text(line)


def size_lines(size: NetworkSize | None, scheme: str | None = None) -> Lines:
    """Bytes of weights, scales and activations, of the float and of the quantized network; see `size_words`."""
    for i, line in enumerate(size_words(size, scheme)):
        yield "" if i else "size", Text(line)


def _task_lines(measurement: Measurement) -> Lines:
    task = measurement.task
    word = "task"
    for figure in task.figures:
        yield word, figure_text(figure)
        word = ""
    for output in measurement.outputs:
        weakest = output.weakest
        inside = f"; {number(weakest.error.sqnr_db)} dB at {weakest.name}, its weakest part" if weakest else ""
        value = f"{UNKNOWN}: {SILENT}" if output.is_silent else f"{number(output.error.sqnr_db)} dB{inside}"
        yield word, Text(f"SQNR of {output.name} {value}")
        word = ""
    has_part = counts_parts(task) and any(output.weakest for output in measurement.outputs)
    if len(measurement.outputs) > 1 or has_part:
        yield word, Text(f"{WEAKEST_SQNR} {with_unit(lowest_sqnr_db(measurement.outputs, task), 'dB')}")
    yield from judged_lines(task)
    if counts_no_answers(task):
        yield "", next_step(task)


def judged_lines(task: TaskResult) -> Lines:
    """What the network is judged by, and why."""
    yield "judged", Text(judged_words(task).removeprefix("judged "))
    if rests_on_a_name(task):
        yield "", Text(f"{next_step_words(task)} Option: --task.")


def next_step(task: TaskResult) -> Text:
    """How to have answers counted."""
    return Text(f"{next_step_words(task)} Options: --task, --output, --targets, --metric.")


def figure_text(figure: Figure) -> Text:
    """`top-1 76.4 % → 9.0 %, drop 67.4 pp (95 %: ...), 500 samples`; in colour when the interval excludes 0."""
    before, change, behind = figure_parts(figure)
    interval = figure.loss_interval
    style = "red" if interval.low > 0.0 else "green" if interval.high < 0.0 else ""
    return Text.assemble(before, (change, f"bold {style}".strip()), behind)


def _own_format_lines(measurement: Measurement) -> Lines:
    """Layers whose weights are binary or ternary before anything is quantized."""
    for i, line in enumerate(own_format_words(measurement.records, _NAMES_AT_MOST)):
        yield "" if i else "weights", Text(line)


def float_lines(measurement: HasFloatOps) -> Lines:
    """Which operations stayed in float and why, with their share, and what follows where that is much."""
    for i, line in enumerate(float_op_words(measurement)):
        yield "" if i else "float", Text(line)
    warning = float_share_warning(measurement)
    if warning is not None:
        yield "", Text(warning, style="yellow")


def preprocessing_lines(measurement: Measurement) -> Lines:
    """That the inputs do not seem to be prepared as in training; nothing where they do."""
    warning = preprocessing_warning(measurement)
    if warning is not None:
        yield "", Text(warning, style="bold yellow")


def _by_reason(pairs: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name, reason in pairs:
        groups[reason].append(name)
    return groups


def _count(number: int) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.2f} {unit}"
    return str(number)
