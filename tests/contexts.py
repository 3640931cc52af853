"""Hand-made contexts for detectors: a healthy network of plain numbers, and ways to plant one fault in it."""

import math
from dataclasses import replace
from typing import Any

from qdiag.core.measures.bn import BatchNormAudit, BatchNormRecord, DeadChannel, GainOutlier, PairedLayer
from qdiag.core.measures.facts import BiasFacts, LayerFacts, WeightFacts
from qdiag.core.measures.measurement import CaptureInfo, ModelInfo
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.measures.ranges import PERCENTILES, ChannelRanges, TensorRange
from qdiag.core.measures.records import LossRecord, OpRecord
from qdiag.core.scheme import QuantScheme
from qdiag.detectors import DetectionContext, detect
from tests.measurements import layer, measurement, sums

CHANNELS = 16
SIGNAL_POWER = 1.0


def spread(low: float, high: float, *, bulk: float = 0.7, zeros: float = 0.3) -> TensorRange:
    """A range whose 0.1st and 99.9th percentile reach `bulk` of the way to the extremes."""
    reach = (1.2 * bulk, bulk, 0.4 * bulk)
    percentiles = (*(low * r for r in reach), 0.1 * (low + high), *(high * r for r in reversed(reach)))
    assert len(percentiles) == len(PERCENTILES)
    return TensorRange(10_000, 10_000, 0, low, high, 0.1 * high, high / 6, 4.0, zeros, percentiles)


def affine(low: float, high: float, bits: int = 8) -> QuantizerRecord:
    """The affine quantizer of a range."""
    scale = (high - low) / (2**bits - 1)
    return QuantizerRecord(bits, False, scale, round(-low / scale), 0, 2**bits - 1, low, high)


def symmetric(largest: float, bits: int = 8) -> QuantizerRecord:
    """The symmetric quantizer of a range."""
    top = 2 ** (bits - 1)
    scale = largest / top
    return QuantizerRecord(bits, True, scale, 0, -top, top - 1, -largest, largest)


def losses(**changed: Any) -> LossRecord:
    """The five losses of a healthy layer, some replaced."""
    healthy = LossRecord(sums(48.0), sums(40.0), sums(math.inf), sums(46.0), sums(60.0))
    return replace(healthy, **changed)


def channel_ranges(widths: tuple[float, ...]) -> ChannelRanges:
    """Channels after a ReLU, by their largest value."""
    none = (0.0,) * len(widths)
    return ChannelRanges(1, none, widths, tuple(w / 6 for w in widths), tuple(w / 5 for w in widths), none, none)


def weights(widths: tuple[float, ...], **changed: Any) -> WeightFacts:
    """Weights of a healthy layer with these largest |values| per channel, some fields replaced."""
    healthy = WeightFacts(tuple(-w for w in widths), widths, 4.0, 6.0, 100, 2_000, 36.0, 42.0)
    return replace(healthy, **changed)


def even(count: int = CHANNELS) -> tuple[float, ...]:
    """Widths between 0.5 and 1."""
    return tuple(0.5 + 0.5 * (i % 5) / 4 for i in range(count))


def op(index: int, name: str, kind: str, inputs: tuple[str, ...], *, is_weighted: bool = False) -> OpRecord:
    """A healthy layer: 36 dB alone, a range of 0 to 6 after a ReLU, the step of that range."""
    shape = (CHANNELS, 8, 3, 3) if is_weighted else None
    made = layer(
        *(index, name, (kind,), inputs), kind=kind, local_db=36.0, propagated_db=33.0, weight_shape=shape
    )  # fmt: skip
    local = sums(36.0, SIGNAL_POWER)
    return replace(made, local=local, quantizer=affine(0.0, 6.0), range=spread(0.0, 6.0), losses=losses())


def facts(record: OpRecord, consumers: tuple[str, ...]) -> LayerFacts:
    """Healthy facts of a layer."""
    is_weighted = record.weight is not None
    return LayerFacts(
        layer=record.name,
        policy="compute" if is_weighted else "own",
        clamp=(0.0, math.inf) if is_weighted else None,
        consumers=consumers,
        weight=weights(even()) if is_weighted else None,
        bias=BiasFacts(32, 5e4, (), 0.004) if is_weighted else None,
        channels=channel_ranges(tuple(6.0 * width for width in even())),
        measured_range=record.range,
        mean_shift_fraction=0.2 if is_weighted else math.nan,
    )


def healthy(scheme: QuantScheme | None = None) -> DetectionContext:
    """Nothing to find: stem, body, a gate, a residual add, a concat, a SiLU, a clamp of its own, a head."""
    rows = (
        op(0, "input:x", "input", ()),
        op(1, "stem", "conv", ("input:x",), is_weighted=True),
        op(2, "body", "conv", ("stem",), is_weighted=True),
        op(3, "pool", "pool", ("body",)),
        op(4, "squeeze", "conv", ("pool",), is_weighted=True),
        op(5, "gate", "sigmoid", ("squeeze",)),
        op(6, "scaled", "mul", ("gate", "body")),
        op(7, "sum", "add", ("stem", "scaled")),
        op(8, "relu", "clamp", ("sum",)),
        op(9, "silu", "silu", ("relu",)),
        op(10, "joined", "concat", ("silu", "stem")),
        op(11, "head", "linear", ("joined",), is_weighted=True),
    )
    lobed = replace(rows[9], range=spread(-0.28, 6.0), quantizer=affine(-0.28, 6.0))
    gate = replace(rows[5], range=spread(0.0, 1.0), quantizer=affine(0.0, 1.0))
    records = (*rows[:5], gate, *rows[6:9], lobed, *rows[10:])
    readers = {r.name: tuple(o.name for o in records if r.name in o.inputs) for r in records}
    base = replace(measurement(records), capture=CaptureInfo("export", folded_batchnorms=("stem_bn", "body_bn")))
    if scheme is not None:
        base = replace(base, scheme=scheme)
    return DetectionContext(base, tuple(facts(r, readers[r.name]) for r in records), audit())


def audit(**changed: Any) -> BatchNormAudit:
    """A healthy BatchNorm after `stem` and `body`; `body=record` replaces the second."""
    norms = (norm("stem"), changed.get("body", norm("body")))
    return BatchNormAudit(ModelInfo("net.pt2", "exported_program", "Net", 1000, "0" * 64), "exported program", 8, norms)


def norm(layer_name: str, **changed: Any) -> BatchNormRecord:
    """The BatchNorm that `layer_name` took in."""
    pair = PairedLayer(
        layer_name, "conv", f"{layer_name}.weight", (CHANNELS, 8, 3, 3), 1, "conv->bn", "graph", "certain"
    )
    gain, variance = tuple(1.0 for _ in even()), tuple(1.0 for _ in even())
    made = BatchNormRecord(
        0, f"{layer_name}_bn", 1, 1, CHANNELS, 1e-3, False, True, True, pair, 8, gain, variance, even(), 1.0
    )  # fmt: skip
    return replace(made, **changed)


def dead(channel: int, width: float, over_live: float) -> DeadChannel:
    """A dead channel that folds to this width."""
    return DeadChannel(channel, "zero variance", 4e-35, 4e-32, 4e-35, 0.0, 0.5, 30.0, width, over_live)


def outlier(channel: int, width: float, over_others: float) -> GainOutlier:
    """A live channel with a gain of 40 times the median."""
    return GainOutlier(channel, 40.0, 40.0, width, over_others)


def planted(
    context: DetectionContext,
    name: str,
    record: dict[str, Any] | None = None,
    fact: dict[str, Any] | None = None,
    **whole: Any,
) -> DetectionContext:
    """The context with fields of one layer replaced, and of the whole measurement (`whole`; `batchnorms` too)."""
    norms = whole.pop("batchnorms", context.batchnorms)
    records = tuple(replace(r, **(record or {})) if r.name == name else r for r in context.measurement.records)
    found = tuple(replace(f, **(fact or {})) if f.layer == name else f for f in context.facts)
    return DetectionContext(replace(context.measurement, records=records, **whole), found, norms)


def codes(context: DetectionContext) -> list[str]:
    """What all detectors together say."""
    return [finding.code for finding in detect(context)]
