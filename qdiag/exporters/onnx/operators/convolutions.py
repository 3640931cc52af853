"""Convolutions and transposed convolutions of one, two and three axes."""

from collections.abc import Mapping
from typing import Any

from torch import fx

from qdiag.capture.ops import operation_name
from qdiag.exporters.onnx.call import Call
from qdiag.exporters.onnx.operators.kind import Writer


def _each(value: Any, axes: int) -> list[int]:
    """One number for every axis of the image."""
    numbers = list(value) if isinstance(value, list | tuple) else [value]
    return [int(n) for n in (numbers * axes if len(numbers) == 1 else numbers)]


def _pads(call: Call, axes: int, dilation: list[int]) -> list[int]:
    padding = call.get("padding", 0)
    if not isinstance(padding, str):
        return _each(padding, axes) * 2
    if padding == "valid":
        return [0] * (2 * axes)
    whole = [d * (k - 1) for d, k in zip(dilation, call.shape("weight")[2:], strict=True)]
    return [w // 2 for w in whole] + [w - w // 2 for w in whole]


def _conv(call: Call) -> str:
    axes = len(call.shape("weight")) - 2
    if len(call.shape("input")) != axes + 2:
        raise call.error("works on one sample without an axis of samples")
    dilation = _each(call.get("dilation", 1), axes)
    x, around = _padded(call, axes)
    pads = [own + more for own, more in zip(_pads(call, axes, dilation), around, strict=True)]
    return call.add(
        "Conv",
        x,
        *call.weight_and_bias(),
        strides=_each(call.get("stride", 1), axes),
        pads=pads,
        dilations=dilation,
        group=int(call.get("groups", 1)),
        kernel_shape=list(call.shape("weight")[2:]),
    )


def _padded(call: Call, axes: int) -> tuple[str, list[int]]:
    """The input, and what pads it with zeros: a Pad before it has no integer kernel, the convolution pads as well."""
    pad = call.node.args[0]
    assert isinstance(pad, fx.Node)
    is_pad = pad.op == "call_function" and operation_name(pad) in ("pad", "constant_pad_nd")
    if not is_pad or len(pad.users) > 1 or len(pad.args) < 2:
        return call.tensor("input"), [0] * (2 * axes)
    amounts: Any = pad.args[1]
    rest = [*pad.args[2:], *pad.kwargs.values()]
    is_plain = isinstance(amounts, list | tuple) and all(isinstance(one, int) and one >= 0 for one in amounts)
    if not is_plain or len(amounts) > 2 * axes or any(one not in ("constant", 0, None) for one in rest):
        return call.tensor("input"), [0] * (2 * axes)
    # torch counts from the last axis, before and after
    numbers = [int(one) for one in amounts] + [0] * (2 * axes - len(amounts))
    return call.value_of(pad.args[0]), [*numbers[0::2][::-1], *numbers[1::2][::-1]]


def _conv_transpose(call: Call) -> str:
    axes = len(call.shape("weight")) - 2
    return call.add(
        "ConvTranspose",
        call.tensor("input"),
        *call.weight_and_bias(),
        strides=_each(call.get("stride", 1), axes),
        pads=_each(call.get("padding", 0), axes) * 2,
        output_padding=_each(call.get("output_padding", 0), axes),
        dilations=_each(call.get("dilation", 1), axes),
        group=int(call.get("groups", 1)),
        kernel_shape=list(call.shape("weight")[2:]),
    )


def _convolution(call: Call) -> str:
    return _conv_transpose(call) if call.get("transposed", False) else _conv(call)


OPERATORS: Mapping[str, Writer] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _conv),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _conv_transpose),
    "convolution": _convolution,
}
