"""Which arithmetic a layer has under a plan."""

from collections.abc import Callable, Mapping
from functools import partial

from torch import fx

from qdiag.core.graph import Layer
from qdiag.core.scheme import RuntimeName
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import AddsPairs, Arithmetic
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED
from qdiag.simulate.arithmetic.litert.arguments import made_by_rule, unknown_arguments
from qdiag.simulate.arithmetic.litert.choose import closing_of_litert, difference_to_litert, litert
from qdiag.simulate.arithmetic.onnxruntime.arguments import difference_by_arguments
from qdiag.simulate.arithmetic.onnxruntime.choose import onnxruntime
from qdiag.simulate.arithmetic.onnxruntime.differences import difference_to_onnxruntime
from qdiag.simulate.arithmetic.pytorch.choose import difference_to_engine, of_engine
from qdiag.simulate.arithmetic.rounded_operands import rounded_operands
from qdiag.simulate.arithmetic.saturating import WIDE, saturating
from qdiag.simulate.arithmetic.shift_batchnorm import shift_batchnorm

Choose = Callable[[QuantPlan, Layer], Arithmetic | None]
"""Gives its arithmetic where scheme and layer ask for it."""

Difference = Callable[[QuantPlan, Layer], str | None]
"""Says why the integers of a layer may differ from those of the runtime; None where they are the same."""

RUNTIMES: Mapping[RuntimeName, tuple[Choose, Difference]] = {
    "ort": (onnxruntime, difference_to_onnxruntime),
    "tflite-ref": (partial(litert, "tflite-ref"), partial(difference_to_litert, "tflite-ref")),
    "tflite": (partial(litert, "tflite"), partial(difference_to_litert, "tflite")),
    "xnnpack": (partial(litert, "xnnpack"), partial(difference_to_litert, "xnnpack")),
    "fbgemm": (partial(of_engine, "fbgemm"), partial(difference_to_engine, "fbgemm")),
    "qnnpack": (partial(of_engine, "qnnpack"), partial(difference_to_engine, "qnnpack")),
}
"""The rules of a runtime, by the name that schemes have for it."""
ARGUMENTS: Mapping[RuntimeName, Callable[[Arithmetic, fx.Node], str | None]] = {
    "ort": lambda _, node: difference_by_arguments(node),
    **dict.fromkeys(("tflite-ref", "tflite", "xnnpack"), unknown_arguments),
}
"""Says why integers may differ for the arguments of a node, although there is a rule for its operation."""
CLOSINGS: Mapping[RuntimeName, Callable[[QuantPlan, Layer], Quantizer | None]] = {
    "tflite-ref": partial(closing_of_litert, "tflite-ref"),
    "tflite": partial(closing_of_litert, "tflite"),
    "xnnpack": partial(closing_of_litert, "xnnpack"),
}
"""How a runtime quantizes an output more than once, where that is not rounding to the nearest."""
ARITHMETICS: tuple[Choose, ...] = (
    saturating,
    rounded_operands,
    shift_batchnorm,
)
"""What no runtime's rules are needed for; the first one that gives something is taken."""


def arithmetic_of(plan: QuantPlan | None, layer: Layer) -> Arithmetic:
    """How a layer computes under a plan; None stands for the float network."""
    if plan is None:
        return FAKE_QUANTIZED
    choose, _ = RUNTIMES.get(plan.scheme.arithmetic, (in_real_numbers, None))
    return choose(plan, layer) or in_real_numbers(plan, layer)


def adds_narrowly(plan: QuantPlan, layer: Layer) -> bool:
    """The layer's sums have a narrow accumulator, or pairs in int16 that the scheme asks for."""
    if plan.scheme.pair_saturation and adds_pairs_in_int16(plan, layer):
        return True
    return int(getattr(arithmetic_of(plan, layer), "accumulator_bits", WIDE)) < WIDE


def adds_pairs_in_int16(plan: QuantPlan, layer: Layer) -> bool:
    """The products of the layer are added in pairs of int16: the scheme asks for it, or its kernel always does."""
    arithmetic = arithmetic_of(plan, layer)
    return isinstance(arithmetic, AddsPairs) and arithmetic.may_lose_pairs


def closing_quantizer(plan: QuantPlan, layer: Layer) -> Quantizer | None:
    """The quantizer of a layer's output, as the runtime whose rules the plan asks for rounds where it has several."""
    close = CLOSINGS.get(plan.scheme.arithmetic)
    return close(plan, layer) if close is not None else plan.layers[layer.name].output


def difference_to_runtime(plan: QuantPlan, layer: Layer, first: fx.Node | None = None) -> str | None:
    """Why a layer may come to other integers in the runtime whose rules the plan asks for; None without any.

    Args:
        first: the node with which the layer begins; None looks at no arguments.
    """
    runtime = plan.scheme.arithmetic
    if runtime not in RUNTIMES:
        return None
    choose, difference = RUNTIMES[runtime]
    found, by_arguments = difference(plan, layer), ARGUMENTS.get(runtime)
    if found is not None or first is None or by_arguments is None:
        return found
    rule = choose(plan, layer)
    return by_arguments(rule, first) if rule is not None else None


def read_by_rule(plan: QuantPlan, layer: Layer, first: fx.Node) -> tuple[str, ...]:
    """The layers whose values a layer reads, without those that its rule makes itself.

    Args:
        first: the node with which the layer begins.
    """
    made = made_by_rule(arithmetic_of(plan, layer), first)
    if made is None:
        return layer.inputs
    return tuple(name for node, sources in layer.reads if node != made.name for name in sources)


def in_real_numbers(plan: QuantPlan | None, layer: Layer) -> Arithmetic:
    """The same whatever the runtime: what the scheme asks of sums and operands, without the rounding of integers."""
    chosen = (choose(plan, layer) for choose in ARITHMETICS) if plan is not None else ()
    return next((found for found in chosen if found is not None), FAKE_QUANTIZED)
