"""Hand-made results: a MobileNet-like row of layers with planted figures, no network behind them."""

import math
import random
from dataclasses import replace

from qdiag.config import load_preset
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.float_ops import FloatOp
from qdiag.core.measures.measurement import (
    CaptureInfo,
    DataInfo,
    KeptBatchNorm,
    Measurement,
    ModelInfo,
    OutputRecord,
    SkippedRoute,
    StageTime,
)
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.measures.ranges import PERCENTILES, ChannelRanges, Histogram, TensorRange
from qdiag.core.measures.records import LossRecord, OpRecord, WeightRecord
from qdiag.core.measures.size import NetworkBytes, NetworkSize
from qdiag.core.measures.task import Interval, PairedCounts
from qdiag.core.measures.value_ranges.range_record import RangeRecord
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from tests.figures import classified, metric, with_metrics

COUNT = 10_000


def sums(sqnr_db: float, signal_power: float = 1.0, bias_fraction: float = 0.1) -> ErrorSums:
    """Sums that come to this SQNR at this signal power."""
    signal = signal_power * COUNT
    if math.isinf(sqnr_db):
        signal, noise = (signal, 0.0) if sqnr_db > 0 else (0.0, float(COUNT))
    else:
        noise = signal / 10 ** (sqnr_db / 10)
    mean = math.sqrt(noise / COUNT * bias_fraction)
    return ErrorSums(
        COUNT, signal, noise, signal - noise / 2 if signal else 0.0, mean * COUNT, 5 * math.sqrt(noise / COUNT)
    )


def quantizer(expected_db: float, signal_power: float = 1.0) -> QuantizerRecord:
    """An affine uint8 quantizer whose rounding alone gives this SQNR."""
    scale = math.sqrt(12 * signal_power / 10 ** (expected_db / 10))
    return QuantizerRecord(8, False, scale, 0, 0, 255, 0.0, 255 * scale)


def tensor_range(low: float, high: float) -> TensorRange:
    fractions = (0.0, 0.02, 0.1, 0.5, 0.9, 0.98, 1.0)
    return TensorRange(
        count=COUNT,
        sampled_count=COUNT // 8,
        nonfinite_count=0,
        min=low,
        max=high,
        mean=(low + high) / 2,
        std=(high - low) / 6,
        kurtosis=3.0,
        zero_fraction=0.25,
        percentiles=tuple(low + (high - low) * fractions[i] for i in range(len(PERCENTILES))),
        histogram=Histogram(0.5, 0, (3, 5, 2)),
    )


def layer(
    index: int,
    name: str,
    ops: tuple[str, ...],
    inputs: tuple[str, ...],
    *,
    local_db: float,
    propagated_db: float,
    expected_db: float = 45.0,
    kind: str = "conv",
    shape: tuple[int, ...] = (16, 14, 14),
    weight_shape: tuple[int, ...] | None = None,
    weight_db: float = 38.0,
    clipped_count: int = 0,
    with_losses: bool = False,
) -> OpRecord:
    """One record; a weight when `weight_shape` is given."""
    weight = None
    if weight_shape is not None:
        weight = WeightRecord(
            f"{name}.weight",
            weight_shape,
            8,
            "per_tensor",
            sums(41.0),
            -1.0,
            1.0,
            weight_db,
            weight_db - 9,
            QuantizerRecord(8, True, 1.0 / 127.0, 0, -127, 127, -1.0, 1.0),
        )
    losses = LossRecord(sums(48.0), sums(30.0), sums(math.inf), sums(46.0), sums(60.0)) if with_losses else None
    is_depthwise = kind == "conv" and weight_shape is not None and weight_shape[1] == 1
    return OpRecord(
        index=index,
        name=name,
        kind="depthwise_conv" if is_depthwise else kind,
        module_path=name,
        ops=ops,
        inputs=inputs,
        output_shape=shape,
        local=sums(local_db),
        propagated=sums(propagated_db),
        quantizer=quantizer(expected_db),
        weight=weight,
        clipped_count=clipped_count,
        range=tensor_range(0.0, 6.0),
        losses=losses,
    )


def small_records(with_losses: bool = False) -> tuple[OpRecord, ...]:
    """Nine layers: the third is the planted fault, the softmax stays in float."""
    conv, dw = ("conv2d", "batch_norm", "relu6"), ("conv2d", "batch_norm", "relu6")
    more = {"with_losses": with_losses}
    rows = (
        layer(0, "input:x", (), (), kind="input", shape=(3, 28, 28), local_db=48.2, propagated_db=48.2),
        layer(
            1, "stem.conv", conv, ("input:x",), weight_shape=(16, 3, 3, 3), local_db=36.1, propagated_db=35.9, **more
        ),
        layer(
            *(2, "blocks.0.dw", dw, ("stem.conv",)),
            **{"weight_shape": (16, 1, 3, 3), "weight_db": 11.2, "local_db": 4.1, "propagated_db": 3.9, **more},
        ),
        layer(
            *(3, "blocks.0.pw", ("conv2d", "batch_norm"), ("blocks.0.dw",)),
            **{"weight_shape": (32, 16, 1, 1), "local_db": 31.0, "propagated_db": 3.2, "clipped_count": 37, **more},
        ),
        layer(
            *(4, "blocks.1.dw", dw, ("blocks.0.pw",)),
            **{"weight_shape": (32, 1, 3, 3), "shape": (32, 14, 14), "local_db": 33.0, "propagated_db": 4.4, **more},
        ),
        layer(
            *(5, "blocks.1.add", ("add",), ("blocks.0.pw", "blocks.1.dw")),
            **{"kind": "add", "shape": (32, 14, 14), "local_db": 40.5, "propagated_db": 3.6},
        ),
        layer(6, "pool", ("mean",), ("blocks.1.add",), kind="pool", shape=(32,), local_db=42.0, propagated_db=8.0),
        layer(
            *(7, "head", ("linear",), ("pool",)),
            **{
                "kind": "linear",
                "weight_shape": (10, 32),
                "shape": (10,),
                "local_db": 34.0,
                "propagated_db": 6.0,
                **more,
            },
        ),
    )
    softmax = replace(
        layer(8, "softmax", ("softmax",), ("head",), kind="softmax", shape=(10,), local_db=math.inf, propagated_db=5.5),
        quantizer=None,
        skip_reason="left in float by float_layers",
    )
    return (*rows, softmax)


def many_records(count: int, seed: int = 0) -> tuple[OpRecord, ...]:
    """A deep network: depthwise and pointwise layers in turn, the noise adding up, one weak layer, one in float."""
    random_ = random.Random(seed)
    records: list[OpRecord] = []
    noise = 10**-4.8
    for index in range(count):
        kind = "dw" if index % 2 else "pw"
        local = random_.gauss(35.0, 3.0) if index != count // 3 else 7.5
        noise = noise * random_.uniform(0.6, 1.1) + 10 ** (-local / 10)
        records.append(
            layer(
                *(index, f"backbone.features.{index // 2}.block.{kind}", ("conv2d", "batch_norm", "relu6")),
                (records[-1].name,) if records else ("input:x",),
                local_db=local,
                propagated_db=-10 * math.log10(noise),
                expected_db=random_.gauss(43.0, 2.0),
                weight_shape=(64, 1, 3, 3) if kind == "dw" else (64, 64, 1, 1),
                shape=(64, 14, 14),
            )
        )
    middle = count // 2
    records[middle] = replace(
        records[middle], quantizer=None, weight=None, local=sums(math.inf), skip_reason="unknown operation"
    )
    return tuple(records)


def measurement(
    records: tuple[OpRecord, ...] | None = None, *, is_data_free: bool = False, is_labelled: bool = True
) -> Measurement:
    """A complete result around `records`."""
    records = records or small_records()
    task = classified(500, 61)
    if is_labelled:
        task = classified(500, 61, PairedCounts(38, 344, 7, 111), PairedCounts(110, 363, 13, 14))
    return Measurement(
        model=ModelInfo(
            "net.safetensors", "safetensors", "zoo:mobilenet_v1?width=0.75", 2_585_560, "3fa1c4" + "0" * 58
        ),
        data=DataInfo(
            source="synthesized from BatchNorm statistics" if is_data_free else "photos/",
            calibration_source="synthesized from BatchNorm statistics" if is_data_free else "photos/",
            calibration_count=100,
            measured_count=500,
            split="drawn apart, seeds 0 and 1" if is_data_free else "the folder's own calib/eval split",
            is_data_free=is_data_free,
            is_labelled=is_labelled,
            preprocessing="crop 224, RGB, x / 127.5 - 1",
            batch_size=32,
            seed=0,
            digest="ab" * 32,
        ),
        scheme=load_preset("tf-uint8"),
        capture=CaptureInfo(
            "export",
            (SkippedRoute("exported_program", "the file holds a state dict"),),
            ("stem.bn", "blocks.0.bn"),
            (KeptBatchNorm("head.bn", "its input feeds two layers"),),
            fold_max_abs_delta=3.1e-6,
            fold_relative_delta=2.2e-7,
        ),
        records=records,
        outputs=(OutputRecord("output", (10,), records[-1].propagated),),
        task=task,
        float_ops=(FloatOp("softmax", "softmax", "left in float by float_layers"),),
        notes=("0.3 % of the measured inputs lie outside the calibrated range",),
        stages=(StageTime("capture", 1.5), StageTime("calibrate", 4.25), StageTime("simulate", 12.0)),
        versions={"qdiag": "0.1.0", "torch": "2.13.0"},
        size=NetworkSize(NetworkBytes(10_342_240, 0, 4_816_896), NetworkBytes(2_612_000, 345, 1_204_224)),
    )


def awkward_measurement() -> Measurement:
    """Infinite and undefined figures in every place where they can occur."""
    first, *rest = small_records(with_losses=True)
    empty = replace(first, local=ErrorSums(), propagated=ErrorSums(simulated_nonfinite_count=7), range=None)
    dead = replace(rest[1], local=sums(-math.inf), propagated=sums(-math.inf))
    exact = replace(rest[2], local=sums(math.inf), propagated=replace(sums(12.0), simulated_nonfinite_count=3))
    nan_range = replace(rest[3], range=replace(tensor_range(-1.0, 1.0), kurtosis=math.nan, max=math.inf))
    records = (empty, rest[0], dead, exact, nan_range, *rest[4:])
    base = measurement(records)
    f1 = metric("f1", 0.91, 0.34, Interval(0.51, 0.63))
    distance = metric("edit distance", 3.0, math.inf, higher_is_better=False)
    return replace(base, task=with_metrics(base.task, f1, distance))


def range_report() -> RangeReport:
    """Ranges of the layers of `small_records`, weights before activations."""
    base = measurement()
    records: list[RangeRecord] = []
    for record in base.records:
        if record.weight is not None:
            wide = 30.0 if record.name == "blocks.0.dw" else 1.0
            channels = ChannelRanges(
                0, (-0.1, -wide), (0.1, wide), (0.0, 0.0), (0.05, wide / 3), (3.0, 3.0), (0.0, 0.0), ()
            )
            records.append(RangeRecord(record.name, "weight", tensor_range(-wide, wide), channels))
        records.append(RangeRecord(record.name, "activation", tensor_range(0.0, 6.0 + record.index)))
    return RangeReport(
        base.model, base.data, base.capture, tuple(records), dict(base.versions), base.stages, base.size, "int8"
    )
