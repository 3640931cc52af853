"""Means over whole images, and pooling over windows."""

from collections.abc import Mapping, Sequence

import numpy as np

from qdiag.exporters.litert.build import TO_LAST, Held, Order
from qdiag.exporters.litert.call import Call, Write
from qdiag.exporters.litert.operators.convolutions import SAME, VALID, bordered, padded, pair
from qdiag.litert.call import same_padding


def _placed(call: Call, axes: Sequence[int], *, keeps: bool) -> tuple[Held, int, Order]:
    """What is reduced, its axes as a tensor of the file, and the order of the result."""
    rank = len(call.shape("self"))
    x = call.held("self")
    order = x.order if rank == 4 else "plain"
    if order == "last" and not keeps and sorted(axes) != [2, 3]:
        order = "plain"
    x = call.build.in_order(x, order)
    places = sorted(TO_LAST.index(axis) if order == "last" else axis for axis in axes)
    return x, call.build.sizes(places), order if keeps else "plain"


def _mean_over(call: Call, axes: Sequence[int], *, keeps: bool) -> Held:
    x, places, behind = _placed(call, axes, keeps=keeps)
    return call.closed("MEAN", [x.place, places], behind, keepDims=keeps)


def _extreme(kind: str) -> Write:
    """The largest or smallest over some axes, at the quantizer of what it is taken from, as the kernels ask."""

    def write(call: Call) -> Held:
        keeps, rank = bool(call.get("keepdim", False)), len(call.shape("self"))
        axes = [int(axis) % rank for axis in call.get("dim") or range(rank)]
        x, places, behind = _placed(call, axes, keeps=keeps)
        shape = call.image(call.shape()) if behind == "last" else call.shape()
        return call.moved(kind, x, [places], shape, behind, keepDims=keeps)

    return write


def _mean(call: Call) -> Held:
    given, rank = call.get("dim"), len(call.shape("self"))
    axes = range(rank) if given is None or given == [] else given
    return _mean_over(call, [int(axis) % rank for axis in axes], keeps=bool(call.get("keepdim", False)))


def _adaptive(call: Call) -> Held:
    if pair(call.get("output_size")) != [1, 1] or len(call.shape("self")) != 4:
        raise call.error("to another size than 1x1 is not written")
    return _mean_over(call, [2, 3], keeps=True)


def _window(call: Call, *, may_reach_beyond: bool = False) -> tuple[list[int], list[int]]:
    kernel, stride = pair(call.get("kernel_size")), call.get("stride")
    steps = pair(stride) if stride not in (None, []) else kernel
    if len(call.shape("self")) != 4 or (call.get("ceil_mode", False) and not may_reach_beyond):
        raise call.error("with these arguments is not written")
    return kernel, steps


def _average(call: Call) -> Held:
    """Values stay at the quantizer of what is pooled, as the kernels ask, and are quantized again where it differs."""
    kernel, stride = _window(call, may_reach_beyond=True)
    x = call.build.in_order(call.held("self"), "last")
    pads, counts = pair(call.get("padding", 0)), bool(call.get("count_include_pad", True))
    if call.get("ceil_mode", False):
        sizes = call.build.shape(x)[1:3]
        same = [same_padding(*numbers)[0] for numbers in zip(sizes, kernel, stride, strict=True)]
        places = [-(-size // step) for size, step in zip(sizes, stride, strict=True)]
        if counts or same != pads or places != list(call.shape()[2:]):
            raise call.error("with a size that is rounded up is not written")
        kind = SAME
    elif any(pads) and counts:
        x, kind = padded(call.build, x, [[0, 0], [pads[0]] * 2, [pads[1]] * 2, [0, 0]], call.name), VALID
    else:
        x, kind = bordered(call.build, x, pads, kernel, stride, [1, 1], call.name)
        if any(pads) and kind == VALID:
            raise call.error("with this border is not written")
    return _pooled(call, "AVERAGE_POOL_2D", x, kind, kernel, stride)


def _largest(call: Call) -> Held | list[Held]:
    kernel, stride = _window(call)
    if pair(call.get("dilation", 1)) != [1, 1]:
        raise call.error("with a dilation is not written")
    x = call.build.in_order(call.held("self"), "last")
    pads = pair(call.get("padding", 0))
    before = len(call.build.operators)
    x, kind = bordered(call.build, x, pads, kernel, stride, [1, 1], call.name)
    if len(call.build.operators) > before:
        x = _lowest_border(call, x)
    out = _pooled(call, "MAX_POOL_2D", x, kind, kernel, stride)
    return [out] if isinstance(call.example, list) else out


def _lowest_border(call: Call, x: Held) -> Held:
    """The border that was just added, of the lowest number in place of 0."""
    made = call.build.operators.pop()
    low = x.quantizer.quant_min if x.quantizer is not None else np.finfo(np.float32).min
    tensor = call.build.tensors[x.place]
    data = np.asarray([low], tensor.dtype)
    fill = call.build.tensor("lowest", (1,), tensor.dtype, data, tensor.quantization)
    call.build.operator("PADV2", [*made.inputs, fill], made.outputs)
    return x


def _pooled(call: Call, kind: str, x: Held, padding: int, kernel: list[int], stride: list[int]) -> Held:
    options = {"padding": padding, "filterHeight": kernel[0], "filterWidth": kernel[1]}
    options |= {"strideH": stride[0], "strideW": stride[1]}
    shape = call.image(_shape_of(call))
    result = call.build.value(call.name, shape, "last", x.quantizer)
    call.build.operator(kind, [x.place], [result.place], **options)
    if call.ending.clamp is not None:
        result = call.clamped(result)
    wanted = call.ending.quantizer
    if wanted is None or result.quantizer is None:
        return result
    return call.build.requantized(result, wanted, f"{call.name}/requantized")


def _shape_of(call: Call) -> tuple[int, ...]:
    example = call.example[0] if isinstance(call.example, list) else call.example
    return tuple(int(size) for size in example.shape)


OPERATORS: Mapping[str, Write] = {
    "mean": _mean,
    "adaptive_avg_pool2d": _adaptive,
    "_adaptive_avg_pool2d": _adaptive,
    "amax": _extreme("REDUCE_MAX"),
    "amin": _extreme("REDUCE_MIN"),
    "avg_pool2d": _average,
    "max_pool2d": _largest,
    "max_pool2d_with_indices": _largest,
}
