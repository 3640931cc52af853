"""Functions of one value; of some, kernels ask for integers of one scale."""

from collections.abc import Mapping

import torch

from qdiag.exporters.litert.build import Held
from qdiag.exporters.litert.call import Call, Write, bounds_of, clamp
from qdiag.numerics.quantizers.affine import Affine


def _fixed(kind: str, steps: int, zero_point: int, **options: object) -> Write:
    """Kernels give integers of this scale alone; those of the plan are made of them."""

    def write(call: Call) -> Held:
        x = call.held("self")
        if call.is_float:
            return call.closed(kind, [x.place], x.order, **options)
        own = Affine(torch.tensor(1.0 / steps), torch.tensor(float(zero_point)), -128, 127)
        result = call.build.value(f"{call.name}/whole", call.build.shape(x), x.order, own)
        call.build.operator(kind, [x.place], [result.place], **options)
        assert call.ending.quantizer is not None
        return call.build.requantized(result, call.ending.quantizer, call.name)

    return write


def _softmax(call: Call) -> Held | list[Held]:
    """Over the last axis."""
    if int(call.get("dim")) % len(call.shape()) != len(call.shape()) - 1:
        raise call.error("over another axis than the last is not written")
    return _fixed("SOFTMAX", 256, -128, beta=1.0)(call)


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
    **dict.fromkeys(("relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max"), _clamp),
    "sigmoid": _fixed("LOGISTIC", 256, -128),
    "tanh": _fixed("TANH", 128, 0),
    "softmax": _softmax,
    "_softmax": _softmax,
    "hardswish": _plain("HARD_SWISH"),
    "leaky_relu": _leaky,
}
