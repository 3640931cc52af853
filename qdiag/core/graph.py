"""A network as layers: plain values, no tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field

INPUT = "input"
CONSTANT = "constant"


@dataclass(frozen=True, slots=True)
class Layer:
    """Operations that integer hardware runs as one: they share one quantizer, at their output.

    Attributes:
        name: unique, stable, readable. kind, policy: see `qdiag.capture.ops`.
        module_path: path in the original model; empty for the top.
        ops: ATen names in order, folded BatchNorms included.
        nodes: graph nodes in order; the last one carries the output.
        inputs: layers that feed this one.
        weight, bias: names of the constants, where the layer has them. weight_name: in the original model.
        weight_axis: axis of the output channels in the weight. groups: of a convolution.
        clamp: bounds of a fused clamp-type activation.
        is_depthwise: a convolution in which every input channel has filters of its own.
    """

    name: str
    kind: str
    policy: str
    module_path: str
    ops: tuple[str, ...]
    nodes: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    weight: str | None = None
    weight_name: str | None = None
    weight_axis: int = 0
    groups: int = 1
    bias: str | None = None
    clamp: tuple[float, float] | None = None
    is_depthwise: bool = False

    @property
    def output(self) -> str:
        return self.nodes[-1]


@dataclass(frozen=True, slots=True)
class OpGraph:
    """Layers in graph order.

    Attributes:
        sources: for every graph node that carries data, the layers whose values it holds (views pass them on).
    """

    layers: tuple[Layer, ...]
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

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
