"""A hand-made BatchNorm audit, no network behind it."""

import math

from qdiag.core.measures.bn import (
    BatchNormAudit,
    BatchNormRecord,
    DeadChannel,
    GainOutlier,
    PairedLayer,
    RangeCost,
)
from qdiag.core.measures.measurement import ModelInfo


def bn_audit(*, certainty: str = "certain") -> BatchNormAudit:
    """Four BatchNorms: dead channels that set the range, a live outlier, one without a layer, one not tracked."""
    dead = DeadChannel(1, "zero variance", 4e-35, 4e-32, 2e-35, 0.0, 0.25, 32.0, 64.0, 16.0)
    harmless = DeadChannel(2, "zero variance", 1e-14, 1e-11, 5e-15, 1e-6, 0.0, 999.0, 3e-7, 7.5e-8)
    first = BatchNormRecord(
        index=0, name="blocks.0.dw_bn", call=1, call_count=1, channels=4, eps=1e-3,
        eps_is_assumed=certainty != "certain", is_affine=True, tracks_statistics=True,
        layer=_layer("blocks.0.dw", "depthwise_conv", certainty), bits=8,
        gain=(0.5, 32.0, -999.0, 0.25), variance=(2.0, 4e-35, 1e-14, 2.0), folded_max_abs=(4.0, 64.0, 3e-7, 1.0),
        live_variance_median=2.0, dead=(dead, harmless), range_cost=RangeCost((1,), True, 4.0, 2),
    )  # fmt: skip
    outlier = GainOutlier(0, 12.0, 12.0, 6.0, 3.0)
    second = BatchNormRecord(
        index=1, name="blocks.0.pw_bn", call=1, call_count=1, channels=4, eps=1e-3,
        eps_is_assumed=certainty != "certain", is_affine=True, tracks_statistics=True,
        layer=_layer("blocks.0.pw", "conv", certainty), bits=8,
        gain=(12.0, 1.0, 1.0, 0.5), variance=(1.0, 1.0, 1.0, 4.0), folded_max_abs=(6.0, 2.0, 1.5, 0.0),
        live_variance_median=1.0, outliers=(outlier,), range_cost=RangeCost((0,), False, math.log2(3.0), 3),
    )  # fmt: skip
    third = BatchNormRecord(
        index=2, name="act.bn", call=1, call_count=1, channels=2, eps=1e-5, eps_is_assumed=False, is_affine=False,
        tracks_statistics=True, layer=None, bits=8, gain=(1.0, 2.0), variance=(1.0, 0.25),
        live_variance_median=0.25, notes=("it stays an operation of its own",),
    )  # fmt: skip
    fourth = BatchNormRecord(
        index=3, name="last.bn", call=1, call_count=1, channels=2, eps=1e-5, eps_is_assumed=False, is_affine=True,
        tracks_statistics=False, layer=_layer("last.conv", "conv", certainty), bits=8,
        skip_reason="it keeps no running statistics",
    )  # fmt: skip
    return BatchNormAudit(
        model=ModelInfo("net.pt", "safetensors", "SmallNet", 1234, "0123456789abcdef"),
        route="fx" if certainty == "certain" else "state dict",
        bits=8,
        records=(first, second, third, fourth),
        versions={"qdiag": "0.1.0"},
    )


def _layer(name: str, kind: str, certainty: str) -> PairedLayer:
    return PairedLayer(
        name=name,
        kind=kind,  # type: ignore[arg-type]
        weight_name=f"{name}.weight",
        weight_shape=(4, 1, 3, 3),
        groups=4,
        direction="conv->bn",
        paired_by="graph" if certainty == "certain" else "name and shape",
        certainty=certainty,  # type: ignore[arg-type]
    )
