"""A network as layers: plain values, no tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

INPUT = "input"
CONSTANT = "constant"
OUTPUT = "output"
"""Kind of a layer that is nothing but a further output of the operation before it: `h_n` of an LSTM."""

_CHANNELS_OF_KIND = {"linear": True, "conv": False, "conv_transpose": False}
"""Kinds with weights, and whether their channels are on the last axis."""


def channel_axis(ndim: int, is_last: bool | None) -> int | None:
    """Axis of the channels in a value of `ndim` axes, given whether it is the last one; see `Layer.channel_axis`."""
    if ndim < 2:
        return None
    return ndim - 1 if (ndim == 3 if is_last is None else is_last) else 1


@dataclass(frozen=True, slots=True)
class Layer:
    """Operations that integer hardware runs as one: they share one quantizer, at their output.

    Attributes:
        name: unique, stable, readable. kind, policy: see `qdiag.capture.ops`.
        module_path: path in the original model; empty for the top.
        ops: ATen names in order, folded BatchNorms included.
        nodes: graph nodes in order; the last one carries the output.
        inputs: layers that feed this one.
        reads: graph nodes that it computes on, each with the layers whose values it holds (views pass them on).
        weight, bias: names of the constants, where the layer has them. weight_name: in the original model.
        weight_axis: axis of the output channels in the weight. groups: of a convolution.
        clamp: bounds of a fused clamp-type activation.
        is_depthwise: a convolution in which every input channel has filters of its own.
        weight_format: the number format that the weight has as it stands, all its values -a and a, or these and 0, in
            each output channel: what a binary or ternary network computes in `forward`. None for any other weight.
        sign_magnitude: the a of an operation that gives -a and a; None for any other operation.
        is_channels_last: where the channels of the output lie, as capture followed them; None where it lost them.
        source: the line of the user's code that calls it, `net.py:12: y = self.conv(x)`; empty where that is not known.
    """

    name: str
    kind: str
    policy: str
    module_path: str
    ops: tuple[str, ...]
    nodes: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    reads: tuple[tuple[str, tuple[str, ...]], ...] = ()
    weight: str | None = None
    weight_name: str | None = None
    weight_axis: int = 0
    groups: int = 1
    bias: str | None = None
    clamp: tuple[float, float] | None = None
    is_depthwise: bool = False
    weight_format: Literal["binary", "ternary"] | None = None
    sign_magnitude: float | None = None
    is_channels_last: bool | None = None
    source: str = ""

    @property
    def output(self) -> str:
        return self.nodes[-1]

    def channel_axis(self, ndim: int) -> int | None:
        """Axis of the channels in an output, or an input with weights, of `ndim` axes; None without one.

        The last axis for linear layers and whatever keeps the layout N, H, W, C; the second for convolutions and
        what follows them. Where neither is known: the last of three axes (tokens), otherwise the second (images).
        """
        return channel_axis(ndim, _CHANNELS_OF_KIND.get(self.kind, self.is_channels_last))


@dataclass(frozen=True, slots=True)
class OpGraph:
    """Layers in graph order.

    Attributes:
        sources: for every graph node that carries data, the layers whose values it holds (views pass them on).
        constants: float constants that meet data as an operand (position embeddings, buffers). They are quantized as
            activations are, and have a place in `Layer.inputs` and in plans, but they are no layers.
    """

    layers: tuple[Layer, ...]
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    constants: tuple[Layer, ...] = ()

    @property
    def sites(self) -> tuple[Layer, ...]:
        """Everything that may have a quantizer at its output: the constants, then the layers."""
        return (*self.constants, *self.layers)

    def layer(self, name: str) -> Layer:
        """The layer of that name.

        Raises:
            KeyError: there is none.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    def consumers(self, name: str) -> tuple[Layer, ...]:
        """Layers that read the output of `name`, directly or through views."""
        return tuple(layer for layer in self.layers if name in layer.inputs)
