"""Convolutions and linear layers, with borders as LiteRT knows them: as large as needed for `SAME`, or none."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from qdiag.exporters.litert.build import Builder, Held, Order
from qdiag.exporters.litert.call import Call, Write
from qdiag.litert.call import same_padding

SAME, VALID = 0, 1
_IMAGE = 4
"""Axes of an image with its samples and channels."""
ORDERS: Mapping[int, Order] = {_IMAGE: "last", 3: "signal"}
"""Of images and signals, by their numbers of axes."""


def pair(value: Any) -> list[int]:
    """One number for each axis of an image."""
    numbers = list(value) if isinstance(value, list | tuple) else [value]
    return [int(n) for n in (numbers * 2 if len(numbers) == 1 else numbers)]


def over_axes(value: Any, count: int, row: int) -> list[int]:
    """The same of images, and of signals, which are images of one row.

    Args:
        count: axes of images or signals. row: the number for the one row.
    """
    numbers = pair(value)
    return numbers if count == _IMAGE else [row, numbers[-1]]


def bordered(
    build: Builder, x: Held, pads: list[int], window: list[int], stride: list[int], dilation: list[int], name: str
) -> tuple[Held, int]:
    """The image and the kind of padding of the operator; a border that is none of them is an operator of its own."""
    if not any(pads):
        return x, VALID
    sizes = build.shape(x)[1:3]
    same = [same_padding(*numbers) for numbers in zip(sizes, window, stride, dilation, strict=True)]
    if same == [(pads[0], pads[0]), (pads[1], pads[1])]:
        return x, SAME
    return padded(build, x, [[0, 0], [pads[0]] * 2, [pads[1]] * 2, [0, 0]], name), VALID


def padded(build: Builder, x: Held, pairs: list[list[int]], name: str) -> Held:
    """The value with a border of zeros, in the order of the file."""
    shape = [size + sum(both) for size, both in zip(build.shape(x), pairs, strict=True)]
    result = build.value(f"{name}/padded", shape, x.order, x.quantizer)
    build.operator("PAD", [x.place, build.constant("sizes", np.asarray(pairs, np.int32))], [result.place])
    return result


def _conv(call: Call) -> Held:
    rank = len(call.shape("weight"))
    if rank not in ORDERS or len(call.shape("input")) != rank:
        raise call.error("over three axes, or without an axis of samples, is not written")
    stride, dilation = (over_axes(call.get(key, 1), rank, 1) for key in ("stride", "dilation"))
    groups, order, (outputs, inputs, *window) = int(call.get("groups", 1)), ORDERS[rank], call.shape("weight")
    padding, window = call.get("padding", 0), over_axes(window, rank, 1)
    if isinstance(padding, str) or call.get("transposed", False):
        raise call.error("with these arguments is not written")
    x = call.build.in_order(call.held("input"), order)
    x, kind = bordered(call.build, x, over_axes(padding, rank, 0), window, stride, dilation, call.name)
    options: dict[str, Any] = {
        "padding": kind,
        "strideH": stride[0],
        "strideW": stride[1],
        "dilationHFactor": dilation[0],
        "dilationWFactor": dilation[1],
    }
    if inputs == 1 and groups > 1 and outputs % groups == 0:
        weight, bias = call.weights((1, 2, 3, 0), 3)
        options["depthMultiplier"] = outputs // groups
        return call.finished("DEPTHWISE_CONV_2D", [x.place, weight, bias], order, **options)
    weight, bias = call.weights((0, 2, 3, 1), 0)
    return call.finished("CONV_2D", [x.place, weight, bias], order, **options)


def _transposed(call: Call) -> Held:
    """With borders that are none of the two kinds, everything is computed, and the middle cut out."""
    rank = len(call.shape())
    stride, dilation = (over_axes(call.get(key, 1), rank, 1) for key in ("stride", "dilation"))
    if rank not in ORDERS or int(call.get("groups", 1)) != 1 or dilation != [1, 1]:
        raise call.error("in groups, with a dilation or over three axes is not written")
    order = ORDERS[rank]
    x = call.build.in_order(call.held("input"), order)
    sizes, wanted = call.build.shape(x)[1:3], call.image(call.shape())
    window, pads = over_axes(call.shape("weight")[2:], rank, 1), over_axes(call.get("padding", 0), rank, 0)
    whole = [(n - 1) * step + k for n, step, k in zip(sizes, stride, window, strict=True)]
    if any(begin + size > all_ for begin, size, all_ in zip(pads, wanted[1:3], whole, strict=True)):
        raise call.error("whose output reaches beyond its windows is not written")
    weight, bias = call.weights((1, 2, 3, 0), 0)
    fits = all(
        total - size == 2 * begin and -(-size // step) == n
        for total, size, begin, step, n in zip(whole, wanted[1:3], pads, stride, sizes, strict=True)
    )
    is_whole = list(wanted[1:3]) == whole
    shape = wanted if fits or is_whole else (wanted[0], *whole, wanted[3])
    kind = SAME if fits and not is_whole else VALID
    made = call.result(shape, order, "" if shape == wanted else "/whole")
    inputs = [call.build.sizes(shape), weight, x.place, bias]
    options = {"padding": kind, "strideH": stride[0], "strideW": stride[1]}
    call.build.operator("TRANSPOSE_CONV", inputs, [made.place], **options)
    if shape != wanted:
        ends = [[0, *pads, 0], [shape[0], *(p + n for p, n in zip(pads, wanted[1:3], strict=True)), shape[3]], [1] * 4]
        cut = call.build.value(call.name, wanted, order, made.quantizer)
        places = [call.build.sizes(numbers) for numbers in ends]
        call.build.operator("STRIDED_SLICE", [made.place, *places], [cut.place])
        made = cut
    bounds = call.ending.clamp
    if bounds is None or (made.quantizer is not None and made.quantizer.covers(bounds)):
        return made
    return call.clamped(made)


def _linear(call: Call) -> Held:
    x = call.build.in_order(call.held("input"), "plain")
    weight, bias = call.weights((0, 1), 0)
    keeps = len(call.shape("input")) != 2
    bias = bias if call.has_bias else -1
    return call.finished("FULLY_CONNECTED", [x.place, weight, bias], "plain", keepNumDims=keeps)


OPERATORS: Mapping[str, Write] = {
    **dict.fromkeys(("conv1d", "conv2d", "convolution"), _conv),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d"), _transposed),
    "linear": _linear,
}
