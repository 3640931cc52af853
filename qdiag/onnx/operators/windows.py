"""Kernels, strides and paddings of what moves a window over an image."""

from dataclasses import dataclass

import torch

from qdiag.onnx.call import Call
from qdiag.onnx.values import Handle

aten = torch.ops.aten


@dataclass(frozen=True)
class Window:
    """Along each axis of an image; `before` and `after` are what is added around it."""

    kernel: list[int]
    stride: list[int]
    dilation: list[int]
    before: list[int]
    after: list[int]

    @property
    def is_symmetric(self) -> bool:
        return self.before == self.after


def window_of(call: Call, kernel: list[int], *, may_dilate: bool = True) -> Window:
    """Of a convolution or pooling, with `auto_pad` computed."""
    count = len(kernel)
    stride = [int(s) for s in call.attribute("strides", [1] * count)]
    dilation = [int(d) for d in call.attribute("dilations", [1] * count)] if may_dilate else [1] * count
    if not len(stride) == len(dilation) == count or min([*kernel, *stride, *dilation]) < 1:
        raise call.error(f"kernel {kernel}, strides {stride} and dilations {dilation} do not fit")
    before, after = _padding(call, kernel, stride, dilation)
    return Window(kernel, stride, dilation, before, after)


def _padding(call: Call, kernel: list[int], stride: list[int], dilation: list[int]) -> tuple[list[int], list[int]]:
    count, how = len(kernel), str(call.attribute("auto_pad", "NOTSET"))
    if how == "VALID":
        return [0] * count, [0] * count
    if how == "NOTSET":
        pads = [int(p) for p in call.attribute("pads", [0] * 2 * count)]
        if len(pads) != 2 * count:
            raise call.error(f"{len(pads)} paddings for {count} axes")
        return pads[:count], pads[count:]
    sizes = call.scope.shape(call.value(0))[2:]
    before, after = [], []
    for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
        total = max((-(-int(size) // s) - 1) * s + d * (k - 1) + 1 - int(size), 0)
        less, more = total // 2, total - total // 2
        before.append(less if how == "SAME_UPPER" else more)
        after.append(more if how == "SAME_UPPER" else less)
    return before, after


def padded(call: Call, x: Handle, before: list[int], after: list[int], value: float) -> Handle:
    """The image with a border; negative numbers cut."""
    pairs = [p for pair in zip(reversed(before), reversed(after), strict=True) for p in pair]
    return call.scope.call(aten.constant_pad_nd.default, x, pairs, value) if any(pairs) else x
