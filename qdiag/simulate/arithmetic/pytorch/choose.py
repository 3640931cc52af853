"""Which rule of torch's engines a layer has under a plan, and where integers may differ."""

from collections.abc import Mapping
from typing import Literal

from qdiag.core.graph import INPUT, OUTPUT, Layer
from qdiag.numerics.quantizers.affine import Affine
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.integers import is_byte
from qdiag.simulate.arithmetic.operands import operands_under
from qdiag.simulate.arithmetic.pytorch.elementwise import Product, Sum
from qdiag.simulate.arithmetic.pytorch.fbgemm import FbgemmSums
from qdiag.simulate.arithmetic.pytorch.functions import FUNCTIONS, Function
from qdiag.simulate.arithmetic.pytorch.joining import Concat
from qdiag.simulate.arithmetic.pytorch.pooling import MEANS, Mean
from qdiag.simulate.arithmetic.pytorch.products import WeightedSums, weighted_sums
from qdiag.simulate.arithmetic.pytorch.qnnpack import QnnpackHardswish, QnnpackMean, QnnpackSum, QnnpackSums
from qdiag.simulate.arithmetic.pytorch.resize import LinearResize
from qdiag.simulate.arithmetic.pytorch.rule import Rule

Engine = Literal["fbgemm", "qnnpack"]

_BOTH: Mapping[str, type[Rule]] = {
    "add": Sum,
    "mul": Product,
    "cat": Concat,
    "concat": Concat,
    "upsample_bilinear2d": LinearResize,
    **dict.fromkeys(MEANS, Mean),
    **dict.fromkeys(FUNCTIONS, Function),
}
RULES: Mapping[Engine, Mapping[str, type[Rule]]] = {
    "fbgemm": _BOTH,
    "qnnpack": {
        **_BOTH,
        "add": QnnpackSum,
        "hardswish": QnnpackHardswish,
        **dict.fromkeys(MEANS, QnnpackMean),
    },
}
"""By the operation with which a layer begins."""
_SUMS: Mapping[Engine, type[WeightedSums]] = {"fbgemm": FbgemmSums, "qnnpack": QnnpackSums}
_WITH_WEIGHTS = ("conv", "conv_transpose", "linear")


def of_engine(engine: Engine, plan: QuantPlan, layer: Layer) -> Rule | None:
    """How an engine of torch computes a layer; None where torch does so in float."""
    output = plan.layers[layer.name].output
    if plan.layers[layer.name].skip_reason is not None or not isinstance(output, Affine) or not is_byte(output):
        return None
    operands = operands_under(plan, layer)
    if layer.kind in _WITH_WEIGHTS:
        return weighted_sums(_SUMS[engine], plan, layer, operands, output)
    rule = RULES[engine].get(layer.ops[0]) if layer.ops else None
    return rule(operands, output) if rule is not None and all(map(is_byte, operands.by_node.values())) else None


def difference_to_engine(engine: Engine, plan: QuantPlan, layer: Layer) -> str | None:
    """Why the integers of a layer may differ; None where they are those of torch."""
    own = plan.layers[layer.name]
    if layer.kind in (INPUT, OUTPUT) or own.is_left_out:
        return None
    rule = of_engine(engine, plan, layer)
    if rule is not None:
        return _of_rule(engine, layer, rule)
    if own.float_reason is not None:
        return "it computes in float"
    if not isinstance(own.output, Affine):
        return "its output is not in integers"
    if not is_byte(own.output):
        return "no integer kernel takes more than 8 bits"
    if layer.kind in _WITH_WEIGHTS:
        return "its input or its weight is not in integers with one scale, or one for each channel"
    return None


def _of_rule(engine: Engine, layer: Layer, rule: Rule) -> str | None:
    """Why torch itself does otherwise than the rule says."""
    if isinstance(rule, WeightedSums):
        if engine == "fbgemm" and layer.kind == "conv_transpose" and rule.weight.scale.ndim:
            return "torch refuses a transposed convolution with one scale per channel"
        if engine == "qnnpack" and bool((rule.multiplier(layer) <= 0.0).any()):
            return "torch refuses weights so small that their scale is 0 in float32"
        if layer.ops[0] == "conv3d" and rule.is_depthwise and engine == "fbgemm":
            return "sums of a depthwise convolution in three dimensions saturate in an order that is not followed"
        return None
    if isinstance(rule, Sum | Product) and len(layer.reads) == 1:
        return "torch changes scale and zero point where a number is added or multiplied with, and rounds nothing"
    return None
