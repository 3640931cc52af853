"""The layers of the hand-made diagnoses: records of a MobileNet-like network and the facts beside them."""

import math
import random
from dataclasses import replace

from qdiag.core.measures.facts import BiasFacts, LayerFacts, WeightFacts
from qdiag.core.measures.ranges import PERCENTILES, ChannelRanges, Histogram, TensorRange
from qdiag.core.measures.records import OpRecord
from tests.diagnosis_parts import CHANNELS, DEAD
from tests.measurements import layer


def mobile_records(*, harmed: bool) -> tuple[OpRecord, ...]:
    """Input, stem, 13 blocks of depthwise and pointwise, pool, head, and a softmax in float: 31 layers."""
    random_, ops = random.Random(7), ("conv2d", "batch_norm", "relu6")
    weak = {"blocks.0.dw": 4.1, "blocks.1.dw": 6.2, "blocks.2.dw": 7.4, "blocks.5.dw": 18.0, "blocks.10.dw": 14.5}
    weak |= {"blocks.11.dw": 17.4, "blocks.12.dw": 12.8}
    rows = [layer(0, "input:x", (), (), kind="input", shape=(3, 224, 224), local_db=48.2, propagated_db=48.2)]
    names = ["stem.conv", *(f"blocks.{block}.{part}" for block in range(13) for part in ("dw", "pw"))]
    noise = 10**-4.82
    for index, name in enumerate(names, start=1):
        local = random_.gauss(34.0, 2.0)
        local = weak.get(name, local) if harmed else local
        noise = noise * random_.uniform(0.7, 1.0) + 10 ** (-local / 10)
        shape = (
            (CHANNELS, 3, 3, 3) if index == 1 else (CHANNELS, *((1, 3, 3) if name.endswith("dw") else (CHANNELS, 1, 1)))
        )
        rows.append(
            layer(
                *(index, name, ops, (rows[-1].name,)),
                **{"weight_shape": shape, "shape": (CHANNELS, 14, 14), "with_losses": True},
                **{"local_db": local, "propagated_db": -10 * math.log10(noise), "weight_db": min(38.0, local + 6)},
                clipped_count=37 if name == "blocks.12.pw" else 0,
            )
        )  # fmt: skip
    end = 1.1 if harmed else 17.8
    pool = layer(
        28, "pool", ("mean",), ("blocks.12.pw",), kind="pool", shape=(CHANNELS,), local_db=42.0, propagated_db=end + 1
    )
    head = layer(
        29,
        "head",
        ("linear",),
        ("pool",),
        kind="linear",
        weight_shape=(10, CHANNELS),
        shape=(10,),
        local_db=34.0,
        propagated_db=end,
    )
    softmax = layer(
        30, "softmax", ("softmax",), ("head",), kind="softmax", shape=(10,), local_db=math.inf, propagated_db=end
    )
    softmax = replace(softmax, quantizer=None, skip_reason="left in float by float_layers")
    records = (*rows, pool, head, softmax)
    return tuple(replace(record, range=_activation_range(record.index)) for record in records)


def _activation_range(seed: int) -> TensorRange:
    """After a ReLU6: a quarter zeros, the rest falling off, up to 6."""
    counts = tuple(round(4000 * math.exp(-i / (3 + seed % 5))) + 1 for i in range(24))
    points = (0.0, 0.0, 0.0, 0.7, 3.9, 5.4, 5.9)
    assert len(points) == len(PERCENTILES)
    total = sum(counts)
    return TensorRange(8 * total, total, 0, 0.0, 6.0, 0.9, 1.1, 6.2, 0.25, points, Histogram(0.25, 0, counts))


def layer_facts(record: OpRecord) -> LayerFacts:
    """Weights by channel (dead channels wide where the record says harmed), bias, activation ranges by channel."""
    random_ = random.Random(record.index)
    weight = bias = None
    if record.weight is not None:
        count = record.weight.shape[0]
        dead = DEAD.get(record.name, ()) if record.weight.channel_sqnr_db_median < 30.0 else ()
        highs = tuple(60.0 + channel if channel in dead else random_.uniform(0.4, 1.5) for channel in range(count))
        lows = tuple(-high * random_.uniform(0.6, 1.0) for high in highs)
        outliers = len(dead) or 1
        weight = WeightFacts(lows, highs, 3.0 + 9 * len(dead), 4.2, outliers, math.prod(record.weight.shape),
                             record.weight.channel_sqnr_db_median, 41.5)  # fmt: skip
        bias = BiasFacts(32, 5200.0 / (1 + len(dead)), (), 0.004 * (1 + len(dead)))
    count = record.output_shape[0]
    highs = tuple(random_.uniform(1.5, 6.0) for _ in range(count))
    fractions = (0.0, 0.0, 0.0, 0.1, 0.6, 0.9, 1.0)
    channels = ChannelRanges(
        *(0, (0.0,) * count, highs, tuple(h / 6 for h in highs), tuple(h / 5 for h in highs)),
        *((5.0,) * count, (0.25,) * count, tuple(tuple(fraction * h for h in highs) for fraction in fractions)),
    )  # fmt: skip
    is_block = "conv2d" in record.ops
    return LayerFacts(
        layer=record.name,
        policy="weighted" if record.weight else "other",
        clamp=(0.0, 6.0) if is_block else None,
        groups=CHANNELS if record.kind == "depthwise_conv" else 1,
        mac_count=math.prod(record.weight.shape[1:]) * math.prod(record.output_shape) if record.weight else 0,
        weight=weight,
        bias=bias,
        channels=channels,
        measured_range=record.range and replace(record.range, max=record.range.max * 1.02),
        mean_shift_fraction=0.12 if record.weight else math.nan,
        saturated_at_bound_fraction=0.003 if is_block else math.nan,
    )
