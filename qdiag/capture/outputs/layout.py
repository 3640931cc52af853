"""The outputs of a network in parts: values that belong together, and that users look at by themselves."""

from dataclasses import dataclass

import torch
from torch import Tensor, fx

from qdiag.capture.channels import channels_last_of
from qdiag.capture.outputs.branches import Branches
from qdiag.capture.outputs.moves import shape_of
from qdiag.capture.program import Program
from qdiag.core.graph import OpGraph, channel_axis

FEW_CHANNELS = 16
"""So many channels or fewer are likely quantities of their own, each in a unit of its own (x, y, width, height, score);
more of them are likely the entries of one vector."""


@dataclass(frozen=True)
class Part:
    """Some values of every sample of an output.

    Attributes:
        name: `branch NAME`, `channel 3`, or both.
        places: flat positions in one sample, ascending; None where the part is one whole channel.
        axis: of the channels. channel: its index there.
    """

    name: str
    places: Tensor | None = None
    axis: int = 0
    channel: int = 0

    def of(self, output: Tensor) -> Tensor:
        """The values of the part, (N, ...).

        Args:
            output: (N, ...), the whole output.
        """
        if self.places is None:
            return output.select(self.axis, self.channel)
        first, count = int(self.places[0]), len(self.places)
        if int(self.places[-1]) - first == count - 1:
            return output.flatten(1).narrow(1, first, count)
        return output.flatten(1).index_select(1, self.places.to(output.device))


@dataclass(frozen=True)
class OutputLayout:
    """How one output is divided; every value is in one part.

    Attributes:
        parts: two or more; none where the output is one thing.
        shape: of one sample; None where any fits that has the channels.
    """

    parts: tuple[Part, ...] = ()
    shape: tuple[int, ...] | None = None

    def fits(self, output: Tensor, samples: int) -> bool:
        """The output of a batch of so many samples can be divided so."""
        if not self.parts or output.ndim < 2 or output.shape[0] != samples:
            return False
        if self.shape is not None:
            return tuple(output.shape[1:]) == self.shape
        axis = self.parts[0].axis
        return axis < output.ndim and output.shape[axis] == len(self.parts)


def output_layouts(program: Program, graph: OpGraph) -> tuple[OutputLayout, ...]:
    """The layout of each output of the network, in their order."""
    nodes = list(program.graph.nodes)
    outputs = nodes[-1].args[0]
    assert isinstance(outputs, tuple | list)
    branches, channels_last = Branches(program, graph), channels_last_of(nodes)
    return tuple(
        _layout(output, branches, channels_last.get(output)) if isinstance(output, fx.Node) else OutputLayout()
        for output in outputs
    )


def _layout(node: fx.Node, branches: Branches, is_last: bool | None) -> OutputLayout:
    shape = shape_of(node)
    if shape is None or len(shape) < 2:
        return OutputLayout()
    # of two axes, the second may well count moments or places: it has to be known that it counts channels
    axis = channel_axis(len(shape), is_last) if is_last is not None or len(shape) > 2 else None
    numbers = branches.of(node)
    if numbers is None or len(present := _distinct(numbers)) < 2:
        return _channels(axis, shape[axis]) if axis is not None else OutputLayout()
    parts: list[Part] = []
    for number in present:
        places = (numbers.flatten() == number).nonzero().flatten()
        parts += _of_branch(f"branch {branches.names[number]}", places, shape, axis)
    return OutputLayout(tuple(parts), shape[1:])


def _channels(axis: int, count: int) -> OutputLayout:
    if not 2 <= count <= FEW_CHANNELS:
        return OutputLayout()
    return OutputLayout(tuple(Part(f"channel {c}", axis=axis, channel=c) for c in range(count)))


def _of_branch(name: str, places: Tensor, shape: tuple[int, ...], axis: int | None) -> list[Part]:
    """The branch by its channels where there are few of them, as a whole otherwise."""
    if axis is None:
        return [Part(name, places)]
    stride = 1
    for size in shape[axis + 1 :]:
        stride *= size
    own = torch.div(places, stride, rounding_mode="floor") % shape[axis]
    channels = _distinct(own)
    if not 2 <= len(channels) <= FEW_CHANNELS:
        return [Part(name, places)]
    return [Part(f"{name}, channel {c}", places[own == c]) for c in channels]


def _distinct(numbers: Tensor) -> list[int]:
    """Each number once, ascending."""
    return [int(number) for number in torch.bincount(numbers.flatten()).nonzero()]
