"""Functions of one value; of some, kernels ask for integers of one scale."""

from collections.abc import Mapping

import torch
from torch import fx

from qdiag.exporters.litert.build import Held
from qdiag.exporters.litert.call import Call, Write, bounds_of, clamp
from qdiag.exporters.litert.number_types import is_wide
from qdiag.exporters.litert.steps import Steps
from qdiag.numerics.quantizers.affine import Affine


def _fixed(kind: str, steps: int, zero_point: int, **options: object) -> Write:
    """Kernels give integers of this scale alone, or of 2^-15 in 16 bits; those of the plan are made of them."""

    def write(call: Call) -> Held:
        x = call.held("self")
        if call.is_float:
            return call.closed(kind, [x.place], x.order, **options)
        assert call.ending.quantizer is not None
        return call.build.requantized(
            at_fixed_scale(call, x, kind, steps, zero_point, **options), call.ending.quantizer, call.name
        )

    return write


def at_fixed_scale(call: Call, x: Held, kind: str, steps: int, zero_point: int, **options: object) -> Held:
    """What the kernel of integers gives."""
    if is_wide(call.ending.quantizer):
        own = Affine(torch.tensor(2.0**-15), torch.tensor(0.0), -(1 << 15), (1 << 15) - 1)
    else:
        own = Affine(torch.tensor(1.0 / steps), torch.tensor(float(zero_point)), -128, 127)
    result = call.build.value(f"{call.name}/whole", call.build.shape(x), x.order, own)
    call.build.operator(kind, [x.place], [result.place], **options)
    return result


def _softmax(call: Call) -> Held | list[Held]:
    """Over the last axis of the file."""
    x, rank = call.held("self"), len(call.shape())
    axis = int(call.get("dim")) % rank
    if axis != (1 if x.order in ("last", "signal") and rank in (3, 4) else rank - 1):
        if axis != rank - 1:
            raise call.error("over another axis than the last is not written")
        x = call.build.in_order(x, "plain")
    if call.is_float:
        return call.closed("SOFTMAX", [x.place], x.order, beta=1.0)
    assert call.ending.quantizer is not None
    return call.build.requantized(
        at_fixed_scale(call, x, "SOFTMAX", 256, -128, beta=1.0), call.ending.quantizer, call.name
    )


def _silu(call: Call) -> Held:
    """LOGISTIC and MUL, as converters have it."""
    x = call.held("self")
    if call.is_float:
        gate = call.build.value(f"{call.name}/gate", call.build.shape(x), x.order, None)
        call.build.operator("LOGISTIC", [x.place], [gate.place])
    else:
        gate = at_fixed_scale(call, x, "LOGISTIC", 256, -128)
    return call.finished("MUL", [x.place, gate.place], x.order)


def _gelu(call: Call) -> Held:
    x = call.held("self")
    return call.closed("GELU", [x.place], x.order, approximate=str(call.get("approximate", "none")) == "tanh")


def _elu(call: Call) -> Held:
    if call.get("alpha", 1) != 1 or call.get("scale", 1) != 1 or call.get("input_scale", 1) != 1:
        raise call.error("with another slope than 1 is not written")
    x = call.held("self")
    return call.closed("ELU", [x.place], x.order)


def _hard_sigmoid(call: Call) -> Held:
    """In float, as no operator computes it."""
    x = call.build.in_float(call.held("self"))
    steps = Steps(call, x)
    total = steps.two("ADD", x, steps.number(3.0))
    bounded = steps.value(total.order, call.build.shape(total))
    call.build.operator("RELU6", [total.place], [bounded.place])
    return steps.two("MUL", bounded, steps.number(1.0 / 6.0))


def _prelu(call: Call) -> Held:
    """In float, in which the plan has the slopes, but for what a file had in integers."""
    source = call.node.args[1]
    quantizer = call.ending.constants.get(source.name) if isinstance(source, fx.Node) and call.keeps_integers else None
    x = call.held("self") if quantizer is not None else call.build.in_float(call.held("self"))
    slopes = call.build.in_float(call.held("weight"))
    values = call.build.tensors[slopes.place].data
    if values is None or values.size not in (1, call.shape()[1]):
        raise call.error("with slopes that the network computes is not written")
    if x.order == "plain" and len(call.shape()) > 2:
        x = call.build.in_order(x, "last" if len(call.shape()) == 4 else "signal")
        if x.order == "plain":
            raise call.error("of other values than images and vectors is not written")
    shape = (1,) * (len(call.shape()) - 2) + (values.size,)
    if quantizer is not None:
        held = call.build.operand(f"{call.name}/slopes", values.reshape(shape), x.order, quantizer)
        return call.closed("PRELU", [x.place, held.place], x.order)
    alpha = call.build.constant(f"{call.name}/slopes", values.reshape(shape))
    result = call.build.value(f"{call.name}/float", call.build.shape(x), x.order, None)
    call.build.operator("PRELU", [x.place, alpha], [result.place])
    return result


def _clamp(call: Call) -> Held:
    bounds = bounds_of(call.node)
    if bounds is None:
        raise call.error("with bounds that are tensors is not written")
    x = call.held("self")
    return clamp(call.build, x, bounds, call.name, None if call.is_float else call.ending.quantizer)


def _plain(kind: str) -> Write:
    def write(call: Call) -> Held:
        x = call.held("self")
        return call.closed(kind, [x.place], x.order)

    return write


def _leaky(call: Call) -> Held:
    x = call.held("self")
    return call.closed("LEAKY_RELU", [x.place], x.order, alpha=float(call.get("negative_slope", 0.01)))


OPERATORS: Mapping[str, Write] = {
    **dict.fromkeys(("relu", "relu6", "hardtanh", "clamp", "clip", "clamp_min", "clamp_max"), _clamp),
    "silu": _silu,
    "gelu": _gelu,
    "elu": _elu,
    "hardsigmoid": _hard_sigmoid,
    **dict.fromkeys(("prelu", "_prelu_kernel"), _prelu),
    "sigmoid": _fixed("LOGISTIC", 256, -128),
    "tanh": _fixed("TANH", 128, 0),
    "softmax": _softmax,
    "_softmax": _softmax,
    "hardswish": _plain("HARD_SWISH"),
    "leaky_relu": _leaky,
}
