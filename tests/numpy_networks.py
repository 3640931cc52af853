"""NIN and ResNet-20 in numpy, with places where a test rounds weights and activations itself.

BatchNorm is folded, or stays behind its convolution.

Sums of products and means are torch's: their order decides the last bit, and the last bit what is rounded up or down
ten layers on. Everything else is numpy.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

Array = NDArray[np.float32]
_EPS = 1e-5


class Rounding(Protocol):
    """What happens to the values of a network; float networks return what they are given."""

    folds: bool
    """BatchNorm goes into its convolution; otherwise it follows, in float."""

    def weight(self, name: str, weight: Array) -> Array:
        """(out, in, k, k) or (out, in), BatchNorm folded."""
        ...

    def operand(self, name: str, x: Array) -> Array:
        """What a layer multiplies: (N, C, H, W) or (N, C)."""
        ...

    def output(self, name: str, x: Array) -> Array:
        """What a layer gives, after its ReLU."""
        ...


class Float:
    """No rounding; keeps the largest |value| of every output."""

    folds = True

    def __init__(self) -> None:
        self.largest: dict[str, float] = {}

    def weight(self, name: str, weight: Array) -> Array:
        return weight

    def operand(self, name: str, x: Array) -> Array:
        return x

    def output(self, name: str, x: Array) -> Array:
        self.largest[name] = max(self.largest.get(name, 0.0), float(np.abs(x).max()))
        return x


def nin(state: Mapping[str, Array], x: Array, rounding: Rounding) -> Array:
    """arXiv 1312.4400 with a BatchNorm behind each convolution, images (N, 3, 32, 32) to logits (N, 10)."""
    x = rounding.output("input", x)
    for i, kernel in enumerate((5, 1, 1, 5, 1, 1, 3, 1, 1)):
        name = f"c{i}"
        y = normalized(state, rounding, x, (name, f"{name}.conv", f"{name}.bn"), kernel // 2)
        x = rounding.output(name, np.maximum(y, np.float32(0.0)))
        if i == 2:
            x = pooled(x).max((-2, -1))
        if i == 5:
            x = rounding.output(name, F.avg_pool2d(placed(x), 3, 2, 1).numpy())
    return rounding.output("c8", averaged(x))


def resnet20(state: Mapping[str, Array], x: Array, rounding: Rounding) -> Array:
    """arXiv 1512.03385, section 4.2, with shortcuts that take every other pixel and add channels of zeros."""

    def layer(x: Array, conv: str, bn: str, *, stride: int = 1, rectifies: bool) -> Array:
        y = normalized(state, rounding, x, (conv, conv, bn), 1, stride)
        return rounding.output(conv, np.maximum(y, np.float32(0.0)) if rectifies else y)

    x = layer(rounding.output("input", x), "conv1", "bn1", rectifies=True)
    for stage in (1, 2, 3):
        for block in range(3):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = layer(x, f"{name}.conv1", f"{name}.bn1", stride=stride, rectifies=True)
            y = layer(y, f"{name}.conv2", f"{name}.bn2", rectifies=False)
            if stride == 2:
                more = x.shape[1] // 2
                x = np.pad(x[:, :, ::2, ::2], ((0, 0), (more, more), (0, 0), (0, 0)))
            x = rounding.output(f"{name}.add", np.maximum(y + x, np.float32(0.0)))
    x = rounding.output("layer3.2.add", averaged(x))
    weight, bias = rounding.weight("linear", state["linear.weight"]), torch.from_numpy(state["linear.bias"])
    return rounding.output(
        "linear", F.linear(torch.from_numpy(rounding.operand("linear", x)), torch.from_numpy(weight), bias).numpy()
    )


def normalized(
    state: Mapping[str, Array],
    rounding: Rounding,
    x: Array,
    names: tuple[str, str, str],
    padding: int,
    stride: int = 1,
) -> Array:
    """A convolution and its BatchNorm; names of the layer, for the rounding, and of both in the state."""
    name, conv, bn = names
    if rounding.folds:
        weight, bias = folded(state, conv, bn)
        return convolved(rounding.operand(name, x), rounding.weight(name, weight), bias, padding, stride)
    weight = state[f"{conv}.weight"]
    bias = state.get(f"{conv}.bias", np.zeros(len(weight), np.float32))
    y = convolved(rounding.operand(name, x), rounding.weight(name, weight), bias, padding, stride)
    parts = [torch.from_numpy(state[f"{bn}.{part}"]) for part in ("running_mean", "running_var", "weight", "bias")]
    result: Array = F.batch_norm(placed(y), *parts, eps=_EPS).numpy()
    return result


def folded(state: Mapping[str, Array], conv: str, bn: str) -> tuple[Array, Array]:
    """Weight and bias of a convolution with the BatchNorm behind it (arXiv 1712.05877, eq. 14), from float64."""
    gain = state[f"{bn}.weight"].astype(np.float64) / np.sqrt(state[f"{bn}.running_var"].astype(np.float64) + _EPS)
    bias = state[f"{conv}.bias"].astype(np.float64) if f"{conv}.bias" in state else 0.0
    shift = state[f"{bn}.bias"] + (bias - state[f"{bn}.running_mean"].astype(np.float64)) * gain
    weight = state[f"{conv}.weight"].astype(np.float64) * gain[:, None, None, None]
    return weight.astype(np.float32), shift.astype(np.float32)


def convolved(x: Array, weight: Array, bias: Array, padding: int, stride: int = 1) -> Array:
    """(N, C, H, W) with (out, C, k, k), zeros around it."""
    result: Array = F.conv2d(placed(x), placed(weight), torch.from_numpy(bias), stride, padding).numpy()
    return result


def averaged(x: Array) -> Array:
    """(N, C, H, W) to the means (N, C)."""
    result: Array = F.adaptive_avg_pool2d(placed(x), 1).flatten(1).numpy()
    return result


def placed(x: Array) -> Tensor:
    """Channels last, where convolutions are fastest."""
    return torch.from_numpy(np.ascontiguousarray(x)).contiguous(memory_format=torch.channels_last)


def pooled(x: Array) -> Array:
    """Windows of 3 x 3, two apart, with one border of zeros; where a maximum is taken, values are not negative."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2]
