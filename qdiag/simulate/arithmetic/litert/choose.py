"""Which rule of LiteRT a layer has under a plan."""

from collections.abc import Mapping

from qdiag.core.graph import INPUT, OUTPUT, Layer
from qdiag.numerics.quantizers.affine import Affine
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.integers import is_byte
from qdiag.simulate.arithmetic.litert.elementwise import Product, Sum
from qdiag.simulate.arithmetic.litert.pooling import MEANS, Mean
from qdiag.simulate.arithmetic.litert.products import weighted_sums
from qdiag.simulate.arithmetic.litert.rule import Kernels, Rule
from qdiag.simulate.arithmetic.operands import operands_under

RULES: Mapping[str, type[Rule]] = {"add": Sum, "sub": Sum, "mul": Product, **dict.fromkeys(MEANS, Mean)}
"""By operation."""
_WITH_WEIGHTS = ("conv", "linear")


def litert(kernels: Kernels, plan: QuantPlan, layer: Layer) -> Rule | None:
    """How kernels of LiteRT compute a layer; None where no rule is known."""
    own = plan.layers[layer.name]
    output = own.output
    if own.skip_reason is not None or not isinstance(output, Affine) or not is_byte(output):
        return None
    operands = operands_under(plan, layer)
    if layer.kind in _WITH_WEIGHTS:
        return weighted_sums(kernels, plan, layer, operands, output)
    rule = RULES.get(layer.ops[0] if layer.ops else layer.kind)
    return rule(kernels, operands, output) if rule is not None else None


def difference_to_litert(kernels: Kernels, plan: QuantPlan, layer: Layer) -> str | None:
    """Why the integers of a layer may differ; None where they are those of the runtime."""
    own = plan.layers[layer.name]
    if layer.kind in (INPUT, OUTPUT) or own.is_left_out or litert(kernels, plan, layer) is not None:
        return None
    if layer.kind == "concat" and _has_one_quantizer(plan, layer):
        return None
    if own.float_reason is not None:
        return "it computes in float"
    if not isinstance(own.output, Affine):
        return "its output is not in integers"
    if not is_byte(own.output):
        return "it has more than 8 bits, and the rules are those of int8"
    if layer.kind in _WITH_WEIGHTS:
        return "its input, its weight or its bias is not in integers of int8 kernels"
    return f"no rule is known for {layer.ops[0] if layer.ops else layer.kind}"


def _has_one_quantizer(plan: QuantPlan, layer: Layer) -> bool:
    """What is joined is at the scale of the whole, as kernels ask."""
    output = plan.layers[layer.name].output
    sources = [plan.layers[name].output for name in layer.inputs]
    return output is not None and all(one is not None and one.key == output.key for one in sources)
