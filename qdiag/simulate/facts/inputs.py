"""What the weights of a layer multiply, by input channel: which channels carry something, and which never move."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.capture.ops import is_padded
from qdiag.core.graph import Layer
from qdiag.core.measures.facts import InputFacts
from qdiag.distributed.collector import merge_by_name
from qdiag.numerics.channel_sums import channel_table, column_extremes, column_sums, table_chunks

IDLE_SHARE = 1e-8
"""Share of an output's variance up to which an input channel carries nothing: a ten thousandth of its amplitude."""


@dataclass(frozen=True)
class InputMoments:
    """Of every channel that a layer with weights reads, (I,) each in float64, over samples and positions."""

    min: Tensor
    max: Tensor
    mean: Tensor
    variance: Tensor

    def columns(self) -> list[float]:
        """All of them in one column, which `moments_of` reads."""
        return torch.cat([self.min, self.max, self.mean, self.variance]).tolist()


def moments_of(columns: Sequence[float]) -> InputMoments:
    """What `InputMoments.columns` wrote."""
    return InputMoments(*torch.tensor(columns, dtype=torch.float64).view(4, -1))


class InputChannels:
    """Adds up `InputMoments` batch by batch; how many batches there are makes no difference to its size.

    Args:
        is_padded: the layer sees its input among zeros, which belong to the range of every channel.
    """

    def __init__(self, *, is_padded: bool) -> None:
        self._is_padded = is_padded
        self._count = 0
        self._sums: list[Tensor] | None = None

    def add(self, x: Tensor, axis: int) -> None:
        """Values of any shape, channels along `axis`. Means and variances merge without cancellation (Chan et al.)."""
        if not x.numel():
            return
        count, table = x.numel() // x.shape[axis], channel_table(x, axis)
        new = _of_table(table) if table is not None else None
        if new is None or not all(bool(t.isfinite().all()) for t in new):
            new = _of_any(x, axis)
        self._join(count, new)

    def merge(self, later: "InputChannels") -> None:
        """Adds what another one of the same layer saw."""
        if later._sums is not None:
            self._join(later._count, later._sums)

    def _join(self, count: int, new: list[Tensor]) -> None:
        if self._sums is None:
            self._count, self._sums = count, new
            return
        old, total = self._sums, self._count + count
        apart = new[2] - old[2]
        self._sums = [
            torch.minimum(old[0], new[0]),
            torch.maximum(old[1], new[1]),
            old[2] + apart * (count / total),
            old[3] + new[3] + apart.square() * (self._count * count / total),
        ]
        self._count = total

    def moments(self) -> InputMoments | None:
        """None before anything was added."""
        if self._sums is None:
            return None
        low, high, mean, squares = (t.cpu() for t in self._sums)
        if self._is_padded:
            low, high = low.clamp(max=0.0), high.clamp(min=0.0)
        return InputMoments(low, high, mean, squares / self._count)


def _of_table(table: Tensor) -> list[Tensor]:
    """Smallest, largest, mean and sum of squared deviations of each column of (rows, C).

    Deviations are taken from the first row, so that a channel that never moves has none at all.
    """
    start, pieces, extremes = table[0], [], []
    for (rows,) in table_chunks(table):
        extremes.append(torch.stack(column_extremes(rows)))
        apart = rows - start
        pieces.append(torch.stack([column_sums(apart), column_sums(apart.square_())]))
    low, high = torch.stack(extremes).double().unbind(1)
    shift, squares = torch.stack(pieces).sum(0)
    mean = shift / table.shape[0]
    return [low.amin(0), high.amax(0), start.double() + mean, (squares - shift * mean).clamp(min=0.0)]


def _of_any(x: Tensor, axis: int) -> list[Tensor]:
    """The same of a tensor in any layout, and of values that are not finite."""
    others, count = [i for i in range(x.ndim) if i != axis], x.numel() // x.shape[axis]
    variance, mean = torch.var_mean(x, others, correction=0)
    return [t.double() for t in (x.amin(others), x.amax(others), mean, variance * count)]


class WeightedInputs:
    """`InputChannels` of every layer with weights that a pass meets."""

    def __init__(self) -> None:
        self._channels: dict[str, InputChannels] = {}

    def add(self, layer: Layer, node: fx.Node, args: Sequence[Any]) -> None:
        """What one operation is about to read: values, then the weight. Inputs without a batch axis are left out."""
        x, weight = args[0], args[1]
        axis = layer.channel_axis(x.ndim)
        count = weight.shape[0] if layer.weight_axis == 1 else weight.shape[1] * layer.groups
        if axis is None or x.shape[axis] != count:
            return
        if layer.name not in self._channels:
            padded = layer.kind == "conv_transpose" or (layer.kind == "conv" and is_padded(node))
            self._channels[layer.name] = InputChannels(is_padded=padded)
        self._channels[layer.name].add(x, axis)

    def merge(self, later: "WeightedInputs") -> None:
        """Adds what another one saw."""
        merge_by_name(self._channels, later._channels)

    def moments(self, name: str) -> InputMoments | None:
        """Of one layer; None where it has no weights, or was not met."""
        return self._channels[name].moments() if name in self._channels else None


def by_input(layer: Layer, weight: Tensor, values: Tensor) -> Tensor:
    """Values of input channels, (I,), in a shape that broadcasts against the layer's weight, each at its channel."""
    if layer.weight_axis == 1:  # transposed: inputs lie along the first axis
        return values.view(-1, *[1] * (weight.ndim - 1))
    rows = values.view(layer.groups, 1, -1).expand(-1, weight.shape[0] // layer.groups, -1)
    return rows.reshape(weight.shape[0], weight.shape[1], *[1] * (weight.ndim - 2))


def by_output(layer: Layer, weight: Tensor, values: Tensor) -> Tensor:
    """Values of a weight's output channels, (C,), in a shape that broadcasts against the weight."""
    return values.view([-1 if axis == layer.weight_axis else 1 for axis in range(weight.ndim)])


def idle_inputs(layer: Layer, weight: Tensor, seen: InputMoments) -> Tensor:
    """Which input channels carry nothing: their part of every output's variance is below `IDLE_SHARE`; (I,) of bool.

    A channel counts with the most that its range allows, so that one that moves in few samples is not idle.
    """
    energy = weight.reshape(*weight.shape[:2], -1).square().sum(2).view(layer.groups, -1, weight.shape[1])
    if layer.weight_axis == 1:
        energy = energy.transpose(1, 2)  # in any case: groups, outputs of a group, inputs of a group
    usual = energy @ seen.variance.to(energy.dtype).view(layer.groups, -1, 1)
    largest = (energy / usual).nan_to_num(0.0, math.inf).amax(1).flatten()
    reach = ((seen.max - seen.min) / 2.0).square()
    return (reach == 0.0) | (reach * largest <= IDLE_SHARE)


def others_max_abs(layer: Layer, weight: Tensor, idle: Tensor) -> Tensor:
    """Largest |weight| of every output channel over inputs that are not idle, (C,); 0 where there are none."""
    magnitude = torch.where(by_input(layer, weight, idle), 0.0, weight.abs())
    return magnitude.movedim(layer.weight_axis, 0).flatten(1).amax(1)


def input_facts(layer: Layer, weight: Tensor, seen: InputMoments) -> InputFacts:
    """The channels that carry nothing and have weights far beyond all others of their output, and how far those reach.

    Far: twice as far, which costs the others one bit.
    """
    weight = weight.detach().cpu()
    idle = idle_inputs(layer, weight, seen)
    others = others_max_abs(layer, weight, idle)
    beyond = by_input(layer, weight, idle) & (weight.abs() > 2.0 * by_output(layer, weight, others))
    by_group = beyond.reshape(*beyond.shape[:2], -1).any(2).view(layer.groups, -1, beyond.shape[1])
    named = by_group.any(2 if layer.weight_axis == 1 else 1).flatten()
    return InputFacts(tuple(named.nonzero().flatten().tolist()), tuple(others.tolist()))
