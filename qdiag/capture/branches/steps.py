"""What one operation of a graph does, as a map of images: convolutions and whatever is one in disguise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.capture.branches.constants import Constants, sizes_of
from qdiag.capture.branches.paddings import padding_of
from qdiag.capture.ops import convolution_groups, kind_and_policy, operation_name
from qdiag.numerics.batchnorm import ChannelAffine, batch_norm_affine
from qdiag.numerics.convolutions.chained import chained
from qdiag.numerics.convolutions.conv_map import ConvMap, NotOneConvolutionError, Sizes, average_map
from qdiag.numerics.convolutions.joined import added

BATCH_NORM = torch.ops.aten.batch_norm.default
_MOVES = ("clone", "contiguous", "alias", "detach")


@dataclass(frozen=True)
class Step:
    """An operation that is affine in what it reads.

    Attributes:
        inputs: the data that it reads; several for a sum.
        factors: of each input of a sum; empty for any other operation.
        map: from the maps that lead to the inputs to the one that leads to its output; raises `NotOneConvolutionError`.
        inner: further nodes that belong to it.
        is_trivial: its output is its only input.
    """

    inputs: tuple[fx.Node, ...]
    map: Callable[[Sequence[ConvMap]], ConvMap]
    factors: tuple[float, ...] = ()
    inner: tuple[fx.Node, ...] = ()
    is_trivial: bool = False

    @property
    def is_sum(self) -> bool:
        return len(self.inputs) > 1


def step_of(node: fx.Node, constants: Constants) -> Step | None:
    """The operation as an affine map; None where it is none, or none that is known here."""
    if node.op != "call_function" or len(sizes_of(node)) < 3:
        return None
    kind, name = kind_and_policy(node)[0], operation_name(node)
    if kind == "conv":
        return _convolution(node, constants)
    if node.target is BATCH_NORM:
        return _batch_norm(node, constants)
    if name in ("avg_pool1d", "avg_pool2d", "avg_pool3d"):
        return _average_pool(node)
    if name in ("add", "sub", "rsub"):
        return _sum(node, name, constants)
    if name in ("mul", "div", "neg"):
        return _scale(node, name, constants)
    if name in ("sum", "mean"):
        return _stacked(node, name)
    if name in _MOVES:
        source = node.args[0]
        return Step((source,), lambda maps: maps[0], is_trivial=True) if isinstance(source, fx.Node) else None
    found = padding_of(node, constants)
    if found is None:
        return None
    base, make, inner = found
    return Step((base,), lambda maps: make(maps[0]), inner=inner)


def norm_of(node: fx.Node, constants: Constants) -> ChannelAffine:
    """The affine map of a BatchNorm node that has a step."""
    gamma, beta, mean, variance = (constants.value(a) for a in node.args[1:5])
    return batch_norm_affine(gamma, beta, mean, variance, float(node.args[7]))  # type: ignore[arg-type]


def _convolution(node: fx.Node, constants: Constants) -> Step | None:
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    x, weight, bias = (_argument(node, i, name) for i, name in enumerate(names[:3]))
    if not isinstance(x, fx.Node) or not constants.is_constant(weight) or x not in constants.data:
        return None
    if bias is not None and not constants.is_constant(bias):
        return None
    stride, padding, dilation = (_argument(node, i, name) for i, name in list(enumerate(names))[3:6])

    def make(maps: Sequence[ConvMap]) -> ConvMap:
        kernel = constants.value(weight).double()
        constant = constants.value(bias).double() if bias is not None else kernel.new_zeros(len(kernel))
        rank = kernel.ndim - 2
        steps, apart = _sizes(stride, rank, 1), _sizes(dilation, rank, 1)
        before, after = _borders(padding, tuple(kernel.shape[2:]), apart)
        groups = convolution_groups(node)
        return chained(maps[0], ConvMap(kernel, constant, steps, before, after, apart, groups))

    return Step((x,), make)


def _batch_norm(node: fx.Node, constants: Constants) -> Step | None:
    x, is_training = node.args[0], node.args[5]
    has_statistics = all(constants.is_constant(a) and isinstance(a, fx.Node) for a in node.args[3:5])
    if not isinstance(x, fx.Node) or is_training or not has_statistics:
        return None
    return Step((x,), lambda maps: maps[0].normed(norm_of(node, constants)))


def _average_pool(node: fx.Node) -> Step | None:
    x, rank = node.args[0], len(sizes_of(node)) - 2
    size = _sizes(_argument(node, 1, "kernel_size"), rank, 1)
    stride = _sizes(_argument(node, 2, "stride") or size, rank, 1)
    padding = _sizes(_argument(node, 3, "padding"), rank, 0)
    ceils, counts_zeros = _argument(node, 4, "ceil_mode", False), _argument(node, 5, "count_include_pad", True)
    divisor = _argument(node, 6, "divisor_override")
    if not isinstance(x, fx.Node):
        return None

    def make(maps: Sequence[ConvMap]) -> ConvMap:
        if any(padding) and not counts_zeros and divisor is None:
            raise NotOneConvolutionError("its average pooling divides by another number at the borders")
        found = average_map(len(maps[0].constant), size, stride, padding, divisor)
        if ceils and not _gives(found, sizes_of(x)[2:], sizes_of(node)[2:]):
            raise NotOneConvolutionError("its average pooling rounds the size of its output up")
        return chained(maps[0], found)

    return Step((x,), make)


def _gives(one: ConvMap, sizes: Sizes, outputs: Sizes) -> bool:
    """The map makes outputs of these sizes."""
    found = [(n + e - 1) // s + 1 for n, e, s in zip(sizes, one.slack, one.stride, strict=True)]
    return -1 not in sizes and tuple(found) == outputs


def _sum(node: fx.Node, name: str, constants: Constants) -> Step | None:
    alpha = node.kwargs.get("alpha", 1)
    if not isinstance(alpha, int | float) or len(node.args) < 2:
        return None
    factors = {"add": (1.0, float(alpha)), "sub": (1.0, -float(alpha)), "rsub": (-float(alpha), 1.0)}[name]
    sides = list(zip(node.args[:2], factors, strict=True))
    data = [(a, f) for a, f in sides if isinstance(a, fx.Node) and a in constants.data]
    others = [(a, f) for a, f in sides if not isinstance(a, fx.Node) or a not in constants.data]
    if any(sizes_of(a) != sizes_of(node) for a, _ in data) or not all(constants.is_constant(a) for a, _ in others):
        return None
    if len(data) == 1 and _by_channel(others[0][0], node, constants) is None:
        return None

    def make(maps: Sequence[ConvMap]) -> ConvMap:
        total = added([one.times(factor) for one, (_, factor) in zip(maps, data, strict=True)])
        for argument, factor in others:
            constant = _by_channel(argument, node, constants)
            assert constant is not None
            total = replace(total, constant=total.constant + factor * constant)
        return total

    adds_nothing = len(data) == 1 and data[0][1] == 1.0 and not isinstance(others[0][0], fx.Node) and not others[0][0]
    return Step(tuple(a for a, _ in data), make, tuple(f for _, f in data), is_trivial=adds_nothing)


def _scale(node: fx.Node, name: str, constants: Constants) -> Step | None:
    x, *rest = node.args
    if name == "neg":
        factor: Any = -1.0
    elif len(rest) != 1 or node.kwargs:
        return None
    elif isinstance(rest[0], fx.Node) and rest[0] in constants.data and name == "mul":
        x, factor = rest[0], x
    else:
        factor = rest[0]
    if not isinstance(x, fx.Node) or x not in constants.data or sizes_of(x) != sizes_of(node):
        return None
    if not constants.is_constant(factor) or _by_channel(factor, node, constants) is None:
        return None

    def make(maps: Sequence[ConvMap]) -> ConvMap:
        gain = _by_channel(factor, node, constants)
        assert gain is not None
        gain = (1.0 / gain if name == "div" else gain).expand(len(maps[0].constant))
        return maps[0].normed(ChannelAffine(gain, torch.zeros_like(gain)))

    return Step((x,), make)


def _by_channel(argument: Any, node: fx.Node, constants: Constants) -> Tensor | None:
    """A constant operand as one value per channel, (C,) or (1,), float64; None where it differs between pixels."""
    value = constants.value(argument)
    if not isinstance(value, Tensor):
        return torch.tensor([value], dtype=torch.float64)
    ndim = len(sizes_of(node))
    shape = (*[1] * (ndim - value.ndim), *value.shape)
    if len(shape) != ndim or any(size != 1 for axis, size in enumerate(shape) if axis != 1):
        return None
    return value.double().reshape(-1)


def _stacked(node: fx.Node, name: str) -> Step | None:
    """A sum or mean over an axis on which several values were stacked."""
    stack, axes = node.args[0], _argument(node, 1, "dim")
    if not isinstance(stack, fx.Node) or operation_name(stack) != "stack" or len(stack.users) != 1:
        return None
    axis, inputs = _argument(stack, 1, "dim", 0), stack.args[0]
    if axes not in ([axis], (axis,)) or _argument(node, 2, "keepdim", False) or not isinstance(inputs, list | tuple):
        return None
    if not all(isinstance(i, fx.Node) and sizes_of(i) == sizes_of(node) for i in inputs):
        return None
    factor = 1.0 if name == "sum" else 1.0 / len(inputs)

    def make(maps: Sequence[ConvMap]) -> ConvMap:
        return added([one.times(factor) for one in maps])

    nodes = tuple(i for i in inputs if isinstance(i, fx.Node))
    return Step(nodes, make, (factor,) * len(nodes), inner=(stack,))


def _argument(node: fx.Node, index: int, name: str, default: Any = None) -> Any:
    if operation_name(node) == "convolution" and name == "groups":
        index = 8
    return node.args[index] if index < len(node.args) else node.kwargs.get(name, default)


def _sizes(argument: Any, rank: int, default: int) -> Sizes:
    if argument is None:
        return (default,) * rank
    if isinstance(argument, int):
        return (argument,) * rank
    sizes = tuple(argument)
    return sizes * rank if len(sizes) == 1 else sizes


def _borders(padding: Any, taps: Sizes, dilation: Sizes) -> tuple[Sizes, Sizes]:
    """How far a convolution continues its input before and after; `same` puts the odd one after."""
    if padding == "same":
        whole = [(k - 1) * d for k, d in zip(taps, dilation, strict=True)]
        return tuple(w // 2 for w in whole), tuple(w - w // 2 for w in whole)
    sizes = _sizes(None if padding == "valid" else padding, len(taps), 0)
    return sizes, sizes
