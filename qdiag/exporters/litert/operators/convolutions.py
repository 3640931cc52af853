"""Convolutions and linear layers, with borders as LiteRT knows them: as large as needed for `SAME`, or none."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from qdiag.exporters.litert.build import Builder, Held
from qdiag.exporters.litert.call import Call, Write
from qdiag.litert.call import same_padding

SAME, VALID = 0, 1


def pair(value: Any) -> list[int]:
    """One number for each axis of an image."""
    numbers = list(value) if isinstance(value, list | tuple) else [value]
    return [int(n) for n in (numbers * 2 if len(numbers) == 1 else numbers)]


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
    if len(call.shape("weight")) != 4 or len(call.shape("input")) != 4:
        raise call.error("over other axes than two is not written")
    groups, stride, dilation = int(call.get("groups", 1)), pair(call.get("stride", 1)), pair(call.get("dilation", 1))
    outputs, inputs, height, width = call.shape("weight")
    padding = call.get("padding", 0)
    if isinstance(padding, str) or call.get("transposed", False):
        raise call.error("with these arguments is not written")
    x = call.build.in_order(call.held("input"), "last")
    x, kind = bordered(call.build, x, pair(padding), [height, width], stride, dilation, call.name)
    options: dict[str, Any] = {
        "padding": kind,
        "strideH": stride[0],
        "strideW": stride[1],
        "dilationHFactor": dilation[0],
        "dilationWFactor": dilation[1],
    }
    if inputs == 1 and groups > 1 and outputs % groups == 0:
        weight, bias = call.weights((1, 2, 3, 0), 3)
        return call.finished("DEPTHWISE_CONV_2D", [x.place, weight, bias], depthMultiplier=outputs // groups, **options)
    weight, bias = call.weights((0, 2, 3, 1), 0)
    return call.finished("CONV_2D", [x.place, weight, bias], **options)


def _linear(call: Call) -> Held:
    x = call.build.in_order(call.held("input"), "plain")
    weight, bias = call.weights((0, 1), 0)
    keeps = len(call.shape("input")) != 2
    return call.finished("FULLY_CONNECTED", [x.place, weight, bias], "plain", keepNumDims=keeps)


OPERATORS: Mapping[str, Write] = {"conv2d": _conv, "convolution": _conv, "linear": _linear}
