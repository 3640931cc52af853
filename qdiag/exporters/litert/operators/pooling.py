"""Means over whole images, and pooling over windows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from qdiag.exporters.litert.build import Held, Order
from qdiag.exporters.litert.call import Call, Write, number_quantizer
from qdiag.exporters.litert.operators.convolutions import ORDERS, SAME, VALID, bordered, over_axes, padded, pair
from qdiag.litert.call import same_padding


def _placed(call: Call, axes: Sequence[int], *, keeps: bool) -> tuple[Held, int, Order]:
    """What is reduced, its axes as a tensor of the file, and the order of the result."""
    rank = len(call.shape("self"))
    x = call.held("self")
    order = x.order if rank == 4 or x.order == "signal" else "plain"
    if not keeps and sorted(axes) != list(range(2, rank)):
        order = "plain"
    x = call.build.in_order(x, order)
    places = sorted(call.axis(axis, x) for axis in axes)
    # without its axes, a signal is one without its row as well
    places = [1, *places] if order == "signal" and not keeps else places
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
        return call.moved(kind, x, [places], call.in_file(call.shape(), behind), behind, keepDims=keeps)

    return write


def _mean(call: Call) -> Held:
    return _mean_over(call, _axes(call), keeps=bool(call.get("keepdim", False)))


def _axes(call: Call) -> list[int]:
    given, rank = call.get("dim"), len(call.shape("self"))
    return [int(axis) % rank for axis in (range(rank) if given is None or given == [] else given)]


def _sum(call: Call) -> Held:
    """In integers a mean at the scale that makes it the sum, times the number of values, which changes no integer.

    LiteRT's reference kernel of SUM takes int8 for uint8, so that SUM is left to what a file had, and to float.
    """
    axes, keeps = _axes(call), bool(call.get("keepdim", False))
    x, places, behind = _placed(call, axes, keeps=keeps)
    quantizer = call.ending.quantizer
    if call.is_float or call.keeps_integers or quantizer is None:
        return call.closed("SUM", [x.place, places], behind, keepDims=keeps)
    count = math.prod(call.shape("self")[axis] for axis in axes)
    number = call.build.operand(f"{call.name}/{count}", np.asarray(count, np.float32), behind, number_quantizer(count))
    own = replace(quantizer, scale=quantizer.scale / count)
    mean = call.build.value(f"{call.name}/mean", call.in_file(call.shape(), behind), behind, own)
    call.build.operator("MEAN", [x.place, places], [mean.place], keepDims=keeps)
    return call.finished("MUL", [mean.place, number.place], behind)


def _adaptive(call: Call) -> Held:
    rank = len(call.shape("self"))
    if pair(call.get("output_size")) != [1, 1] or rank not in ORDERS:
        raise call.error("to another size than one place is not written")
    return _mean_over(call, range(2, rank), keeps=True)


def _window(call: Call, *, may_reach_beyond: bool = False) -> tuple[list[int], list[int], list[int]]:
    """Sizes of the window, its steps, and the border."""
    rank = len(call.shape("self"))
    if rank not in ORDERS or (call.get("ceil_mode", False) and not may_reach_beyond):
        raise call.error("with these arguments is not written")
    kernel, stride = over_axes(call.get("kernel_size"), rank, 1), call.get("stride")
    steps = over_axes(stride, rank, 1) if stride not in (None, []) else kernel
    return kernel, steps, over_axes(call.get("padding", 0), rank, 0)


def _average(call: Call) -> Held:
    """Values stay at the quantizer of what is pooled, as the kernels ask, and are quantized again where it differs."""
    kernel, stride, pads = _window(call, may_reach_beyond=True)
    x = call.build.in_order(call.held("self"), ORDERS[len(call.shape())])
    counts = bool(call.get("count_include_pad", True))
    if call.get("ceil_mode", False):
        sizes = call.build.shape(x)[1:3]
        same = [same_padding(*numbers)[0] for numbers in zip(sizes, kernel, stride, strict=True)]
        places = [-(-size // step) for size, step in zip(sizes, stride, strict=True)]
        if counts or same != pads or places != list(call.image(call.shape())[1:3]):
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
    kernel, stride, pads = _window(call)
    if pair(call.get("dilation", 1)) != [1, 1]:
        raise call.error("with a dilation is not written")
    x = call.build.in_order(call.held("self"), ORDERS[len(call.shape("self"))])
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
    result = call.build.value(call.name, shape, x.order, x.quantizer)
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
    "sum": _sum,
    **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d"), _adaptive),
    "amax": _extreme("REDUCE_MAX"),
    "amin": _extreme("REDUCE_MIN"),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d"), _average),
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool2d_with_indices"), _largest),
}
