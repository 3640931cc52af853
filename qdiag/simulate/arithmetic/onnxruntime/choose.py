"""Which rule of onnxruntime a layer has under a plan."""

from collections.abc import Mapping

from qdiag.core.graph import Layer
from qdiag.numerics.quantizers.affine import Affine
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.integers import is_byte, is_short
from qdiag.simulate.arithmetic.onnxruntime.elementwise import Product, Sum
from qdiag.simulate.arithmetic.onnxruntime.functions import FUNCTIONS
from qdiag.simulate.arithmetic.onnxruntime.norms import (
    BATCH_NORMS,
    BatchNormalization,
    LayerNormalization,
    RootMeanSquare,
)
from qdiag.simulate.arithmetic.onnxruntime.pooling import ADAPTIVE, WINDOWS, Mean
from qdiag.simulate.arithmetic.onnxruntime.products import ActivationProduct, weighted_sums
from qdiag.simulate.arithmetic.onnxruntime.resize import LinearResize
from qdiag.simulate.arithmetic.onnxruntime.rule import Rule
from qdiag.simulate.arithmetic.onnxruntime.softmax import Softmax
from qdiag.simulate.arithmetic.onnxruntime.tables import ROUNDED_ONCE, Function, Power, Table
from qdiag.simulate.arithmetic.operands import operands_under

RULES: Mapping[str, type[Rule]] = {
    **dict.fromkeys(("matmul", "bmm", "mm"), ActivationProduct),
    **dict.fromkeys(("add", "sub"), Sum),
    **dict.fromkeys(("mul", "div", "square"), Product),
    "pow": Power,
    **dict.fromkeys((*WINDOWS, *ADAPTIVE, "mean"), Mean),
    "upsample_bilinear2d": LinearResize,
    **dict.fromkeys(("softmax", "_softmax"), Softmax),
    "layer_norm": LayerNormalization,
    "rms_norm": RootMeanSquare,
    **dict.fromkeys(BATCH_NORMS, BatchNormalization),
    **dict.fromkeys((*FUNCTIONS, *ROUNDED_ONCE), Table),
}
"""By the operation with which a layer begins."""
BETWEEN_QUANTIZERS: Mapping[str, type[Rule]] = {
    **dict.fromkeys((*FUNCTIONS, "sqrt"), Function),
    "layer_norm": LayerNormalization,
    "rms_norm": RootMeanSquare,
    **dict.fromkeys(BATCH_NORMS, BatchNormalization),
    "upsample_bilinear2d": LinearResize,
}
"""What computes in float where integers have more than 8 bits, and every step of which is known."""
_WITH_WEIGHTS = ("conv", "linear")


def onnxruntime(plan: QuantPlan, layer: Layer) -> Rule | None:
    """How onnxruntime computes a layer; None where it does so in float, in steps that are not known."""
    output = plan.layers[layer.name].output
    if plan.layers[layer.name].skip_reason is not None or not isinstance(output, Affine):
        return None
    operands, first = operands_under(plan, layer), layer.ops[0] if layer.ops else ""
    if layer.kind in _WITH_WEIGHTS:
        return weighted_sums(plan, layer, operands, output) if is_byte(output) else None
    read = (output, *operands.by_node.values())
    if all(map(is_byte, read)):
        rules = RULES
    elif all(map(is_short, read)):
        rules = BETWEEN_QUANTIZERS
    else:
        return None
    rule = rules.get(first)
    return rule(operands, output) if rule is not None else None
