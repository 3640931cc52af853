"""Convolutions and transposed convolutions; weights become (outputs, inputs, height, width)."""

from collections.abc import Mapping

from qdiag.litert.call import Call, Rule, same_padding
from qdiag.litert.model import Array


def window_of(call: Call, height: int, width: int) -> dict[str, list[int]]:
    """Strides and paddings of a window over the first input."""
    _, rows, columns, _ = call.tensor(0).shape
    stride = [int(call.option("strideH", 1)), int(call.option("strideW", 1))]
    dilation = [int(call.option("dilationHFactor", 1)), int(call.option("dilationWFactor", 1))]
    if min(*stride, *dilation, height, width) < 1:
        raise call.error(f"strides {stride} and dilations {dilation}")
    pads = [0, 0, 0, 0]
    if call.option("padding") == 0:
        top, bottom = same_padding(rows, height, stride[0], dilation[0])
        left, right = same_padding(columns, width, stride[1], dilation[1])
        pads = [top, left, bottom, right]
    return {"strides": stride, "pads": pads, "dilations": dilation, "kernel_shape": [height, width]}


def _weight(call: Call, index: int, order: tuple[int, ...], form: str) -> tuple[str, Array]:
    values = call.known(index)
    if values.ndim != 4:
        raise call.error(f"a weight of shape {values.shape}")
    return call.writer.stored(call.tensor(index), lambda array: array.transpose(order), form), values.transpose(order)


def bias_of(call: Call, index: int) -> list[str]:
    """The bias as a vector, where there is one."""
    if not call.has(index):
        return []
    call.known(index)
    return [call.writer.stored(call.tensor(index), lambda array: array.reshape(-1))]


def _conv(call: Call) -> None:
    weight, values = _weight(call, 1, (0, 3, 1, 2), "outputs, inputs, height, width")
    groups, rest = divmod(call.tensor(0).shape[-1], max(values.shape[1], 1))
    if rest or not groups:
        raise call.error(f"a weight for {values.shape[1]} channels of {call.tensor(0).shape[-1]}")
    window = window_of(call, *values.shape[2:])
    call.finished("Conv", [call.read(0, "first"), weight, *bias_of(call, 2)], "first", group=groups, **window)


def _depthwise(call: Call) -> None:
    weight, values = _weight(call, 1, (3, 0, 1, 2), "outputs, inputs, height, width")
    if values.shape[1] != 1:
        raise call.error(f"a weight of shape {call.tensor(1).shape}")
    window = window_of(call, *values.shape[2:])
    inputs = [call.read(0, "first"), weight, *bias_of(call, 2)]
    call.finished("Conv", inputs, "first", group=call.tensor(0).shape[-1], **window)


def _transposed(call: Call) -> None:
    """The size of the output decides what is cut off its sides."""
    weight, values = _weight(call, 1, (3, 0, 1, 2), "inputs, outputs, height, width")
    stride = [int(call.option("strideH", 1)), int(call.option("strideW", 1))]
    before, extra, after = [], [], []
    for axis in range(2):
        size, wanted = call.tensor(2).shape[1 + axis], call.output().shape[1 + axis]
        window = values.shape[2 + axis]
        cut = 0
        if call.option("padding") == 0:
            cut = same_padding(wanted, window, stride[axis])[0]
        rest = (size - 1) * stride[axis] + window - cut - wanted
        before.append(cut)
        after.append(max(rest, 0))
        extra.append(max(-rest, 0))
    inputs = [call.read(2, "first"), weight, *bias_of(call, 3)]
    pads = [*before, *after]
    call.finished("ConvTranspose", inputs, "first", strides=stride, pads=pads, output_padding=extra)


def flat_weight(call: Call, index: int) -> str:
    """A matrix of (outputs, inputs)."""
    values = call.known(index)
    if values.ndim != 2:
        raise call.error(f"a weight of shape {values.shape}")
    return call.writer.stored(call.tensor(index), lambda array: array)


OPERATORS: Mapping[str, Rule] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed,
}
