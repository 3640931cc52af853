"""Where onnxruntime may come to other integers than the simulation, and why."""

from qdiag.core.graph import INPUT, OUTPUT, Layer
from qdiag.numerics.quantizers.affine import Affine
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.integers import is_byte
from qdiag.simulate.arithmetic.onnxruntime.choose import onnxruntime

_SAME_IN_FLOAT = frozenset(
    (
        *("add", "sub", "rsub", "mul", "div", "neg", "abs", "maximum", "minimum", "square", "concat", "clamp", "sign"),
        *("leaky_relu", "prelu", "_prelu_kernel", "threshold", "hardshrink", "softshrink", "reciprocal"),
        "running_sum",
    )
)
"""One operation of float32 for each value, or none, or sums in a known order: every processor rounds it alike."""


def difference_to_onnxruntime(plan: QuantPlan, layer: Layer) -> str | None:
    """Why the integers of a layer may differ; None where they are those of onnxruntime."""
    own = plan.layers[layer.name]
    if layer.kind in (INPUT, OUTPUT) or own.is_left_out or onnxruntime(plan, layer) is not None:
        return None
    if layer.kind in _SAME_IN_FLOAT:
        return None
    if own.float_reason is not None:
        return "it computes in float"
    if not isinstance(own.output, Affine):
        return "its output is not in integers"
    if not is_byte(own.output):
        return "no integer kernel takes more than 8 bits"
    if layer.kind in ("conv", "linear"):
        return _of_weights(plan, layer)
    return f"{layer.ops[0]} computes in float"


def _of_weights(plan: QuantPlan, layer: Layer) -> str:
    weight = plan.layers[layer.name].weight
    if isinstance(weight, Affine) and weight.granularity == "per_group":
        return "no integer kernel takes one scale per group of weights"
    operands = plan.integer_operands(layer)
    if operands is None:
        return "its input or its weight is not in integers"
    return "no integer kernel takes more than 8 bits"
