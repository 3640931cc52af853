"""The result of one measurement, with everything needed to say where it came from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from qdiag.core.measures.deployed.file import DeployedFile
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.float_ops import FloatOp, FloatShare
from qdiag.core.measures.preprocessing import PreprocessingCheck
from qdiag.core.measures.records import OpRecord
from qdiag.core.measures.size import NetworkSize
from qdiag.core.measures.task import WHOLE_KINDS, TaskResult
from qdiag.core.measures.value_ranges.stored_range import StoredRange
from qdiag.core.presentation.presented import Presented
from qdiag.core.scheme import QuantScheme

SCHEMA_VERSION = 2
SAME_SAMPLES = "the same {count} samples calibrate and are measured"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """`format` is what the file turned out to be; `digest` is the SHA-256 over names and bytes of the parameters, and
    `file_digest` that of the file itself: empty where there is none, and in results stored before."""

    source: str
    format: str
    architecture: str
    parameter_count: int
    digest: str
    file_digest: str = ""


@dataclass(frozen=True, slots=True)
class DataInfo:
    """Which inputs were used, for calibration and for measurement."""

    source: str
    calibration_source: str
    calibration_count: int
    measured_count: int
    split: str
    """How calibration and measurement samples were told apart, in words."""
    is_data_free: bool
    is_labelled: bool
    preprocessing: str
    batch_size: int
    seed: int
    digest: str

    @property
    def calibrates_on_measured(self) -> bool:
        """The ranges come from the samples that are measured, and fit them better than they fit others."""
        return self.split == SAME_SAMPLES.format(count=self.measured_count)


@dataclass(frozen=True, slots=True)
class SkippedRoute:
    """A way to capture the model that was tried and left, and why."""

    route: str
    reason: str


@dataclass(frozen=True, slots=True)
class KeptBatchNorm:
    """A BatchNorm that could not be folded, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An operation at the end of a file that is not measured, because how much it gives depends on the data.

    Attributes:
        kind, name: as in the file. is_first: what is left out begins with it; the others depend on such a one.
    """

    kind: str
    name: str
    is_first: bool


@dataclass(frozen=True, slots=True)
class CaptureInfo:
    """How the model became one graph.

    Attributes:
        route: `export`, `exported_program`, `torchscript`, `trace`. skipped: those tried before, and why.
        folded_batchnorms: module paths. kept_batchnorms: those that stay, and why.
        fold_max_abs_delta: largest |folded - unfolded| at the outputs; None when nothing was folded.
        fold_relative_delta: the same over the largest |unfolded| output.
        batch_size: the one batch size that the graph holds for; None for any.
        checked_sample_count, checked_batch_sizes: on what the graph was compared with the network, sizes ascending.
        depends_on_batch: what comes out for a sample depends on the samples beside it.
        trained_modules: classes of modules that `forward` puts into training mode.
        doubts: places where the graph follows one way of several, as the tracer said.
        stored_ranges: the fake quantizers that the network brought with it, and what became of their ranges.
        left_out: operations of the file behind what is measured, such as non-maximum suppression, in their order.
    """

    route: str
    skipped: tuple[SkippedRoute, ...] = ()
    folded_batchnorms: tuple[str, ...] = ()
    kept_batchnorms: tuple[KeptBatchNorm, ...] = ()
    fold_max_abs_delta: float | None = None
    fold_relative_delta: float | None = None
    batch_size: int | None = None
    checked_sample_count: int = 0
    checked_batch_sizes: tuple[int, ...] = ()
    depends_on_batch: bool = False
    trained_modules: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    stored_ranges: tuple[StoredRange, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputPart:
    """Error at some values of an output that belong together.

    Attributes:
        name: `branch NAME` of the concat that ends in the output, `channel 3`, or both.
    """

    name: str
    error: ErrorSums

    @property
    def is_evidence(self) -> bool:
        """The float network gives a signal here, or the quantized one numbers that are none: zeros prove nothing."""
        error = self.error
        return error.reference_sq_sum > 0.0 or error.simulated_nonfinite_count > error.reference_nonfinite_count


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """Error at one output of the network.

    Attributes:
        error: over all its values.
        parts: the same for each branch of a concat that ends in it, and each of few channels; their sums add up to
            those of `error`. Empty where the output is one thing, such as logits.
        is_constant: the float network gives the same for every one of several samples.
    """

    name: str
    shape: tuple[int, ...]
    error: ErrorSums
    parts: tuple[OutputPart, ...] = ()
    is_constant: bool = False

    @property
    def is_silent(self) -> bool:
        """The float network gives nothing but zeros here: without a signal there is nothing to lose."""
        error = self.error
        has_others = error.reference_nonfinite_count or error.simulated_nonfinite_count
        return error.count > 0 and error.reference_sq_sum == 0.0 and not has_others

    @property
    def sqnr_db(self) -> float:
        """Of the whole output; NaN where the float network gives nothing but zeros."""
        return math.nan if self.is_silent else self.error.sqnr_db

    @property
    def weakest(self) -> OutputPart | None:
        """The part with a signal that lost most; None without such a part."""
        known = [part for part in self.parts if part.is_evidence]
        return min(known, key=lambda part: _or_lowest(part.error.sqnr_db), default=None)

    @property
    def weakest_sqnr_db(self) -> float:
        """Of the weakest part, or of the whole output; NaN where the float network gives nothing but zeros."""
        weakest = self.weakest
        return self.sqnr_db if weakest is None else weakest.error.sqnr_db


def counts_parts(task: TaskResult) -> bool:
    """The outputs are judged part by part: they are no logits, which are one vector."""
    return task.choice.kind not in WHOLE_KINDS


def weakest_output(outputs: Sequence[OutputRecord]) -> OutputRecord | None:
    """The output with a signal that lost most at its weakest part; None without such an output."""
    return min(_with_signal(outputs), key=lambda output: _or_lowest(output.weakest_sqnr_db), default=None)


def lowest_sqnr_db(outputs: Sequence[OutputRecord], task: TaskResult) -> float:
    """Of the output that lost most, at its weakest part where parts count; NaN without an output that has a signal."""
    weakest = weakest_output(outputs) if counts_parts(task) else None
    if weakest is not None:
        return weakest.weakest_sqnr_db
    return min((output.sqnr_db for output in _with_signal(outputs)), default=math.nan)


def _with_signal(outputs: Sequence[OutputRecord]) -> list[OutputRecord]:
    return [output for output in outputs if not output.is_silent]


def _or_lowest(value: float) -> float:
    """A sort key: what is no number has lost everything."""
    return -math.inf if math.isnan(value) else value


@dataclass(frozen=True, slots=True)
class StageTime:
    """How long one stage of the run took."""

    stage: str
    elapsed_s: float


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Measurement(Presented):
    """Everything `qdiag sqnr` prints, as plain numbers. Powers and counts are stored, decibels are derived."""

    model: ModelInfo
    data: DataInfo
    scheme: QuantScheme
    capture: CaptureInfo
    records: tuple[OpRecord, ...]
    outputs: tuple[OutputRecord, ...]
    task: TaskResult
    float_ops: tuple[FloatOp, ...] = ()
    notes: tuple[str, ...] = ()
    """What a careful reader should know: clipped inputs, dead scales, missing labels."""
    stages: tuple[StageTime, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION
    float_share: FloatShare = field(default_factory=FloatShare)
    preprocessing: PreprocessingCheck | None = None
    """Whether the inputs are prepared as in training; None where nothing tells."""
    size: NetworkSize | None = None
    """Bytes in float and quantized; None in what was stored before they were counted."""
    deployed: DeployedFile | None = None
    """The quantized file whose integers these are; None where a scheme says what is quantized."""
    layer_sample_count: int | None = None
    """Samples behind the figures of layers, where these are not all; those of layers with few values are."""

    def record(self, name: str) -> OpRecord:
        """The record of one layer.

        Raises:
            KeyError: no layer has that name.
        """
        named = {record.name: record for record in self.records}
        return named[name]
