"""A hand-made report on folding: BatchNorms of every kind, activations of every kind, no network behind them."""

from dataclasses import replace

from qdiag.core.measures.bn import PairedLayer
from qdiag.core.measures.folding import (
    BatchNormFold,
    ClampExample,
    ClampSite,
    FoldReport,
    OutputDelta,
    RoundedValue,
)
from qdiag.core.measures.measurement import StageTime
from qdiag.core.measures.quantizer import QuantizerRecord
from tests.measurements import measurement

NEITHER = "what comes before it is neither a convolution nor a linear layer"


def fold_report() -> FoldReport:
    """Two BatchNorms fold forwards, one backwards, three stay; of five activations two share a quantizer."""
    made = measurement()
    norms = (
        _norm(0, "conv1.bn", _layer("conv1", "conv", "conv->bn"), reads="conv2d", readers=("relu6",)),
        _norm(1, "dw.bn", _layer("dw", "depthwise_conv", "conv->bn"), reads="conv2d", readers=("relu6",)),
        _norm(2, "pre.bn", _layer("fc", "linear", "bn->linear"), reads="relu", readers=("linear",)),
        _kept(3, "dense.0.bn", NEITHER, reads="cat", readers=("relu",)),
        _kept(4, "dense.1.bn", NEITHER, reads="cat", readers=("relu",)),
        _kept(5, "last.bn", "it has no running statistics", reads="input", readers=("add", "output")),
    )
    clamps = (
        _shared("conv1", "conv2d", "relu6", (0.0, 6.0), 0.0, 6.0, -6.0, 9.3, is_free=True),
        _shared("dw", "conv2d", "hardtanh", (-1.0, 1.0), -1.25, 1.25, -1.5, 1.5, is_free=False),
        ClampSite("act", "conv2d", "hardswish", None, False, "it is no clamp", _quantizer(-0.375, 4.0)),
        ClampSite("skip.relu", "conv2d", "relu", (0.0, float("inf")), False, "x is read elsewhere", _quantizer(0.0, 4)),
        ClampSite("head", "linear", "relu", (0.0, float("inf")), False, "the layer computes in float: by request"),
    )
    return FoldReport(
        model=made.model,
        data=made.data,
        capture=made.capture,
        scheme=made.scheme,
        batchnorms=norms,
        outputs=(OutputDelta("logits", 3.1e-6, 2.5e-7), OutputDelta("boxes", 1.0e-6, 5.0e-7)),
        clamps=clamps,
        example=fold_example(),
        notes=("one note",),
        written_to="folded.pt2",
        size=made.size,
        stages=(StageTime("fold", 0.25),),
        versions={"qdiag": "0.1.0"},
    )


def fold_example() -> ClampExample:
    """The numbers of `qdiag.pipeline.folding.clamps.worked_example`, written out."""
    before, after = _quantizer(-127 * 2 / 255, 128 * 2 / 255), _quantizer(0.0, 1.0)
    return ClampExample(-0.5, RoundedValue(before, 63, -64 * 2 / 255), RoundedValue(after, 0, 0.0), 127)


def without_batchnorms() -> FoldReport:
    """Nothing to fold, and no activation."""
    return replace(fold_report(), batchnorms=(), clamps=(), outputs=(OutputDelta("y", 0.0, 0.0),), written_to=None)


def _layer(name: str, kind: str, direction: str) -> PairedLayer:
    return PairedLayer(name, kind, f"{name}.weight", (4, 4), 1, direction, "graph", "certain")  # type: ignore[arg-type]


def _norm(index: int, name: str, layer: PairedLayer, *, reads: str, readers: tuple[str, ...]) -> BatchNormFold:
    return BatchNormFold(
        index, name, 1, 1, 4, layer, reads, readers, None, 0.25, 2.5, 0.5, 1.0 + index, 1e-6 * (index + 1), 2.5e-7
    )


def _kept(index: int, name: str, reason: str, *, reads: str, readers: tuple[str, ...]) -> BatchNormFold:
    return BatchNormFold(index, name, 1, 1, 4, None, reads, readers, reason)


def _quantizer(low: float, high: float) -> QuantizerRecord:
    scale = (high - low) / 255
    return QuantizerRecord(8, False, scale, round(-low / scale), 0, 255, low, high)


def _shared(
    name: str,
    operation: str,
    activation: str,
    bounds: tuple[float, float],
    low: float,
    high: float,
    low_before: float,
    high_before: float,
    *,
    is_free: bool,
) -> ClampSite:
    both = (_quantizer(low, high), _quantizer(low_before, high_before))
    return ClampSite(name, operation, activation, bounds, True, None, *both, is_free)
