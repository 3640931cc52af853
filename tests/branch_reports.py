"""A hand-made report on parallel branches: four blocks of RepVGG with planted figures, no network behind them."""

from dataclasses import replace

from qdiag.core.causes.score import Score
from qdiag.core.measures.branches import (
    Activations,
    BetaAlignment,
    BetaDistance,
    Branch,
    BranchBlock,
    BranchesReport,
    BranchRepair,
    Condition,
    Fusion,
    NormFigures,
)
from qdiag.core.measures.measurement import StageTime
from qdiag.core.measures.ranges import Histogram, TensorRange
from tests.measurements import measurement, sums, tensor_range

CHANNELS = 4


def branch_report() -> BranchesReport:
    """The second block breaks C1 by its identity, the third both conditions, the last cannot be fused."""
    before = measurement()
    after = replace(before, scheme=before.scheme)
    well = _block("stage1.0", (0.5, 1.5, 0.9, 1.0), Condition(38.2), Condition(44.0), with_identity=False)
    wide = _block(
        "stage1.1",
        (0.4, 0.8, 692.0, 0.9),
        Condition(4.1, at_fault="stage1.1.rbr_identity"),
        Condition(41.0),
    )
    both = _block(
        "stage1.2",
        (0.4, 1.1, 0.7, 0.9),
        Condition(17.5, at_fault="stage1.2.rbr_1x1"),
        Condition(12.5),
        distance=1.75,
        sum_variance=24.0,
    )
    kept = replace(
        _block("stage2.0", (1.0, 1.0, 1.0, 1.0), Condition(30.0), Condition(30.0), with_identity=False),
        fusion=None,
        refused="something else reads the output of stage2.0.rbr_1x1.bn",
        c1=None,
        c2=None,
        after=None,
    )
    return BranchesReport(
        model=before.model,
        blocks=(well, wide, both, kept),
        before=before,
        after=after,
        float_max_abs_delta=3.1e-6,
        float_relative_delta=2.5e-7,
        repairs=(
            BranchRepair("per_channel_weights", ("stage1.1", "stage1.2"), Score(before.outputs, before.task)),
            BranchRepair("equalize", refused="no layer before it can take the scale"),
        ),
        notes=("one block was not fused",),
        stages=(StageTime("branches", 1.25),),
        versions={"qdiag": "0.1.0"},
    )


def _block(
    name: str,
    gains: tuple[float, ...],
    c1: Condition,
    c2: Condition,
    *,
    with_identity: bool = True,
    distance: float = 0.25,
    sum_variance: float = 3.0,
) -> BranchBlock:
    dense = _branch(f"{name}.rbr_dense", "kxk", (0.9, 1.0, 1.1, 1.2), 0.5, 35.0)
    pointwise = _branch(f"{name}.rbr_1x1", "1x1", (0.5, 0.6, 0.7, 0.8), 0.25, 34.0)
    branches = [dense, pointwise]
    alignment = None
    if with_identity:
        identity = _branch(f"{name}.rbr_identity", "identity", gains, max(gains), 36.5)
        branches.append(identity)
        distances = (BetaDistance(dense.name, 0.125, 0.9), BetaDistance(pointwise.name, distance, 0.5))
        alignment = BetaAlignment(identity.name, (-0.5, -0.25, -0.5, -0.25), distances, 0.2)
    widest = max(branch.weight.max for branch in branches)
    output = _activations(sum_variance, 6.0)
    return BranchBlock(
        name=name,
        source="input:x",
        layer=f"{name}.add",
        branches=tuple(branches),
        fused_layer=f"{name}.rbr_reparam",
        sum=output,
        output=output,
        fusion=Fusion(
            weight_name=f"{name}.rbr_reparam.weight",
            bias_name=f"{name}.rbr_reparam.bias",
            weight_shape=(CHANNELS, CHANNELS, 3, 3),
            stride=(1, 1),
            padding=((1, 1), (1, 1)),
            dilation=(1, 1),
            groups=1,
            padding_mode="zeros",
            weight=_range(-0.75, widest),
            weight_max_abs=(widest, 1.0, 1.0, 1.0),
            max_abs_delta=1.5e-6,
            relative_delta=2.0e-7,
        ),
        c1=c1,
        c2=c2,
        alignment=alignment,
        before=sums(31.5, signal_power=2.0),
        after=sums(min(c1.sqnr_db, c2.sqnr_db) - 1.0, signal_power=2.0),
        alone=sums(min(c1.sqnr_db, c2.sqnr_db), signal_power=2.0),
        weight_channel_sqnr_db=c1.sqnr_db + 2.5,
        weight_output_sqnr_db=c1.sqnr_db,
    )


def _branch(name: str, kind: str, gains: tuple[float, ...], widest: float, without_db: float) -> Branch:
    return Branch(
        name=name,
        kind=kind,  # type: ignore[arg-type]
        ops=("batch_norm",) if kind == "identity" else ("conv2d", "batch_norm"),
        kernel=(3, 3) if kind == "kxk" else (1, 1),
        norm=NormFigures(
            name if kind == "identity" else f"{name}.bn", gains, (0.1,) * CHANNELS, (1.0,) * CHANNELS, 1e-5
        ),
        constant=(0.1,) * CHANNELS,
        own_weight=_range(-1.0, 1.0),
        weight=_range(-0.5, widest),
        weight_max_abs=(widest,) * CHANNELS,
        without_sqnr_db=without_db,
        activations=_activations(1.0, 3.0),
    )


def _activations(variance: float, top: float) -> Activations:
    return Activations(_range(-0.5 * top, top), (0.0,) * CHANNELS, (variance,) * CHANNELS)


def _range(low: float, high: float) -> TensorRange:
    """With a histogram of eight bins, the mass near zero."""
    width = 2.0**-3
    while (high - low) / width > 64:
        width *= 2.0
    first, last = int(low // width), int(high // width)
    counts = tuple(max(1, 100 - 20 * abs(i)) for i in range(first, last + 1))
    return replace(tensor_range(low, high), histogram=Histogram(width, first, counts), std=0.1 * high)
