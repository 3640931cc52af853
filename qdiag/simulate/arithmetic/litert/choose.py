"""Which rule of LiteRT a layer has under a plan."""

from collections.abc import Mapping

from qdiag.capture.ops import SQUARED_DIFFERENCE
from qdiag.core.graph import INPUT, OUTPUT, Layer
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.numerics.quantizers.in_turn import InTurn
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.litert.clamps import clamped_anew
from qdiag.simulate.arithmetic.litert.elementwise import Product, Sum
from qdiag.simulate.arithmetic.litert.functions import FUNCTIONS
from qdiag.simulate.arithmetic.litert.pooling import MEANS, Mean, SumOfMean
from qdiag.simulate.arithmetic.litert.products import ActivationProduct, weighted_sums
from qdiag.simulate.arithmetic.litert.requantized import Concat, KernelsInTurn, Larger
from qdiag.simulate.arithmetic.litert.resize import LinearResize
from qdiag.simulate.arithmetic.litert.rule import LOWEST, Kernels, Rule, is_int16, is_known, is_signed_byte, lowest_of
from qdiag.simulate.arithmetic.litert.softmax import LogSoftmax, Softmax
from qdiag.simulate.arithmetic.litert.stored import Function, Power, Quotient, Slopes, SquaredDifference, Total
from qdiag.simulate.arithmetic.litert.tables import OF_BYTES, TABLES, Table
from qdiag.simulate.arithmetic.operands import Operands, operands_under

RULES: Mapping[str, type[Rule]] = {
    **dict.fromkeys(("add", "sub", "rsub"), Sum),
    **dict.fromkeys(("mul", "div"), Product),
    **dict.fromkeys(("maximum", "minimum"), Larger),
    **dict.fromkeys(MEANS, Mean),
    "sum": SumOfMean,
    **dict.fromkeys(("matmul", "bmm"), ActivationProduct),
    **dict.fromkeys(("softmax", "_softmax"), Softmax),
    **dict.fromkeys(TABLES, Table),
    **dict.fromkeys(("upsample_bilinear2d", "upsample_linear1d"), LinearResize),
    **dict.fromkeys(("cat", "concat", "stack"), Concat),
}
"""By operation."""
STORED_RULES: Mapping[str, type[Rule]] = {
    **dict.fromkeys(FUNCTIONS, Function),
    **dict.fromkeys(("prelu", "_prelu_kernel"), Slopes),
    SQUARED_DIFFERENCE: SquaredDifference,
    "sum": Total,
    "prod": Power,
    **dict.fromkeys(("log_softmax", "_log_softmax"), LogSoftmax),
    "div": Quotient,
}
"""Of operators that a file has in integers, whereas files that are written here have them in float."""
_STORED = (Mean, SumOfMean, LinearResize)
"""Rules in which the integers of the file count, whether they are signed or not."""
_WITH_WEIGHTS = ("conv", "conv_transpose", "linear")


def litert(kernels: Kernels, plan: QuantPlan, layer: Layer) -> Rule | None:
    """How kernels of LiteRT compute a layer; None where no rule is known."""
    own = plan.layers[layer.name]
    output = own.output.before[0] if isinstance(own.output, InTurn) else own.output
    if own.skip_reason is not None or not isinstance(output, Affine) or not is_known(output):
        return None
    operands = operands_under(plan, layer)
    if layer.kind in _WITH_WEIGHTS:
        return weighted_sums(kernels, plan, layer, operands, output)
    name = layer.ops[0] if layer.ops else layer.kind
    if own.is_stored and name in STORED_RULES:
        return _stored(kernels, plan, layer, operands, output)
    rule = RULES.get(name)
    if rule is None or not all(is_known(one) for one in operands.by_node.values()):
        return None
    if (layer.ops[0] if layer.ops else "") in OF_BYTES and any(map(is_int16, (output, *operands.by_node.values()))):
        return None
    if (layer.ops[0] if layer.ops else "") == "exp" and not lowest_of(plan):
        return None
    lowest = lowest_of(plan) if rule in _STORED else LOWEST
    if rule is ActivationProduct and not lowest_of(plan):
        return None
    return rule(kernels, operands, output, lowest)


def _stored(kernels: Kernels, plan: QuantPlan, layer: Layer, operands: Operands, output: Affine) -> Rule | None:
    """The rule of an operator of a file of int8; None for other types, and where it reads something in float."""
    own, name = plan.layers[layer.name], layer.ops[0]
    rule = STORED_RULES[name]
    if rule is Slopes:
        operands = Operands({**operands.by_node, **own.constant_quantizers})
    read = operands.by_node.values()
    if not all(map(is_signed_byte, (output, *(one for one in read if one is not None)))):
        return None
    if rule is Quotient:
        # by a number it is a product; the norm of an L2_NORMALIZATION has no integers
        if len(operands.by_node) == 1:
            return Product(kernels, operands, output)
    elif None in read or (rule is LogSoftmax and not LogSoftmax.has_scale_of(output)):
        return None
    return rule(kernels, operands, output)


def closing_of_litert(kernels: Kernels, plan: QuantPlan, layer: Layer) -> Quantizer | None:
    """The quantizer of its output: where there are several, all but the first round as QUANTIZE does."""
    output = plan.layers[layer.name].output
    clamped = clamped_anew(kernels, plan, layer)
    if clamped is not None:
        return clamped
    return KernelsInTurn.like(output, kernels) if isinstance(output, InTurn) else output


def difference_to_litert(kernels: Kernels, plan: QuantPlan, layer: Layer) -> str | None:
    """Why the integers of a layer may differ; None where they are those of the runtime."""
    own = plan.layers[layer.name]
    if layer.kind in (INPUT, OUTPUT) or own.is_left_out or litert(kernels, plan, layer) is not None:
        return None
    if clamped_anew(kernels, plan, layer) is not None:
        return None
    if own.float_reason is not None:
        return "it computes in float"
    if not isinstance(own.output, Affine):
        return "its output is not in integers"
    if not is_known(own.output):
        return "it has neither 8 bits nor 16 around zero"
    if layer.kind in _WITH_WEIGHTS:
        return "its input, its weight or its bias is not in integers of int8 kernels"
    name = layer.ops[0] if layer.ops else layer.kind
    return f"LiteRT computes {name} of 16 bits in float" if name in OF_BYTES else f"no rule is known for {name}"
